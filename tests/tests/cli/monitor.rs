//! `vpcep monitor` against a controller where nothing happens.

use anyhow::{Result, ensure};

use crate::daemon::Daemon;
use crate::vpcep;

#[test]
fn monitor_stops_after_the_time_it_was_given() -> Result<()> {
    let daemon = Daemon::start()?;
    let ran = vpcep(&daemon.socket(), "monitor --for 1")?;
    ensure!(ran.code == Some(0) && ran.stdout.is_empty() && ran.stderr.is_empty(), "{ran:?}");
    Ok(())
}

//! The `vpcepd` that is killed, and its state directory, which stays.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use vpcep_tests::process::Process;
use vpcep_tests::{Cli, wait_until, world};

const START_WITHIN: Duration = Duration::from_secs(30);
const PORT: u16 = 8774;

/// See the module.
pub struct Daemon {
    directory: TempDir,
    address: SocketAddr,
    process: Process,
}

impl Daemon {
    /// A new one that answers.
    pub fn start() -> Result<Self> {
        let mut daemon = Self::spawn()?;
        daemon.wait()?;
        Ok(daemon)
    }

    /// A new one that is being started.
    fn spawn() -> Result<Self> {
        let (directory, address) = (tempfile::tempdir()?, own_address());
        let process = spawn_in(&directory, address)?;
        Ok(Self { directory, address, process })
    }

    /// A new one that was killed as soon as its start had made a file that is not
    /// among `known`; none when there is no more such file.
    pub fn killed_at_a_new_file(known: &BTreeSet<String>) -> Result<Option<(Self, String)>> {
        let mut daemon = Self::spawn()?;
        loop {
            let answers = daemon.answers();
            if let Some(file) = daemon.files()?.into_iter().find(|file| !known.contains(file)) {
                daemon.kill()?;
                return Ok(Some((daemon, file)));
            }
            // Everything a start makes is there before it answers.
            if answers {
                return Ok(None);
            }
            if let Some(status) = daemon.process.exit_status()? {
                bail!("vpcepd ended: {status}\n{}", daemon.process.log_tail());
            }
        }
    }

    /// What is in its state directory.
    fn files(&self) -> Result<Vec<String>> {
        if !self.state().exists() {
            return Ok(Vec::new());
        }
        let names = fs::read_dir(self.state())?.map(|entry| Ok(entry?.file_name().into_string()));
        names.map(|name: Result<_>| name?.ok().context("names of files are text")).collect()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// The command line, as the operator's.
    pub fn operator(&self) -> Result<Cli> {
        Cli::new(&self.directory.path().join("run/vpcepd.sock"))
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again after its end.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = spawn_in(&self.directory, self.address)?;
        self.wait()
    }

    pub fn kill_and_start(&mut self) -> Result<()> {
        self.kill()?;
        self.start_again()
    }

    fn answers(&self) -> bool {
        TcpStream::connect(self.address).is_ok()
    }

    fn wait(&mut self) -> Result<()> {
        let address = self.address;
        wait_until("vpcepd answers", START_WITHIN, || {
            if let Some(status) = self.process.exit_status()? {
                bail!("vpcepd ended: {status}");
            }
            Ok(TcpStream::connect(address).is_ok())
        })
        .with_context(|| self.process.log_tail())
    }
}

fn spawn_in(directory: &TempDir, address: SocketAddr) -> Result<Process> {
    let directory = directory.path();
    let mut command = Command::new(world::program("vpcepd")?);
    command.args(["--datapath", "none", "--log", "warn", "--listen", &address.to_string()]);
    command.arg("--state-dir").arg(directory.join("state")).arg("--run-dir").arg(directory.join("run"));
    Process::spawn("vpcepd", &mut command, &directory.join("vpcepd.log"))
}

/// A loopback address nobody else has: no port has to be looked for, which
/// somebody could take while vpcepd is down.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    (Ipv4Addr::new(127, high, low, NEXT.fetch_add(1, Ordering::Relaxed)), PORT).into()
}

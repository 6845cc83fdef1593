//! Connections outlive the controller: restart, crash; and `--detach` leaves
//! nothing behind.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::server::SLOW_FILE_BYTES;
use vpcep_tests::{Endpoint, Nginx, Offer, Tenant, Vpc, World};

crate::scenarios!(
    download_outlives_restart_and_crash,
    everything_is_there_again_after_a_crash,
    detach_leaves_nothing_in_the_kernel,
    forwarding_is_safe_from_another_store
);

struct Setting {
    account: Tenant,
    clients: Vpc,
    endpoint: Endpoint,
    address: String,
    _nginx: Nginx,
}

fn set_up(world: &mut World) -> Result<Setting> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let nginx = Nginx::start("web", &servers.host, &[80], world.directory())?;
    let service = account.offer(&servers, Offer { name: "web", ports: &["80:80"], approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;
    Ok(Setting { account, clients, endpoint, address, _nginx: nginx })
}

fn download_outlives_restart_and_crash(world: &mut World) -> Result<()> {
    let Setting { account, clients, endpoint, address, _nginx } = set_up(world)?;
    let file = world.directory().join("download");
    let url = format!("http://{address}/slow/file");
    let mut download = clients.host.patient_download(&url, &file)?;
    let received = || file.metadata().map_or(0, |metadata| metadata.len());
    let moves_on = |what: &str| {
        let before = received();
        vpcep_tests::wait_until(what, Duration::from_secs(5), || Ok(received() > before + (1 << 20)))
    };
    moves_on("the download runs")?;

    world.daemon.stop()?;
    moves_on("the download goes on while vpcepd is stopped")?;
    world.daemon.start()?;
    moves_on("the download goes on after the restart")?;
    ensure!(account.connections(&endpoint)? == 1, "the restart lost count of the connection");

    world.daemon.kill()?;
    moves_on("the download goes on after a crash")?;
    let fetched = clients.host.curl(&[&format!("http://{address}/")])?;
    ensure!(fetched.is_ok(), "no new connections while vpcepd is down: {fetched:?}");
    world.daemon.start()?;

    let status = download.wait(Duration::from_secs(60))?;
    ensure!(status.success(), "{status}: {}", download.log_tail());
    ensure!(received() == SLOW_FILE_BYTES, "{} bytes arrived of {SLOW_FILE_BYTES}", received());
    account.await_connections(&endpoint, 0, Duration::from_secs(20))
}

fn everything_is_there_again_after_a_crash(world: &mut World) -> Result<()> {
    let Setting { account, clients, endpoint, address, _nginx } = set_up(world)?;
    let before = account.show(&endpoint)?;
    world.daemon.kill()?;
    world.daemon.start()?;

    let after = account.show(&endpoint)?;
    ensure!(before == after, "the endpoint was {before}, now it is {after}");
    let fetched = clients.host.curl(&[&format!("http://{address}/")])?;
    ensure!(fetched.is_ok(), "{fetched:?}");

    // And changes still reach the kernel.
    account.cli.json(&["endpoint", "delete", &endpoint.id, "--wait"])?;
    let fetched = clients.host.curl(&[&format!("http://{address}/")])?;
    ensure!(!fetched.is_ok(), "the deleted endpoint still answers");
    Ok(())
}

fn detach_leaves_nothing_in_the_kernel(world: &mut World) -> Result<()> {
    let Setting { clients, address, _nginx, .. } = set_up(world)?;
    world.daemon.stop()?;
    let url = format!("http://{address}/");
    ensure!(clients.host.curl(&[&url])?.is_ok(), "the data plane stopped with the controller");

    world.daemon.detach()?;
    ensure!(!clients.host.curl(&[&url])?.is_ok(), "programs are still attached");
    let pins = world.daemon.pins();
    if pins.exists() {
        let left: Vec<_> = fs::read_dir(&pins).context("cannot list the pins")?.flatten().collect();
        ensure!(left.is_empty(), "pins are left: {left:?}");
    }
    let links = world.gateway().run(&["ip", "-details", "link", "show"])?;
    ensure!(!links.contains("prog/xdp"), "an XDP program is left: {links}");

    // Detaching twice is no error, and the daemon can start afresh.
    world.daemon.detach()?;
    world.daemon.start()?;
    ensure!(clients.host.curl(&[&url])?.is_ok(), "the daemon does not come back after a detach");
    Ok(())
}

/// A state directory whose filesystem is not mounted is empty; what follows the
/// real one must not be taken down for it.
fn forwarding_is_safe_from_another_store(world: &mut World) -> Result<()> {
    let Setting { clients, address, _nginx, .. } = set_up(world)?;
    let url = format!("http://{address}/");
    let refusal = world.daemon.refusal_of_another()?;
    ensure!(refusal.contains("another vpcepd is running"), "{refusal}");
    world.daemon.stop()?;
    let refusal = world.daemon.refusal_of_another()?;
    ensure!(refusal.contains("follows another store"), "{refusal}");
    ensure!(clients.host.curl(&[&url])?.is_ok(), "the other vpcepd took forwarding down");
    world.daemon.start()
}

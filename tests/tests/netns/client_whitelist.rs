//! The whitelist of client addresses on an endpoint.

use anyhow::{Result, ensure};
use vpcep_tests::world::Host;
use vpcep_tests::{Nginx, Offer, World};

crate::scenarios!(only_listed_clients_get_through);

const FIRST: &str = "10.0.0.182";
const SECOND: &str = "10.0.0.183";

fn only_listed_clients_get_through(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &[FIRST, SECOND])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let _nginx = Nginx::start("web", &servers.host, &[80], world.directory())?;
    let service = account.offer(&servers, Offer { name: "web", ports: &["80:80"], approval: false })?;
    let endpoint = account.connect(&clients, &service, &["--allow-from", FIRST])?;
    let url = format!("http://{}/", account.await_address(&endpoint)?);
    expect(&clients.host, &url, [true, false], "listed when it was made")?;

    let update = |arguments: &[&str]| {
        account.cli.json(&[&["endpoint", "update", &endpoint.id], arguments].concat()).map(drop)
    };
    update(&["--allow-from", SECOND])?;
    expect(&clients.host, &url, [false, true], "changed")?;
    update(&["--allow-from", "10.0.0.176/28"])?;
    expect(&clients.host, &url, [true, true], "a prefix around both")?;
    update(&["--allow-from", "172.16.0.0/12", "--allow-from", "10.0.0.183/32"])?;
    expect(&clients.host, &url, [false, true], "two prefixes")?;
    update(&["--allow-all"])?;
    expect(&clients.host, &url, [true, true], "switched off")
}

/// Whether the two clients get through is as `expected`. The answer to the
/// update comes once the kernel has it, so there is nothing to wait for.
fn expect(clients: &Host, url: &str, expected: [bool; 2], when: &str) -> Result<()> {
    for (client, expected) in [FIRST, SECOND].into_iter().zip(expected) {
        let fetched = clients.curl(&["--interface", client, url])?;
        ensure!(
            fetched.is_ok() == expected,
            "{when}: client {client} should get through: {expected}; {fetched:?}"
        );
    }
    Ok(())
}

//! One account, two VPCs: the first scenario of any release.

use anyhow::{Result, ensure};
use vpcep_tests::{Nginx, Offer, World};

crate::scenarios!(works_after_the_accept, works_at_once_without_approval, each_mapping_leads_to_its_port);

fn works_after_the_accept(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "vpc1", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "vpc2", &["192.168.24.10"])?;
    let nginx = Nginx::start("web", &servers.host, &[8080], world.directory())?;
    let service = account.offer(&servers, Offer { name: "web", ports: &["80:8080"], approval: true })?;

    // The own domain is always allowed, but still waits for approval.
    let endpoint = account.connect(&clients, &service, &["--ip", "10.0.0.100"])?;
    account.await_status(&endpoint, "pendingAcceptance")?;
    ensure!(!clients.host.curl(&["http://10.0.0.100/"])?.is_ok(), "traffic flows before the accept");

    account.accept(&service, &endpoint)?;
    let address = account.await_address(&endpoint)?;
    ensure!(address == "10.0.0.100", "asked for 10.0.0.100, got {address}");
    let fetched = clients.host.curl(&[&format!("http://{address}/")])?;
    ensure!(fetched.body == "web at 192.168.24.10\n", "{fetched:?}");

    let sources = nginx.sources(1)?;
    ensure!(sources.len() == 1, "one request was made, the server saw {sources:?}");
    // 198.19.128.0/17
    let [a, b, c, _] = sources[0].parse::<std::net::Ipv4Addr>()?.octets();
    ensure!((a, b) == (198, 19) && c >= 128, "the server saw {sources:?}");
    Ok(())
}

fn works_at_once_without_approval(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "vpc1", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "vpc2", &["192.168.24.10"])?;
    let _nginx = Nginx::start("web", &servers.host, &[80], world.directory())?;
    let service = account.offer(&servers, Offer { name: "web", ports: &["80:80"], approval: false })?;

    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;
    let fetched = clients.host.curl(&[&format!("http://{address}/")])?;
    ensure!(fetched.is_ok(), "{fetched:?}");
    Ok(())
}

fn each_mapping_leads_to_its_port(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "vpc1", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "vpc2", &["192.168.24.10"])?;
    let _one = Nginx::start("one", &servers.host, &[8001], world.directory())?;
    let _two = Nginx::start("two", &servers.host, &[8002], world.directory())?;
    let offer = Offer { name: "both", ports: &["81:8001", "82:8002"], approval: false };
    let service = account.offer(&servers, offer)?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;

    for (port, server) in [(81, "one"), (82, "two")] {
        let fetched = clients.host.curl(&[&format!("http://{address}:{port}/")])?;
        ensure!(fetched.body.starts_with(server), "port {port}: {fetched:?}");
    }
    Ok(())
}

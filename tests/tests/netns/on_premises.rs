//! An office network routes to a VPC and uses a service there: its clients have
//! addresses from outside the VPC's range.

use anyhow::{Result, ensure};
use vpcep_tests::world::HOST_INTERFACE;
use vpcep_tests::{Dnsmasq, Nginx, Offer, World};

crate::scenarios!(routed_clients_are_served, a_name_server_answers_over_udp_and_tcp);

/// A client in the office.
const OFFICE: &str = "172.16.5.9";

fn routed_clients_are_served(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    // The first host is the router of the office's line, and a client itself.
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    clients.host.netns.add_address(HOST_INTERFACE, &format!("{OFFICE}/32"))?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let _nginx = Nginx::start("web", &servers.host, &[80], world.directory())?;
    let service = account.offer(&servers, Offer { name: "web", ports: &["80:80"], approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;

    for source in ["10.0.0.182", OFFICE] {
        let fetched = clients.host.curl(&["--interface", source, &format!("http://{address}/")])?;
        ensure!(fetched.is_ok(), "client {source}: {fetched:?}");
    }
    Ok(())
}

fn a_name_server_answers_over_udp_and_tcp(world: &mut World) -> Result<()> {
    const NAME: &str = "objects.cloud.example";
    const ADDRESS: &str = "100.125.0.10";
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    clients.host.netns.add_address(HOST_INTERFACE, &format!("{OFFICE}/32"))?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let _dnsmasq = Dnsmasq::start(&servers.host, NAME, ADDRESS, world.directory())?;
    let ports = &["53:53/udp", "53:53/tcp"];
    let service = account.offer(&servers, Offer { name: "dns", ports, approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let server = format!("@{}", account.await_address(&endpoint)?);

    for source in ["10.0.0.182", OFFICE] {
        for transport in ["+notcp", "+tcp"] {
            let answer = clients.host.dig(&[&server, "-b", source, transport, NAME])?;
            ensure!(answer.as_deref() == Some(ADDRESS), "{source} {transport}: {answer:?}");
        }
    }
    // More queries than the limit allows connections: each makes room with its answer.
    account.set_quota("connection=2")?;
    for query in 0..10 {
        let answer = clients.host.dig(&[&server, "+notcp", NAME])?;
        ensure!(answer.as_deref() == Some(ADDRESS), "query {query}: {answer:?}");
    }
    account.reject(&service, &endpoint)?;
    let answer = clients.host.dig(&[&server, "+notcp", NAME])?;
    ensure!(answer.is_none(), "answered though rejected: {answer:?}");
    Ok(())
}

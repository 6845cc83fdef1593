//! An office network routes to a VPC and uses a service there: its clients have
//! addresses from outside the VPC's range.

use anyhow::{Result, ensure};
use vpcep_tests::cli::number_at;
use vpcep_tests::world::HOST_INTERFACE;
use vpcep_tests::{Dnsmasq, Endpoint, Nginx, Offer, World};

crate::scenarios!(
    routed_clients_are_served,
    a_name_server_answers_over_udp_and_tcp,
    an_object_store_keeps_its_address
);

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

/// Gateway-type: the store is used at its own address, which only the client's routes tell from any
/// other beyond the VPC.
fn an_object_store_keeps_its_address(world: &mut World) -> Result<()> {
    const STORE: &str = "100.125.0.10";
    const NETWORK: &str = "100.125.0.0/16";
    let (cloud, account) = (world.tenant("cloud")?, world.tenant("acme")?);
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    clients.host.netns.add_address(HOST_INTERFACE, &format!("{OFFICE}/32"))?;
    clients.host.netns.add_route(NETWORK, &clients.host.network.gateway)?;
    let stores = world.provider_vpc(&cloud, "stores", &[STORE])?;
    let nginx = Nginx::start("store", &stores.host, &[80, 8080], world.directory())?;
    let gateway = ["--type", "gateway", "--vpc", &stores.id, "--prefix", NETWORK, "--public", "--wait"];
    let create = [&["--account", "cloud", "service", "create", "--approval", "off"], &gateway[..]].concat();
    let service = world.operator()?.text(&create, "id")?;
    let create = ["endpoint", "create", "--service", &service, "--vpc", &clients.id, "--gateway", "--wait"];
    let endpoint = Endpoint { id: account.cli.text(&create, "id")? };

    for (source, port) in [("10.0.0.182", 80), (OFFICE, 80), (OFFICE, 8080)] {
        let url = format!("http://{STORE}:{port}/");
        let fetched = clients.host.curl(&["--interface", source, &url])?;
        ensure!(fetched.is_ok(), "client {source} to port {port}: {fetched:?}");
    }
    for source in nginx.sources(3)? {
        ensure!(source.starts_with("198.19."), "the store saw {source}");
    }
    let opened = number_at(&account.stats(&endpoint)?, "/connections/opened")?;
    ensure!(opened == 3, "{opened} connections were counted");
    let target = format!("{STORE}:80");
    let question = ["explain", "--vpc", &clients.id, "--client", OFFICE, "--endpoint", &target];
    let verdict = account.cli.text(&question, "verdict")?;
    ensure!(verdict == "forwarded", "explain says {verdict}");

    account.cli.json(&["endpoint", "delete", &endpoint.id])?;
    let fetched = clients.host.curl(&["--max-time", "2", &format!("http://{STORE}/")])?;
    ensure!(!fetched.is_ok(), "served though the endpoint is gone: {fetched:?}");
    Ok(())
}

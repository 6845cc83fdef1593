//! A narrow link: errors tell the client's TCP what fits (RFC 1191). Behind the provider's router
//! they are the router's, translated; where it is the gateway's own, they are the gateway's.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::cli::text_field;
use vpcep_tests::tenant::SNAT_RANGE;
use vpcep_tests::world::{Host, Network};
use vpcep_tests::{Offer, Service, World};

crate::scenarios!(
    a_client_learns_of_a_narrow_link_behind_the_endpoint,
    a_client_learns_of_a_narrow_link_of_the_gateway,
);

const SERVER: &str = "192.168.99.10";
const PORT: u16 = 7000;
/// Bytes that are sent: many times what fits into one packet.
const BYTES: usize = 1 << 20;
/// The narrow link's.
const MTU: &str = "1300";
const PATIENCE: Duration = Duration::from_secs(15);

fn a_client_learns_of_a_narrow_link_behind_the_endpoint(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let router = world.add_host(&Network::around(&["192.168.24.10"])?)?;
    let server = world.add_host(&Network::around(&["192.168.77.1"])?)?;
    // The server's own end of the link is as wide as any, so that the handshake says nothing of it.
    router.netns.connect("narrow", &server.netns, "wide")?;
    router.netns.run(&["ip", "link", "set", "narrow", "mtu", MTU])?;
    router.netns.add_address("narrow", "192.168.99.1/24")?;
    router.netns.sysctl("net.ipv4.ip_forward", "1")?;
    router.netns.add_route(SNAT_RANGE, &router.network.gateway)?;
    server.netns.add_address("wide", &format!("{SERVER}/24"))?;
    server.netns.add_route(SNAT_RANGE, "192.168.99.1")?;

    let vpc = account.cli.text(&["vpc", "create", "servers", "--cidr", "192.168.0.0/16"], "id")?;
    let place = ["--vpc", &vpc, "--interface", &router.gateway_interface, "--address", "192.168.24.1/24"];
    let way = ["--next-hop", "192.168.24.10", "--mode", world.mode().as_str(), "--wait"];
    world.operator()?.json(&[&["attachment", "create"], &place[..], &way].concat())?;
    let backend = ["backend", "create", "sink", "--vpc", &vpc, "--type", "vm", "--address", SERVER];
    let backend = account.cli.text(&backend, "id")?;
    let port = format!("{PORT}:{PORT}");
    let create =
        ["service", "create", "--vpc", &vpc, "--backend", &backend, "--name", "sink", "--port", &port];
    let service = account.cli.json(&[&create[..], &["--approval", "off", "--wait"]].concat())?;
    let service =
        Service { id: text_field(&service, "id")?, full_name: text_field(&service, "service_name")? };
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;

    upload(&clients.host, &address, &server, SERVER)
}

fn a_client_learns_of_a_narrow_link_of_the_gateway(world: &mut World) -> Result<()> {
    const SERVER: &str = "192.168.24.10";
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &[SERVER])?;
    // The server's end stays wide, so that the handshake says nothing of it.
    world.gateway().run(&["ip", "link", "set", &servers.host.gateway_interface, "mtu", MTU])?;
    let ports = &["7000:7000"];
    let service = account.offer(&servers, Offer { name: "sink", ports, approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;
    upload(&clients.host, &address, &servers.host, SERVER)
}

/// Sends to a server; all of it arrives, since the client learns of the narrow link.
fn upload(client: &Host, address: &str, server: &Host, server_address: &str) -> Result<()> {
    let listener = server.netns.inside(|| Ok(TcpListener::bind((server_address, PORT))?))?;
    let sink = thread::spawn(move || -> Result<usize> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut sent = Vec::new();
        stream.read_to_end(&mut sent)?;
        Ok(sent.len())
    });
    let mut stream = client.netns.inside(|| Ok(TcpStream::connect((address, PORT))?))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&vec![7; BYTES]).context("sending through the narrow link")?;
    stream.shutdown(Shutdown::Write)?;
    let received =
        sink.join().expect("the sink does not panic").context("receiving behind the narrow link")?;
    ensure!(received == BYTES, "{received} of {BYTES} bytes arrived");
    let route = client.netns.run(&["ip", "route", "get", address])?;
    ensure!(route.contains(&format!("mtu {MTU}")), "the client was not told of the narrow link: {route}");
    Ok(())
}

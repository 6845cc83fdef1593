//! Ping to an endpoint, and errors that tell either side why nothing answers.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::world::Host;
use vpcep_tests::{Offer, World, wait_until};

crate::scenarios!(an_endpoint_answers_ping, a_closed_port_is_told_to_whoever_sent_to_it);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

fn an_endpoint_answers_ping(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let service = account.offer(&servers, Offer { name: "web", ports: &["80:80"], approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;
    for size in ["0", "56", "1472"] {
        clients.host.netns.run(&["ping", "-c", "1", "-W", "2", "-s", size, &address])?;
    }
    account.reject(&service, &endpoint)?;
    let refused = clients.host.netns.run(&["ping", "-c", "1", "-W", "1", &address]);
    ensure!(refused.is_err(), "an endpoint answers that nobody may use: {refused:?}");
    Ok(())
}

fn a_closed_port_is_told_to_whoever_sent_to_it(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let ports = &["7000:7000/udp"];
    let service = account.offer(&servers, Offer { name: "udp", ports, approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;

    // Nobody listens: the server's kernel says so.
    let client = socket(&clients.host, "10.0.0.182:0")?;
    client.connect((address.as_str(), 7000))?;
    client.send(b"anybody?")?;
    ensure!(is_refused(&client)?, "the client is not told that the server's port is closed");

    // Now somebody does, and answers a client that has gone.
    let server = socket(&servers.host, "192.168.24.10:7000")?;
    client.send(b"somebody?")?;
    let mut buffer = [0; 16];
    let (_, source) = server.recv_from(&mut buffer).context("the server got nothing")?;
    drop(client);
    server.connect(source)?;
    // Another test's process that is just being started may still hold the client's socket.
    wait_until("the server is told that the client's port is closed", 3 * PATIENCE, || {
        server.send(b"I am")?;
        is_refused(&server)
    })
}

fn socket(host: &Host, address: &str) -> Result<UdpSocket> {
    let socket = host.netns.inside(|| Ok(UdpSocket::bind(address)?))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Whether an error arrives for what was sent.
fn is_refused(socket: &UdpSocket) -> Result<bool> {
    match socket.recv(&mut [0; 16]) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
        other => other.map(|_| false).context("neither an error of the network nor silence"),
    }
}

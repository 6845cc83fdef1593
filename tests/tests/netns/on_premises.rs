//! An office network routes to a VPC and uses a name service there, over UDP
//! and TCP: its clients have addresses from outside the VPC's range.

use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::world::{HOST_INTERFACE, Host};
use vpcep_tests::{Nginx, Offer, World};

crate::scenarios!(routed_clients_use_udp_and_tcp);

/// A client in the office.
const OFFICE: &str = "172.16.5.9";

/// Queries of one client, so that later ones meet a session.
const QUERIES: u32 = 20;

fn routed_clients_use_udp_and_tcp(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    // The first host is the router of the office's line, and a client itself.
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    clients.host.netns.add_address(HOST_INTERFACE, &format!("{OFFICE}/32"))?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    answer_queries(&servers.host, 5353)?;
    let _nginx = Nginx::start("tcp", &servers.host, &[5353], world.directory())?;
    let offer = Offer { name: "dns", ports: &["53:5353/udp", "53:5353/tcp"], approval: false };
    let service = account.offer(&servers, offer)?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;

    for source in ["10.0.0.182", OFFICE] {
        clients.host.netns.inside(|| ask(source, &address)).with_context(|| format!("client {source}"))?;
        let fetched = clients.host.curl(&["--interface", source, &format!("http://{address}:53/")])?;
        ensure!(fetched.is_ok(), "client {source} over TCP: {fetched:?}");
    }
    Ok(())
}

/// Sends queries from one socket and checks that each is answered, from the
/// address it was sent to.
fn ask(source: &str, address: &str) -> Result<()> {
    let socket = UdpSocket::bind((source, 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    // A connected socket takes answers from that address and port alone.
    socket.connect((address, 53))?;
    for number in 0..QUERIES {
        socket.send(&number.to_be_bytes())?;
        let mut answer = [0; 8];
        let length = socket.recv(&mut answer).with_context(|| format!("query {number} has no answer"))?;
        ensure!(answer[..length] == number.to_be_bytes(), "query {number}: {:x?}", &answer[..length]);
    }
    Ok(())
}

/// A server that sends each datagram back. Its thread ends with the test
/// process.
fn answer_queries(host: &Host, port: u16) -> Result<()> {
    let socket = host.netns.inside(|| Ok(UdpSocket::bind(("0.0.0.0", port))?))?;
    thread::spawn(move || {
        let mut query = [0; 8];
        while let Ok((length, client)) = socket.recv_from(&mut query) {
            // The client reports an answer that is missing.
            let _ = socket.send_to(&query[..length], client);
        }
    });
    Ok(())
}

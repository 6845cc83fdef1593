//! One way only: what is not mapped cannot be reached, in either direction.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::world::Host;
use vpcep_tests::{Nginx, Offer, World, wait_until};

crate::scenarios!(consumer_reaches_only_mapped_ports, provider_cannot_open_towards_the_consumer);

/// What shows that nothing answers: a refusal comes sooner.
const PATIENCE: Duration = Duration::from_millis(700);

fn consumer_reaches_only_mapped_ports(world: &mut World) -> Result<()> {
    let provider = world.tenant("provider")?;
    let consumer = world.tenant("consumer")?;
    let servers = world.provider_vpc(&provider, "servers", &["192.168.24.10", "192.168.24.11"])?;
    let clients = world.vpc(&consumer, "clients", &["10.0.0.182"])?;
    let _nginx = Nginx::start("web", &servers.host, &[8080, 9090], world.directory())?;
    let service = provider.offer(&servers, Offer { name: "web", ports: &["80:8080"], approval: false })?;
    provider.allow(&service, &consumer)?;
    let endpoint = consumer.connect(&clients, &service, &["--ip", "10.0.0.100"])?;
    consumer.await_address(&endpoint)?;
    clients.host.netns.add_route("192.168.24.0/24", &clients.host.network.gateway)?;

    let mapped = clients.host.curl(&["http://10.0.0.100/"])?;
    ensure!(mapped.is_ok(), "the mapped port does not work: {mapped:?}");
    for target in [
        "10.0.0.100:8080",    // the server port is not the client port
        "10.0.0.100:9090",    // a port that the server has open
        "192.168.24.10:8080", // the server itself, by way of the gateway
        "192.168.24.11:8080", // its neighbour
        "10.0.0.1:80",        // the gateway
        "10.0.0.1:22",
    ] {
        ensure!(!opens(&clients.host, target)?, "{target} was reached");
    }
    // The mapping is TCP; the same port over UDP is not mapped.
    for target in ["10.0.0.100:80", "192.168.24.10:8080"] {
        ensure!(!datagram_arrives(&clients.host, target, &servers.host, 8080)?, "UDP {target} was reached");
    }
    Ok(())
}

fn provider_cannot_open_towards_the_consumer(world: &mut World) -> Result<()> {
    let provider = world.tenant("provider")?;
    let consumer = world.tenant("consumer")?;
    let servers = world.provider_vpc(&provider, "servers", &["192.168.24.10"])?;
    let clients = world.vpc(&consumer, "clients", &["10.0.0.182"])?;
    let nginx = Nginx::start("web", &servers.host, &[8080], world.directory())?;
    let _secret = Nginx::start("secret", &clients.host, &[80, 2222], world.directory())?;
    let service = provider.offer(&servers, Offer { name: "web", ports: &["80:8080"], approval: false })?;
    provider.allow(&service, &consumer)?;
    let endpoint = consumer.connect(&clients, &service, &["--ip", "10.0.0.100"])?;
    consumer.await_address(&endpoint)?;

    // A live connection, so that its source is a slot in use.
    let file = world.directory().join("download");
    let mut download = clients.host.download("http://10.0.0.100/slow/file", &file)?;
    ensure!(clients.host.curl(&["http://10.0.0.100/"])?.is_ok(), "the endpoint does not work");
    let source = nginx.sources(1)?.pop().context("the server saw no request")?;
    let session = consumer.cli.json(&["sessions", "--endpoint", &endpoint.id])?;
    let live_source = session.pointer("/sessions/0/source").and_then(|source| source.as_str());
    let live_source = live_source.with_context(|| format!("no live session in {session}"))?;

    servers.host.netns.add_route("10.0.0.0/24", &servers.host.network.gateway)?;
    let (source_http, source_other) = (format!("{source}:80"), format!("{source}:2222"));
    for target in
        ["10.0.0.182:80", "10.0.0.182:2222", "10.0.0.100:80", live_source, &source_http, &source_other]
    {
        ensure!(!opens(&servers.host, target)?, "{target} was reached from the provider's side");
    }
    for target in ["10.0.0.182:2222", live_source] {
        let arrives = datagram_arrives(&servers.host, target, &clients.host, 2222)?;
        ensure!(!arrives, "UDP {target} was reached from the provider's side");
    }
    ensure!(
        download.exit_status()?.is_none(),
        "the attempts ended a live connection: {}",
        download.log_tail()
    );
    Ok(())
}

/// Whether a TCP connection opens.
fn opens(from: &Host, target: &str) -> Result<bool> {
    let target: SocketAddr = target.parse().with_context(|| format!("bad target {target:?}"))?;
    from.netns.inside(|| Ok(TcpStream::connect_timeout(&target, PATIENCE).is_ok()))
}

/// Whether a datagram to `target` arrives at any address of `receiver`.
fn datagram_arrives(from: &Host, target: &str, receiver: &Host, port: u16) -> Result<bool> {
    let socket = receiver.netns.inside(|| bind(port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    // An ICMP error for an earlier attempt may surface here, and is as good as
    // silence.
    let sent = from.netns.inside(|| Ok(UdpSocket::bind("0.0.0.0:0")?.send_to(b"knock", target).is_ok()))?;
    match socket.recv(&mut [0; 16]) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("receiving what was sent ({sent}) to {target}")),
    }
}

/// Binds a port that was in use a moment ago. A program that another test is
/// just starting may still hold a copy of the last socket, until it is executed.
fn bind(port: u16) -> Result<UdpSocket> {
    let mut socket = None;
    wait_until(&format!("UDP port {port} is free"), Duration::from_secs(5), || {
        match UdpSocket::bind(("0.0.0.0", port)) {
            Ok(bound) => socket = Some(bound),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(error.into()),
        }
        Ok(socket.is_some())
    })?;
    socket.context("the port was never bound")
}

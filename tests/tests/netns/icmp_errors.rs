//! Errors that the gateway makes itself, as the sockets of those see them who sent what they are
//! about.

use std::io::{ErrorKind, Result as Answer};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::world::Host;
use vpcep_tests::{Offer, World};

crate::scenarios!(a_refused_client_knows_at_once, a_trace_sees_the_endpoint);

/// How long an answer may take: less than a connection attempt takes to fail by itself.
const PATIENCE: Duration = Duration::from_secs(5);
const PORT: u16 = 7000;

fn a_refused_client_knows_at_once(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let ports = &["7000:7000/udp", "7000:7000/tcp"];
    let service = account.offer(&servers, Offer { name: "both", ports, approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;

    let to = |port| send(&clients.host, &address, port);
    expect("a port that is not mapped", to(PORT + 1)?, ErrorKind::ConnectionRefused)?;
    account.reject(&service, &endpoint)?;
    expect("a rejected endpoint", to(PORT)?, ErrorKind::HostUnreachable)?;
    expect("over TCP", open(&clients.host, &address)?, ErrorKind::ConnectionRefused)?;

    let refusal =
        |refusal: &str| world.operator()?.json(&["endpoint", "update", &endpoint.id, "--refusal", refusal]);
    refusal("icmp")?;
    expect("over TCP, by an ICMP error", open(&clients.host, &address)?, ErrorKind::HostUnreachable)?;
    refusal("silent")?;
    expect("silence", to(PORT)?, ErrorKind::WouldBlock)
}

fn a_trace_sees_the_endpoint(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let ports = &["7000:7000"];
    let service = account.offer(&servers, Offer { name: "far", ports, approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;

    clients.host.netns.sysctl("net.ipv4.ip_default_ttl", "1")?;
    expect("one hop", open(&clients.host, &address)?, ErrorKind::HostUnreachable)?;
    let exceeded = icmp_counter(&clients.host, "InTimeExcds")?;
    ensure!(exceeded == 1, "{exceeded} messages that the hop limit ran out");
    Ok(())
}

fn expect<T>(what: &str, got: Answer<T>, kind: ErrorKind) -> Result<()> {
    let got = got.err().with_context(|| format!("{what}: answered"))?;
    ensure!(got.kind() == kind, "{what}: {got:?} instead of {kind:?}");
    Ok(())
}

/// What becomes of a datagram.
fn send(host: &Host, address: &str, port: u16) -> Result<Answer<usize>> {
    let socket = host.netns.inside(|| Ok(UdpSocket::bind("10.0.0.182:0")?))?;
    socket.connect((address, port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(&[7; 100])?;
    Ok(socket.recv(&mut [0; 16]))
}

/// What becomes of a connection.
fn open(host: &Host, address: &str) -> Result<Answer<TcpStream>> {
    let to = format!("{address}:{PORT}").parse()?;
    host.netns.inside(|| Ok(TcpStream::connect_timeout(&to, PATIENCE)))
}

/// A counter of the kernel's ICMP (net/ipv4/proc.c: a line of names, one of values).
fn icmp_counter(host: &Host, name: &str) -> Result<u64> {
    let counters = host.netns.run(&["cat", "/proc/net/snmp"])?;
    let mut lines = counters.lines().filter(|line| line.starts_with("Icmp:"));
    let names = lines.next().context("no line of names")?.split(' ');
    let values = lines.next().context("no line of values")?.split(' ');
    let (_, value) = names.zip(values).find(|(known, _)| *known == name).context("no such counter")?;
    value.parse().with_context(|| format!("counter {name} is {value}"))
}

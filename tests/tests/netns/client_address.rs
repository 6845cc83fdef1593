//! Servers learn the client's address: nginx and HAProxy by a PROXY header, a receiver of our own by
//! each form of it, and by the TCP option; also when packets are lost.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use vpcep_common::client_address::HEADER_LEN;
use vpcep_tests::cli::number_at;
use vpcep_tests::tenant::Vpc;
use vpcep_tests::world::HOST_INTERFACE;
use vpcep_tests::{Endpoint, Haproxy, Nginx, Offer, Service, Tenant, Wire, World};

crate::scenarios!(
    nginx_and_haproxy_learn_the_client_by_a_header,
    a_header_names_the_endpoint_in_the_form_that_was_asked_for,
    a_header_is_there_whatever_is_lost,
    a_server_learns_the_client_by_an_option,
);

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 182);
const PORT: u16 = 7000;
const PATIENCE: Duration = Duration::from_secs(60);
/// More than a packet, and than any that are cut up later.
const UPLOAD_BYTES: usize = 1 << 20;

fn nginx_and_haproxy_learn_the_client_by_a_header(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "vpc1", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "vpc2", &["192.168.24.10"])?;
    let _nginx = Nginx::start_behind_proxy("web", &servers.host, 8081, world.directory())?;
    let _haproxy = Haproxy::start(&servers.host, 8082, world.directory())?;
    let service =
        account.offer(&servers, Offer { name: "web", ports: &["81:8081", "82:8082"], approval: false })?;
    tell(&account, &service, "proxy_open", "own")?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;
    let fetch = |path: &str, from: u16| {
        let (port, url) = (from.to_string(), format!("http://{address}:{path}"));
        clients.host.curl(&["--local-port", &port, &url])
    };
    for round in 0..20 {
        let from = 20_000 + round;
        let nginx = fetch("81/client", from)?;
        ensure!(nginx.body == format!("{CLIENT}:{from}\n"), "nginx, round {round}: {nginx:?}");
        let from = 21_000 + round;
        let haproxy = fetch("82/", from)?;
        let expected = format!("{CLIENT}:{from} to {address}:82\n");
        ensure!(haproxy.body == expected, "HAProxy, round {round}: {haproxy:?}, not {expected:?}");
    }
    tell(&account, &service, "close", "own")?;
    let without = fetch("82/", 30_000)?;
    ensure!(!without.is_ok(), "HAProxy wants a header, and has none now: {without:?}");
    Ok(())
}

fn a_header_names_the_endpoint_in_the_form_that_was_asked_for(world: &mut World) -> Result<()> {
    let stage = Stage::set(world)?;
    let shown = stage.account.show(&stage.endpoint)?;
    let marker = u32::try_from(number_at(&shown, "/marker_id")?)?;
    let aws = [&[1], stage.endpoint.id.as_bytes()].concat();
    for (profile, kind, value) in [
        ("own", 0xe5, [&[1], &marker.to_be_bytes()[..]].concat()),
        ("aws", 0xea, aws),
        ("gcp", 0xe0, u64::from(marker).to_be_bytes().to_vec()),
        ("azure", 0xee, [&[1], &marker.to_le_bytes()[..]].concat()),
    ] {
        tell(&stage.account, &stage.service, "open", profile)?;
        let client = stage.connect()?;
        let (mut server, _) = stage.listener.accept()?;
        // Before the client has sent anything: a server may speak first.
        let header = read_header(&mut server)?;
        ensure!(header.client == (CLIENT, client.local_addr()?.port()), "{profile}: {header:?}");
        ensure!(header.endpoint == (stage.address, PORT), "{profile}: {header:?}");
        ensure!(header.fields.first() == Some(&(kind, value)), "{profile}, marker {marker}: {header:?}");
        ensure!(header.fields[1..].iter().all(|(kind, _)| *kind == 4), "{profile}: more than padding");
        exchange(client, server).context(profile)?;
    }
    Ok(())
}

/// A tenth of what the server and the client get of each other is dropped, and every server still
/// reads a header first and then what its client sent.
fn a_header_is_there_whatever_is_lost(world: &mut World) -> Result<()> {
    const CONNECTIONS: usize = 100;
    let stage = Stage::set(world)?;
    tell(&stage.account, &stage.service, "open", "own")?;
    for host in [&stage.clients.host, &stage.servers.host] {
        let rules = "table ip lossy { chain input { type filter hook input priority 0; \
                     meta l4proto tcp numgen random mod 10 == 0 drop; }; }";
        host.netns.run(&["nft", rules])?;
    }
    let clients = (0..CONNECTIONS)
        .map(|_| {
            let (netns, address) = (stage.clients.host.netns.clone(), stage.address);
            thread::spawn(move || -> Result<()> {
                let mut stream = netns.inside(|| Ok(TcpStream::connect((address, PORT))?))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                let said = format!("I am {}", stream.local_addr()?.port());
                stream.write_all(said.as_bytes())?;
                stream.shutdown(Shutdown::Write)?;
                let mut heard = String::new();
                stream.read_to_string(&mut heard)?;
                ensure!(heard == said, "the server heard {heard:?}, not {said:?}");
                Ok(())
            })
        })
        .collect::<Vec<_>>();
    for number in 0..CONNECTIONS {
        let (mut server, _) = stage.listener.accept()?;
        server.set_read_timeout(Some(PATIENCE))?;
        let header = read_header(&mut server).with_context(|| format!("connection {number}"))?;
        let mut said = String::new();
        server.read_to_string(&mut said).with_context(|| format!("connection {number}"))?;
        ensure!(
            said == format!("I am {}", header.client.1),
            "connection {number}: {header:?}, then {said:?}"
        );
        server.write_all(said.as_bytes())?;
    }
    for client in clients {
        client.join().expect("a client does not panic")?;
    }
    Ok(())
}

fn a_server_learns_the_client_by_an_option(world: &mut World) -> Result<()> {
    let stage = Stage::set(world)?;
    tell(&stage.account, &stage.service, "toa_open", "own")?;
    let wire = Wire::open(&stage.servers.host.netns, HOST_INTERFACE)?;
    let client = stage.connect()?;
    let (server, _) = stage.listener.accept()?;
    let last_of_handshake = wire.receive("last packet of the handshake", PATIENCE, |frame| {
        // Not parsed whole: its checksum may be left to the device.
        let port = u16::from_be_bytes([*frame.get(36)?, *frame.get(37)?]);
        (port == PORT && frame[47] == 0x10).then(|| frame.to_vec())
    })?;
    let mut option = vec![254, 8];
    option.extend(client.local_addr()?.port().to_be_bytes());
    option.extend(CLIENT.octets());
    ensure!(last_of_handshake[54..62] == option, "no {option:02x?} in {last_of_handshake:02x?}");
    exchange(client, server)
}

/// A client, a receiver of our own, and an endpoint between them.
struct Stage {
    account: Tenant,
    clients: Vpc,
    servers: Vpc,
    service: Service,
    endpoint: Endpoint,
    address: Ipv4Addr,
    listener: TcpListener,
}

impl Stage {
    fn set(world: &mut World) -> Result<Self> {
        let account = world.tenant("acme")?;
        let clients = world.vpc(&account, "vpc1", &["10.0.0.182"])?;
        let servers = world.provider_vpc(&account, "vpc2", &["192.168.24.10"])?;
        let ports = format!("{PORT}:{PORT}");
        let service = account.offer(&servers, Offer { name: "sink", ports: &[&ports], approval: false })?;
        let endpoint = account.connect(&clients, &service, &[])?;
        let address = account.await_address(&endpoint)?.parse()?;
        let listener = servers.host.netns.inside(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?))?;
        Ok(Self { account, clients, servers, service, endpoint, address, listener })
    }

    fn connect(&self) -> Result<TcpStream> {
        let stream = self.clients.host.netns.inside(|| Ok(TcpStream::connect((self.address, PORT))?))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

/// Has a service tell its servers of clients.
fn tell(account: &Tenant, service: &Service, means: &str, profile: &str) -> Result<()> {
    let update = ["service", "update", &service.id, "--tcp-proxy", means, "--proxy-profile", profile];
    account.cli.json(&update).map(drop)
}

/// Sends a megabyte each way and compares it.
fn exchange(mut client: TcpStream, mut server: TcpStream) -> Result<()> {
    server.set_read_timeout(Some(PATIENCE))?;
    let sent: Vec<u8> = (0..UPLOAD_BYTES).map(|i| (i % 251) as u8).collect();
    let expected = sent.clone();
    let echo = thread::spawn(move || -> Result<()> {
        let mut received = Vec::new();
        server.read_to_end(&mut received)?;
        ensure!(received == expected, "{} bytes arrived, not what was sent", received.len());
        Ok(server.write_all(&received)?)
    });
    client.write_all(&sent)?;
    client.shutdown(Shutdown::Write)?;
    let mut received = Vec::new();
    client.read_to_end(&mut received)?;
    echo.join().expect("the server does not panic")?;
    ensure!(received == sent, "{} bytes came back, not what was sent", received.len());
    Ok(())
}

/// What a PROXY header says.
#[derive(Debug)]
struct Header {
    client: (Ipv4Addr, u16),
    endpoint: (Ipv4Addr, u16),
    fields: Vec<(u8, Vec<u8>)>,
}

fn read_header(stream: &mut TcpStream) -> Result<Header> {
    let mut bytes = [0; HEADER_LEN as usize];
    stream.read_exact(&mut bytes).context("reading the header")?;
    let (start, rest) = bytes.split_at(16);
    let be16 = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    ensure!(start[..14] == *b"\r\n\r\n\0\r\nQUIT\n\x21\x11", "no header of PROXY over TCP: {start:02x?}");
    ensure!(usize::from(be16(14)) == rest.len(), "a header of {} bytes", be16(14));
    let address = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
    let mut fields = Vec::new();
    let mut left = &bytes[28..];
    while !left.is_empty() {
        let [kind, high, low, tail @ ..] = left else { bail!("half a field: {left:02x?}") };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, next) =
            tail.split_at_checked(length).context("a field that is longer than its header")?;
        fields.push((*kind, value.to_vec()));
        left = next;
    }
    Ok(Header { client: (address(16), be16(24)), endpoint: (address(20), be16(26)), fields })
}

//! Connections on which nothing is said: how long they are kept, and who learns of their
//! end.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::{Endpoint, Offer, Service, Tenant, Vpc, World};

crate::scenarios!(both_ends_of_an_idle_connection_learn_that_it_is_over);

/// The shortest a service can have, in seconds.
const SHORTEST: &str = "10";
/// The same, two sweeps, and a slow machine.
const IN_TIME: Duration = Duration::from_secs(20);
/// Longer than both rounds of packets that make ends speak.
const ROUNDS: Duration = Duration::from_secs(3);

/// A service with one connection.
struct Connection {
    service: Service,
    endpoint: Endpoint,
    client: TcpStream,
    server: TcpStream,
}

fn both_ends_of_an_idle_connection_learn_that_it_is_over(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let connect = |name, port| connection(&account, &clients, &servers, name, port);
    let (kept, told, untold) = (connect("kept", 7000)?, connect("told", 7001)?, connect("untold", 7002)?);
    // The connections are there already.
    let set = |service: &Service, how: &[&str]| {
        let update = ["service", "update", &service.id, "--idle-timeout", SHORTEST];
        account.cli.json(&[&update[..], how].concat())
    };
    set(&untold.service, &["--idle-reset", "off"])?;
    set(&told.service, &[])?;

    for (end, mut stream) in [("client", &told.client), ("server", &told.server)] {
        let heard = stream.read(&mut [0]).map_err(|error| error.kind());
        ensure!(heard == Err(ErrorKind::ConnectionReset), "the {end} heard {heard:?}");
    }
    account.await_connections(&told.endpoint, 0, IN_TIME)?;

    account.await_connections(&untold.endpoint, 0, IN_TIME)?;
    for (end, mut stream) in [("client", &untold.client), ("server", &untold.server)] {
        stream.set_read_timeout(Some(ROUNDS))?;
        let heard = stream.read(&mut [0]).map_err(|error| error.kind());
        ensure!(heard == Err(ErrorKind::WouldBlock), "the {end} that nobody tells heard {heard:?}");
        stream.write_all(b"x").with_context(|| format!("the {end} sends"))?;
        let heard = stream.read(&mut [0]).map_err(|error| error.kind());
        ensure!(heard == Err(ErrorKind::ConnectionReset), "the {end} that sent heard {heard:?}");
    }

    let Connection { endpoint, mut client, mut server, .. } = kept;
    ensure!(account.connections(&endpoint)? == 1, "the service without a time-out of its own lost it");
    client.write_all(b"x")?;
    server.read_exact(&mut [0]).context("from the client of the connection that is kept")?;
    server.write_all(b"y")?;
    client.read_exact(&mut [0]).context("from its server")
}

fn connection(account: &Tenant, clients: &Vpc, servers: &Vpc, name: &str, port: u16) -> Result<Connection> {
    let ports = format!("70:{port}");
    let service = account.offer(servers, Offer { name, ports: &[&ports], approval: false })?;
    let endpoint = account.connect(clients, &service, &[])?;
    let address = format!("{}:70", account.await_address(&endpoint)?);
    let listener = servers.host.netns.inside(|| Ok(TcpListener::bind(("0.0.0.0", port))?))?;
    let client = clients.host.netns.inside(|| Ok(TcpStream::connect(&address)?));
    let client = client.with_context(|| format!("connecting to {name}"))?;
    let (server, _) = listener.accept().context("accepting")?;
    for end in [&client, &server] {
        end.set_read_timeout(Some(IN_TIME))?;
    }
    Ok(Connection { service, endpoint, client, server })
}

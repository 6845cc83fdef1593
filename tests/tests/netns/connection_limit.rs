//! The limit of concurrent connections of an endpoint.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::cli::number_at;
use vpcep_tests::world::Host;
use vpcep_tests::{Offer, World};

crate::scenarios!(exactly_as_many_connections_as_the_limit_are_served);

/// The limit.
const LIMIT: usize = 8;

/// Clients that try at once.
const CLIENTS: usize = 4 * LIMIT;

/// How long a client waits for the connection, and then for the greeting.
const PATIENCE: Duration = Duration::from_secs(2);

/// Closed connections are forgotten after a second, and counted down when the
/// table is swept next.
const FORGETTING: Duration = Duration::from_secs(20);

fn exactly_as_many_connections_as_the_limit_are_served(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    greet_whoever_connects(&servers.host, 7000)?;
    account.set_quota(&format!("connection={LIMIT}"))?;
    let service = account.offer(&servers, Offer { name: "greeter", ports: &["70:7000"], approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address: SocketAddr = format!("{}:70", account.await_address(&endpoint)?).parse()?;

    for round in ["first", "second"] {
        let served = open_at_once(&clients.host, address)?;
        ensure!(served.len() == LIMIT, "{round} round: {} of {CLIENTS} clients were served", served.len());
        let stats = account.stats(&endpoint)?;
        ensure!(number_at(&stats, "/connections/current")? == LIMIT as u64, "{round} round: {stats}");
        ensure!(number_at(&stats, "/connections/peak")? == LIMIT as u64, "{round} round: {stats}");
        ensure!(number_at(&stats, "/connections/limit")? == LIMIT as u64, "{round} round: {stats}");
        let drops = stats["drops"].as_object().context("stats without drops")?;
        ensure!(!drops.is_empty(), "{round} round: refused connections are not counted: {stats}");

        served.into_iter().try_for_each(close)?;
        account.await_connections(&endpoint, 0, FORGETTING)?;
    }
    Ok(())
}

/// Opens all connections at once and returns those that were greeted.
fn open_at_once(host: &Host, address: SocketAddr) -> Result<Vec<TcpStream>> {
    host.netns.inside(|| {
        let attempts: Vec<_> = (0..CLIENTS).map(|_| thread::spawn(move || open(address))).collect();
        let outcomes = attempts.into_iter().map(|attempt| attempt.join().expect("no attempt panics"));
        Ok(outcomes.flatten().collect())
    })
}

/// One client: connected and greeted, or not served.
fn open(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.read_exact(&mut [0]).ok()?;
    Some(stream)
}

/// Closes in order: the server answers the end of input with its own.
fn close(mut stream: TcpStream) -> Result<()> {
    stream.shutdown(Shutdown::Write).context("closing a served connection")?;
    let rest = stream.read(&mut [0]).context("waiting for the server to close")?;
    ensure!(rest == 0, "the server sent more than its greeting");
    Ok(())
}

/// A server that sends one byte to each client and holds the connection until
/// the client closes. Its threads end with the test process.
fn greet_whoever_connects(host: &Host, port: u16) -> Result<()> {
    let listener = host.netns.inside(|| Ok(TcpListener::bind(("0.0.0.0", port))?))?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                // A client that has gone is no concern of the server's.
                let _ = stream.write_all(b"+").and_then(|()| stream.read(&mut [0]));
            });
        }
    });
    Ok(())
}

//! Many short connections: slots and ports are taken and given back without a
//! connection going wrong.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::cli::number_at;
use vpcep_tests::world::Host;
use vpcep_tests::{Offer, World};

crate::scenarios!(ten_thousand_short_connections_without_an_error);

const CONNECTIONS: u32 = 10_000;

/// Threads that make them.
const CLIENTS: u32 = 4;

/// Far above what lingers at the rate of this test.
const LIMIT: u32 = 30_000;

/// A retransmitted SYN comes after one second and would hide a loss; three
/// would be fatal.
const PATIENCE: Duration = Duration::from_secs(5);

fn ten_thousand_short_connections_without_an_error(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    echo_eight_bytes(&servers.host, 7000)?;
    account.set_quota(&format!("connection={LIMIT}"))?;
    let service = account.offer(&servers, Offer { name: "echo", ports: &["70:7000"], approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address: SocketAddr = format!("{}:70", account.await_address(&endpoint)?).parse()?;

    clients.host.netns.inside(|| {
        let work = |client: u32| {
            (0..CONNECTIONS / CLIENTS).try_for_each(|number| {
                exchange(address, u64::from(client) << 32 | u64::from(number))
                    .with_context(|| format!("connection {number} of client {client}"))
            })
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || work(client))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("no client panics"))
        })
    })?;

    let opened = number_at(&account.stats(&endpoint)?, "/connections/opened")?;
    ensure!(opened == u64::from(CONNECTIONS), "{CONNECTIONS} connections were made, {opened} counted");
    account.await_connections(&endpoint, 0, Duration::from_secs(30))
}

/// One connection: eight bytes there and back, then closed.
fn exchange(address: SocketAddr, number: u64) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&number.to_be_bytes()).context("sending")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("receiving")?;
    ensure!(answer == number.to_be_bytes(), "sent {number:#x}, got back {answer:x?}");
    Ok(())
}

/// A server that sends back eight bytes and closes. Its thread ends with the
/// test process.
fn echo_eight_bytes(host: &Host, port: u16) -> Result<()> {
    let listener = host.netns.inside(|| Ok(TcpListener::bind(("0.0.0.0", port))?))?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = [0; 8];
            // The client reports what goes wrong.
            let _ = stream.read_exact(&mut bytes).and_then(|()| stream.write_all(&bytes));
        }
    });
    Ok(())
}

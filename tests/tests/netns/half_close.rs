//! A connection closed in one direction carries data in the other.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::world::Host;
use vpcep_tests::{Offer, Tenant, World};

crate::scenarios!(server_answers_after_the_client_has_closed, client_is_heard_after_the_server_has_closed);

/// Longer than a closed connection is kept in these tests: one that counts as
/// closed too early would be gone.
const PAUSE: Duration = Duration::from_secs(3);

/// Enough to need acknowledgements from the side that has closed.
const PAYLOAD_BYTES: usize = 1 << 20;

fn server_answers_after_the_client_has_closed(world: &mut World) -> Result<()> {
    with_connection(world, |mut client, mut server| {
        client.write_all(b"request")?;
        client.shutdown(Shutdown::Write)?;
        let mut request = String::new();
        server.read_to_string(&mut request)?;
        ensure!(request == "request", "the server read {request:?}");
        thread::sleep(PAUSE);
        send_and_check(server, client)
    })
}

fn client_is_heard_after_the_server_has_closed(world: &mut World) -> Result<()> {
    with_connection(world, |mut client, server| {
        server.shutdown(Shutdown::Write)?;
        ensure!(client.read(&mut [0])? == 0, "the client read something");
        thread::sleep(PAUSE);
        send_and_check(client, server)
    })
}

/// Makes one connection and hands both of its ends to `body`.
fn with_connection(world: &mut World, body: impl FnOnce(TcpStream, TcpStream) -> Result<()>) -> Result<()> {
    let account = world.tenant("acme")?;
    let (client_host, server_host, address) = endpoint_to(world, &account)?;
    let listener = server_host.netns.inside(|| Ok(TcpListener::bind("0.0.0.0:7000")?))?;
    let client = client_host.netns.inside(|| Ok(TcpStream::connect(address)?)).context("connecting")?;
    let (server, _) = listener.accept().context("accepting")?;
    for end in [&client, &server] {
        end.set_read_timeout(Some(Duration::from_secs(10)))?;
    }
    body(client, server)
}

fn endpoint_to(world: &mut World, account: &Tenant) -> Result<(Host, Host, SocketAddr)> {
    let clients = world.vpc(account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(account, "servers", &["192.168.24.10"])?;
    let service = account.offer(&servers, Offer { name: "half", ports: &["70:7000"], approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = format!("{}:70", account.await_address(&endpoint)?).parse()?;
    Ok((clients.host, servers.host, address))
}

fn send_and_check(mut from: TcpStream, mut to: TcpStream) -> Result<()> {
    let payload: Vec<u8> = (0..PAYLOAD_BYTES).map(|index| (index % 251) as u8).collect();
    let expected = payload.clone();
    let sender = thread::spawn(move || from.write_all(&payload));
    let mut received = Vec::new();
    to.read_to_end(&mut received).context("receiving on the half-closed connection")?;
    sender.join().expect("the sender does not panic").context("sending on the half-closed connection")?;
    ensure!(received == expected, "{} bytes arrived of {PAYLOAD_BYTES}, or not the same", received.len());
    Ok(())
}

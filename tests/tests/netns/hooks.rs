//! Every pair of hooks works, on hosts prepared for XDP or not: what XDP cannot
//! send or keep right it leaves to TC, and no packet is lost between them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::world::HOST_INTERFACE;
use vpcep_tests::{Mode, Offer, Vpc, World};

/// Sent each way; larger than any buffer on the way.
const BYTES: usize = 8 << 20;

/// A VPC's attachment and its host.
#[derive(Clone, Copy, Debug)]
struct Side {
    /// `--mode` of the attachment.
    mode: &'static str,
    /// Whether the host polls (and so takes redirected frames) and completes
    /// its checksums, which is not how veth comes.
    is_prepared: bool,
}

const fn side(mode: &'static str, is_prepared: bool) -> Side {
    Side { mode, is_prepared }
}

#[test]
fn every_pair_of_hooks_loses_nothing() {
    let sides = [
        side("tc", false),
        side("xdp", true),
        side("xdp", false),
        side("xdp-generic", true),
        side("xdp-generic", false),
    ];
    for consumer in sides {
        for provider in sides {
            let mut world = World::start(Mode::Tc).expect("the world is made");
            if let Err(error) = pair(&mut world, consumer, provider) {
                panic!("consumer {consumer:?}, provider {provider:?}: {error:?}\n{}", world.diagnosis());
            }
        }
    }
}

fn pair(world: &mut World, consumer: Side, provider: Side) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    set_up(world, &clients, consumer)?;
    set_up(world, &servers, provider)?;
    let service = account.offer(&servers, Offer { name: "echo", ports: &["70:7000"], approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = format!("{}:70", account.await_address(&endpoint)?);

    let listener = servers.host.netns.inside(|| Ok(TcpListener::bind("0.0.0.0:7000")?))?;
    let mut client = clients.host.netns.inside(|| Ok(TcpStream::connect(&address)?)).context("connecting")?;
    let (mut server, _) = listener.accept().context("accepting")?;
    let payload: Vec<u8> = (0..BYTES).map(|i| (i * 31 % 251) as u8).collect();
    let arrived = thread::scope(|scope| -> Result<[Vec<u8>; 2]> {
        let echo = scope.spawn(|| -> Result<Vec<u8>> {
            let mut received = Vec::new();
            server.read_to_end(&mut received).context("the server reads")?;
            server.write_all(&received).context("the server writes")?;
            server.shutdown(Shutdown::Write)?;
            Ok(received)
        });
        client.write_all(&payload).context("the client writes")?;
        client.shutdown(Shutdown::Write)?;
        let mut returned = Vec::new();
        client.read_to_end(&mut returned).context("the client reads")?;
        Ok([echo.join().expect("the echo does not panic")?, returned])
    })?;
    ensure!(arrived[0] == payload, "the server got other bytes");
    ensure!(arrived[1] == payload, "the client got other bytes");
    Ok(())
}

/// Attaches the VPC anew in the mode wanted, with its host prepared or not.
fn set_up(world: &World, vpc: &Vpc, side: Side) -> Result<()> {
    if side.is_prepared {
        vpc.host.netns.set_offloads(HOST_INTERFACE, &[("gro", "on"), ("tx", "off")])?;
    }
    let operator = world.operator()?;
    let interface = vpc.host.gateway_interface.as_str();
    operator.json(&["attachment", "delete", interface])?;
    let address = format!("{}/{}", vpc.host.network.gateway, vpc.host.network.prefix_len);
    let what = ["attachment", "create", "--vpc", &vpc.id, "--interface", interface];
    let hook = operator
        .text(&[&what[..], &["--address", &address, "--mode", side.mode, "--wait"]].concat(), "hook")?;
    let expected: &[&str] = if side.mode == "tc" { &["tcx", "clsact"] } else { &[side.mode] };
    ensure!(expected.contains(&hook.as_str()), "--mode {} became {hook}", side.mode);
    Ok(())
}

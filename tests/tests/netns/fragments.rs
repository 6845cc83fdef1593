//! Datagrams larger than any packet, in both directions.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::world::Host;
use vpcep_tests::{Offer, World};

crate::scenarios!(large_datagrams_go_both_ways);

const PORT: u16 = 514;

fn large_datagrams_go_both_ways(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let ports = format!("{PORT}:{PORT}/udp");
    let service = account.offer(&servers, Offer { name: "log", ports: &[&ports], approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address: Ipv4Addr = account.await_address(&endpoint)?.parse()?;
    let bound = |host: &Host, port: u16| {
        host.netns.inside(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
            socket.set_read_timeout(Some(Duration::from_secs(5)))?;
            Ok(socket)
        })
    };
    let (client, server) = (bound(&clients.host, 0)?, bound(&servers.host, PORT)?);
    client.connect((address, PORT))?;
    for size in [100, 1_473, 8_000, 65_000, 20] {
        let sent: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let mut received = vec![0; 65_536];
        client.send(&sent)?;
        let (len, from) = server.recv_from(&mut received).with_context(|| format!("{size} bytes out"))?;
        ensure!(received[..len] == sent, "{size} bytes were sent, {len} arrived");
        server.send_to(&sent, from)?;
        let len = client.recv(&mut received).with_context(|| format!("{size} bytes back"))?;
        ensure!(received[..len] == sent, "{size} bytes came back as {len}");
    }
    let stats = account.stats(&endpoint)?;
    let drops = stats.get("drops").and_then(|drops| drops.as_object()).context("drops are counted")?;
    ensure!(drops.is_empty(), "dropped: {stats}");
    Ok(())
}

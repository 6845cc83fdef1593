//! A flood of SYNs from sources that do not exist, to one endpoint.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::cli::number_at;
use vpcep_tests::packet::{Mac, Segment, parse_mac};
use vpcep_tests::world::HOST_INTERFACE;
use vpcep_tests::{Nginx, Offer, Wire, World, wait_until};

crate::scenarios!(a_flood_at_one_endpoint_stops_no_other_and_is_soon_forgotten);

const SYN: u8 = 0x02;

fn a_flood_at_one_endpoint_stops_no_other_and_is_soon_forgotten(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    account.set_quota("connection=60")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let _nginx = Nginx::start("web", &servers.host, &[80], world.directory())?;
    let service = account.offer(&servers, Offer { name: "web", ports: &["80:80"], approval: false })?;
    let (flooded, other) =
        (account.connect(&clients, &service, &[])?, account.connect(&clients, &service, &[])?);
    let (target, free) = (account.await_address(&flooded)?, account.await_address(&other)?);
    let served = |address: &str| clients.host.curl(&["--max-time", "8", &format!("http://{address}/")]);
    ensure!(served(&target)?.is_ok(), "the endpoint works before the flood");

    let wire = Wire::open(&clients.host.netns, HOST_INTERFACE)?;
    let gateway: Mac = neighbour(&clients.host.netns.run(&["ip", "neigh", "show", &target])?)?;
    let destination = SocketAddrV4::new(target.parse()?, 80);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&wire, gateway, destination, &is_over));
        let played = (|| {
            wait_until("the flooded endpoint is full", Duration::from_secs(10), || {
                Ok(account.connections(&flooded)? >= 60)
            })?;
            for round in 0..5 {
                ensure!(served(&free)?.is_ok(), "round {round}: the other endpoint");
            }
            let stats = account.stats(&flooded)?;
            ensure!(number_at(&stats, "/connections/peak")? == 60, "the limit is kept: {stats}");
            ensure!(number_at(&stats, "/drops/connection_limit")? > 0, "what is refused is counted: {stats}");
            Ok(())
        })();
        is_over.store(true, Ordering::Relaxed);
        flood.join().expect("the flood does not panic")?;
        played
    })?;
    // Without the hurry of a crowded endpoint it would take four minutes.
    wait_until("the flooded endpoint serves again", Duration::from_secs(30), || Ok(served(&target)?.is_ok()))
}

/// The MAC in a line of `ip neigh`.
fn neighbour(line: &str) -> Result<Mac> {
    let word = line.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).unwrap_or_default();
    parse_mac(word).with_context(|| format!("no MAC in {line:?}"))
}

/// A thousand SYNs a second at most, each from another address of the clients' range.
fn flood(wire: &Wire, gateway: Mac, destination: SocketAddrV4, is_over: &AtomicBool) -> Result<()> {
    for i in 0..60_000u32 {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 200)) + i % 40);
        let mut syn = Segment::new(SocketAddrV4::new(source, 1024 + (i % 50_000) as u16), destination, SYN);
        (syn.to, syn.from) = (gateway, [2, 0xf, 0, 0, 0, 1]);
        wire.send(&syn.build())?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

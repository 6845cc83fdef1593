//! What a packet costs at the gateway: vpcep between the kernel's own forwarding, nftables and bare
//! redirects, all in the same rounds.
//!
//! ```text
//!   generator ─▶ client's veth ─▶ gateway ─▶ server's veth ─▶ sink (XDP, counts and drops)
//! ```
//!
//! The generator is an XDP program run with live frames: 60-byte UDP datagrams, in batches of 64, one
//! call for all. Everything happens on the processor that the call is made on, so the time of a
//! frame is that of the whole way. What is subtracted is the same with the sink right at the
//! gateway's door: what is left is the gateway and the way out of it. A sockets generator would
//! measure itself.

use std::fs;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::packet::{Datagram, Mac, parse_mac};
use vpcep_tests::wire::index;
use vpcep_tests::world::{HOST_INTERFACE, Host, Network};
use vpcep_tests::{Mode, Offer, Tenant, World};

use crate::network::pin_to_first_cpu;
use crate::raw_bpf::{self, Counter};
use crate::report::{Table, median};

const ROUNDS: u16 = 5;
const CLIENT: &str = "10.0.0.182";
const SERVER: &str = "192.168.24.10";
const ENDPOINT: &str = "10.0.0.100";
const PORT: u16 = 9;
/// Connections that an endpoint may have while refusals are measured.
const LIMIT: u32 = 3000;
/// Low half of the source address of the flows that are there all the time.
const KNOWN: u16 = 0x0100;
/// That of the flows of the first round that are new.
const NEW: u16 = 0x1000;
/// That of the flows that are refused.
const REFUSED: u16 = 0x8000;
const KNOWN_FLOWS: u32 = 1 << 10;
const NEW_FLOWS: u32 = 1 << 15;
const KNOWN_PACKETS: u32 = 1 << 18;

/// A gateway between a generator and a sink.
struct Contender {
    name: &'static str,
    client: Host,
    interface: u32,
    frame: Vec<u8>,
    arrived: Counter,
    /// Who has [`LIMIT`] set once refusals are measured.
    limit: Option<Tenant>,
    /// Whether it refuses whatever is over [`LIMIT`] all the time, and so is measured for that alone:
    /// nftables counts each packet of a flow that nobody answers.
    has_limit: bool,
    /// Programs around it; dropped before the world they are in.
    _links: Vec<OwnedFd>,
    _world: World,
}

#[derive(Default)]
struct Samples {
    known: Vec<f64>,
    new: Vec<f64>,
    refused: Vec<f64>,
}

/// Measures and fills a table.
pub fn run() -> Result<Table> {
    pin_to_first_cpu();
    let door = drop_at_the_door()?;
    let contenders = [
        plain("kernel forwarding, no translation")?,
        nftables("nftables", false)?,
        nftables("nftables, limit and whitelist", true)?,
        redirect("XDP redirect alone", Mode::Xdp)?,
        redirect("TC redirect alone", Mode::Tc)?,
        vpcep("vpcep, XDP", Mode::Xdp)?,
        vpcep("vpcep, TC", Mode::Tc)?,
    ];
    let mut doors = Vec::new();
    let mut samples: Vec<Samples> = contenders.iter().map(|_| Samples::default()).collect();
    for round in 0..ROUNDS {
        doors.push(door.send(KNOWN_FLOWS, KNOWN, KNOWN_PACKETS)?.0);
        for (contender, samples) in contenders.iter().zip(&mut samples) {
            contender.forwarded(samples, round).with_context(|| contender.name)?;
        }
    }
    for (contender, samples) in contenders.iter().zip(&mut samples) {
        contender.refused(samples).with_context(|| contender.name)?;
    }
    let door = median(doors);
    let mut table = Table::new(
        "ns a packet at the gateway, 60-byte UDP, one processor, medians (lowest to highest of 5 rounds)",
        &["gateway", "1024 flows", "each packet a new flow", "refused: over the limit"],
    );
    for (contender, samples) in contenders.iter().zip(samples) {
        let cell = |samples: Vec<f64>| spread(samples.into_iter().map(|ns| ns - door).collect());
        table.row(vec![
            contender.name.to_owned(),
            cell(samples.known),
            cell(samples.new),
            cell(samples.refused),
        ]);
    }
    table.row(vec![
        "(subtracted: dropped at the gateway's door)".into(),
        format!("{door:.0}"),
        String::new(),
        String::new(),
    ]);
    Ok(table)
}

fn spread(samples: Vec<f64>) -> String {
    if samples.is_empty() {
        return String::new();
    }
    let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
    let most = samples.iter().copied().fold(0.0, f64::max);
    format!("{:.0} ({least:.0} to {most:.0})", median(samples))
}

impl Contender {
    /// Sends frames; mean nanoseconds of each, and how many arrived.
    fn send(&self, flows: u32, base: u16, count: u32) -> Result<(f64, u64)> {
        let before = self.arrived.get()?;
        let ns = self.client.netns.inside(|| {
            pin_to_first_cpu();
            let generator = raw_bpf::generator(self.interface, flows, base, &self.frame, &Counter::new()?)?;
            raw_bpf::run_live(&generator, &self.frame, count)
        })?;
        Ok((ns, self.arrived.get()? - before))
    }

    fn forwarded(&self, samples: &mut Samples, round: u16) -> Result<()> {
        if self.has_limit {
            return Ok(());
        }
        // The flows are made, or kept alive, and the caches warm.
        self.send(KNOWN_FLOWS, KNOWN, 4 * KNOWN_FLOWS)?;
        let (ns, arrived) = self.send(KNOWN_FLOWS, KNOWN, KNOWN_PACKETS)?;
        ensure!(
            arrived >= u64::from(KNOWN_PACKETS) * 99 / 100,
            "{arrived} of {KNOWN_PACKETS} packets arrived"
        );
        samples.known.push(ns);
        let (ns, arrived) = self.send(NEW_FLOWS, NEW + 2 * round, NEW_FLOWS)?;
        ensure!(arrived >= u64::from(NEW_FLOWS) * 99 / 100, "{arrived} of {NEW_FLOWS} new flows arrived");
        samples.new.push(ns);
        Ok(())
    }

    fn refused(&self, samples: &mut Samples) -> Result<()> {
        if let Some(tenant) = &self.limit {
            tenant.set_quota(&format!("connection={LIMIT}"))?;
        } else if !self.has_limit {
            return Ok(());
        }
        // Fills it.
        self.send(NEW_FLOWS, REFUSED, NEW_FLOWS / 4)?;
        for round in 1..=ROUNDS {
            let (ns, arrived) = self.send(NEW_FLOWS, REFUSED + 2 * round, NEW_FLOWS / 4)?;
            ensure!(
                arrived < u64::from(NEW_FLOWS) / 400,
                "{arrived} packets arrived that should have been refused"
            );
            samples.refused.push(ns);
        }
        Ok(())
    }
}

/// A world with a client and a server that no gateway connects yet.
fn hosts(mode: Mode) -> Result<(World, Host, Host)> {
    let mut world = World::start(mode)?;
    let client = world.add_host(&Network::around(&[CLIENT])?)?;
    let server = world.add_host(&Network::around(&[SERVER])?)?;
    Ok((world, client, server))
}

/// Puts generator and sink around a gateway.
fn between(
    name: &'static str,
    world: World,
    (client, server): (Host, &Host),
    destination: &str,
    mut links: Vec<OwnedFd>,
) -> Result<Contender> {
    // A veth takes redirected frames only while it polls.
    world.gateway().set_offloads(&client.gateway_interface, &[("gro", "on")])?;
    let arrived = Counter::new()?;
    let sink = raw_bpf::sink(&arrived)?;
    links.push(server.netns.inside(|| raw_bpf::attach_xdp(&sink, index(HOST_INTERFACE)?))?);
    let door = mac(&world, &client.gateway_interface)?;
    finish(name, world, client, door, destination, arrived, links)
}

fn finish(
    name: &'static str,
    world: World,
    client: Host,
    door: Mac,
    destination: &str,
    arrived: Counter,
    links: Vec<OwnedFd>,
) -> Result<Contender> {
    let interface = client.netns.inside(|| index(HOST_INTERFACE))?;
    let frame = template(door, destination.parse().context("the destination")?);
    Ok(Contender {
        name,
        client,
        interface,
        frame,
        arrived,
        limit: None,
        has_limit: false,
        _links: links,
        _world: world,
    })
}

/// What the generator makes its frames from; see [`raw_bpf::generator`].
fn template(door: Mac, destination: std::net::Ipv4Addr) -> Vec<u8> {
    let length: u16 = 8 + 18;
    let mut udp = [1024, PORT, length, 0].map(u16::to_be_bytes).concat();
    udp.extend([0; 18]);
    let source = std::net::Ipv4Addr::from(0x0a00_0000 | u32::from(KNOWN));
    Datagram {
        to: door,
        from: [2, 0, 0, 0, 0, 1],
        id: !KNOWN,
        ..Datagram::new(source, destination, 17, &udp)
    }
    .build()
}

/// The MAC of one of the gateway's interfaces.
fn mac(world: &World, interface: &str) -> Result<Mac> {
    let text = world.gateway().run(&["cat", &format!("/sys/class/net/{interface}/address")])?;
    parse_mac(text.trim()).with_context(|| format!("no MAC: {text:?}"))
}

/// Dropped by XDP as soon as it comes in.
fn drop_at_the_door() -> Result<Contender> {
    let (world, client, _) = hosts(Mode::Xdp)?;
    let arrived = Counter::new()?;
    let sink = raw_bpf::sink(&arrived)?;
    let link = world.gateway().inside(|| raw_bpf::attach_xdp(&sink, index(&client.gateway_interface)?))?;
    let door = mac(&world, &client.gateway_interface)?;
    finish("drop", world, client, door, ENDPOINT, arrived, vec![link])
}

/// Whatever comes in goes out of the other side as it is.
fn redirect(name: &'static str, mode: Mode) -> Result<Contender> {
    let (world, client, server) = hosts(mode)?;
    let link = world.gateway().inside(|| {
        let (inside, outside) = (index(&client.gateway_interface)?, index(&server.gateway_interface)?);
        match mode {
            Mode::Xdp => raw_bpf::attach_xdp(&raw_bpf::xdp_redirect(outside)?, inside),
            Mode::Tc => raw_bpf::attach_tc(&raw_bpf::tc_redirect(outside)?, inside),
        }
    })?;
    between(name, world, (client, &server), ENDPOINT, vec![link])
}

/// A router between the two.
fn router() -> Result<(World, Host, Host)> {
    let (world, client, server) = hosts(Mode::Tc)?;
    let gateway = world.gateway();
    for host in [&client, &server] {
        gateway.add_address(&host.gateway_interface, &format!("{}/24", host.network.gateway))?;
        gateway.sysctl(&format!("net.ipv4.conf.{}.rp_filter", host.gateway_interface), "0")?;
    }
    gateway.sysctl("net.ipv4.conf.all.rp_filter", "0")?;
    gateway.sysctl("net.ipv4.ip_forward", "1")?;
    // The sink answers no ARP.
    let neighbour = ["ip", "neigh", "replace", SERVER, "lladdr", "02:00:00:00:00:02", "nud", "permanent"];
    gateway.run(&[&neighbour[..], &["dev", &server.gateway_interface]].concat())?;
    Ok((world, client, server))
}

fn plain(name: &'static str) -> Result<Contender> {
    let (world, client, server) = router()?;
    between(name, world, (client, &server), SERVER, Vec::new())
}

fn nftables(name: &'static str, has_limit: bool) -> Result<Contender> {
    let (world, client, server) = router()?;
    world.gateway().add_address(&client.gateway_interface, &format!("{ENDPOINT}/32"))?;
    let guard = format!(
        "set allowed {{ type ipv4_addr; flags interval; elements = {{ 10.0.0.0/8 }}; }}
         chain guard {{
             type filter hook prerouting priority mangle;
             ip daddr {ENDPOINT} ip saddr != @allowed drop
             ip daddr {ENDPOINT} ct state new ct count over {LIMIT} drop
         }}"
    );
    // So many sources that it hardly ever has to look for a free port: that would take most of its time.
    let rules = format!(
        "table ip bench {{
            {}
            chain in {{
                type nat hook prerouting priority dstnat;
                ip daddr {ENDPOINT} udp dport {PORT} dnat to {SERVER}
            }}
            chain out {{
                type nat hook postrouting priority srcnat;
                ip daddr {SERVER} snat to 198.19.128.0-198.19.255.255
            }}
        }}",
        if has_limit { guard.as_str() } else { "" }
    );
    let file = world.directory().join("nftables.conf");
    fs::write(&file, rules).with_context(|| format!("cannot write {}", file.display()))?;
    world.gateway().run(&["nft", "-f", &file.display().to_string()])?;
    let contender = between(name, world, (client, &server), ENDPOINT, Vec::new())?;
    Ok(Contender { has_limit, ..contender })
}

/// vpcepd with one service and one endpoint that has a whitelist.
fn vpcep(name: &'static str, mode: Mode) -> Result<Contender> {
    let mut world = World::start(mode)?;
    let account = world.tenant("bench")?;
    account.set_quota("connection=4000000")?;
    let clients = world.vpc(&account, "clients", &[CLIENT])?;
    let servers = world.provider_vpc(&account, "servers", &[SERVER])?;
    let port = format!("{PORT}:{PORT}/udp");
    let service = account.offer(&servers, Offer { name: "bench", ports: &[&port], approval: false })?;
    let endpoint = account.connect(&clients, &service, &["--allow-from", "10.0.0.0/8"])?;
    let address = account.await_address(&endpoint)?;
    let contender = between(name, world, (clients.host, &servers.host), &address, Vec::new())?;
    Ok(Contender { limit: Some(account), ..contender })
}

//! Connections, throughput and round trips through a gateway between two
//! network namespaces: vpcep, and nftables doing the same translation.
//!
//! Every gateway stands all the time, and each round measures all of them in
//! turn, so that what the machine does besides falls on all alike. A pair of
//! rows shares the settings of its end hosts: XDP on veth wants GRO on and tx
//! offload off there, and nftables is measured under both.
//!
//! A wire is what no gateway can go below: two programs that send whatever comes in out of the
//! other side, between hosts of one network.
//!
//! One row is one world: client 10.0.0.182, gateway, server 192.168.24.10. The
//! client uses 10.0.0.100; the server sees a source in 198.19.128.0/17.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::tenant::SNAT_RANGE;
use vpcep_tests::wait::wait_until;
use vpcep_tests::wire::index;
use vpcep_tests::world::{Host, Network};
use vpcep_tests::{Mode, Netns, Offer, Process, World};

use crate::raw_bpf;
use crate::report::{Table, median};

const ROUNDS: usize = 5;
const CLIENT: &str = "10.0.0.182";
const SERVER: &str = "192.168.24.10";
const ENDPOINT: &str = "10.0.0.100";
const SHORT_PORTS: (u16, u16) = (80, 8_080);
const BULK_PORT: u16 = 5_201;
const ECHO_PORT: u16 = 7;

/// Connections of one measurement. All rounds together stay below the ports of
/// one source address, which is what nftables translates to.
const CONNECTIONS: usize = 10_000;
const CONNECTIONS_AT_ONCE: usize = 64;
const ACCEPTORS: usize = 8;
const ROUND_TRIPS: usize = 10_000;
const WARM_UP_ROUND_TRIPS: usize = 500;
const BULK_SECS: &str = "2";
const PATIENCE: Duration = Duration::from_secs(5);

/// A gateway to be measured.
struct Contender {
    name: &'static str,
    client: Netns,
    address: String,
    short_port: u16,
    // Dropped in this order: servers first, then the namespaces they live in.
    _bulk_server: Process,
    _links: Vec<OwnedFd>,
    _world: World,
}

#[derive(Default)]
struct Samples {
    connections_per_sec: Vec<f64>,
    gigabits_per_sec: Vec<f64>,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
}

/// Measures and fills a table.
pub fn run() -> Result<Table> {
    let contenders = [
        vpcep("vpcep, TC", Mode::Tc)?,
        nftables("nftables", Mode::Tc)?,
        vpcep("vpcep, XDP", Mode::Xdp)?,
        nftables("nftables, GRO on and tx off at the hosts", Mode::Xdp)?,
        wire("a wire, TC", Mode::Tc)?,
        wire("a wire, XDP", Mode::Xdp)?,
    ];
    let mut samples: [Samples; 6] = Default::default();
    for _ in 0..ROUNDS {
        for (contender, samples) in contenders.iter().zip(&mut samples) {
            contender.measure(samples).with_context(|| format!("cannot measure {}", contender.name))?;
        }
    }
    let mut table = Table::new(
        "through a gateway, medians of 5 interleaved rounds",
        &["gateway", "new connections/s", "one stream, Gbit/s", "round trip p50, µs", "p99, µs"],
    );
    for (contender, samples) in contenders.iter().zip(samples) {
        table.row(vec![
            contender.name.to_owned(),
            format!("{:.0}", median(samples.connections_per_sec)),
            format!("{:.1}", median(samples.gigabits_per_sec)),
            format!("{:.1}", median(samples.p50_us)),
            format!("{:.1}", median(samples.p99_us)),
        ]);
    }
    Ok(table)
}

/// vpcepd with one service and one endpoint.
fn vpcep(name: &'static str, mode: Mode) -> Result<Contender> {
    let mut world = World::start(mode)?;
    let account = world.tenant("bench")?;
    let clients = world.vpc(&account, "clients", &[CLIENT])?;
    let servers = world.provider_vpc(&account, "servers", &[SERVER])?;
    let (short, bulk, echo) = (
        format!("{}:{}", SHORT_PORTS.0, SHORT_PORTS.1),
        format!("{BULK_PORT}:{BULK_PORT}"),
        format!("{ECHO_PORT}:{ECHO_PORT}"),
    );
    let ports = [short.as_str(), &bulk, &echo];
    let service = account.offer(&servers, Offer { name: "bench", ports: &ports, approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;
    serve(name, world, clients.host, &servers.host, address)
}

/// The same translation by nftables, in a world whose vpcepd has nothing to do.
fn nftables(name: &'static str, mode: Mode) -> Result<Contender> {
    let mut world = World::start(mode)?;
    let clients = world.add_host(&Network::around(&[CLIENT])?)?;
    let servers = world.add_host(&Network::around(&[SERVER])?)?;
    let gateway = world.gateway();
    for host in [&clients, &servers] {
        gateway.add_address(&host.gateway_interface, &format!("{}/24", host.network.gateway))?;
    }
    gateway.add_address(&clients.gateway_interface, &format!("{ENDPOINT}/32"))?;
    gateway.sysctl("net.ipv4.ip_forward", "1")?;
    servers.netns.add_route(SNAT_RANGE, &servers.network.gateway)?;
    let rules = format!(
        "table ip bench {{
            chain in {{
                type nat hook prerouting priority dstnat;
                ip daddr {ENDPOINT} tcp dport {} dnat to {SERVER}:{}
                ip daddr {ENDPOINT} tcp dport {{ {BULK_PORT}, {ECHO_PORT} }} dnat to {SERVER}
            }}
            chain out {{
                type nat hook postrouting priority srcnat;
                ip daddr {SERVER} snat to 198.19.128.1
            }}
        }}",
        SHORT_PORTS.0, SHORT_PORTS.1
    );
    let file = world.directory().join("nftables.conf");
    fs::write(&file, rules).with_context(|| format!("cannot write {}", file.display()))?;
    gateway.run(&["nft", "-f", &file.display().to_string()])?;
    serve(name, world, clients, &servers, ENDPOINT.to_owned())
}

/// Two hosts of one network, and between them two programs of four instructions.
fn wire(name: &'static str, mode: Mode) -> Result<Contender> {
    let mut world = World::start(mode)?;
    let client = world.add_host(&Network::around(&[CLIENT])?)?;
    let server = world.add_host(&Network::around(&[ENDPOINT])?)?;
    let links = world.gateway().inside(|| {
        let ends = [index(&client.gateway_interface)?, index(&server.gateway_interface)?];
        let link = |from, to| match mode {
            Mode::Xdp => raw_bpf::attach_xdp(&raw_bpf::xdp_redirect(to)?, from),
            Mode::Tc => raw_bpf::attach_tc(&raw_bpf::tc_redirect(to)?, from),
        };
        Ok(vec![link(ends[0], ends[1])?, link(ends[1], ends[0])?])
    })?;
    let contender = serve(name, world, client, &server, ENDPOINT.to_owned())?;
    Ok(Contender { short_port: SHORT_PORTS.1, _links: links, ..contender })
}

/// Starts the servers. Threads end with the process.
fn serve(
    name: &'static str,
    world: World,
    client: Host,
    server: &Host,
    address: String,
) -> Result<Contender> {
    let listen = |port| server.netns.inside(move || Ok(TcpListener::bind(("0.0.0.0", port))?));
    let short = listen(SHORT_PORTS.1)?;
    for _ in 0..ACCEPTORS {
        let listener = short.try_clone()?;
        thread::spawn(move || echo_one_byte_each(&listener));
    }
    let echo = listen(ECHO_PORT)?;
    thread::spawn(move || echo_all(&echo));
    let mut iperf3 = server.netns.command("iperf3");
    iperf3.args(["--server", "--port", &BULK_PORT.to_string()]);
    let bulk_server = Process::spawn("iperf3", &mut iperf3, &world.directory().join("iperf3.log"))?;
    let contender = Contender {
        name,
        client: client.netns,
        address,
        short_port: SHORT_PORTS.0,
        _bulk_server: bulk_server,
        _links: Vec::new(),
        _world: world,
    };
    wait_until("iperf3 answers through the gateway", PATIENCE, || Ok(contender.reaches(BULK_PORT)))?;
    Ok(contender)
}

/// Answers one byte and closes.
fn echo_one_byte_each(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        let mut byte = [0; 1];
        // The client reports what goes wrong.
        let _ = stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte));
    }
}

/// Answers byte after byte, on the processor that the client is on as well: the
/// time that a wake-up takes across processors would hide the gateway's.
fn echo_all(listener: &TcpListener) {
    pin_to_first_cpu();
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        let _ = stream.set_nodelay(true);
        let mut byte = [0; 1];
        while stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte)).is_ok() {}
    }
}

impl Contender {
    fn target(&self, port: u16) -> Result<SocketAddr> {
        Ok(SocketAddr::new(self.address.parse().context("the endpoint's address")?, port))
    }

    fn reaches(&self, port: u16) -> bool {
        let connects = || Ok(TcpStream::connect_timeout(&self.target(port)?, PATIENCE).is_ok());
        self.client.inside(connects).unwrap_or(false)
    }

    fn measure(&self, samples: &mut Samples) -> Result<()> {
        samples.connections_per_sec.push(self.connections_per_sec()?);
        samples.gigabits_per_sec.push(self.gigabits_per_sec()?);
        let round_trips = self.round_trips_us()?;
        samples.p50_us.push(round_trips[round_trips.len() / 2]);
        samples.p99_us.push(round_trips[round_trips.len() * 99 / 100]);
        Ok(())
    }

    /// Connect, one byte there and back, close.
    fn connections_per_sec(&self) -> Result<f64> {
        let target = self.target(self.short_port)?;
        self.client.inside(|| {
            fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535")?;
            let start = Instant::now();
            thread::scope(|scope| {
                let exchanges = || (0..CONNECTIONS / CONNECTIONS_AT_ONCE).try_for_each(|_| exchange(target));
                let threads: Vec<_> = (0..CONNECTIONS_AT_ONCE).map(|_| scope.spawn(exchanges)).collect();
                threads.into_iter().try_for_each(|thread| thread.join().expect("no client panics"))
            })?;
            let made = CONNECTIONS / CONNECTIONS_AT_ONCE * CONNECTIONS_AT_ONCE;
            Ok(made as f64 / start.elapsed().as_secs_f64())
        })
    }

    fn gigabits_per_sec(&self) -> Result<f64> {
        let port = BULK_PORT.to_string();
        let arguments = ["--client", &self.address, "--port", &port, "--time", BULK_SECS, "--json"];
        let report = self.client.run(&[&["iperf3"], &arguments[..]].concat())?;
        let report: serde_json::Value = serde_json::from_str(&report).context("iperf3 printed no JSON")?;
        let received = report.pointer("/end/sum_received/bits_per_second").and_then(|bits| bits.as_f64());
        Ok(received.context("iperf3's report lacks end.sum_received.bits_per_second")? / 1e9)
    }

    /// Round trips of one byte over one connection, sorted.
    fn round_trips_us(&self) -> Result<Vec<f64>> {
        let target = self.target(ECHO_PORT)?;
        self.client.inside(|| {
            pin_to_first_cpu();
            let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut times = Vec::with_capacity(ROUND_TRIPS);
            for _ in 0..WARM_UP_ROUND_TRIPS + ROUND_TRIPS {
                let start = Instant::now();
                stream.write_all(&[1])?;
                stream.read_exact(&mut [0])?;
                times.push(start.elapsed().as_secs_f64() * 1e6);
            }
            let mut times = times.split_off(WARM_UP_ROUND_TRIPS);
            times.sort_by(f64::total_cmp);
            Ok(times)
        })
    }
}

fn exchange(target: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[1]).context("sending")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("receiving")?;
    ensure!(answer == [1], "sent one byte, got back {answer:?}");
    Ok(())
}

/// Keeps the calling thread on the first processor.
pub fn pin_to_first_cpu() {
    // SAFETY: a set of bits, for which zero is the empty set.
    let mut cpus: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is large enough for processor 0.
    unsafe { libc::CPU_SET(0, &mut cpus) };
    // SAFETY: a pointer to a live set and its size; 0 is the calling thread.
    // Without the right to do so the thread runs anywhere, which costs accuracy.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const cpus) };
}

//! The kernel's own translation (nf_nat, set up by nftables) in the place of ours: the interfaces of
//! the stage, the addresses of the stage, a packet socket at the far end of each.
//!
//! Everything is in the namespace of the calling thread, and goes away with it. What the kernel's
//! own stack would say (errors, resets) is kept in; what comes out at a far end was forwarded.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddrV4;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_common::tcp::Side;
use vpcep_tests::Wire;
use vpcep_tests::packet::{Datagram, Mac};

use super::{NTP, link};
use crate::stage::{BACKEND, BACKEND_MAC, CLIENT, CLIENT_MAC, CONSUMER, ENDPOINT_ADDRESS, PROVIDER, SOURCE};
use crate::udp::{Sum, udp};

/// UDP port of the markers.
const MARKER: u16 = 9;
const TIMEOUT: Duration = Duration::from_secs(30);

/// The kernel's parameters that bring it close to what is compared:
/// - windows are not judged, which translation does not ask for;
/// - connections begin with a SYN, as ours do;
/// - nothing times out while the test runs.
const PARAMETERS: [(&str, &str); 18] = [
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/if10/rp_filter", "0"),
    ("ipv4/conf/if20/rp_filter", "0"),
    ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
    ("netfilter/nf_conntrack_tcp_ignore_invalid_rst", "1"),
    ("netfilter/nf_conntrack_tcp_loose", "0"),
    ("netfilter/nf_conntrack_tcp_timeout_close", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_close_wait", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_fin_wait", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_last_ack", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_max_retrans", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_syn_recv", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_syn_sent", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_time_wait", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_unacknowledged", "600"),
    ("netfilter/nf_conntrack_udp_timeout", "600"),
    ("netfilter/nf_conntrack_udp_timeout_stream", "600"),
];

/// See the module.
pub struct Kernel {
    client: Wire,
    backend: Wire,
    markers: u64,
}

impl Kernel {
    /// Sets it up in the namespace that the thread is in, which has the interfaces of the stage.
    pub fn start() -> Result<Self> {
        stay_on_this_cpu()?;
        set("ipv6/conf/all/disable_ipv6", "1")?;
        feed("ip", &["-batch", "-"], &addresses())?;
        feed("nft", &["-f", "-"], &rules())?;
        for (name, value) in PARAMETERS {
            set(name, value)?;
        }
        Ok(Self { client: Wire::open_here("if11")?, backend: Wire::open_here("if21")?, markers: 0 })
    }

    /// Sends a frame from one side, and returns what comes out at the other.
    pub fn forward(&mut self, from: Side, frame: &[u8]) -> Result<Option<Vec<u8>>> {
        self.markers += 1;
        let marker = marker(from, self.markers);
        let (into, out_of) = match from {
            Side::Client => (&self.client, &self.backend),
            Side::Backend => (&self.backend, &self.client),
        };
        into.send(frame)?;
        into.send(&marker.build())?;
        // One processor takes both, in their order: what did not come before the marker will not come.
        let mut forwarded = Vec::new();
        out_of.receive("marker", TIMEOUT, |frame| {
            let packet = Datagram::parse(frame)?;
            if packet.protocol == marker.protocol && packet.payload == marker.payload {
                return Some(());
            }
            forwarded.push(frame.to_vec());
            None
        })?;
        ensure!(forwarded.len() < 2, "one frame became {}: {forwarded:02x?}", forwarded.len());
        Ok(forwarded.pop())
    }
}

/// A datagram that is routed as it is, and told from others by the number in it.
fn marker(from: Side, number: u64) -> Datagram {
    let (source, destination, mac) = match from {
        Side::Client => (CLIENT, BACKEND, CLIENT_MAC),
        Side::Backend => (BACKEND, CLIENT, BACKEND_MAC),
    };
    let at = |address: SocketAddrV4| SocketAddrV4::new(*address.ip(), MARKER);
    let datagram = udp(at(source), at(destination), &number.to_be_bytes(), Sum::Right);
    Datagram { to: link(from).mac, from: mac, ..datagram }
}

/// Interfaces, addresses and neighbours, for `ip -batch`.
fn addresses() -> String {
    let mac = |mac: Mac| mac.map(|byte| format!("{byte:02x}")).join(":");
    let mut batch = String::new();
    for (link, name, neighbour, neighbour_mac) in
        [(CONSUMER, "if10", *CLIENT.ip(), CLIENT_MAC), (PROVIDER, "if20", *BACKEND.ip(), BACKEND_MAC)]
    {
        let peer = link.ifindex + 1;
        batch += &format!(
            "link set {name} address {}\nlink set {name} up\nlink set if{peer} up\n\
             address replace {}/24 dev {name}\n\
             neighbour replace {neighbour} lladdr {} nud permanent dev {name}\n",
            mac(link.mac),
            link.gateway,
            mac(neighbour_mac)
        );
    }
    batch
}

/// The stage's endpoint, in the words of nftables.
fn rules() -> String {
    let (endpoint, port, backend) = (ENDPOINT_ADDRESS.ip(), ENDPOINT_ADDRESS.port(), BACKEND);
    format!(
        "flush ruleset
         table ip differential {{
             chain in {{
                 type nat hook prerouting priority dstnat;
                 ip daddr {endpoint} tcp dport {port} dnat to {backend}
                 ip daddr {endpoint} udp dport {NTP} dnat to {backend}
             }}
             chain out {{
                 type nat hook postrouting priority srcnat;
                 ct status dnat snat to {SOURCE}
             }}
             chain through {{
                 type filter hook forward priority filter; policy drop;
                 ct state invalid drop
                 ct status dnat accept
                 udp sport {MARKER} udp dport {MARKER} accept
             }}
             chain own {{
                 type filter hook output priority filter; policy drop;
             }}
         }}"
    )
}

fn feed(program: &str, arguments: &[&str], input: &str) -> Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
    ensure!(child.wait()?.success(), "{program} refuses:\n{input}");
    Ok(())
}

/// A network parameter of the namespace that the thread is in.
fn set(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/{name}");
    fs::write(&path, value).with_context(|| format!("cannot set {path} to {value}"))
}

/// Frames that one processor sends to a veth are received by it in their order.
fn stay_on_this_cpu() -> Result<()> {
    // SAFETY: takes nothing.
    let cpu = unsafe { libc::sched_getcpu() };
    let cpu = usize::try_from(cpu).context("the kernel does not say which processor this is")?;
    // SAFETY: all zero is the empty set.
    let mut cpus: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel's number of a processor is below the size of a set.
    unsafe { libc::CPU_SET(cpu, &mut cpus) };
    // SAFETY: the set lives through the call and its length is right.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&cpus), &raw const cpus) };
    ensure!(result == 0, "cannot stay on processor {cpu}: {}", std::io::Error::last_os_error());
    Ok(())
}

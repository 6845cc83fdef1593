//! Random packets, whole and broken, in random order: what must hold of every one of them.
//!
//! - What leaves has right checksums wherever what came had.
//! - What passes to the stack is unchanged, byte by byte.
//! - Nothing gets into a VPC but by a session, or as an answer to where it came from; and nothing
//!   carries an address of one VPC into another.
//! - An ICMP error of the gateway's own goes to whoever sent what it is about, and has it inside.
//! - An endpoint's counts are those of its sessions.
//!
//! Runs for `VPCEP_FUZZ_SECS` (15) at each hook. A failure names its seed, which `VPCEP_FUZZ_SEED`
//! takes.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use vpcep_common::be::Be16;
use vpcep_common::client_address;
use vpcep_common::endpoint::{EndpointValue, policy};
use vpcep_common::maps;
use vpcep_common::session::{Slot, Word};
use vpcep_common::snat::in_range;
use vpcep_common::tcp::flags::{ACK, FIN, RST, SYN};
use vpcep_tests::packet::{Arp, Datagram, Mac, PSH, Segment, TCP, checksum};

use crate::icmp_errors::{Error, set_rate, told_by};
use crate::random::{Random, SHORTEST, seed, setting};
use crate::runner::{Capacity, Gateway, Hook, Verdict};
use crate::stage::{
    self, BACKEND, BACKEND_MAC, CLIENT_MAC, CONSUMER, ENDPOINT, ENDPOINT_ADDRESS, HOST_ADDRESS, Link,
    PROVIDER, SOURCE, STRANGER,
};
use crate::table::is_skipped;

const UDP: u8 = 17;
const ICMP: u8 = 1;
const DNS: SocketAddrV4 = SocketAddrV4::new(*ENDPOINT_ADDRESS.ip(), 53);
const FLAGS: [u8; 10] =
    [SYN, SYN, ACK, ACK | PSH, FIN | ACK, RST, RST | ACK, SYN | ACK, 0, SYN | FIN | RST | ACK];
/// What the client's address adds to a segment.
const TOA_LEN: usize = client_address::TOA_LEN as usize;
/// Likewise.
const HEADER_LEN: usize = client_address::HEADER_LEN as usize;
/// Packets between two looks at all slots.
const AUDIT_EVERY: u64 = 8_192;

#[test]
fn whatever_comes_at_xdp() {
    run(Hook::Xdp);
}

#[test]
fn whatever_comes_at_tc() {
    run(Hook::Tc);
}

fn run(hook: Hook) {
    if is_skipped() {
        return;
    }
    let seed = seed();
    let duration = Duration::from_secs(setting("VPCEP_FUZZ_SECS", 15));
    let mut play = Play::new(hook, seed);
    let started = Instant::now();
    while started.elapsed() < duration {
        play.step();
    }
    play.audit();
    eprintln!("{hook:?}: {} packets, {} sent on, seed {seed}", play.steps, play.sent);
    assert!(play.sent > play.steps / 20, "too few packets get anywhere to tell anything");
}

struct Play {
    hook: Hook,
    seed: u64,
    gateway: Gateway,
    random: Random,
    generation: u32,
    /// Source ports that sessions were seen to have.
    ports: Vec<u16>,
    /// Who was ever let through to the backend.
    clients: BTreeSet<Ipv4Addr>,
    /// Packets that were sent on, and which link they came from.
    seen: Vec<(Link, Vec<u8>)>,
    steps: u64,
    sent: u64,
}

impl Play {
    fn new(hook: Hook, seed: u64) -> Self {
        let mut gateway = stage::gateway(&[hook], Capacity::default()).unwrap();
        let mapped = EndpointValue { endpoint: ENDPOINT, server_port: Be16::new(BACKEND.port()), pad: 0 };
        for port in [53, 514] {
            let key = stage::endpoint_key(*ENDPOINT_ADDRESS.ip(), port, UDP);
            gateway.hash(maps::ENDPOINTS).insert(key, mapped, 0).unwrap();
        }
        set_rate(&mut gateway, u32::MAX);
        Self {
            hook,
            seed,
            gateway,
            random: Random::new(seed),
            generation: 1,
            ports: vec![2_000],
            clients: BTreeSet::new(),
            seen: Vec::new(),
            steps: 0,
            sent: 0,
        }
    }

    fn step(&mut self) {
        self.steps += 1;
        if self.steps.is_multiple_of(AUDIT_EVERY) {
            self.audit();
        }
        match self.random.below(200) {
            0 => self.change_policy(),
            1 | 2 => self.let_one_idle(),
            _ => {
                let (from, mut frame) = self.packet();
                if self.random.below(10) < 4 {
                    self.random.break_frame(&mut frame);
                }
                self.send(from, &frame);
            }
        }
    }

    fn change_policy(&mut self) {
        self.generation += 1;
        let flags = self.random.one_of(&[
            policy::ACCEPTED,
            policy::ACCEPTED,
            policy::ACCEPTED | policy::SILENT,
            policy::ACCEPTED | policy::WHITELIST,
            policy::ACCEPTED | policy::TOA,
            policy::ACCEPTED | policy::PROXY,
            policy::ACCEPTED | policy::TOA | policy::PROXY,
            policy::ACCEPTED | policy::ICMP,
            policy::ICMP,
            0,
        ]);
        let mtu = self.random.one_of(&[stage::MTU, stage::MTU, 64]);
        self.gateway.set_mtu(PROVIDER, mtu);
        let limit = self.random.one_of(&[0, 3, 20, 100]);
        let half_open = self.random.one_of(&[0, 0, 5]);
        self.gateway.set_policy(flags, self.generation, limit);
        self.gateway.change_policy(|policy| policy.half_open = half_open);
    }

    fn let_one_idle(&mut self) {
        let number = u32::from(self.random.one_of(&self.ports));
        let secs = self.random.one_of(&[5, 15, 25, 250, 10_000]);
        if Word(self.gateway.slot(number).word).is_live() {
            self.gateway.age(number, secs);
        }
        self.gateway.reap(&[number]);
    }

    fn packet(&mut self) -> (Link, Vec<u8>) {
        let port = self.random.one_of(&self.ports);
        match self.random.below(100) {
            0..45 => (CONSUMER, self.of_client().build()),
            45..75 => {
                let mut segment = stage::from_backend(port, self.random.one_of(&FLAGS));
                segment.payload = vec![1; self.random.below(20)];
                let link = self.random.one_of(&[PROVIDER, PROVIDER, PROVIDER, PROVIDER, STRANGER, CONSUMER]);
                (link, segment.build())
            }
            75..83 => {
                let client = self.client();
                let to = self.random.one_of(&[DNS, SocketAddrV4::new(*DNS.ip(), 514)]);
                (CONSUMER, self.datagram(client, to, CONSUMER.mac, CLIENT_MAC))
            }
            83..88 => {
                let to = SocketAddrV4::new(SOURCE, port);
                (PROVIDER, self.datagram(BACKEND, to, PROVIDER.mac, BACKEND_MAC))
            }
            88..95 => self.icmp(),
            95..98 => {
                let wanted = self.random.one_of(&[*DNS.ip(), CONSUMER.gateway, HOST_ADDRESS, *BACKEND.ip()]);
                (CONSUMER, Arp::request(CLIENT_MAC, *self.client().ip(), wanted).build())
            }
            _ => {
                let len = SHORTEST + self.random.below(200);
                (CONSUMER, (0..len).map(|_| self.random.next() as u8).collect())
            }
        }
    }

    fn client(&mut self) -> SocketAddrV4 {
        let address = Ipv4Addr::new(10, 0, 0, 182 + self.random.below(8) as u8);
        SocketAddrV4::new(address, 40_000 + self.random.below(4) as u16)
    }

    fn of_client(&mut self) -> Segment {
        let mut segment = stage::from_client(self.client(), self.random.one_of(&FLAGS));
        segment.payload = vec![2; self.random.below(20)];
        segment.options = vec![1; self.random.one_of(&[0, 0, 4, 20, 40])];
        segment.ip_options = vec![1; self.random.one_of(&[0, 0, 0, 0, 4, 40])];
        segment.ttl = self.random.one_of(&[64, 64, 64, 2, 1, 0]);
        let elsewhere = [
            SocketAddrV4::new(HOST_ADDRESS, 22),
            SocketAddrV4::new(*ENDPOINT_ADDRESS.ip(), 81),
            SocketAddrV4::new(SOURCE, 2_000),
            BACKEND,
            SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 1), 80),
        ];
        if self.random.below(8) == 0 {
            segment.destination = self.random.one_of(&elsewhere);
        }
        segment
    }

    fn datagram(&mut self, from: SocketAddrV4, to: SocketAddrV4, to_mac: Mac, from_mac: Mac) -> Vec<u8> {
        let payload = vec![3; self.random.below(20)];
        let length = 8 + payload.len() as u16;
        let mut bytes = [from.port(), to.port(), length, 0].map(u16::to_be_bytes).concat();
        bytes.extend(&payload);
        if self.random.below(4) != 0 {
            let check =
                match checksum(&[pseudo_header(*from.ip(), *to.ip(), UDP, &bytes), bytes.clone()].concat()) {
                    0 => 0xffff,
                    check => check,
                };
            bytes[6..8].copy_from_slice(&check.to_be_bytes());
        }
        // Whole as a rule; else its beginning, or what may follow that.
        let fragment = self.random.one_of(&[0x4000, 0x4000, 0x4000, 0x2000, 0x2001, 0x0003]);
        let datagram = Datagram { fragment, ..Datagram::new(*from.ip(), *to.ip(), UDP, &bytes) };
        Datagram { to: to_mac, from: from_mac, ..datagram }.build()
    }

    /// An echo request, or an error about something that was sent on.
    fn icmp(&mut self) -> (Link, Vec<u8>) {
        let kind = self.random.one_of(&[3, 3, 3, 11, 12, 8, 0, 5]);
        let (came_from, about) = match self.seen.len() {
            0 => (CONSUMER, self.of_client().build()),
            len => self.seen[self.random.below(len)].clone(),
        };
        let inner = &about[14..about.len().min(14 + 60)];
        let mut message = [&[kind, 4, 0, 0, 0, 0, 5, 0], inner].concat();
        let check = checksum(&message);
        message[2..4].copy_from_slice(&check.to_be_bytes());
        // What came from the client is complained about in the provider's VPC, and the other way round.
        let (link, mac, source) = if came_from.vpc == CONSUMER.vpc {
            (PROVIDER, BACKEND_MAC, Ipv4Addr::new(192, 168, 24, 1))
        } else {
            (CONSUMER, CLIENT_MAC, Ipv4Addr::new(10, 0, 0, 3))
        };
        let destination = Datagram::parse(&about).map_or(*DNS.ip(), |about| about.source);
        let destination = if kind == 8 { *DNS.ip() } else { destination };
        let datagram = Datagram::new(source, destination, ICMP, &message);
        (link, Datagram { to: link.mac, from: mac, ..datagram }.build())
    }

    fn send(&mut self, from: Link, frame: &[u8]) {
        // Nor on IPv6 that is shorter than its header (net/bpf/test_run.c).
        if frame[12..14] == [0x86, 0xdd] && frame.len() < 14 + 40 {
            return;
        }
        let outcome = self.gateway.run(self.hook, from.ifindex, frame);
        match outcome.verdict {
            Verdict::Drop => {}
            Verdict::Pass => {
                assert_eq!(outcome.frame, frame, "{}: passed, and changed", self.told(from, frame));
            }
            Verdict::Redirect => {
                self.sent += 1;
                if let Err(problem) = self.judge(from, frame, &outcome.frame) {
                    panic!("{problem}\nout {:02x?}\n{}", outcome.frame, self.told(from, frame));
                }
            }
        }
    }

    fn told(&self, from: Link, frame: &[u8]) -> String {
        format!("seed {} packet {} from VPC {}\nin  {frame:02x?}", self.seed, self.steps, from.vpc)
    }

    /// What must hold of a frame that is sent.
    fn judge(&mut self, from: Link, frame: &[u8], out: &[u8]) -> Result<(), &'static str> {
        let link = [CONSUMER, PROVIDER, STRANGER].into_iter().find(|link| out[6..12] == link.mac);
        let link = link.ok_or("sent in nobody's name")?;
        if out[12..14] == [0x08, 0x06] {
            return if link.vpc == from.vpc { Ok(()) } else { Err("ARP into another VPC") };
        }
        let packet = Datagram::parse(out).ok_or("sent with a broken IP header")?;
        let before = Datagram::parse(frame).ok_or("came with a broken IP header, and was sent on")?;
        if packet.protocol == ICMP && before.protocol != ICMP {
            return judge_error(&link, from, &before, frame, out);
        }
        let is_reset = packet.protocol == TCP && packet.payload.len() == 20 && packet.payload[13] & RST != 0;
        if is_sound(&before) && !is_sound(&packet) {
            return Err("came with right checksums and left with wrong ones");
        }
        if !is_sound(&before) && is_sound(&packet) && !is_reset {
            return Err("came with wrong checksums and left with right ones");
        }
        if link.vpc == from.vpc {
            let answers = packet.source == before.destination && packet.destination == before.source;
            return if answers { Ok(()) } else { Err("sent back, and is no answer") };
        }
        match (from.vpc, link.vpc) {
            (1, 2) => {
                if !in_range(packet.source.into())
                    || packet.destination != *BACKEND.ip()
                    || out[..6] != BACKEND_MAC
                {
                    return Err("into the provider's VPC, and not from a source of ours to the backend");
                }
                self.clients.insert(before.source);
                if packet.protocol != ICMP && !is_later_fragment(&packet) {
                    self.note_port(u16::from_be_bytes([packet.payload[0], packet.payload[1]]));
                }
            }
            (2, 1) => {
                let is_client = self.clients.contains(&packet.destination);
                if packet.source != *ENDPOINT_ADDRESS.ip() || !is_client || out[..6] != CLIENT_MAC {
                    return Err("into the consumer's VPC, and not from the endpoint to a client");
                }
            }
            _ => return Err("from one VPC into another that it has nothing to do with"),
        }
        let grown = packet.payload.len().checked_sub(before.payload.len());
        let takes_address = from.vpc == CONSUMER.vpc && packet.protocol == TCP;
        let is_of_length = match grown {
            Some(0) => true,
            Some(grown) => takes_address && [TOA_LEN, HEADER_LEN, TOA_LEN + HEADER_LEN].contains(&grown),
            None => false,
        };
        if !is_reset && !is_of_length {
            return Err("sent on, and longer or shorter than it may be");
        }
        if self.seen.len() < 64 {
            self.seen.push((from, out.to_vec()));
        } else {
            let at = self.random.below(64);
            self.seen[at] = (from, out.to_vec());
        }
        Ok(())
    }

    fn note_port(&mut self, port: u16) {
        if self.ports.contains(&port) {
            return;
        }
        if self.ports.len() < 64 {
            self.ports.push(port);
        } else {
            let at = self.random.below(64);
            self.ports[at] = port;
        }
    }

    /// Compares the counts with the sessions there are.
    fn audit(&mut self) {
        let mut counted = (0, 0);
        for slot in self.gateway.array::<Slot>(maps::SLOTS).iter() {
            let word = Word(slot.expect("slots can be read").word);
            counted.0 += u64::from(word.is_live() && word.is_counted());
            counted.1 += u64::from(word.is_live() && word.is_half_open());
        }
        let connections = self.gateway.connections(ENDPOINT);
        let told = (connections.current, connections.half_open);
        assert_eq!(told, counted, "connections, half-open: seed {} packet {}", self.seed, self.steps);
    }
}

/// What must hold of an error that the gateway made.
fn judge_error(
    link: &Link,
    from: Link,
    before: &Datagram,
    frame: &[u8],
    out: &[u8],
) -> Result<(), &'static str> {
    /// Of the error's own checksum.
    const CHECK_AT: usize = 34 + 2;
    let is_group = |mac: &[u8]| mac[0] & 1 != 0;
    let first = before.source.octets()[0];
    if link.vpc != from.vpc {
        return Err("an error of the gateway's own, into another VPC");
    }
    if before.fragment & 0x3fff != 0 || ![TCP, UDP].contains(&before.protocol) {
        return Err("an error about what gets none");
    }
    if is_group(&frame[..6]) || is_group(&frame[6..12]) || [0, 127].contains(&first) || first >= 224 {
        return Err("an error to no single host");
    }
    if checksum(&out[34..]) != 0 {
        return Err("an error that does not add up");
    }
    // The checksum inside may have been taken for one that is to be completed.
    let inside = 34 + 8 + 20 + before.options.len() + if before.protocol == TCP { 16 } else { 6 };
    let plain = |frame: &[u8]| {
        let mut frame = frame.to_vec();
        frame[CHECK_AT..CHECK_AT + 2].fill(0);
        frame[inside..inside + 2].fill(0);
        frame
    };
    let rest = [out[38], out[39], out[40], out[41]];
    let want = told_by(link, Error(out[34], out[35], rest), frame);
    if out.len() == want.len() && plain(out) == plain(&want) { Ok(()) } else { Err("an error about nothing") }
}

pub fn pseudo_header(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, bytes: &[u8]) -> Vec<u8> {
    let mut header = [source.octets(), destination.octets()].concat();
    header.extend([0, protocol]);
    header.extend((bytes.len() as u16).to_be_bytes());
    header
}

fn is_later_fragment(packet: &Datagram) -> bool {
    packet.fragment & 0x1fff != 0
}

/// Whether the checksum behind the IP header is right, or there is none.
pub fn is_sound(packet: &Datagram) -> bool {
    let over = |bytes: &[u8]| {
        checksum(&[&pseudo_header(packet.source, packet.destination, packet.protocol, bytes), bytes].concat())
            == 0
    };
    match packet.protocol {
        _ if is_later_fragment(packet) => true,
        TCP => over(&packet.payload),
        UDP => {
            let length = usize::from(u16::from_be_bytes([packet.payload[4], packet.payload[5]]));
            packet.payload[6..8] == [0, 0] || packet.payload.get(..length).is_some_and(over)
        }
        ICMP => checksum(&packet.payload) == 0,
        _ => true,
    }
}

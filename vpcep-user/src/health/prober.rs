//! Checks in progress from one address of the gateway: TCP connections of a stack in
//! user space (smoltcp) over a packet socket.
//!
//! Bounded in all that others have a say in: how many checks run at once, what each
//! may receive, and how many packets one look takes. Only packets of checks that are
//! in progress reach the stack, so nobody is answered who was not asked.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Checksum, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpCidr};
use vpcep_common::limits::FIRST_PROBE_PORT;

use super::http::{self, Answer};
use crate::controller::health::Checked;
use crate::datapath::Way;
use crate::model::Probe;
use crate::net::tap::Tap;

/// Checks that run at once; more wait.
const MOST_RUNNING: usize = 64;
/// How long one without checks is kept: longer than the longest interval.
const LONGEST_IDLE: Duration = Duration::from_secs(120);
/// Packets that one look takes from the socket.
const MOST_PACKETS: usize = 128;
/// Largest packet to send or receive: what every Ethernet carries.
const MTU: usize = 1500;
/// What a server may send before it is read; a status line is much less.
const RECEIVE_BUFFER: usize = 1024;
/// Holds a request with the longest path.
const SEND_BUFFER: usize = 1024;
/// As much of an answer as is looked at.
const ANSWER: usize = 16;

/// A check to be made.
#[derive(Clone, Debug)]
pub struct Job {
    /// Whose.
    pub member: Checked,
    /// Where.
    pub server: SocketAddrV4,
    /// MAC of the server, or of the router to it.
    pub mac: [u8; 6],
    /// What.
    pub probe: Probe,
    /// How long it may take.
    pub timeout: Duration,
}

/// See the module.
pub struct Prober {
    wire: Wire,
    stack: Interface,
    sockets: SocketSet<'static>,
    running: Vec<Running>,
    /// Sockets that are over but for a last packet to send.
    leaving: Vec<SocketHandle>,
    source: Ipv4Addr,
    next_port: u16,
    epoch: Instant,
    last_used: Instant,
}

struct Running {
    job: Job,
    socket: SocketHandle,
    port: u16,
    deadline: Instant,
    is_asked: bool,
    answer: Vec<u8>,
}

impl Prober {
    /// Opens the socket for a way that packets go.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn open(way: &Way) -> io::Result<Self> {
        let tap = Tap::open(way.ifindex, way.vlan, way.source, FIRST_PROBE_PORT..)?;
        let mut wire = Wire { tap, received: VecDeque::new(), macs: BTreeMap::new() };
        let mut config = Config::new(HardwareAddress::Ip);
        // Sequence numbers that nobody can guess.
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
        config.random_seed = u64::from_ne_bytes(seed);
        let mut stack = Interface::new(config, &mut wire, smoltcp::time::Instant::ZERO);
        stack.update_ip_addrs(|addresses| {
            addresses
                .push(IpCidr::new(way.source.into(), 32))
                .expect("a new interface has room for an address");
        });
        // Where packets go is decided by `Wire`; to the stack all is one hop away.
        stack.routes_mut().add_default_ipv4_route(way.source).expect("a new interface has room for a route");
        let first = FIRST_PROBE_PORT + u16::from_ne_bytes([seed[0], seed[1]]) % (u16::MAX - FIRST_PROBE_PORT);
        Ok(Self {
            wire,
            stack,
            sockets: SocketSet::new(Vec::new()),
            running: Vec::new(),
            leaving: Vec::new(),
            source: way.source,
            next_port: first,
            epoch: Instant::now(),
            last_used: Instant::now(),
        })
    }

    /// Whether one more check may start now.
    pub fn has_room(&self) -> bool {
        self.running.len() < MOST_RUNNING
    }

    /// Whether there was anything to check of late.
    pub fn is_in_use(&self, now: Instant) -> bool {
        !self.running.is_empty() || now.saturating_duration_since(self.last_used) < LONGEST_IDLE
    }

    /// Starts a check.
    pub fn start(&mut self, job: Job, now: Instant) {
        self.last_used = now;
        let port = self.next_port;
        self.next_port = if port == u16::MAX { FIRST_PROBE_PORT } else { port + 1 };
        let buffer = |len| SocketBuffer::new(vec![0; len]);
        let mut socket = Socket::new(buffer(RECEIVE_BUFFER), buffer(SEND_BUFFER));
        let server = (*job.server.ip(), job.server.port());
        // A port is used again after 4536 checks, of which 64 run: it is free by then. A
        // socket that could not be opened is closed, and reads as a refusal.
        let _ = socket.connect(self.stack.context(), server, (self.source, port));
        self.wire.macs.insert(*job.server.ip(), job.mac);
        let (socket, deadline) = (self.sockets.add(socket), now + job.timeout);
        self.running.push(Running { job, socket, port, deadline, is_asked: false, answer: Vec::new() });
    }

    /// Takes what has come, sends what there is to send, and returns what checks have
    /// come to.
    pub fn look(&mut self, now: Instant) -> Vec<(Checked, Result<(), String>)> {
        self.receive();
        self.poll(now);
        let mut results = Vec::new();
        let sockets = &mut self.sockets;
        let leaving = &mut self.leaving;
        self.running.retain_mut(|running| {
            let socket = sockets.get_mut::<Socket>(running.socket);
            let Some(result) = running.step(socket, now) else { return true };
            // A reset: it leaves nothing behind here nor at the server.
            socket.abort();
            leaving.push(running.socket);
            results.push((running.job.member, result));
            false
        });
        // Requests and resets that have just been made.
        self.poll(now);
        for socket in self.leaving.drain(..) {
            self.sockets.remove(socket);
        }
        let running = &self.running;
        self.wire.macs.retain(|address, _| running.iter().any(|running| running.job.server.ip() == address));
        results
    }

    /// How long there is nothing to do unless a packet comes.
    pub fn pause(&mut self, now: Instant) -> Option<Duration> {
        let stack = self.stack.poll_delay(self.time(now), &self.sockets).map(Duration::from);
        let deadline =
            self.running.iter().map(|running| running.deadline.saturating_duration_since(now)).min();
        stack.into_iter().chain(deadline).min()
    }

    fn time(&self, now: Instant) -> smoltcp::time::Instant {
        let micros = now.saturating_duration_since(self.epoch).as_micros();
        smoltcp::time::Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    fn poll(&mut self, now: Instant) {
        let time = self.time(now);
        self.stack.poll(time, &mut self.wire, &mut self.sockets);
    }

    fn receive(&mut self) {
        let mut buffer = [0; MTU];
        for _ in 0..MOST_PACKETS {
            // An interface that is gone says so once; checks then run into their time-outs.
            let Ok(Some(len)) = self.wire.tap.receive(&mut buffer) else { return };
            let packet = &buffer[..len];
            let is_awaited = |(server, port): (SocketAddrV4, u16)| {
                self.running.iter().any(|r| r.job.server == server && r.port == port)
            };
            if ends(packet).is_some_and(is_awaited) {
                self.wire.received.push_back(packet.to_vec());
            }
        }
    }
}

impl AsFd for Prober {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.tap.as_fd()
    }
}

impl Running {
    /// Goes on with a check; its result once there is one.
    fn step(&mut self, socket: &mut Socket<'_>, now: Instant) -> Option<Result<(), String>> {
        let is_connected = socket.may_send() || self.is_asked;
        let failed = |what: String| Some(Err(what));
        if let Probe::Tcp = self.job.probe
            && is_connected
        {
            return Some(Ok(()));
        }
        if let Probe::Http { path, expected } = &self.job.probe {
            if socket.may_send() && !self.is_asked {
                self.is_asked = true;
                // The buffer is empty and larger than any request.
                let _ = socket.send_slice(&http::request(path, self.job.server));
            }
            let mut piece = [0; RECEIVE_BUFFER];
            let len = socket.recv_slice(&mut piece).unwrap_or(0);
            let wanted = ANSWER.saturating_sub(self.answer.len());
            self.answer.extend_from_slice(&piece[..len.min(wanted)]);
            match http::status(&self.answer) {
                Answer::Status(code) if expected.contain(code) => return Some(Ok(())),
                Answer::Status(code) => {
                    return failed(format!("answered with status {code}, expected {expected}"));
                }
                Answer::Garbage => return failed("answered with something that is not HTTP".into()),
                Answer::Incomplete => {}
            }
            if self.is_asked && !socket.may_recv() {
                return failed("ended the connection without an answer".into());
            }
        }
        let port = self.job.server.port();
        if socket.state() == State::Closed {
            return failed(format!("refused a connection to port {port}"));
        }
        if now >= self.deadline {
            let secs = self.job.timeout.as_secs();
            return match is_connected {
                true => failed(format!("sent no answer over HTTP within {secs} s")),
                false => failed(format!("did not accept a connection to port {port} within {secs} s")),
            };
        }
        None
    }
}

/// Where a TCP packet comes from and which port it goes to. The filter of the socket
/// lets nothing else through; a packet that is cut short is nobody's.
fn ends(packet: &[u8]) -> Option<(SocketAddrV4, u16)> {
    let header_len = usize::from(packet.first()? & 0xf) * 4;
    let tcp = packet.get(header_len..header_len + 4)?;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    Some((SocketAddrV4::new(source.into(), port(0)), port(2)))
}

/// The socket as the stack sees it.
struct Wire {
    tap: Tap,
    received: VecDeque<Vec<u8>>,
    /// Of servers that are being checked.
    macs: BTreeMap<Ipv4Addr, [u8; 6]>,
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Outgoing<'_>)> {
        let packet = self.received.pop_front()?;
        Some((Received(packet), Outgoing { tap: &self.tap, macs: &self.macs }))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing { tap: &self.tap, macs: &self.macs })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        // A sender on this machine leaves checksums to be completed by its device, and on
        // the way here none does.
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

struct Received(Vec<u8>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Outgoing<'a> {
    tap: &'a Tap,
    macs: &'a BTreeMap<Ipv4Addr, [u8; 6]>,
}

impl phy::TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        let destination = packet.get(16..20).and_then(|octets| <[u8; 4]>::try_from(octets).ok());
        if let Some(mac) = destination.and_then(|octets| self.macs.get(&octets.into()))
            && let Err(error) = self.tap.send(*mac, &packet)
        {
            tracing::debug!(%error, "a health check cannot send");
        }
        result
    }
}

//! The network that the packet tests play in.
//!
//! ```text
//!   VPC 1, consumer                gateway                  VPC 2, provider
//!   client 10.0.0.182 ──── if 10   10.0.0.1 | 192.168.24.1   if 20 ──── 192.168.24.10:8080
//!                          endpoint 10.0.0.100:80            VPC 3, a stranger with equal ranges
//!                                                            if 30 ──── 192.168.24.10
//! ```
//!
//! Backends see 198.19.128.0, of which every port is a slot number. Interface
//! 40 exists and is not attached.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::Result;
use vpcep_common::ABI_VERSION;
use vpcep_common::attachment::{Attachment, InterfaceKey, NeighbourKey, NextHop, attachment_flags, mac_word};
use vpcep_common::be::{Be16, Be32};
use vpcep_common::endpoint::{Backend, EndpointKey, EndpointValue, NO_ENDPOINT, Policy, policy};
use vpcep_common::meter::connection_cost;
use vpcep_common::session::{FlowKey, Slot, TICK_SHIFT, ticks};
use vpcep_common::settings::Settings;
use vpcep_common::snat::RANGE;
use vpcep_common::tcp::State;
use vpcep_common::{index, maps};
use vpcep_tests::packet::{Mac, Segment, TCP};

use crate::runner::{Capacity, Gateway, Hook};

/// An interface of the gateway and the VPC behind it.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Attachment number; 0 when not attached.
    pub attachment: u16,
    /// Kernel interface index.
    pub ifindex: u32,
    /// VPC number.
    pub vpc: u16,
    /// MAC of the interface.
    pub mac: Mac,
    /// The gateway's own address.
    pub gateway: Ipv4Addr,
}

/// The consumer's VPC.
pub const CONSUMER: Link = Link {
    attachment: 1,
    ifindex: 10,
    vpc: 1,
    mac: [2, 0, 0, 0, 0, 10],
    gateway: Ipv4Addr::new(10, 0, 0, 1),
};
/// The provider's VPC.
pub const PROVIDER: Link = Link {
    attachment: 2,
    ifindex: 20,
    vpc: 2,
    mac: [2, 0, 0, 0, 0, 20],
    gateway: Ipv4Addr::new(192, 168, 24, 1),
};
/// Another VPC with the provider's ranges.
pub const STRANGER: Link = Link { attachment: 3, ifindex: 30, vpc: 3, mac: [2, 0, 0, 0, 0, 30], ..PROVIDER };
/// An interface that is not attached.
pub const UNATTACHED: Link =
    Link { attachment: 0, ifindex: 40, vpc: 0, mac: [2, 0, 0, 0, 0, 40], ..PROVIDER };

/// Every interface.
pub const INTERFACES: [u32; 4] = [CONSUMER.ifindex, PROVIDER.ifindex, STRANGER.ifindex, UNATTACHED.ifindex];

/// Number of the endpoint.
pub const ENDPOINT: u32 = 1;
/// Where clients connect to.
pub const ENDPOINT_ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 100), 80);
/// An address of the gateway host itself in the consumer's VPC, beside its own.
pub const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// A client and the port it uses.
pub const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 182), 40_000);
/// Its MAC.
pub const CLIENT_MAC: Mac = [2, 1, 0, 0, 0, 182];
/// The server.
pub const BACKEND: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 24, 10), 8080);
/// Its MAC.
pub const BACKEND_MAC: Mac = [2, 2, 0, 0, 0, 10];
/// Its next-hop number.
pub const NEXT_HOP: u16 = 1;
/// The one address that backends see.
pub const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 19, 128, 0);

/// MTU of every interface: more than a test run takes.
pub const MTU: u32 = 9_000;

/// ICMP errors of the gateway's own in a second.
pub const ICMP_ERRORS: u32 = 1_000;

/// Most connections of the endpoint unless a test says otherwise.
pub const LIMIT: u32 = 100;
/// Key of the keyed hash; fixed, so that a failure can be repeated.
pub const HASH_KEY: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

/// Its number.
pub const BACKEND_NUMBER: u16 = 1;

/// Idle seconds allowed by TCP state, with distinct values to tell them apart.
pub const fn idle_secs(state: State) -> u32 {
    match state {
        State::None => 0,
        State::SynSent | State::SynReceived => 240,
        State::Established => 7440,
        State::FinClient | State::FinBackend | State::LastFinClient | State::LastFinBackend => 300,
        State::TimeWait => 10,
        State::ResetByClient | State::ResetByBackend => 20,
        State::Unanswered => 120,
        State::Answered => 300,
        State::Query => 30,
    }
}

/// Seconds that a handshake has at a crowded endpoint.
pub const CROWDED_SECS: u32 = 15;
/// Seconds that a freed source port rests.
pub const REST_SECS: u32 = 120;

/// A gateway that knows the stage: endpoint accepted, neighbour resolved,
/// every interface takes frames from XDP.
///
/// # Errors
/// When the kernel refuses to load it.
pub fn gateway(hooks: &[Hook], capacity: Capacity) -> Result<Gateway> {
    let mut gateway = Gateway::load(hooks, capacity)?;
    gateway.array(maps::SETTINGS).set(0, settings(capacity), 0)?;
    for link in [CONSUMER, PROVIDER, STRANGER] {
        gateway.set_attachment(link, attachment_flags::TAKES_XDP_FRAMES);
        let key = InterfaceKey { ifindex: link.ifindex, ..InterfaceKey::default() };
        gateway.hash(maps::INTERFACES).insert(key, u32::from(link.attachment), 0)?;
    }
    let mut endpoints = gateway.hash(maps::ENDPOINTS);
    let mapped = EndpointValue { endpoint: ENDPOINT, server_port: Be16::new(BACKEND.port()), pad: 0 };
    let of_host = EndpointValue { endpoint: NO_ENDPOINT, ..EndpointValue::default() };
    endpoints.insert(endpoint_key(*ENDPOINT_ADDRESS.ip(), ENDPOINT_ADDRESS.port(), TCP), mapped, 0)?;
    endpoints.insert(endpoint_key(*ENDPOINT_ADDRESS.ip(), 0, 0), mapped, 0)?;
    for address in [HOST_ADDRESS, CONSUMER.gateway] {
        endpoints.insert(endpoint_key(address, 0, 0), of_host, 0)?;
    }
    let backend = Backend {
        address: (*BACKEND.ip()).into(),
        vpc: PROVIDER.vpc,
        next_hop: NEXT_HOP,
        ..Backend::default()
    };
    gateway.array(maps::BACKENDS).set(u32::from(BACKEND_NUMBER), backend, 0)?;
    let neighbour = NeighbourKey { address: (*BACKEND.ip()).into(), vpc: PROVIDER.vpc, pad: 0 };
    gateway.hash(maps::NEIGHBOURS).insert(neighbour, u32::from(NEXT_HOP), 0)?;
    gateway.set_backend_mac(Some(BACKEND_MAC));
    gateway.set_policy(policy::ACCEPTED, 1, LIMIT);
    Ok(gateway)
}

fn settings(capacity: Capacity) -> Settings {
    let mut idle = [0; State::COUNT];
    for state in State::ALL {
        idle[state as usize] = ticks(idle_secs(state));
    }
    Settings {
        hash_key: HASH_KEY,
        abi_version: ABI_VERSION,
        shard_base: RANGE,
        shard_mask: (1 << (32 - capacity.shard_prefix_len)) - 1,
        index_mask: index::buckets(capacity.flows) - 1,
        flags: 0,
        rest: ticks(REST_SECS),
        handshake_crowded: ticks(CROWDED_SECS),
        event_rate: 0,
        events_since: 0,
        error_cost: connection_cost(ICMP_ERRORS),
        owner: [0; 16],
        idle,
    }
}

/// Key of a mapped port of an address in the consumer's VPC.
pub fn endpoint_key(address: Ipv4Addr, port: u16, protocol: u8) -> EndpointKey {
    EndpointKey { address: address.into(), port: Be16::new(port), vpc: CONSUMER.vpc, protocol, pad: [0; 3] }
}

/// The flow of a client to the endpoint.
pub fn flow(client: SocketAddrV4) -> FlowKey {
    FlowKey {
        source: (*client.ip()).into(),
        destination: (*ENDPOINT_ADDRESS.ip()).into(),
        source_port: Be16::new(client.port()),
        destination_port: Be16::new(ENDPOINT_ADDRESS.port()),
        vpc: CONSUMER.vpc,
        protocol: TCP,
        pad: 0,
    }
}

/// A segment of a client to the endpoint, as it comes in.
pub const fn from_client(client: SocketAddrV4, flags: u8) -> Segment {
    let mut segment = Segment::new(client, ENDPOINT_ADDRESS, flags);
    segment.to = CONSUMER.mac;
    segment.from = CLIENT_MAC;
    segment
}

/// A segment of the backend to a source port, as it comes in.
pub const fn from_backend(source_port: u16, flags: u8) -> Segment {
    let mut segment = Segment::new(BACKEND, SocketAddrV4::new(SOURCE, source_port), flags);
    segment.to = PROVIDER.mac;
    segment.from = BACKEND_MAC;
    segment
}

/// What a client's segment becomes on the way to the backend.
pub fn to_backend(segment: &Segment, source_port: u16) -> Segment {
    Segment {
        to: BACKEND_MAC,
        from: PROVIDER.mac,
        ttl: segment.ttl - 1,
        source: SocketAddrV4::new(SOURCE, source_port),
        destination: BACKEND,
        ..segment.clone()
    }
}

/// What a backend's segment becomes on the way to the client.
pub fn to_client(segment: &Segment, client: SocketAddrV4) -> Segment {
    Segment {
        to: CLIENT_MAC,
        from: CONSUMER.mac,
        ttl: segment.ttl - 1,
        source: ENDPOINT_ADDRESS,
        destination: client,
        ..segment.clone()
    }
}

/// Now, in ticks, as the programs count them.
pub fn now() -> u32 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a pointer to a live timespec; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let since_boot = Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
    (since_boot.as_nanos() >> TICK_SHIFT) as u32
}

/// Changes to the stage.
///
/// # Panics
/// All of them when the kernel refuses a map update that fits the map.
impl Gateway {
    /// Attaches a link with these `attachment_flags`.
    pub fn set_attachment(&mut self, link: Link, flags: u16) {
        let attachment = Attachment {
            ifindex: link.ifindex,
            vpc: link.vpc,
            address: link.gateway.into(),
            mac: link.mac,
            flags,
            mtu: MTU,
            ..Attachment::default()
        };
        self.array(maps::ATTACHMENTS).set(u32::from(link.attachment), attachment, 0).expect("number fits");
    }

    /// Changes the MTU of an attached link.
    pub fn set_mtu(&mut self, link: Link, mtu: u32) {
        let number = u32::from(link.attachment);
        let known: Attachment = self.entry(maps::ATTACHMENTS, number);
        self.array(maps::ATTACHMENTS).set(number, Attachment { mtu, ..known }, 0).expect("number fits");
    }

    /// Replaces the endpoint's policy: bits of `policy`, generation and limit.
    pub fn set_policy(&mut self, flags: u64, generation: u32, limit: u32) {
        let policy = Policy {
            word: policy::word(flags, generation),
            limit,
            provider_vpc: PROVIDER.vpc,
            vpc: CONSUMER.vpc,
            address: (*ENDPOINT_ADDRESS.ip()).into(),
            servers: u32::from(BACKEND_NUMBER),
            id: [1; 16],
            ..Policy::default()
        };
        self.array(maps::POLICIES).set(ENDPOINT, policy, 0).expect("number fits");
    }

    /// Changes the endpoint's policy in place.
    pub fn change_policy(&mut self, change: impl FnOnce(&mut Policy)) {
        let mut policy: Policy = self.entry(maps::POLICIES, ENDPOINT);
        change(&mut policy);
        self.array(maps::POLICIES).set(ENDPOINT, policy, 0).expect("number fits");
    }

    /// Leads the endpoint's connections elsewhere: a word of [`vpcep_common::ring::servers`].
    pub fn set_servers(&mut self, servers: u32) {
        self.change_policy(|policy| policy.servers = servers);
    }

    /// Says where the backend is, or that nobody knows.
    pub fn set_backend_mac(&mut self, mac: Option<Mac>) {
        let next_hop = NextHop {
            mac: mac.map_or(0, mac_word),
            address: (*BACKEND.ip()).into(),
            vpc: PROVIDER.vpc,
            attachment: PROVIDER.attachment,
            ..NextHop::default()
        };
        self.array(maps::NEXT_HOPS).set(u32::from(NEXT_HOP), next_hop, 0).expect("number fits");
    }

    /// Changes a session slot in place.
    pub fn change_slot(&mut self, number: u32, change: impl FnOnce(&mut Slot)) {
        let mut slot = self.slot(number);
        change(&mut slot);
        self.array(maps::SLOTS).set(number, slot, 0).expect("number fits");
    }

    /// Makes a slot look as if its last packet had come `secs` ago.
    pub fn age(&mut self, number: u32, secs: u32) {
        self.change_slot(number, |slot| slot.last_seen = now().wrapping_sub(ticks(secs)));
    }

    /// Source port of a client's session, if it has one.
    pub fn source_port(&self, client: SocketAddrV4) -> Option<u16> {
        // The shard of the stage is one address: slot number and port are the same.
        self.slot_of(&flow(client)).map(|slot| slot as u16)
    }

    /// TCP state of a client's session, if it has one.
    pub fn tcp_state(&self, client: SocketAddrV4) -> Option<State> {
        let slot = self.slot_of(&flow(client))?;
        Some(vpcep_common::session::Word(self.slot(slot).word).tcp())
    }

    /// A whitelist entry for one client.
    pub fn list_client(&mut self, client: Ipv4Addr, is_listed: bool) {
        self.whitelist(ENDPOINT, Be32::from(client), 32, is_listed);
    }
}

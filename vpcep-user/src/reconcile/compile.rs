//! From what is desired to what the tables should hold: a pure function.
//!
//! Its one difficulty is numbers. Sessions in the kernel name their endpoint,
//! next hop and attachment by number, so whoever has a number keeps it, and a
//! number that loses its owner is given to nobody until no session names it
//! ([`Busy`]).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use vpcep_common::acl::AclKey;
use vpcep_common::attachment::{Attachment, InterfaceKey, NeighbourKey};
use vpcep_common::be::{Be16, Be32};
use vpcep_common::endpoint::{Backend, EndpointKey, EndpointValue, NO_ENDPOINT, Policy, idle, policy};
use vpcep_common::limits;
use vpcep_common::meter::{byte_cost, connection_cost};
use vpcep_common::ring::{Ring, Share, servers};
use vpcep_common::route::{DEFAULT_TABLE, Route, RouteKey, SubnetKey};
use vpcep_common::session::ticks;

use super::desired::{Desired, DesiredAttachment, DesiredBackend, DesiredEndpoint, Refusal, Servers};
use super::tables::{Hop, Tables};
use super::tlv;
use crate::model::{Algorithm, AttachmentId, BackendId, Cidr, EndpointId};

/// Numbers that must not change owner yet: a session may name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Busy {
    /// Endpoint numbers.
    pub endpoints: BTreeSet<u32>,
    /// Next-hop numbers.
    pub next_hops: BTreeSet<u16>,
    /// Backend numbers.
    pub backends: BTreeSet<u16>,
    /// Attachment numbers.
    pub attachments: BTreeSet<u32>,
}

/// An attachment whose programs are in place, as the host sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Kernel interface index.
    pub ifindex: u32,
    /// MAC of the interface.
    pub mac: [u8; 6],
    /// [`vpcep_common::attachment::attachment_flags`].
    pub flags: u16,
    /// MTU of the interface.
    pub mtu: u32,
    /// IPv4 addresses of the host itself on the interface.
    pub host_addresses: Vec<Ipv4Addr>,
}

/// What a compilation gives.
#[derive(Debug, Default)]
pub struct Compiled {
    /// What the tables should hold.
    pub target: Tables,
    /// Endpoints that do not fit, with the reason.
    pub failed: BTreeMap<EndpointId, String>,
    /// Numbers that are in the tables for no other reason than being busy.
    pub retained: Busy,
}

/// Makes the tables for `desired`, keeping the numbers of `observed`.
/// Attachments that are not in `attached` are left out.
#[must_use]
pub fn compile(
    desired: &Desired,
    observed: &Tables,
    attached: &BTreeMap<AttachmentId, Attached>,
    busy: &Busy,
    max_endpoints: u32,
) -> Compiled {
    let hops = observed.next_hops.iter().map(|(number, hop)| (*hop, u32::from(*number)));
    let backends = observed.backends.iter().map(|(number, backend)| (*backend, u32::from(*number)));
    let rings = observed.rings.iter().map(|(number, ring)| (ring.id, u32::from(*number)));
    let mut compiler = Compiler {
        observed,
        busy,
        hops: Numbers::new(hops, limits::MAX_NEXT_HOPS),
        backends: Numbers::new(backends, limits::MAX_BACKENDS),
        rings: Numbers::new(rings, limits::MAX_RINGS),
        servers: BTreeMap::new(),
        endpoints: BTreeSet::new(),
        vpcs: BTreeMap::new(),
        out: Compiled::default(),
    };
    compiler.attachments(desired, attached);
    compiler.keep_busy();
    compiler.endpoints(desired, max_endpoints);
    compiler.subnets(desired);
    compiler.note_retained();
    compiler.out
}

struct Compiler<'a> {
    observed: &'a Tables,
    busy: &'a Busy,
    hops: Numbers<Hop>,
    backends: Numbers<Backend>,
    /// By id of the backend resource.
    rings: Numbers<[u8; 16]>,
    /// [`Policy::servers`] of each backend resource, or why it has none.
    servers: BTreeMap<BackendId, Result<u32, String>>,
    /// Endpoint numbers that have an owner.
    endpoints: BTreeSet<u32>,
    /// Attachments of each VPC, by number.
    vpcs: BTreeMap<u16, Vec<(u16, DesiredAttachment)>>,
    out: Compiled,
}

impl Compiler<'_> {
    fn attachments(&mut self, desired: &Desired, attached: &BTreeMap<AttachmentId, Attached>) {
        // By VPC, not by id: one that is attached anew, elsewhere perhaps, gets
        // the number that its sessions name, and they go on.
        let mut counts = BTreeMap::new();
        let known = self.observed.attachments.iter().map(|(number, a)| (nth(&mut counts, a.vpc), *number));
        let mut numbers = Numbers::new(known, limits::MAX_ATTACHMENTS);
        let mut counts = BTreeMap::new();
        for (id, wanted) in &desired.attachments {
            let Some(host) = attached.get(id) else { continue };
            let Some(number) = numbers.of(nth(&mut counts, wanted.vpc)) else { continue };
            let vlan = wanted.vlan.unwrap_or(0);
            let attachment = Attachment {
                ifindex: host.ifindex,
                vlan,
                vpc: wanted.vpc,
                address: wanted.address.into(),
                mac: host.mac,
                flags: host.flags,
                mtu: host.mtu,
                id: id.as_u128().to_be_bytes(),
            };
            self.out.target.attachments.insert(number, attachment);
            self.out.target.interfaces.insert(InterfaceKey { ifindex: host.ifindex, vlan, pad: 0 }, number);
            for address in &host.host_addresses {
                self.address(wanted.vpc, *address, NO_ENDPOINT);
            }
            let number = u16::try_from(number).expect("attachment numbers stay below MAX_ATTACHMENTS");
            self.vpcs.entry(wanted.vpc).or_default().push((number, wanted.clone()));
        }
    }

    /// Leaves what sessions may still name in place, out of use.
    fn keep_busy(&mut self) {
        let target = &mut self.out.target;
        for number in &self.busy.attachments {
            if let Some(known) = self.observed.attachments.get(number) {
                target.attachments.entry(*number).or_insert(Attachment { ifindex: 0, ..*known });
            }
        }
        for number in &self.busy.next_hops {
            if let Some(known) = self.observed.next_hops.get(number) {
                target.next_hops.insert(*number, *known);
                target.neighbours.insert(neighbour_key(known), u32::from(*number));
            }
        }
        for number in &self.busy.backends {
            if let Some(known) = self.observed.backends.get(number) {
                target.backends.insert(*number, *known);
            }
        }
    }

    fn note_retained(&mut self) {
        let Compiled { target, retained, .. } = &mut self.out;
        let unused = |number: &&u16, used: &BTreeSet<u32>| !used.contains(&u32::from(**number));
        retained.next_hops =
            self.busy.next_hops.iter().filter(|n| unused(n, &self.hops.used)).copied().collect();
        retained.backends =
            self.busy.backends.iter().filter(|n| unused(n, &self.backends.used)).copied().collect();
        let is_off = |number: &&u32| target.attachments.get(number).is_some_and(|a| a.ifindex == 0);
        retained.attachments = self.busy.attachments.iter().filter(is_off).copied().collect();
        retained.endpoints = self.busy.endpoints.difference(&self.endpoints).copied().collect();
    }

    fn endpoints(&mut self, desired: &Desired, max_endpoints: u32) {
        let mut numbers =
            Numbers::new(self.observed.policies.iter().map(|(number, p)| (p.id, *number)), max_endpoints);
        for (id, wanted) in &desired.endpoints {
            let Some(number) = numbers.of(id.as_u128().to_be_bytes()) else {
                self.out
                    .failed
                    .insert(*id, format!("more endpoints than max_endpoints ({max_endpoints}) allows"));
                continue;
            };
            if let Err(reason) = self.endpoint(*id, number, wanted) {
                self.out.failed.insert(*id, reason);
            }
        }
        self.endpoints = numbers.used;
        for number in &self.busy.endpoints {
            let Some(known) = self.observed.policies.get(number) else { continue };
            self.out.target.policies.entry(*number).or_insert_with(|| retired(known));
        }
    }

    fn endpoint(&mut self, id: EndpointId, number: u32, wanted: &DesiredEndpoint) -> Result<(), String> {
        let servers = match &wanted.servers {
            Some(servers) => self.servers(wanted.provider_vpc, servers)?,
            None => 0,
        };
        let target = &mut self.out.target;
        for (address, port) in wanted.address.iter().flat_map(|at| wanted.ports.iter().map(move |p| (*at, p)))
        {
            let key = EndpointKey {
                address: address.into(),
                port: Be16::new(port.client_port),
                vpc: wanted.vpc,
                protocol: port.protocol,
                pad: [0; 3],
            };
            let value = EndpointValue { endpoint: number, server_port: Be16::new(port.server_port), pad: 0 };
            target.ports.insert(key, value);
        }
        for cidr in wanted.whitelist.iter().flatten() {
            let key = AclKey { endpoint: Be32::new(number), source: cidr.network().into() };
            target.acl.insert((key, cidr.prefix_len()));
        }
        let policy = Policy { servers, ..self.policy(id, number, wanted) };
        self.out.target.policies.insert(number, policy);
        if let Some(address) = wanted.address {
            self.address(wanted.vpc, address, number);
            let tlvs = tlv::fields(wanted.client_address.profile, wanted.marker, id);
            self.out.target.tlvs.insert(number, tlvs);
        }
        self.routes(number, wanted)
    }

    fn subnets(&mut self, desired: &Desired) {
        let key = |(vpc, subnet): &(u16, Cidr)| {
            let source = subnet.network().into();
            (SubnetKey { vpc: Be32::new(u32::from(*vpc)), source }, subnet.prefix_len())
        };
        self.out.target.subnets = desired.routed_subnets.iter().map(key).collect();
    }

    fn routes(&mut self, endpoint: u32, wanted: &DesiredEndpoint) -> Result<(), String> {
        for route in &wanted.routes {
            for (destination, way) in self.ways(wanted.provider_vpc, route.destination)? {
                let key = RouteKey {
                    vpc: Be32::new(wanted.vpc.into()),
                    subnet: route.subnet.map_or(DEFAULT_TABLE, |subnet| subnet.network().into()),
                    destination: destination.network().into(),
                };
                let value = Route { endpoint, vpc: wanted.provider_vpc, ..way };
                self.out.target.routes.insert((key, destination.prefix_len()), value);
            }
        }
        Ok(())
    }

    /// The ways into a network: the one to most of it, and those parts that are on a link.
    fn ways(&mut self, vpc: u16, network: Cidr) -> Result<Vec<(Cidr, Route)>, String> {
        let way = match self.way(vpc, network) {
            None => Route::default(),
            Some((attachment, router)) => {
                let hop = router.map(|address| Hop { vpc, address, attachment });
                let next_hop = hop.map_or(Ok(0), |hop| self.hop(hop))?;
                Route { attachment, next_hop, ..Route::default() }
            }
        };
        let links = self.vpcs.get(&vpc).into_iter().flatten();
        let links = links.map(|(number, attachment)| (*number, link(attachment)));
        let inside = links.filter(|(_, link)| network.covers(*link) && *link != network);
        let inside = inside.map(|(attachment, link)| (link, Route { attachment, ..Route::default() }));
        Ok(std::iter::once((network, way)).chain(inside).collect())
    }

    fn policy(&self, id: EndpointId, number: u32, wanted: &DesiredEndpoint) -> Policy {
        let mut flags = 0;
        if wanted.accepted {
            flags |= policy::ACCEPTED;
        }
        if wanted.whitelist.is_some() {
            flags |= policy::WHITELIST;
        }
        flags |= match wanted.refusal {
            Refusal::Reset => 0,
            Refusal::Silent => policy::SILENT,
            Refusal::Icmp => policy::ICMP,
        };
        if wanted.client_address.means.has_toa() {
            flags |= policy::TOA;
        }
        if wanted.client_address.means.has_header() {
            flags |= policy::PROXY;
        }
        let id = id.as_u128().to_be_bytes();
        let generation = match self.observed.policies.get(&number) {
            Some(known)
                if known.id == id && known.word & 0xffff_ffff == flags && !self.acl_changes(number) =>
            {
                policy::generation(known.word)
            }
            Some(known) => policy::generation(known.word).wrapping_add(1),
            None => 1,
        };
        Policy {
            word: policy::word(flags, generation),
            limit: wanted.limits.connections,
            provider_vpc: wanted.provider_vpc,
            vpc: wanted.vpc,
            address: wanted.address.unwrap_or(Ipv4Addr::UNSPECIFIED).into(),
            half_open: wanted.limits.half_open,
            id,
            connection_cost: connection_cost(wanted.limits.connection_rate),
            byte_cost: byte_cost(wanted.limits.bandwidth),
            servers: 0,
            // A reset would tell the client of a silent endpoint what silence keeps from it.
            idle: idle::new(
                ticks(wanted.idle.timeout_secs()),
                wanted.idle.reset && wanted.refusal != Refusal::Silent,
            ),
            pad: [0; 2],
        }
    }

    fn acl_changes(&self, number: u32) -> bool {
        let of = |tables: &Tables| {
            let from = (AclKey { endpoint: Be32::new(number), source: Be32(0) }, 0);
            let to = (AclKey { endpoint: Be32::new(number), source: Be32(u32::MAX) }, u8::MAX);
            tables.acl.range(from..=to).copied().collect::<Vec<_>>()
        };
        of(self.observed) != of(&self.out.target)
    }

    fn address(&mut self, vpc: u16, address: Ipv4Addr, endpoint: u32) {
        let key = EndpointKey { address: address.into(), port: Be16(0), vpc, protocol: 0, pad: [0; 3] };
        self.out.target.ports.insert(key, EndpointValue { endpoint, server_port: Be16(0), pad: 0 });
    }

    /// Where connections to a backend resource go.
    fn servers(&mut self, vpc: u16, wanted: &Servers) -> Result<u32, String> {
        if let Some(known) = self.servers.get(&wanted.id) {
            return known.clone();
        }
        let made = self.make_servers(vpc, wanted);
        self.servers.insert(wanted.id, made.clone());
        made
    }

    fn make_servers(&mut self, vpc: u16, wanted: &Servers) -> Result<u32, String> {
        let mut shares = Vec::with_capacity(wanted.members.len());
        for member in wanted.members.iter().take(limits::MAX_MEMBERS) {
            // Also of one that gets no new connections: health checks go to it.
            let backend = self.backend(vpc, member)?;
            if member.takes_connections {
                let port = u64::from(member.port.unwrap_or(0));
                let name = u64::from(u32::from(member.address)) << 16 | port;
                shares.push(Share { backend, weight: member.weight, name });
            }
        }
        let several = match shares.as_slice() {
            [] => return Ok(0),
            [only] => return Ok(u32::from(only.backend)),
            several => several,
        };
        let id = wanted.id.as_u128().to_be_bytes();
        let number = self
            .rings
            .short(id)
            .ok_or_else(|| format!("more than {} load balancers on this host", limits::MAX_RINGS - 1))?;
        let (ring, order) = match wanted.algorithm {
            Algorithm::RoundRobin => (Ring::round_robin(id, several), 0),
            Algorithm::SourceHash => (Ring::source_hash(id, several), servers::SOURCE_HASH),
        };
        self.out.target.rings.insert(number, Box::new(ring));
        Ok(servers::RING | order | u32::from(number))
    }

    /// Number of a backend, which is made if nobody has it yet.
    fn backend(&mut self, vpc: u16, wanted: &DesiredBackend) -> Result<u16, String> {
        let next_hop = self.next_hop(vpc, wanted.address)?;
        let backend = Backend {
            address: wanted.address.into(),
            port: Be16::new(wanted.port.unwrap_or(0)),
            vpc,
            next_hop,
            pad: 0,
        };
        let number = self
            .backends
            .short(backend)
            .ok_or_else(|| format!("more than {} backends on this host", limits::MAX_BACKENDS))?;
        self.out.target.backends.insert(number, backend);
        Ok(number)
    }

    /// Number of the next hop towards an address; 0 while its VPC is not attached.
    fn next_hop(&mut self, vpc: u16, address: Ipv4Addr) -> Result<u16, String> {
        match self.route(vpc, address) {
            Some(hop) => self.hop(hop),
            None => Ok(0),
        }
    }

    fn hop(&mut self, hop: Hop) -> Result<u16, String> {
        let number = self
            .hops
            .short(hop)
            .ok_or_else(|| format!("more than {} neighbours on this host", limits::MAX_NEXT_HOPS))?;
        self.out.target.next_hops.insert(number, hop);
        self.out.target.neighbours.insert(neighbour_key(&hop), u32::from(number));
        Ok(number)
    }

    /// The neighbour that packets to an address go to.
    fn route(&self, vpc: u16, address: Ipv4Addr) -> Option<Hop> {
        let (attachment, router) = self.way(vpc, Cidr::host(address))?;
        Some(Hop { vpc, address: router.unwrap_or(address), attachment })
    }

    /// The attachment that leads to a network, and the router if it is not on the link: through
    /// the attachment with the longest prefix around it; else through an attachment's router; else
    /// as if on-link.
    fn way(&self, vpc: u16, network: Cidr) -> Option<(u16, Option<Ipv4Addr>)> {
        let attachments = self.vpcs.get(&vpc)?;
        let around = attachments.iter().filter(|(_, attachment)| link(attachment).covers(network));
        if let Some((number, _)) = around.max_by_key(|(_, attachment)| attachment.prefix_len) {
            return Some((*number, None));
        }
        let routed = attachments.iter().find(|(_, attachment)| attachment.next_hop.is_some());
        let (number, attachment) = routed.or_else(|| attachments.first())?;
        Some((*number, attachment.next_hop))
    }
}

/// The network that an attachment is on.
fn link(attachment: &DesiredAttachment) -> Cidr {
    Cidr::containing(attachment.address, attachment.prefix_len)
}

/// The how manieth attachment of its VPC this is.
fn nth(counts: &mut BTreeMap<u16, u32>, vpc: u16) -> (u16, u32) {
    let count = counts.entry(vpc).or_default();
    *count += 1;
    (vpc, *count)
}

fn neighbour_key(hop: &Hop) -> NeighbourKey {
    NeighbourKey { address: hop.address.into(), vpc: hop.vpc, pad: 0 }
}

/// A policy whose endpoint is gone: nothing passes, and the number keeps its owner.
fn retired(known: &Policy) -> Policy {
    let flags = known.word & policy::SILENT;
    let known = Policy { servers: 0, ..*known };
    if known.word & 0xffff_ffff == flags {
        return known;
    }
    Policy { word: policy::word(flags, policy::generation(known.word).wrapping_add(1)), ..known }
}

/// Hands out numbers from 1 up to a limit (exclusive); owners keep theirs.
struct Numbers<K> {
    known: BTreeMap<K, u32>,
    /// Everybody's, at the start.
    taken: BTreeSet<u32>,
    /// Asked for since.
    used: BTreeSet<u32>,
    next: u32,
    limit: u32,
}

impl<K: Ord> Numbers<K> {
    fn new(known: impl Iterator<Item = (K, u32)>, limit: u32) -> Self {
        let known: BTreeMap<K, u32> = known.collect();
        let taken = known.values().copied().collect();
        Self { known, taken, used: BTreeSet::new(), next: 1, limit }
    }

    /// The number of an owner, old or new; `None` when none is left.
    fn of(&mut self, owner: K) -> Option<u32> {
        if let Some(number) = self.known.get(&owner) {
            self.used.insert(*number);
            return Some(*number);
        }
        while self.taken.contains(&self.next) {
            self.next += 1;
        }
        if self.next >= self.limit {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.known.insert(owner, number);
        self.used.insert(number);
        Some(number)
    }

    /// Like [`Self::of`], for numbers that have 16 bits in a session.
    fn short(&mut self, owner: K) -> Option<u16> {
        self.of(owner).and_then(|number| u16::try_from(number).ok())
    }
}

#[cfg(test)]
mod tests;

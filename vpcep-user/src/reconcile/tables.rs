//! The kernel's tables as plain data, and the difference of two of them.
//!
//! [`Tables`] is both what is in the kernel (read from it) and what should be
//! (made by [`super::compile`]). [`plan`] is their difference as ordered
//! [`Action`]s; applying them to the one gives the other, and a second plan is
//! empty.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use vpcep_common::acl::AclKey;
use vpcep_common::attachment::{Attachment, InterfaceKey, NeighbourKey};
use vpcep_common::client_address::Tlvs;
use vpcep_common::endpoint::{Backend, EndpointKey, EndpointValue, Policy, policy};
use vpcep_common::ring::Ring;
use vpcep_common::route::{Route, RouteKey, SubnetKey};

/// A client prefix of an endpoint's whitelist: endpoint and network, and the
/// length of the client's prefix (0..=32).
pub type AclEntry = (AclKey, u8);

/// A subnet and the length of its prefix.
pub type SubnetEntry = (SubnetKey, u8);

/// A destination and the length of its prefix.
pub type RouteEntry = (RouteKey, u8);

/// A next hop without its MAC, which the programs alone write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// VPC number.
    pub vpc: u16,
    /// Address of the neighbour.
    pub address: Ipv4Addr,
    /// Attachment it is reached through.
    pub attachment: u16,
}

/// Contents of the maps that user space owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// By attachment number (1..).
    pub attachments: BTreeMap<u32, Attachment>,
    /// Interface to attachment number.
    pub interfaces: BTreeMap<InterfaceKey, u32>,
    /// By next-hop number (1..).
    pub next_hops: BTreeMap<u16, Hop>,
    /// Neighbour to next-hop number, for ARP.
    pub neighbours: BTreeMap<NeighbourKey, u32>,
    /// By backend number (1..).
    pub backends: BTreeMap<u16, Backend>,
    /// By endpoint number (1..). One without its `ACCEPTED` flag and without
    /// ports is a number waiting for its last sessions to end.
    pub policies: BTreeMap<u32, Policy>,
    /// By endpoint number: what names the endpoint in PROXY headers. Of all with an address, so that
    /// a header that is on its way is whole also when its service has just stopped to want any.
    pub tlvs: BTreeMap<u32, Tlvs>,
    /// By ring number (1..).
    pub rings: BTreeMap<u16, Box<Ring>>,
    /// Mapped ports, endpoint addresses and host addresses.
    pub ports: BTreeMap<EndpointKey, EndpointValue>,
    /// Client whitelists.
    pub acl: BTreeSet<AclEntry>,
    /// Subnets with a route table of their own.
    pub subnets: BTreeSet<SubnetEntry>,
    /// Destinations of gateway endpoints.
    pub routes: BTreeMap<RouteEntry, Route>,
}

/// One change to the kernel; doing it twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write an attachment; all zero frees the number.
    SetAttachment(u32, Attachment),
    /// Lead an interface to an attachment.
    SetInterface(InterfaceKey, u32),
    /// Frames of an interface go to the stack again.
    RemoveInterface(InterfaceKey),
    /// Write a next hop; `None` frees the number.
    SetNextHop(u16, Option<Hop>),
    /// Learn a neighbour's MAC from ARP.
    SetNeighbour(NeighbourKey, u32),
    /// Stop learning.
    RemoveNeighbour(NeighbourKey),
    /// Write a backend; all zero frees the number.
    SetBackend(u16, Backend),
    /// Zero the counters of an endpoint number that gets a new owner.
    ResetCounters(u32),
    /// Write a policy; all zero frees the number.
    SetPolicy(u32, Policy),
    /// Write what names an endpoint in PROXY headers; all zero frees the number.
    SetTlvs(u32, Tlvs),
    /// Write a load balancer's ring; `None` frees the number.
    SetRing(u16, Option<Box<Ring>>),
    /// Add or change a mapped port or an address.
    SetPort(EndpointKey, EndpointValue),
    /// Remove one.
    RemovePort(EndpointKey),
    /// Admit a client prefix.
    AddAcl(AclEntry),
    /// Admit it no longer.
    RemoveAcl(AclEntry),
    /// Give a subnet routes of its own instead of the default ones.
    AddSubnet(SubnetEntry),
    /// Give it the default ones again.
    RemoveSubnet(SubnetEntry),
    /// Lead a destination to an endpoint.
    SetRoute(RouteEntry, Route),
    /// Lead it nowhere.
    RemoveRoute(RouteEntry),
}

/// The actions that lead from `observed` to `target`.
///
/// Order matters to packets that pass meanwhile. What others refer to is there
/// before them and goes after them. A policy's word changes after whatever
/// makes it stricter and before whatever makes it more lenient: a session that
/// is checked again under the new generation must not find the old whitelist.
#[must_use]
pub fn plan(observed: &Tables, target: &Tables) -> Vec<Action> {
    let mut actions = Vec::new();
    for (number, attachment) in changed(&observed.attachments, &target.attachments) {
        actions.push(Action::SetAttachment(number, attachment));
    }
    for (number, hop) in changed(&observed.next_hops, &target.next_hops) {
        actions.push(Action::SetNextHop(number, Some(hop)));
    }
    for (key, number) in changed(&observed.neighbours, &target.neighbours) {
        actions.push(Action::SetNeighbour(key, number));
    }
    for (number, backend) in changed(&observed.backends, &target.backends) {
        actions.push(Action::SetBackend(number, backend));
    }
    for key in gone(&observed.ports, &target.ports) {
        actions.push(Action::RemovePort(key));
    }
    actions.extend(gone(&observed.routes, &target.routes).map(Action::RemoveRoute));
    actions.extend(observed.subnets.difference(&target.subnets).copied().map(Action::RemoveSubnet));
    plan_policies(observed, target, &mut actions);
    for (key, value) in changed(&observed.ports, &target.ports) {
        actions.push(Action::SetPort(key, value));
    }
    actions
        .extend(changed(&observed.routes, &target.routes).map(|(key, route)| Action::SetRoute(key, route)));
    actions.extend(target.subnets.difference(&observed.subnets).copied().map(Action::AddSubnet));
    for (key, number) in changed(&observed.interfaces, &target.interfaces) {
        actions.push(Action::SetInterface(key, number));
    }
    for key in gone(&observed.interfaces, &target.interfaces) {
        actions.push(Action::RemoveInterface(key));
    }
    for number in gone(&observed.policies, &target.policies) {
        actions.push(Action::SetPolicy(number, Policy::default()));
    }
    for number in gone(&observed.backends, &target.backends) {
        actions.push(Action::SetBackend(number, Backend::default()));
    }
    for key in gone(&observed.neighbours, &target.neighbours) {
        actions.push(Action::RemoveNeighbour(key));
    }
    for number in gone(&observed.next_hops, &target.next_hops) {
        actions.push(Action::SetNextHop(number, None));
    }
    for number in gone(&observed.attachments, &target.attachments) {
        actions.push(Action::SetAttachment(number, Attachment::default()));
    }
    actions
}

/// Rings, names in headers, whitelists and policies, in the order [`plan`] explains.
fn plan_policies(observed: &Tables, target: &Tables, actions: &mut Vec<Action>) {
    for (number, wanted) in changed(&observed.policies, &target.policies) {
        if observed.policies.get(&number).is_none_or(|known| known.id != wanted.id) {
            actions.push(Action::ResetCounters(number));
        }
    }
    for (number, ring) in changed(&observed.rings, &target.rings) {
        actions.push(Action::SetRing(number, Some(ring)));
    }
    actions.extend(changed(&observed.tlvs, &target.tlvs).map(|(number, tlvs)| Action::SetTlvs(number, tlvs)));
    for entry in target.acl.difference(&observed.acl) {
        actions.push(Action::AddAcl(*entry));
    }
    let (before, after): (Vec<AclEntry>, Vec<AclEntry>) =
        observed.acl.difference(&target.acl).partition(|(key, _)| {
            target.policies.get(&key.endpoint.get()).is_some_and(|p| p.word & policy::WHITELIST != 0)
        });
    actions.extend(before.into_iter().map(Action::RemoveAcl));
    for (number, wanted) in changed(&observed.policies, &target.policies) {
        actions.push(Action::SetPolicy(number, wanted));
    }
    actions.extend(after.into_iter().map(Action::RemoveAcl));
    for number in gone(&observed.tlvs, &target.tlvs) {
        actions.push(Action::SetTlvs(number, Tlvs::default()));
    }
    for number in gone(&observed.rings, &target.rings) {
        actions.push(Action::SetRing(number, None));
    }
}

/// What `target` has and `observed` has not, or has otherwise.
fn changed<K: Ord + Copy, V: PartialEq + Clone>(
    observed: &BTreeMap<K, V>,
    target: &BTreeMap<K, V>,
) -> impl Iterator<Item = (K, V)> {
    target
        .iter()
        .filter(|(key, value)| observed.get(key) != Some(value))
        .map(|(key, value)| (*key, value.clone()))
}

/// What `observed` has and `target` has not.
fn gone<K: Ord + Copy, V>(observed: &BTreeMap<K, V>, target: &BTreeMap<K, V>) -> impl Iterator<Item = K> {
    observed.keys().filter(|key| !target.contains_key(key)).copied()
}

impl Tables {
    /// What an action does to the tables; the kernel side is `datapath::maps`.
    pub fn apply(&mut self, action: &Action) {
        match *action {
            Action::SetAttachment(number, value) if value == Attachment::default() => {
                self.attachments.remove(&number);
            }
            Action::SetAttachment(number, value) => {
                self.attachments.insert(number, value);
            }
            Action::SetInterface(key, number) => {
                self.interfaces.insert(key, number);
            }
            Action::RemoveInterface(key) => {
                self.interfaces.remove(&key);
            }
            Action::SetNextHop(number, Some(hop)) => {
                self.next_hops.insert(number, hop);
            }
            Action::SetNextHop(number, None) => {
                self.next_hops.remove(&number);
            }
            Action::SetNeighbour(key, number) => {
                self.neighbours.insert(key, number);
            }
            Action::RemoveNeighbour(key) => {
                self.neighbours.remove(&key);
            }
            Action::SetBackend(number, value) if value == Backend::default() => {
                self.backends.remove(&number);
            }
            Action::SetBackend(number, value) => {
                self.backends.insert(number, value);
            }
            Action::ResetCounters(_) => {}
            Action::SetPolicy(number, value) if value == Policy::default() => {
                self.policies.remove(&number);
            }
            Action::SetPolicy(number, value) => {
                self.policies.insert(number, value);
            }
            Action::SetTlvs(number, value) if value == Tlvs::default() => {
                self.tlvs.remove(&number);
            }
            Action::SetTlvs(number, value) => {
                self.tlvs.insert(number, value);
            }
            Action::SetRing(number, Some(ref ring)) => {
                self.rings.insert(number, ring.clone());
            }
            Action::SetRing(number, None) => {
                self.rings.remove(&number);
            }
            Action::SetPort(key, value) => {
                self.ports.insert(key, value);
            }
            Action::RemovePort(key) => {
                self.ports.remove(&key);
            }
            Action::AddAcl(entry) => {
                self.acl.insert(entry);
            }
            Action::RemoveAcl(entry) => {
                self.acl.remove(&entry);
            }
            Action::AddSubnet(entry) => {
                self.subnets.insert(entry);
            }
            Action::RemoveSubnet(entry) => {
                self.subnets.remove(&entry);
            }
            Action::SetRoute(entry, route) => {
                self.routes.insert(entry, route);
            }
            Action::RemoveRoute(entry) => {
                self.routes.remove(&entry);
            }
        }
    }
}

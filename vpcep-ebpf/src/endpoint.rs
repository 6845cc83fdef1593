//! Which endpoint is addressed, and what its policy says.

use vpcep_common::be::{Be16, Be32};
use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::{EndpointKey, EndpointValue, NO_ENDPOINT, policy};
use vpcep_common::route::Route;

use crate::maps::{ENDPOINTS, POLICIES};
use crate::parse::Headers;
use crate::verdict::{Answer, Refusal};
use crate::{acl, atomic, route};

/// What an address is in a VPC.
pub enum Address {
    /// An endpoint's, by number.
    Endpoint(u32),
    /// The host's own: its packets belong to the stack.
    Host,
    /// Nobody's in the VPC, but an endpoint leads there.
    Routed(Route),
    /// Nothing of ours.
    Other,
}

/// A port mapping that is addressed.
#[derive(Default)]
pub struct Mapping {
    /// Endpoint number.
    pub endpoint: u32,
    /// Port at the backend.
    pub server_port: Be16,
}

/// The mapping addressed by a packet, if there is one.
#[inline(always)]
pub fn mapping(vpc: u16, headers: &Headers) -> Option<Mapping> {
    let value = lookup(vpc, headers.destination, headers.destination_port, headers.protocol)?;
    Some(Mapping { endpoint: value.endpoint, server_port: value.server_port })
}

/// Whose the destination of a packet is.
#[inline(always)]
pub fn destination(vpc: u16, headers: &Headers) -> Address {
    match address(vpc, headers.destination) {
        Address::Other => route::find(vpc, headers).map_or(Address::Other, Address::Routed),
        known => known,
    }
}

/// Whose an address is in a VPC, routes apart.
#[inline(always)]
pub fn address(vpc: u16, address: Be32) -> Address {
    match lookup(vpc, address, Be16(0), 0) {
        None => Address::Other,
        Some(value) if value.endpoint == NO_ENDPOINT => Address::Host,
        Some(value) => Address::Endpoint(value.endpoint),
    }
}

#[inline(always)]
fn lookup(vpc: u16, address: Be32, port: Be16, protocol: u8) -> Option<EndpointValue> {
    let key = EndpointKey { address, port, vpc, protocol, pad: [0; 3] };
    // SAFETY: a preallocated hash may reuse an element under a reader; the
    // policy of the endpoint found is checked next, and a packet that races
    // with its endpoint's removal may count as sent before it.
    unsafe { ENDPOINTS.get(key) }.copied()
}

/// An endpoint's policy, as one consistent word and what rarely changes.
#[derive(Clone, Copy)]
pub struct Policy {
    /// Endpoint number.
    pub endpoint: u32,
    /// See `vpcep_common::endpoint::policy`.
    pub word: u64,
    /// Most concurrent connections.
    pub limit: u32,
    /// Most unfinished handshakes; 0 for no limit.
    pub half_open: u32,
    /// See `vpcep_common::endpoint::Policy`.
    pub connection_cost: u32,
    /// See `vpcep_common::ring::servers`.
    pub servers: u32,
    /// See `vpcep_common::endpoint::idle`.
    pub idle: u32,
}

impl Policy {
    /// The policy of an endpoint number.
    #[inline(always)]
    pub fn of(endpoint: u32) -> Option<Self> {
        let value = POLICIES.get_ptr(endpoint)?;
        // SAFETY: a pointer into the map; user space replaces the word whole.
        let word = unsafe { atomic::load(&raw const (*value).word) };
        // SAFETY: as above.
        let (limit, half_open) = unsafe { ((*value).limit, (*value).half_open) };
        // SAFETY: as above.
        let (connection_cost, servers) = unsafe { ((*value).connection_cost, (*value).servers) };
        // SAFETY: as above.
        let idle = unsafe { (*value).idle };
        Some(Self { endpoint, word, limit, half_open, connection_cost, servers, idle })
    }

    /// Raised with every change.
    #[inline(always)]
    pub fn generation(&self) -> u32 {
        policy::generation(self.word)
    }

    /// Whether this client may use the endpoint now.
    #[inline(always)]
    pub fn admits(&self, client: Be32) -> Result<(), DropReason> {
        if self.word & policy::ACCEPTED == 0 {
            return Err(DropReason::NotAccepted);
        }
        if self.word & policy::WHITELIST != 0 && !acl::contains(self.endpoint, client) {
            return Err(DropReason::NotWhitelisted);
        }
        Ok(())
    }

    /// A refusal the way the endpoint wants it.
    #[inline(always)]
    pub fn refuse(&self, reason: DropReason) -> Refusal {
        let answer = match self.word & (policy::SILENT | policy::ICMP) {
            0 => Answer::Reset,
            policy::ICMP => Answer::Icmp,
            _ => Answer::Silence,
        };
        Refusal { answer, ..Refusal::of(self.endpoint, reason) }
    }
}

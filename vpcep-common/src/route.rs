//! Routes of gateway-type endpoints: destinations that keep their address.
//!
//! A packet to an address that is nobody's in the VPC is looked up twice: its source gives the
//! subnet whose route table it has ([`SubnetKey`]), and that subnet and its destination the
//! endpoint ([`RouteKey`]). Both are LPM tries; the longest prefix wins.

use crate::be::Be32;

/// Data of a `SUBNETS` key: a subnet that was given a route table other than the default one. The
/// VPC is always matched whole.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubnetKey {
    /// VPC number.
    pub vpc: Be32,
    /// Network; in a lookup the packet's source.
    pub source: Be32,
}

impl SubnetKey {
    /// Bits before the network.
    pub const FIXED_BITS: u32 = 32;
}

/// The subnet of all sources that have the default route table, also of those beyond the VPC
/// which a router brings in.
pub const DEFAULT_TABLE: Be32 = Be32(0);

/// Data of a `ROUTES` key. VPC and subnet are always matched whole.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// VPC number.
    pub vpc: Be32,
    /// Network of the subnet, or [`DEFAULT_TABLE`].
    pub subnet: Be32,
    /// Network of the service; in a lookup the packet's destination.
    pub destination: Be32,
}

impl RouteKey {
    /// Bits before the destination.
    pub const FIXED_BITS: u32 = 64;
}

/// Value of `ROUTES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Endpoint number.
    pub endpoint: u32,
    /// Provider VPC number.
    pub vpc: u16,
    /// Attachment of that VPC the destinations are reached through; 0 while there is none.
    pub attachment: u16,
    /// Next-hop number of the router; 0 when the destinations are on the link themselves.
    pub next_hop: u16,
    /// Zero.
    pub pad: u16,
}
const _: () = assert!(size_of::<Route>() == 12);

/// Entry of `WANTED`: a neighbour on the link that a packet was for and nobody has asked for yet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Its address.
    pub address: Be32,
    /// VPC number.
    pub vpc: u16,
    /// Attachment it should be on.
    pub attachment: u16,
}
const _: () = assert!(size_of::<Wanted>() == 8);

//! Destinations of gateway-type endpoints: which endpoint leads to them, and who is next on the way.

use aya_ebpf::bindings::BPF_EXIST;
use aya_ebpf::maps::lpm_trie::Key;
use vpcep_common::attachment::NeighbourKey;
use vpcep_common::be::Be32;
use vpcep_common::counter::DropReason;
use vpcep_common::route::{DEFAULT_TABLE, Route, RouteKey, SubnetKey, Wanted};

use crate::maps::{NEIGHBOURS, ROUTES, SUBNETS, WANTED};
use crate::parse::Headers;

/// The route of a packet whose destination is nobody's in its VPC.
#[inline(always)]
pub fn find(vpc: u16, headers: &Headers) -> Option<Route> {
    let vpc = Be32::new(u32::from(vpc));
    let of_source = Key::new(SubnetKey::FIXED_BITS + 32, SubnetKey { vpc, source: headers.source });
    let subnet = SUBNETS.get(of_source).copied().unwrap_or(DEFAULT_TABLE);
    let key = RouteKey { vpc, subnet, destination: headers.destination };
    ROUTES.get(Key::new(RouteKey::FIXED_BITS + 32, key)).copied()
}

/// Next-hop number on the way to a destination. User space is told of a neighbour
/// that it has to ask for first; the sender retransmits.
#[inline(always)]
pub fn next_hop(route: &Route, destination: Be32) -> Result<u16, DropReason> {
    if route.attachment == 0 {
        return Err(DropReason::NoAttachment);
    }
    if route.next_hop != 0 {
        return Ok(route.next_hop);
    }
    let key = NeighbourKey { address: destination, vpc: route.vpc, pad: 0 };
    // SAFETY: the number names an array element, which is only followed if it is of this VPC.
    if let Some(number) = unsafe { NEIGHBOURS.get(key) } {
        return Ok(*number as u16);
    }
    let wanted = Wanted { address: destination, vpc: route.vpc, attachment: route.attachment };
    // A full queue forgets the oldest: what is still wanted is sent again.
    let _ = WANTED.push(wanted, u64::from(BPF_EXIST));
    Err(DropReason::NeighbourUnresolved)
}

//! Endpoint addresses, what each allows, and the backends behind them.

use crate::be::{Be16, Be32};
use crate::limits::RING_SIZE;

/// Key of `ENDPOINTS`: one mapped port of one endpoint; with port and protocol
/// 0, the address itself (which ARP answers for).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointKey {
    /// Endpoint address.
    pub address: Be32,
    /// Client port; 0 for the address itself.
    pub port: Be16,
    /// Consumer VPC number.
    pub vpc: u16,
    /// IANA protocol number; 0 for the address itself.
    pub protocol: u8,
    /// Zero.
    pub pad: [u8; 3],
}
const _: () = assert!(size_of::<EndpointKey>() == 12);

/// Value of `ENDPOINTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointValue {
    /// Endpoint number (1..); [`NO_ENDPOINT`] marks an address of the host
    /// itself, whose packets belong to the stack.
    pub endpoint: u32,
    /// Port at the backend.
    pub server_port: Be16,
    /// Zero.
    pub pad: u16,
}

/// The number that stands for no endpoint; its counters take what belongs to none.
pub const NO_ENDPOINT: u32 = 0;

/// What one endpoint allows. `word` is one 64-bit load, so that a packet sees
/// either the old policy or the new one: see [`policy`].
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Flags in the low half, generation in the high half.
    pub word: u64,
    /// Most concurrent connections.
    pub limit: u32,
    /// Provider VPC number.
    pub provider_vpc: u16,
    /// Consumer VPC number.
    pub vpc: u16,
    /// Endpoint address; 0 of one that has routes instead.
    pub address: Be32,
    /// Most connections whose handshake is not finished; 0 for no limit.
    pub half_open: u32,
    /// Id of the endpoint in the model; all zero marks a free number.
    pub id: [u8; 16],
    /// [`crate::meter::connection_cost`] of new connections.
    pub connection_cost: u32,
    /// [`crate::meter::byte_cost`] of each direction.
    pub byte_cost: u32,
    /// Zero.
    pub pad: [u32; 4],
}
const _: () = assert!(size_of::<Policy>() == 64);

/// Bits of [`Policy::word`].
pub mod policy {
    /// Connections may be opened and packets flow.
    pub const ACCEPTED: u64 = 1 << 0;
    /// Only clients in the whitelist.
    pub const WHITELIST: u64 = 1 << 1;
    /// A refused client gets silence instead of a reset.
    pub const SILENT: u64 = 1 << 2;

    /// Raised by one with every change of the policy. A session carries the
    /// generation it was last checked under; a mismatch is checked again.
    #[inline(always)]
    pub const fn generation(word: u64) -> u32 {
        (word >> 32) as u32
    }

    /// A word from its parts.
    #[inline(always)]
    pub const fn word(flags: u64, generation: u32) -> u64 {
        (flags & 0xffff_ffff) | ((generation as u64) << 32)
    }
}

/// Which backend a new connection goes to: a position picked by hash holds a
/// backend number, each backend in proportion to its weight. 0 is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Backend numbers.
    pub backends: [u16; RING_SIZE],
}

impl Default for Ring {
    fn default() -> Self {
        Self { backends: [0; RING_SIZE] }
    }
}

/// One server.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// Address in the provider VPC.
    pub address: Be32,
    /// The member's own port; 0 keeps the mapping's.
    pub port: Be16,
    /// Provider VPC number; 0 marks a free number.
    pub vpc: u16,
    /// Next-hop number; 0 is none.
    pub next_hop: u16,
    /// Zero.
    pub pad: u16,
}
const _: () = assert!(size_of::<Backend>() == 12);

/// Fills a ring with `(backend number, weight)`: each backend gets its share of
/// the positions by largest remainder, at least one, spread evenly. More
/// backends than positions leave the surplus out.
///
/// ```
/// # use vpcep_common::endpoint::fill_ring;
/// let ring = fill_ring(&[(7, 3), (9, 1)]);
/// assert_eq!(ring.backends.iter().filter(|b| **b == 7).count(), 48);
/// ```
pub fn fill_ring(backends: &[(u16, u8)]) -> Ring {
    let mut ring = Ring::default();
    let backends = &backends[..backends.len().min(RING_SIZE)];
    if backends.is_empty() {
        return ring;
    }
    // Smooth weighted round robin (as nginx does it): every step each backend
    // gains its weight, the richest is taken and pays the total.
    let total: i32 = backends.iter().map(|(_, weight)| i32::from(*weight).max(1)).sum();
    let mut credit = [0i32; RING_SIZE];
    for position in &mut ring.backends {
        let mut richest = 0;
        for (i, (_, weight)) in backends.iter().enumerate() {
            credit[i] += i32::from(*weight).max(1);
            if credit[i] > credit[richest] {
                richest = i;
            }
        }
        credit[richest] -= total;
        *position = backends[richest].0;
    }
    ring
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_shares_follow_weights() {
        for (name, backends, want) in [
            ("none", &[][..], &[][..]),
            ("one", &[(3, 1)], &[(3, 64)]),
            ("equal", &[(1, 5), (2, 5)], &[(1, 32), (2, 32)]),
            ("3:1", &[(1, 3), (2, 1)], &[(1, 48), (2, 16)]),
            ("weight 0 counts as 1", &[(1, 0), (2, 1)], &[(1, 32), (2, 32)]),
        ] {
            let ring = fill_ring(backends);
            for (backend, count) in want {
                let got = ring.backends.iter().filter(|b| *b == backend).count();
                assert_eq!(got, *count, "{name}: backend {backend}");
            }
        }
        assert_eq!(fill_ring(&[]).backends, [0; RING_SIZE]);
    }
}

//! Source ports and slot numbers: the same thing.
//!
//! A gateway owns a *shard*, an aligned part of 198.19.128.0/17, /26 at most.
//! `slot = (address - base) << 16 | port`, so every address of the shard brings
//! 65 536 slots, of which ports below [`FIRST_PORT`] are never given out.

use crate::hash::siphash;
use crate::session::FlowKey;

/// The range backends see: 198.19.128.0/17, host byte order.
pub const RANGE: u32 = 0xc613_8000;
/// Prefix length of [`RANGE`].
pub const RANGE_BITS: u32 = 17;
/// Lowest source port: the ones below are the well-known ports (RFC 6335).
pub const FIRST_PORT: u16 = 1024;
/// Slots tried for a new session.
pub const PROBES: u32 = 16;
/// Probes at the client's own source address before another one is tried, so
/// that a client keeps one address (RFC 4787 REQ-2) unless that is crowded.
pub const PAIRED_PROBES: u32 = 12;

/// Whether an address (host byte order) lies in [`RANGE`].
#[inline(always)]
pub const fn in_range(address: u32) -> bool {
    address >> (32 - RANGE_BITS) == RANGE >> (32 - RANGE_BITS)
}

/// The part of [`RANGE`] that one gateway owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// First address, host byte order.
    pub base: u32,
    /// Addresses minus one: 0 for a /32, 63 for a /26.
    pub mask: u32,
}

impl Shard {
    /// Longest shard: 2^22 slots.
    pub const MIN_PREFIX_LEN: u8 = 26;

    /// Slots of a shard of `prefix_len` (26..=32).
    pub const fn slots(prefix_len: u8) -> u32 {
        1 << (16 + 32 - prefix_len as u32)
    }

    /// Slot of a source address (host order) and port; `None` outside the shard.
    #[inline(always)]
    pub const fn slot(self, address: u32, port: u16) -> Option<u32> {
        let offset = address.wrapping_sub(self.base);
        if offset > self.mask {
            return None;
        }
        Some(offset << 16 | port as u32)
    }

    /// Source address (host order) and port of a slot.
    #[inline(always)]
    pub const fn source(self, slot: u32) -> (u32, u16) {
        (self.base + ((slot >> 16) & self.mask), slot as u16)
    }
}

/// The order in which slots are tried for a flow. Keyed, so that nobody outside
/// can aim at one slot; the same for the same flow, so that a flow which comes
/// back finds the slot it had.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    paired: u32,
    start: u32,
    step: u32,
    mask: u32,
}

impl Probe {
    /// The probe sequence of a flow.
    #[inline(always)]
    pub const fn new(key: [u64; 2], flow: &FlowKey, shard: Shard) -> Self {
        let [addresses, ports] = flow.words();
        let flow_hash = siphash(key, addresses, ports);
        // All flows of one client to one endpoint share this one.
        let pair_hash = siphash(key, addresses, flow.vpc as u64);
        Self {
            paired: pair_hash as u32 & shard.mask,
            start: flow_hash as u32,
            step: (flow_hash >> 32) as u32 | 1,
            mask: shard.mask,
        }
    }

    /// The `i`th slot to try.
    #[inline(always)]
    pub const fn slot(&self, i: u32) -> u32 {
        let hash = self.start.wrapping_add(self.step.wrapping_mul(i));
        let port = FIRST_PORT as u32 + (((hash & 0xffff) * (0x1_0000 - FIRST_PORT as u32)) >> 16);
        let address = if i < PAIRED_PROBES { self.paired } else { (hash >> 16) & self.mask };
        address << 16 | port
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::be::{Be16, Be32};
    use std::collections::BTreeSet;

    const SHARD: Shard = Shard { base: RANGE, mask: 63 };

    fn flow(client: u32, port: u16) -> FlowKey {
        FlowKey {
            source: Be32::new(client),
            destination: Be32::new(0x0a00_0064),
            source_port: Be16::new(port),
            destination_port: Be16::new(80),
            vpc: 1,
            protocol: 6,
            pad: 0,
        }
    }

    #[test]
    fn slot_and_source_are_inverse() {
        for (address, port) in [(RANGE, 1024), (RANGE + 63, 65535), (RANGE + 5, 4242)] {
            let slot = SHARD.slot(address, port).expect("inside the shard");
            assert_eq!(SHARD.source(slot), (address, port));
        }
        for outside in [RANGE - 1, RANGE + 64, 0, u32::MAX] {
            assert_eq!(SHARD.slot(outside, 1), None);
        }
    }

    #[test]
    fn probes_stay_in_the_shard_and_above_the_well_known_ports() {
        for port in 0..2_000 {
            let probe = Probe::new([1, 2], &flow(0x0a00_00b6, port), SHARD);
            for i in 0..PROBES {
                let slot = probe.slot(i);
                assert!(slot < Shard::slots(26));
                assert!(slot & 0xffff >= u32::from(FIRST_PORT));
            }
        }
    }

    /// RFC 4787 REQ-2: one client and endpoint, one source address.
    #[test]
    fn flows_of_one_client_pair_to_one_address() {
        let addresses: BTreeSet<_> = (0..1_000)
            .map(|port| Probe::new([1, 2], &flow(0x0a00_00b6, port), SHARD).slot(0) >> 16)
            .collect();
        assert_eq!(addresses.len(), 1);
        let clients: BTreeSet<_> =
            (0..1_000).map(|client| Probe::new([1, 2], &flow(client, 7), SHARD).slot(0) >> 16).collect();
        assert!(clients.len() > 48, "clients spread over the shard, got {}", clients.len());
    }

    /// RFC 7857 section 9: unpredictable ports. Chi-square over 64 bins.
    #[test]
    fn ports_are_uniform() {
        let mut bins = [0u32; 64];
        let flows = 64_000u32;
        for i in 0..flows {
            let probe = Probe::new([3, 4], &flow(i, 40_000), SHARD);
            bins[((probe.slot(0) & 0xffff) - 1024) as usize * 64 / 64_512] += 1;
        }
        let expected = f64::from(flows) / 64.0;
        let chi2: f64 = bins.iter().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
        assert!(chi2 < 110.0, "chi-square with 63 degrees of freedom is {chi2}");
    }

    #[test]
    fn range_is_the_slash_17() {
        assert!(in_range(0xc613_8000) && in_range(0xc613_ffff));
        assert!(!in_range(0xc613_7fff) && !in_range(0xc614_0000));
    }
}

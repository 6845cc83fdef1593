//! The forward index: from a flow to its slot, in buckets of one cache line.
//!
//! A flow has two buckets of eight entries. A lookup reads one of them as a rule,
//! and the slot: two cache lines, where a hash map costs five or six. An entry
//! says which slot, and enough of the flow's hash that no other slot is looked
//! at in practice; the slot's whole key decides. Nothing is ever moved.
//!
//! Source: the two places of an entry are those of a cuckoo filter (Fan et al.,
//! "Cuckoo Filter: Practically Better Than Bloom"), so that whatever shares a
//! bucket still differs in all bits of the fingerprint.

use core::ops::Range;

use crate::hash::siphash;
use crate::limits;
use crate::session::FlowKey;

/// Entries of a bucket.
pub const WAYS: usize = 8;
/// In which order the entries of a flow's buckets are taken: these of the first,
/// the same of the second, then the next ones. So most lookups read one line (at
/// half load nine of ten), and no flow finds both full below six tenths.
pub const LEVELS: [Range<usize>; 4] = [0..5, 5..6, 6..7, 7..8];

/// Eight entries, 0 for none.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// See [`Place::entry`].
    pub entries: [u64; WAYS],
}
const _: () = assert!(size_of::<Bucket>() == 64);

/// Buckets of an index that is to hold `sessions`: half of it stays empty then.
pub const fn buckets(sessions: u32) -> u32 {
    let least = sessions.div_ceil(WAYS as u32 / 2);
    least.next_power_of_two()
}

/// Sessions that an index of so many buckets is meant for.
pub const fn sessions(buckets: u32) -> u32 {
    buckets * (WAYS as u32 / 2)
}

/// Where a flow may be. Keyed, so that nobody outside can fill one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    hash: u64,
    mask: u32,
}

impl Place {
    /// Bits of a slot number; the others are the fingerprint. No entry is 0,
    /// because no session has port 0.
    const SLOT_BITS: u32 = 22;
    const SLOT: u64 = (1 << Self::SLOT_BITS) - 1;

    /// The place of a flow in an index of `mask + 1` buckets, at most 2^20.
    #[inline(always)]
    pub const fn new(key: [u64; 2], flow: &FlowKey, mask: u32) -> Self {
        let [addresses, ports] = flow.words();
        Self { hash: siphash(key, ports, addresses), mask }
    }

    /// The bucket to look at first.
    #[inline(always)]
    pub const fn first(self) -> u32 {
        self.hash as u32 & self.mask
    }

    /// The other one; the first again for one flow in `mask + 1`.
    #[inline(always)]
    pub const fn second(self) -> u32 {
        (self.hash as u32 ^ (self.hash >> 44) as u32) & self.mask
    }

    /// The entry of this flow for a slot.
    #[inline(always)]
    pub const fn entry(self, slot: u32) -> u64 {
        (self.hash & !Self::SLOT) | slot as u64
    }

    /// Whether an entry may be this flow's.
    #[inline(always)]
    pub const fn fits(self, entry: u64) -> bool {
        (entry ^ self.hash) >> Self::SLOT_BITS == 0 && entry != 0
    }

    /// The slot of an entry.
    #[inline(always)]
    pub const fn slot(entry: u64) -> u32 {
        (entry & Self::SLOT) as u32
    }
}
const _: () = assert!(1 << Place::SLOT_BITS == limits::MAX_SESSIONS);

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::be::{Be16, Be32};
    use std::vec;

    fn flow(i: u32) -> FlowKey {
        FlowKey {
            source: Be32(i),
            destination: Be32(1),
            source_port: Be16(7),
            destination_port: Be16(80),
            vpc: 1,
            protocol: 6,
            pad: 0,
        }
    }

    #[test]
    fn an_entry_leads_to_its_slot_and_to_no_other_flow() {
        let place = Place::new([1, 2], &flow(1), 0xff);
        for slot in [1, 1024, limits::MAX_SESSIONS - 1] {
            assert!(place.fits(place.entry(slot)));
            assert_eq!(Place::slot(place.entry(slot)), slot);
        }
        assert!(!place.fits(0));
        for i in 2..200_000 {
            assert!(!Place::new([1, 2], &flow(i), 0xff).fits(place.entry(5)), "flow {i}");
        }
    }

    #[test]
    fn sizes() {
        for (sessions_wanted, want) in [(2, 1), (8, 2), (9, 4), (1 << 21, 1 << 19), (1 << 22, 1 << 20)] {
            assert_eq!(buckets(sessions_wanted), want, "{sessions_wanted}");
            assert!(sessions(want) >= sessions_wanted);
        }
    }

    /// What the programs do, without other CPUs. A fifth more than it is meant for goes in;
    /// of what it is meant for, most are where one looks first.
    #[test]
    fn it_holds_what_it_is_meant_for_and_mostly_in_the_first_bucket() {
        let buckets = buckets(1 << 16);
        let mut index = vec![Bucket::default(); buckets as usize];
        let mut first = 0;
        for i in 0..sessions(buckets) * 6 / 5 {
            let place = Place::new([3, 4], &flow(i), buckets - 1);
            let (a, b) = (place.first() as usize, place.second() as usize);
            let of_level =
                |ways: Range<usize>| [a, b].map(|bucket| ways.clone().map(move |way| (bucket, way)));
            let mut room = LEVELS.into_iter().flat_map(of_level).flatten();
            let free = room.find(|(bucket, way)| index[*bucket].entries[*way] == 0);
            let (bucket, way) = free.unwrap_or_else(|| panic!("flow {i} finds no room"));
            index[bucket].entries[way] = place.entry(1);
            first += u32::from(bucket == a && i < sessions(buckets));
        }
        assert!(first > sessions(buckets) * 8 / 10, "{first} of {} in their first bucket", sessions(buckets));
    }
}

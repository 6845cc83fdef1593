//! Sets of addresses that are mostly consecutive.
//!
//! Addresses are given out one after the other, so the taken ones form a few
//! long runs. Kept as runs, the highest free address is found in as many steps
//! as there are runs above it, not addresses.

use std::net::Ipv4Addr;

use imbl::OrdMap;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRuns {
    /// Last address of each run → its first. Runs neither overlap nor touch.
    runs: OrdMap<u32, u32>,
}

impl AddressRuns {
    /// Adds an address; one that is there already is no news.
    pub fn insert(&mut self, address: Ipv4Addr) {
        if self.contains(address) {
            return;
        }
        let address = u32::from(address);
        let below = address.checked_sub(1).and_then(|last| self.runs.remove_with_key(&last));
        let first = below.map_or(address, |(_, first)| first);
        let above = self.run_from(address).filter(|(_, first)| address.checked_add(1) == Some(*first));
        let last = above.map_or(address, |(last, _)| last);
        self.runs.insert(last, first);
    }

    /// Takes an address out; one that is not there is no news.
    pub fn remove(&mut self, address: Ipv4Addr) {
        let address = u32::from(address);
        let Some((last, first)) = self.run_from(address).filter(|(_, first)| *first <= address) else {
            return;
        };
        self.runs.remove(&last);
        if address < last {
            self.runs.insert(last, address + 1);
        }
        if first < address {
            self.runs.insert(address - 1, first);
        }
    }

    /// Whether an address is there.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let address = u32::from(address);
        self.run_from(address).is_some_and(|(_, first)| first <= address)
    }

    /// The highest address up to this one that is not there.
    #[must_use]
    pub fn highest_absent(&self, limit: Ipv4Addr) -> Option<Ipv4Addr> {
        match self.run_from(limit.into()) {
            Some((_, first)) if first <= u32::from(limit) => first.checked_sub(1).map(Ipv4Addr::from),
            _ => Some(limit),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The first run that ends at `address` or above, as (last, first).
    fn run_from(&self, address: u32) -> Option<(u32, u32)> {
        self.runs.range(address..).next().map(|(last, first)| (*last, *first))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn runs_are_a_set_whatever_the_order_of_changes() {
        let mut runs = AddressRuns::default();
        let mut plain = BTreeSet::new();
        // A full-period generator over 64 addresses: every neighbourhood comes up.
        let mut number: u32 = 1;
        for step in 0..4096 {
            number = (number.wrapping_mul(1_664_525)).wrapping_add(1_013_904_223);
            let address = Ipv4Addr::from(0x0a00_0000 + (number >> 16) % 64);
            if step % 3 == 0 {
                runs.remove(address);
                plain.remove(&address);
            } else {
                runs.insert(address);
                plain.insert(address);
            }
            for host in 0..64 {
                let address = Ipv4Addr::from(0x0a00_0000 + host);
                assert_eq!(runs.contains(address), plain.contains(&address), "{step}: {address}");
            }
            let top = Ipv4Addr::from(0x0a00_003f);
            let mut below = (0..=u32::from(top)).rev().map(Ipv4Addr::from);
            assert_eq!(runs.highest_absent(top), below.find(|a| !plain.contains(a)), "{step}");
        }
    }

    #[test]
    fn runs_reach_both_ends_of_the_address_space() {
        let mut runs = AddressRuns::default();
        for end in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST] {
            runs.insert(end);
            assert!(runs.contains(end));
        }
        assert_eq!(runs.highest_absent(Ipv4Addr::UNSPECIFIED), None);
        assert_eq!(runs.highest_absent(Ipv4Addr::BROADCAST), Some(Ipv4Addr::new(255, 255, 255, 254)));
        for end in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST] {
            runs.remove(end);
        }
        assert!(runs.is_empty());
    }
}

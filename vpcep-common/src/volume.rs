//! Bytes of one direction of a session, in 32 bits: a count that is exact up to
//! 128 MiB and never overflows.
//!
//! ```text
//!  31      27 26                                 0
//! ┌──────────┬────────────────────────────────────┐
//! │ exponent │ count, in units of 2^exponent bytes │
//! └──────────┴────────────────────────────────────┘
//! ```
//!
//! Beyond 128 MiB a packet's length is rounded to the unit, up or down at random so
//! that the errors cancel out: what is left of them is below one part in ten
//! thousand at a terabyte.

/// See the module.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume(pub u32);

impl Volume {
    const COUNT_BITS: u32 = 27;
    const COUNT: u32 = (1 << Self::COUNT_BITS) - 1;

    /// Stands for a volume that nobody has counted: no count gets there.
    pub const UNKNOWN: Self = Self(u32::MAX);

    /// The bytes; `None` when nobody has counted them.
    pub const fn bytes(self) -> Option<u64> {
        match self {
            Self::UNKNOWN => None,
            Self(bits) => Some(((bits & Self::COUNT) as u64) << (bits >> Self::COUNT_BITS)),
        }
    }

    /// With one more packet. `random` is asked for 32 random bits where something
    /// must be rounded.
    #[inline(always)]
    pub fn plus(self, bytes: u16, random: impl FnOnce() -> u32) -> Self {
        let exponent = self.0 >> Self::COUNT_BITS;
        let count = self.0 & Self::COUNT;
        if exponent == 0 && count + u32::from(bytes) <= Self::COUNT {
            return Self(self.0 + u32::from(bytes));
        }
        let random = random();
        let below_unit = (1 << exponent) - 1;
        let count = count + ((u32::from(bytes) + (random & below_unit)) >> exponent);
        if count <= Self::COUNT {
            return Self(exponent << Self::COUNT_BITS | count);
        }
        Self((exponent + 1) << Self::COUNT_BITS | (count + (random >> 31)) >> 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steele and Vigna's splitmix, for numbers that are the same in every run.
    fn generator() -> impl FnMut() -> u32 {
        let mut state = 0u64;
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed >> 32) as u32
        }
    }

    #[test]
    fn up_to_128_mib_it_is_exact_and_asks_for_nothing() {
        let mut volume = Volume::default();
        let mut bytes = 0;
        while bytes + 1500 < 1 << 27 {
            volume = volume.plus(1500, || panic!("nothing is rounded"));
            bytes += 1500;
        }
        assert_eq!(volume.bytes(), Some(bytes));
    }

    #[test]
    fn beyond_it_stays_near_the_truth() {
        for (length, packets) in [(40u16, 20_000_000u64), (1500, 20_000_000), (u16::MAX, 20_000_000)] {
            let mut random = generator();
            let mut volume = Volume::default();
            for _ in 0..packets {
                volume = volume.plus(length, &mut random);
            }
            let truth = packets * u64::from(length);
            let error = volume.bytes().unwrap().abs_diff(truth);
            assert!(error * 10_000 < truth, "{packets} of {length}: {error} bytes off {truth}");
        }
    }

    #[test]
    fn one_packet_is_never_off_by_more_than_a_unit() {
        for (before, length) in
            [(0x07ff_ffff, 1), (0x0fff_ffff, 1500), (0x9400_0000, 40), (0x97ff_ffff, 9000)]
        {
            for random in [0, 1, 0x7fff_ffff, u32::MAX] {
                let (before, unit) = (Volume(before), 2u64 << (before >> 27));
                let after = before.plus(length, || random).bytes().unwrap();
                let truth = before.bytes().unwrap() + u64::from(length);
                assert!(after.abs_diff(truth) <= unit, "{before:?} and {length}: {after}, not {truth}");
            }
        }
    }

    #[test]
    fn what_nobody_counted_is_no_number() {
        assert_eq!(Volume::UNKNOWN.bytes(), None);
        assert_eq!(Volume::default().bytes(), Some(0));
    }
}

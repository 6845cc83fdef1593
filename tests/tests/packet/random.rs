//! Random packets that can be had again: numbers from a seed, and packets broken by them.

use std::env;

use crate::stage;

/// Ethernet and IPv4 headers: the kernel runs TC on nothing shorter.
pub const SHORTEST: usize = 34;

/// A number from the environment.
///
/// # Panics
/// When the variable holds none.
pub fn setting(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |value| value.parse().expect("a number"))
}

/// `VPCEP_FUZZ_SEED`, or another one each time.
pub fn seed() -> u64 {
    setting("VPCEP_FUZZ_SEED", u64::from(std::process::id()) << 20 ^ u64::from(stage::now()))
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// One of the values.
    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// Cuts a frame, makes it longer, or turns a few bits of it over; its MACs are what they are.
    pub fn break_frame(&mut self, frame: &mut Vec<u8>) {
        match self.below(4) {
            0 => frame.truncate(SHORTEST + self.below(frame.len().max(SHORTEST) - SHORTEST + 1)),
            1 => frame.extend(vec![0xee; self.below(40)]),
            _ => {
                for _ in 0..=self.below(3) {
                    // The first 60 bytes decide.
                    let at = 12 + self.below(frame.len().min(72) - 12);
                    frame[at] ^= 1 << self.below(8);
                }
            }
        }
    }
}

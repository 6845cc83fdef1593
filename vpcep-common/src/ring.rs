//! How new connections spread over the members of a load balancer.
//!
//! A [`Ring`] lists backend numbers, each in proportion to its weight. The programs
//! take a position: the next one, or one that a hash of the client's address gives.
//! The two ask for different orders, so there are two ways to fill it.

use crate::hash::siphash;
use crate::limits::MAX_MEMBERS;

/// Positions of a ring; a power of two, so that a mask bounds a position.
pub const RING_SIZE: usize = 2048;

/// Positions that [`Ring::source_hash`] uses: a prime, so that every step of a
/// member's walk below visits all of them.
pub const SOURCE_HASH_SIZE: usize = 2039;

/// One load balancer: which backend takes a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Backend numbers.
    pub backends: [u16; RING_SIZE],
    /// Id of the load balancer in the model; all zero marks a free number.
    pub id: [u8; 16],
    /// Positions in use, 1 to [`RING_SIZE`]. The others repeat them, so that a
    /// packet which sees half of a change finds a backend all the same.
    pub len: u32,
    /// Zero.
    pub pad: u32,
}
const _: () = assert!(size_of::<Ring>() == 4120);

impl Default for Ring {
    fn default() -> Self {
        Self { backends: [0; RING_SIZE], id: [0; 16], len: 0, pad: 0 }
    }
}

/// A member of a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Backend number.
    pub backend: u16,
    /// Its share of new connections, 1..=100, relative to the others.
    pub weight: u8,
    /// What names it among the members, also when its number is another one: its
    /// address and port.
    pub name: u64,
}

/// Whether a policy's connections go to a backend or to a load balancer: bits of
/// [`crate::endpoint::Policy::servers`], above the number of either. 0 is nowhere.
pub mod servers {
    /// The number is a ring's, otherwise a backend's.
    pub const RING: u32 = 1 << 16;
    /// The client's address chooses the position, otherwise it is the next one.
    pub const SOURCE_HASH: u32 = 1 << 17;

    /// The number of the backend or ring.
    #[inline(always)]
    pub const fn number(servers: u32) -> u32 {
        servers & 0xffff
    }
}

impl Ring {
    /// A ring to be walked: smooth weighted round robin, as nginx does it. In a round
    /// each member comes as often as its weight says, and as evenly spread as can be.
    /// Weights whose sum is beyond the ring are scaled down, to at least 1.
    ///
    /// # Panics
    /// With more than [`MAX_MEMBERS`] members.
    #[must_use]
    pub fn round_robin(id: [u8; 16], members: &[Share]) -> Self {
        let mut ring = Self { id, ..Self::default() };
        if members.is_empty() {
            return ring;
        }
        let mut weights = [0i32; MAX_MEMBERS];
        let round = round(members, &mut weights);
        // Every step each member gains its weight; the richest is taken and pays for all.
        let mut credit = [0i32; MAX_MEMBERS];
        for position in 0..round {
            let mut richest = 0;
            for i in 0..members.len() {
                credit[i] += weights[i];
                if credit[i] > credit[richest] {
                    richest = i;
                }
            }
            credit[richest] -= round as i32;
            ring.backends[position] = members[richest].backend;
        }
        ring.repeat(round);
        ring.len = (RING_SIZE / round * round) as u32;
        ring
    }

    /// A ring to be hashed into, by which a change of members moves few clients:
    /// Maglev (Eisenbud et al., NSDI 2016, section 3.4). Each member walks the ring in
    /// an order of its own and takes the first position that is free; a heavier one
    /// has more turns. Every member gets at least one.
    ///
    /// # Panics
    /// With more than [`MAX_MEMBERS`] members.
    #[must_use]
    pub fn source_hash(id: [u8; 16], members: &[Share]) -> Self {
        let mut ring = Self { id, ..Self::default() };
        let Some(heaviest) = members.iter().map(|member| u32::from(member.weight.max(1))).max() else {
            return ring;
        };
        const SIZE: u64 = SOURCE_HASH_SIZE as u64;
        let mut walks = [(0usize, 0usize); MAX_MEMBERS];
        // Full purses, so that the first round is everybody's.
        let mut credit = [heaviest; MAX_MEMBERS];
        for (walk, member) in walks.iter_mut().zip(members) {
            let hash = siphash([0; 2], member.name, 0);
            let (offset, skip) = ((hash >> 32) % SIZE, (hash & 0xffff_ffff) % (SIZE - 1) + 1);
            *walk = (offset as usize, skip as usize);
        }
        let mut free = SOURCE_HASH_SIZE;
        let mut turn = 0;
        while free > 0 {
            let i = turn % members.len();
            turn += 1;
            if credit[i] < heaviest {
                credit[i] += u32::from(members[i].weight.max(1));
                continue;
            }
            credit[i] = credit[i] - heaviest + u32::from(members[i].weight.max(1));
            let (place, skip) = &mut walks[i];
            while ring.backends[*place] != 0 {
                *place = (*place + *skip) % SOURCE_HASH_SIZE;
            }
            ring.backends[*place] = members[i].backend;
            free -= 1;
        }
        ring.repeat(SOURCE_HASH_SIZE);
        ring.len = SOURCE_HASH_SIZE as u32;
        ring
    }

    fn repeat(&mut self, round: usize) {
        for position in round..RING_SIZE {
            self.backends[position] = self.backends[position - round];
        }
    }
}

/// Weights of a round, and their sum: in lowest terms, and scaled to fit the ring.
fn round(members: &[Share], weights: &mut [i32; MAX_MEMBERS]) -> usize {
    let weight = |member: &Share| i32::from(member.weight.max(1));
    let divisor = members.iter().map(weight).fold(0, greatest_common_divisor);
    let total: i32 = members.iter().map(|member| weight(member) / divisor).sum();
    let room = (RING_SIZE - MAX_MEMBERS) as i32;
    for (scaled, member) in weights.iter_mut().zip(members) {
        let weight = weight(member) / divisor;
        *scaled = if total <= RING_SIZE as i32 { weight } else { (weight * room / total).max(1) };
    }
    weights.iter().sum::<i32>() as usize
}

const fn greatest_common_divisor(a: i32, b: i32) -> i32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests;

//! Which backend a new connection goes to.

use vpcep_common::be::Be32;
use vpcep_common::endpoint::Backend;
use vpcep_common::hash::siphash;
use vpcep_common::ring::{RING_SIZE, Ring, servers};
use vpcep_common::settings::Settings;

use crate::atomic;
use crate::maps::{BACKENDS, RINGS, TURNS};

/// The backend that a client's next connection goes to.
#[inline(always)]
pub fn choose(settings: &Settings, to: u32, client: Be32) -> Option<&'static Backend> {
    let number = if to & servers::RING == 0 { servers::number(to) } else { member(settings, to, client)? };
    if number == 0 {
        return None;
    }
    BACKENDS.get(number)
}

#[inline(always)]
fn member(settings: &Settings, to: u32, client: Be32) -> Option<u32> {
    let ring: &Ring = RINGS.get(servers::number(to))?;
    let turn = if to & servers::SOURCE_HASH != 0 {
        siphash(settings.hash_key, u64::from(client.0), 0) as u32
    } else {
        advance(to, 1)? as u32
    };
    if ring.len == 0 {
        return None;
    }
    let position = (turn % ring.len) as usize & (RING_SIZE - 1);
    Some(u32::from(ring.backends[position]))
}

/// Undoes the turn that [`choose`] took, for a packet that is left to the other hook:
/// with two turns for each connection every other member would get none.
#[inline(always)]
pub fn give_back(to: u32) {
    if to & (servers::RING | servers::SOURCE_HASH) == servers::RING {
        advance(to, u64::MAX);
    }
}

/// Moves a ring's turn on and returns where it was.
#[inline(always)]
fn advance(to: u32, by: u64) -> Option<u64> {
    let turn = TURNS.get_ptr_mut(servers::number(to))?;
    // SAFETY: a pointer into the map.
    Some(unsafe { atomic::fetch_add(turn, by) })
}

//! Rates of an endpoint; the arithmetic is in `vpcep_common::meter`.

use vpcep_common::meter::{BYTE_BURST, admit, packet_cost};
use vpcep_common::tcp::Side;

use crate::maps::{CONNECTIONS, POLICIES};
use crate::{atomic, events};

/// Times a word is tried again when another CPU was faster.
const RETRIES: u32 = 4;

/// Whether something of this cost is within its rate; it is then paid for.
#[inline(always)]
pub fn admits(paid_until: *mut u64, cost: u64, burst: u64) -> bool {
    if cost == 0 {
        return true;
    }
    let now = events::now_ns();
    for _ in 0..RETRIES {
        // SAFETY: a pointer into the map, by all callers.
        let known = unsafe { atomic::load(paid_until) };
        let next = admit(known, now, cost, burst);
        if next == 0 {
            return false;
        }
        // SAFETY: as above.
        if unsafe { atomic::compare_and_swap(paid_until, known, next) } {
            return true;
        }
    }
    // So many at once are let through unpaid rather than dropped.
    true
}

/// Whether a packet of `bytes` IP bytes is within its endpoint's bandwidth.
#[inline(always)]
pub fn admits_packet(endpoint: u32, sender: Side, bytes: u16) -> bool {
    let Some(policy) = POLICIES.get_ptr(endpoint) else { return true };
    // SAFETY: a pointer into the map.
    let byte_cost = unsafe { (*policy).byte_cost };
    if byte_cost == 0 {
        return true;
    }
    let Some(connections) = CONNECTIONS.get_ptr_mut(endpoint) else { return true };
    // SAFETY: a pointer into the map.
    let paid_until = unsafe {
        match sender {
            Side::Client => &raw mut (*connections).out_until,
            Side::Backend => &raw mut (*connections).in_until,
        }
    };
    admits(paid_until, packet_cost(byte_cost, u32::from(bytes)), BYTE_BURST)
}

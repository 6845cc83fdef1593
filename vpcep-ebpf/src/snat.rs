//! Choosing a source address and port, which is claiming a session slot.

use vpcep_common::session::{FlowKey, Slot, Word};
use vpcep_common::settings::Settings;
use vpcep_common::snat::{PROBES, Probe};

use crate::atomic;
use crate::maps::SLOTS;

/// A slot that this program owns: its word says CLAIMED.
#[derive(Clone, Copy)]
pub struct Claim {
    /// Slot number.
    pub number: u32,
    /// The slot.
    pub slot: *mut Slot,
    /// Its word.
    pub word: Word,
}

/// Claims a free slot for a new flow. A slot whose port is at rest is passed
/// over unless it was this very flow that had it.
#[inline(always)]
pub fn claim(settings: &Settings, flow: &FlowKey, endpoint: u32, now: u32) -> Option<Claim> {
    let probe = Probe::new(settings.hash_key, flow, settings.shard());
    for i in 0..PROBES {
        let number = probe.slot(i);
        let Some(slot) = SLOTS.get_ptr_mut(number) else { continue };
        // SAFETY: a pointer into the map.
        let word = Word(unsafe { atomic::load(&raw const (*slot).word) });
        if !word.is_free() {
            continue;
        }
        // SAFETY: a pointer into the map. The fields may be changing under us;
        // the claim below fails then.
        let (freed_at, was_its) = unsafe { ((*slot).last_seen, (*slot).key() == *flow) };
        // The reaper's clock may be a tick ahead of the packet path's.
        let age = now.wrapping_sub(freed_at);
        let rested = word.0 == 0 || (age >= settings.rest && age < u32::MAX / 2);
        if !rested && !was_its {
            continue;
        }
        let claimed = word.claimed(endpoint);
        // SAFETY: a pointer into the map.
        if unsafe { atomic::compare_and_swap(&raw mut (*slot).word, word.0, claimed.0) } {
            return Some(Claim { number, slot, word: claimed });
        }
    }
    None
}

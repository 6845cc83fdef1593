//! The forward index: find, enter and remove. Its layout and arithmetic are in
//! `vpcep_common::index`.

use vpcep_common::counter::DropReason;
use vpcep_common::index::{Bucket, LEVELS, Place, WAYS};
use vpcep_common::session::FlowKey;
use vpcep_common::settings::Settings;

use crate::atomic;
use crate::maps::INDEX;
use crate::session::{self, Session};

/// The live session of a flow, seen from the client.
#[inline(always)]
pub fn find(settings: &Settings, flow: &FlowKey) -> Option<Session> {
    let place = place(settings, flow);
    session::of_flow_in(candidate(place, 0)?, flow)
}

/// Leads a flow to a slot that is claimed and filled.
///
/// Two CPUs that open one flow at once enter it both and then both look: at
/// least one sees the other, and whoever does gives way. Should both, the
/// sender's retransmission settles it.
#[inline(always)]
pub fn enter(settings: &Settings, flow: &FlowKey, number: u32) -> Result<(), DropReason> {
    let place = place(settings, flow);
    let entered = place.entry(number);
    if !put(place, entered) {
        return Err(DropReason::IndexFull);
    }
    if let Some(other) = candidate(place, entered)
        && session::is_used_by(other, flow)
    {
        leave(settings, flow, number);
        return Err(DropReason::Contended);
    }
    Ok(())
}

/// Takes a flow out if it leads to this slot; says whether it did. Only the
/// owner of a slot does so, and nobody replaces an entry that is there.
#[inline(always)]
pub fn leave(settings: &Settings, flow: &FlowKey, number: u32) -> bool {
    let place = place(settings, flow);
    let entered = place.entry(number);
    take(place.first(), entered) || take(place.second(), entered)
}

#[inline(always)]
fn place(settings: &Settings, flow: &FlowKey) -> Place {
    Place::new(settings.hash_key, flow, settings.index_mask)
}

/// The slot that the index has for a flow, by an entry other than `known`.
#[inline(always)]
fn candidate(place: Place, known: u64) -> Option<u32> {
    match candidate_in(place.first(), place, known) {
        Some(number) => Some(number),
        None => candidate_in(place.second(), place, known),
    }
}

#[inline(always)]
fn candidate_in(bucket: u32, place: Place, known: u64) -> Option<u32> {
    let bucket = INDEX.get_ptr_mut(bucket)?;
    for way in 0..WAYS {
        let entry = read(bucket, way);
        if place.fits(entry) && entry != known {
            return Some(Place::slot(entry));
        }
    }
    None
}

#[inline(always)]
fn put(place: Place, entered: u64) -> bool {
    let Some(first) = INDEX.get_ptr_mut(place.first()) else { return false };
    let Some(second) = INDEX.get_ptr_mut(place.second()) else { return false };
    for ways in LEVELS {
        for bucket in [first, second] {
            for way in ways.clone() {
                if read(bucket, way) == 0 && replace(bucket, way, 0, entered) {
                    return true;
                }
            }
        }
    }
    false
}

#[inline(always)]
fn take(bucket: u32, entered: u64) -> bool {
    let Some(bucket) = INDEX.get_ptr_mut(bucket) else { return false };
    for way in 0..WAYS {
        if read(bucket, way) == entered {
            return replace(bucket, way, entered, 0);
        }
    }
    false
}

#[inline(always)]
fn read(bucket: *mut Bucket, way: usize) -> u64 {
    // SAFETY: a pointer into the map, and `way` counts to `WAYS`.
    unsafe { atomic::load(&raw const (*bucket).entries[way]) }
}

#[inline(always)]
fn replace(bucket: *mut Bucket, way: usize, old: u64, new: u64) -> bool {
    // SAFETY: as above.
    unsafe { atomic::compare_and_swap(&raw mut (*bucket).entries[way], old, new) }
}

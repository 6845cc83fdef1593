//! Packets and bytes per endpoint, and drops by reason: per CPU, so plain adds.

use vpcep_common::counter::{DropReason, Traffic};
use vpcep_common::tcp::Side;

use crate::maps::TRAFFIC;

/// Counts a forwarded packet of `bytes` IP bytes.
#[inline(always)]
pub fn forwarded(endpoint: u32, sender: Side, bytes: u32) {
    let Some(traffic) = TRAFFIC.get_ptr_mut(endpoint) else { return };
    // SAFETY: a per-CPU value, and programs are not preempted by another on
    // this CPU at the same hook; a lost count between hooks is tolerable.
    let traffic: &mut Traffic = unsafe { &mut *traffic };
    match sender {
        Side::Client => {
            traffic.packets_out += 1;
            traffic.bytes_out += u64::from(bytes);
        }
        Side::Backend => {
            traffic.packets_in += 1;
            traffic.bytes_in += u64::from(bytes);
        }
    }
}

/// Counts a dropped packet.
#[inline(always)]
pub fn dropped(endpoint: u32, reason: DropReason) {
    let Some(traffic) = TRAFFIC.get_ptr_mut(endpoint) else { return };
    // SAFETY: as above.
    let traffic: &mut Traffic = unsafe { &mut *traffic };
    // Through a black box: LLVM knows how many reasons there are and takes the mask away, the verifier
    // does not.
    traffic.drops[core::hint::black_box(reason as usize) & (DropReason::SLOTS - 1)] += 1;
}

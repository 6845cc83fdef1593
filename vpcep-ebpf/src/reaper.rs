//! Ends sessions that have been idle for too long.
//!
//! User space looks for candidates in its mapping of `SLOTS`, which costs no
//! system call, and lists them in `REAP_LIST`. Whether one is really idle is
//! decided here, where the removal is then carried through in one run: index
//! entry, count and slot never come apart.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::programs::RawTracePointContext;
use vpcep_common::limits::{REAP_BATCH, reaped};
use vpcep_common::session::{TICK_SHIFT, Use, Word};
use vpcep_common::settings::{Settings, Standing};

use crate::maps::{CONNECTIONS, REAP_LIST, SETTINGS};
use crate::{atomic, endpoint, events, index, session};

/// Goes through the list, and leaves above each slot number what
/// became of it (`vpcep_common::limits::reaped`). Numbers in registers instead,
/// say a sum to return, cost the verifier ten times the work.
#[inline(always)]
pub fn run(context: &RawTracePointContext) {
    let count: u64 = context.arg(0);
    let Some(settings) = SETTINGS.get(0) else { return };
    // The coarse clock of the packet path is not offered to tracepoints; it lags
    // this one by a few milliseconds at most.
    // SAFETY: a helper without arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    for i in 0..REAP_BATCH {
        if u64::from(i) >= count {
            break;
        }
        let Some(entry) = REAP_LIST.get_ptr_mut(i) else { break };
        // SAFETY: a pointer into the map; only one reaper runs at a time.
        let number = unsafe { *entry } as u32;
        let result = reap(settings, number, now_ns);
        // SAFETY: as above.
        unsafe { *entry = reaped::entry(number, result) };
    }
}

/// Frees one slot if its session is idle.
#[inline(always)]
fn reap(settings: &Settings, number: u32, now_ns: u64) -> u64 {
    let now = (now_ns >> TICK_SHIFT) as u32;
    let Some(session) = session::in_slot(number) else { return reaped::KEPT };
    // SAFETY: a pointer into the map.
    let silence = now.wrapping_sub(unsafe { (*session.slot).last_seen });
    let standing = standing(session.word.endpoint());
    if !settings.is_idle(session.word, standing, silence) {
        return reaped::KEPT;
    }
    let word = session.word.with_use(Use::Reaping);
    // SAFETY: a pointer into the map.
    if !unsafe { atomic::compare_and_swap(&raw mut (*session.slot).word, session.word.0, word.0) } {
        return reaped::KEPT;
    }
    events::closed(settings, &session, standing.is_accepted, now_ns);
    // SAFETY: a pointer into the map; REAPING makes the slot ours.
    let flow = unsafe { (*session.slot).key() };
    let was_indexed = index::leave(settings, &flow, number);
    session::lower(word.endpoint(), word.0 & Word::COUNTS);
    // SAFETY: as above.
    unsafe { (*session.slot).last_seen = now };
    // SAFETY: as above.
    unsafe { atomic::store(&raw mut (*session.slot).word, word.freed().0) };
    if was_indexed { reaped::FREED } else { reaped::FREED_UNINDEXED }
}

/// What an endpoint means for its sessions.
#[inline(always)]
fn standing(endpoint: u32) -> Standing {
    let Some(policy) = endpoint::Policy::of(endpoint) else { return Standing::ABSENT };
    let Some(connections) = CONNECTIONS.get_ptr_mut(endpoint) else { return Standing::ABSENT };
    // SAFETY: a pointer into the map.
    let current = unsafe { atomic::load(&raw const (*connections).current) };
    Standing::of(policy.word, policy.limit, policy.idle, current)
}

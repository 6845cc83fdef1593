//! What is reported of sessions, through the ring buffer `EVENTS`, while somebody
//! reads it. How much, and what becomes of the rest, is in `vpcep_common::event`.
//!
//! Nobody is woken: user space looks at the ring by the clock. Refusals get no more
//! than half of the ring, so that a flood of them leaves room for what happens to
//! sessions.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_NO_WAKEUP, BPF_RB_RING_SIZE};
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use vpcep_common::event::{Budget, End, Event, Kind};
use vpcep_common::settings::{Settings, settings_flags};
use vpcep_common::volume::Volume;

use crate::maps::{EVENT_BUDGETS, EVENTS};
use crate::parse::Headers;
use crate::session::Session;
use crate::verdict::Refusal;

/// Whether anybody reads events.
#[inline(always)]
pub fn are_read(settings: &Settings) -> bool {
    settings.flags & settings_flags::EVENTS != 0
}

/// Now, in nanoseconds of the coarse monotonic clock.
#[inline(always)]
pub fn now_ns() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// Reports a session that has just been made live.
#[inline(always)]
pub fn opened(settings: &Settings, session: &Session) {
    if !are_read(settings) {
        return;
    }
    report(settings, Kind::Opened, now_ns(), |event| of_session(event, session));
}

/// Reports a session that is over, while its slot still has what it had. `session`
/// has its last word.
#[inline(always)]
pub fn closed(settings: &Settings, session: &Session, is_accepted: bool, time_ns: u64) {
    if !are_read(settings) {
        return;
    }
    report(settings, Kind::Closed, time_ns, |event| {
        of_session(event, session);
        event.reason = End::of(session.word, is_accepted) as u8;
        let is_counted = event.created.wrapping_sub(settings.events_since) <= u32::MAX / 2;
        // SAFETY: a pointer into the map, and the slot is the caller's.
        let (out, back) = unsafe { ((*session.slot).bytes_out, (*session.slot).bytes_in) };
        event.bytes_out = if is_counted { out } else { Volume::UNKNOWN };
        event.bytes_in = if is_counted { back } else { Volume::UNKNOWN };
    });
}

/// Reports a packet that came in from `vpc` and goes no further.
#[inline(always)]
pub fn refused(settings: &Settings, vpc: u16, headers: &Headers, refusal: &Refusal) {
    if !are_read(settings) {
        return;
    }
    report(settings, Kind::Refused, now_ns(), |event| {
        event.endpoint = refusal.endpoint;
        event.client = headers.source;
        event.address = headers.destination;
        event.client_port = headers.source_port;
        event.port = headers.destination_port;
        event.vpc = vpc;
        event.protocol = headers.protocol;
        event.reason = refusal.reason as u8;
    });
}

#[inline(always)]
fn of_session(event: &mut Event, session: &Session) {
    // SAFETY: a pointer into the map; only what is fixed while the session lives,
    // and the time stamp.
    let slot = unsafe { &*session.slot };
    event.endpoint = session.word.endpoint();
    event.slot = session.number;
    event.created = slot.opened();
    event.last_seen = slot.last_seen;
    event.client = slot.client;
    event.address = slot.endpoint;
    event.backend = slot.backend;
    event.client_port = slot.client_port;
    event.port = slot.endpoint_port;
    event.backend_port = slot.backend_port;
    event.vpc = slot.consumer_vpc;
    event.provider_vpc = slot.provider_vpc;
    event.protocol = slot.protocol;
}

/// Puts an event into the ring, which `fill` completes in place: the stack has no room for one.
#[inline(always)]
fn report(settings: &Settings, kind: Kind, time_ns: u64, fill: impl FnOnce(&mut Event)) {
    let Some(budget) = EVENT_BUDGETS.get_ptr_mut(kind as u32) else { return };
    // SAFETY: a per-CPU value, as in counters.rs.
    let budget: &mut Budget = unsafe { &mut *budget };
    if !budget.admit(time_ns, settings.event_rate) {
        return;
    }
    if matches!(kind, Kind::Refused) && is_half_full() {
        budget.lost += 1;
        return;
    }
    let Some(mut entry) = EVENTS.reserve::<Event>(0) else {
        budget.lost += 1;
        return;
    };
    // SAFETY: an event is integers alone, of which zeros are some.
    let event = unsafe {
        entry.as_mut_ptr().cast::<[u64; size_of::<Event>() / 8]>().write([0; size_of::<Event>() / 8]);
        &mut *entry.as_mut_ptr()
    };
    event.time_ns = time_ns;
    event.kind = kind as u8;
    fill(event);
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
}

#[inline(always)]
fn is_half_full() -> bool {
    EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) > EVENTS.query(u64::from(BPF_RB_RING_SIZE)) / 2
}

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
    report(settings, Kind::Opened, now_ns(), || of_session(session));
}

/// Reports a session that is over, while its slot still has what it had. `session`
/// has its last word.
#[inline(always)]
pub fn closed(settings: &Settings, session: &Session, is_accepted: bool, time_ns: u64) {
    if !are_read(settings) {
        return;
    }
    report(settings, Kind::Closed, time_ns, || {
        let mut event = of_session(session);
        event.reason = End::of(session.word, is_accepted) as u8;
        let is_counted = event.created.wrapping_sub(settings.events_since) <= u32::MAX / 2;
        // SAFETY: a pointer into the map, and the slot is the caller's.
        let (out, back) = unsafe { ((*session.slot).bytes_out, (*session.slot).bytes_in) };
        event.bytes_out = if is_counted { out } else { Volume::UNKNOWN };
        event.bytes_in = if is_counted { back } else { Volume::UNKNOWN };
        event
    });
}

/// Reports a packet that came in from `vpc` and goes no further.
#[inline(always)]
pub fn refused(settings: &Settings, vpc: u16, headers: &Headers, refusal: &Refusal) {
    if !are_read(settings) {
        return;
    }
    report(settings, Kind::Refused, now_ns(), || Event {
        endpoint: refusal.endpoint,
        client: headers.source,
        address: headers.destination,
        client_port: headers.source_port,
        port: headers.destination_port,
        vpc,
        protocol: headers.protocol,
        reason: refusal.reason as u8,
        ..Event::default()
    });
}

#[inline(always)]
fn of_session(session: &Session) -> Event {
    // SAFETY: a pointer into the map; only what is fixed while the session lives,
    // and the time stamp.
    let slot = unsafe { &*session.slot };
    Event {
        endpoint: session.word.endpoint(),
        slot: session.number,
        created: slot.opened(),
        last_seen: slot.last_seen,
        client: slot.client,
        address: slot.endpoint,
        backend: slot.backend,
        client_port: slot.client_port,
        port: slot.endpoint_port,
        backend_port: slot.backend_port,
        vpc: slot.consumer_vpc,
        provider_vpc: slot.provider_vpc,
        protocol: slot.protocol,
        ..Event::default()
    }
}

#[inline(always)]
fn report(settings: &Settings, kind: Kind, time_ns: u64, event: impl FnOnce() -> Event) {
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
    entry.write(Event { time_ns, kind: kind as u8, ..event() });
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
}

#[inline(always)]
fn is_half_full() -> bool {
    EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) > EVENTS.query(u64::from(BPF_RB_RING_SIZE)) / 2
}

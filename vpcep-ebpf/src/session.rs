//! Sessions: find, open, track, end. The rules of who may write what are in
//! `vpcep_common::session`.

use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use vpcep_common::be::{Be16, Be32};
use vpcep_common::counter::{Connections, DropReason};
use vpcep_common::meter::CONNECTION_BURST;
use vpcep_common::session::{FlowKey, Slot, TICK_SHIFT, Use, Word};
use vpcep_common::settings::Settings;
use vpcep_common::tcp::{Side, State};
use vpcep_common::volume::Volume;

use crate::atomic;
use crate::endpoint::Policy;
use crate::events;
use crate::index;
use crate::maps::{CONNECTIONS, SLOTS};
use crate::meter;
use crate::snat::Claim;

/// Times a compare-and-swap is tried again when another CPU was faster.
const RETRIES: u32 = 4;
/// The same for an endpoint's counter, which all CPUs want.
const RAISE_RETRIES: u32 = 12;

/// Now, in ticks of the coarse monotonic clock.
#[inline(always)]
pub fn now() -> u32 {
    (events::now_ns() >> TICK_SHIFT) as u32
}

/// A live session, as it was at one moment.
#[derive(Clone, Copy)]
pub struct Session {
    /// Slot number.
    pub number: u32,
    /// The slot.
    pub slot: *mut Slot,
    /// Its word when it was read.
    pub word: Word,
}

/// The session in a slot, if there is one.
#[inline(always)]
pub fn in_slot(number: u32) -> Option<Session> {
    let slot = SLOTS.get_ptr_mut(number)?;
    // SAFETY: a pointer into the map.
    let word = Word(unsafe { atomic::load(&raw const (*slot).word) });
    word.is_live().then_some(Session { number, slot, word })
}

/// The session of a flow if it is in this slot.
#[inline(always)]
pub fn of_flow_in(number: u32, flow: &FlowKey) -> Option<Session> {
    let session = in_slot(number)?;
    // SAFETY: a pointer into the map.
    let matches = unsafe { (*session.slot).key() == *flow };
    (matches && session.is_unchanged()).then_some(session)
}

/// Whether a slot is a flow's, live or about to be.
#[inline(always)]
pub fn is_used_by(number: u32, flow: &FlowKey) -> bool {
    let Some(slot) = SLOTS.get_ptr_mut(number) else { return false };
    // SAFETY: a pointer into the map.
    let word = Word(unsafe { atomic::load(&raw const (*slot).word) });
    // SAFETY: as above.
    let key = unsafe { (*slot).key() };
    matches!(word.usage(), Some(Use::Claimed | Use::Live)) && key == *flow
}

impl Session {
    /// Whether the fields read since belong to the session that was found:
    /// every claim makes another word. A step of TCP on another CPU does, too;
    /// the fields are then still of this session.
    #[inline(always)]
    pub fn is_unchanged(&self) -> bool {
        // Incarnation, endpoint and use.
        const IDENTITY: u64 = !0xffff | 0xf;
        // SAFETY: a pointer into the map.
        let word = unsafe { atomic::load(&raw const (*self.slot).word) };
        (word ^ self.word.0) & IDENTITY == 0
    }

    /// Steps TCP by one packet and keeps the session alive if the packet does.
    /// Whoever brings a session to its end takes it off its endpoint's count.
    #[inline(always)]
    pub fn track(&self, side: Side, flags: u8, now: u32) {
        let before = self.word.tcp();
        let after = before.step(side, flags);
        if after as u8 != before as u8 {
            self.become_state(side, flags);
        } else if !before.is_refreshed_by(side, flags) {
            return;
        }
        // SAFETY: a pointer into the map; a plain store by design. Written only
        // when it differs, to leave the line shared between CPUs.
        unsafe {
            if (*self.slot).last_seen != now {
                (*self.slot).last_seen = now;
            }
        }
    }

    #[inline(always)]
    fn become_state(&self, side: Side, flags: u8) {
        let mut word = self.word;
        for _ in 0..RETRIES {
            let next = word.with_tcp(word.tcp().step(side, flags));
            if self.replace(word, next) {
                return;
            }
            // SAFETY: a pointer into the map.
            word = Word(unsafe { atomic::load(&raw const (*self.slot).word) });
            if !self.is_unchanged() {
                return;
            }
        }
    }

    /// Counts the IP bytes of a packet of one side, if anybody is going to be told.
    #[inline(always)]
    pub fn count(&self, settings: &Settings, sender: Side, bytes: u16) {
        if !events::are_read(settings) {
            return;
        }
        // SAFETY: a helper without arguments.
        let random = || unsafe { bpf_get_prandom_u32() };
        // SAFETY: a pointer into the map; plain stores by design. Two CPUs that
        // have packets of one side at once may lose one of them here.
        let slot = unsafe { &mut *self.slot };
        match sender {
            Side::Client => slot.bytes_out = slot.bytes_out.plus(bytes, random),
            Side::Backend => slot.bytes_in = slot.bytes_in.plus(bytes, random),
        }
    }

    /// Marks a session that its endpoint's policy no longer admits: told, and
    /// over as soon as the short timer of a reset runs out.
    #[inline(always)]
    pub fn cut(&self) {
        // One that is not counted any more must not come to life again.
        let over = if self.word.is_counted() { State::ResetByBackend } else { State::TimeWait };
        let cut = Word(self.word.with_tcp(over).0 | Word::TOLD);
        if cut != self.word {
            self.replace(self.word, cut);
        }
    }

    /// Replaces the word, and lowers the counts that this took the session off.
    #[inline(always)]
    fn replace(&self, old: Word, new: Word) -> bool {
        // SAFETY: a pointer into the map.
        let done = unsafe { atomic::compare_and_swap(&raw mut (*self.slot).word, old.0, new.0) };
        let left = old.0 & !new.0 & Word::COUNTS;
        if done && left != 0 {
            lower(old.endpoint(), left);
        }
        done
    }

    /// Takes over the slot of a session that is over, for a new connection of
    /// the same flow (RFC 9293 section 3.6.1 allows it in TIME-WAIT).
    #[inline(always)]
    pub fn recycle(&self, settings: &Settings, endpoint: u32) -> Option<Claim> {
        let claimed = self.word.claimed(endpoint);
        if !self.replace(self.word, claimed) {
            return None;
        }
        // Its end does not depend on the policy: it is over by itself, or was told.
        events::closed(settings, self, true, events::now_ns());
        Some(Claim { number: self.number, slot: self.slot, word: claimed })
    }
}

/// Counts one more connection of an endpoint if its limits allow, the rate of new
/// ones first. `is_half_open` says whether it goes into the count of handshakes too.
#[inline(always)]
pub fn raise(policy: &Policy, is_half_open: bool) -> Result<(), DropReason> {
    let connections = CONNECTIONS.get_ptr_mut(policy.endpoint).ok_or(DropReason::ConnectionLimit)?;
    // SAFETY: a pointer into the map.
    let paid_until = unsafe { &raw mut (*connections).opened_until };
    if !meter::admits(paid_until, u64::from(policy.connection_cost), CONNECTION_BURST) {
        return Err(DropReason::ConnectionRate);
    }
    if is_half_open {
        // SAFETY: a pointer into the map.
        let before = unsafe { atomic::fetch_add(&raw mut (*connections).half_open, 1) };
        if before >= u64::from(policy.half_open) {
            lower(policy.endpoint, Word::HALF_OPEN);
            return Err(DropReason::HalfOpenLimit);
        }
    }
    let mut reason = DropReason::Contended;
    for _ in 0..RAISE_RETRIES {
        // SAFETY: a pointer into the map.
        let current = unsafe { atomic::load(&raw const (*connections).current) };
        if current >= u64::from(policy.limit) {
            reason = DropReason::ConnectionLimit;
            break;
        }
        // SAFETY: a pointer into the map.
        if unsafe { atomic::compare_and_swap(&raw mut (*connections).current, current, current + 1) } {
            note_peak(connections, current + 1);
            return Ok(());
        }
    }
    if is_half_open {
        lower(policy.endpoint, Word::HALF_OPEN);
    }
    Err(reason)
}

#[inline(always)]
fn note_peak(connections: *mut Connections, current: u64) {
    // SAFETY: a pointer into the map. A race may lose a peak by as many CPUs as
    // take part; it is for people, not for decisions.
    unsafe {
        if (*connections).peak < current {
            (*connections).peak = current;
        }
    }
}

/// Counts one less where these bits of a word say that it was counted:
/// [`Word::COUNTED`], [`Word::HALF_OPEN`].
#[inline(always)]
pub fn lower(endpoint: u32, counted: u64) {
    let Some(connections) = CONNECTIONS.get_ptr_mut(endpoint) else { return };
    if counted & Word::COUNTED != 0 {
        // SAFETY: a pointer into the map.
        unsafe { atomic::fetch_add(&raw mut (*connections).current, u64::MAX) };
    }
    if counted & Word::HALF_OPEN != 0 {
        // SAFETY: as above.
        unsafe { atomic::fetch_add(&raw mut (*connections).half_open, u64::MAX) };
    }
}

/// What a new session is made of, besides its flow.
pub struct Opening {
    /// Generation of the policy that admitted it.
    pub generation: u32,
    /// Backend address.
    pub backend: Be32,
    /// Backend port.
    pub backend_port: Be16,
    /// Provider VPC number.
    pub provider_vpc: u16,
    /// Next-hop number towards the backend.
    pub next_hop: u16,
    /// Attachment the client's packets come in on.
    pub attachment: u16,
    /// Who sends the client's packets.
    pub client_mac: [u8; 6],
    /// See `vpcep_common::session::left_to_tc`.
    pub left_to_tc: u8,
    /// See `vpcep_common::client_address::pending`.
    pub pending: u8,
    /// What `vpcep_common::session::Slot::created` begins with.
    pub created: u32,
    /// The counts it is in: bits of `vpcep_common::session::Word::COUNTS`.
    pub counts: u64,
}

/// Fills a claimed and counted slot, puts it into the index unless it is there
/// (`indexed`), and makes it live. When the index refuses, the slot is given
/// back and the count undone.
#[inline(always)]
pub fn publish(
    settings: &Settings,
    claim: &Claim,
    flow: &FlowKey,
    opening: &Opening,
    indexed: bool,
    now: u32,
) -> Result<Session, DropReason> {
    // SAFETY: a pointer into the map, and the slot is ours while its word says
    // CLAIMED: readers give up on that word.
    let slot = unsafe { &mut *claim.slot };
    slot.last_seen = now;
    slot.generation = opening.generation;
    slot.created = opening.created;
    slot.client = flow.source;
    slot.endpoint = flow.destination;
    slot.backend = opening.backend;
    slot.client_port = flow.source_port;
    slot.endpoint_port = flow.destination_port;
    slot.backend_port = opening.backend_port;
    slot.consumer_vpc = flow.vpc;
    slot.provider_vpc = opening.provider_vpc;
    slot.next_hop = opening.next_hop;
    slot.attachment = opening.attachment;
    slot.client_mac = opening.client_mac;
    slot.protocol = flow.protocol;
    slot.left_to_tc = opening.left_to_tc;
    slot.pending = opening.pending;
    slot.bytes_out = Volume::default();
    slot.bytes_in = Volume::default();
    if !indexed && let Err(reason) = index::enter(settings, flow, claim.number) {
        lower(claim.word.endpoint(), opening.counts);
        abandon(claim, now);
        return Err(reason);
    }
    let first = State::first(flow.protocol, flow.destination_port.get());
    let live = claim.word.live(first, opening.counts);
    // SAFETY: a pointer into the map; the word is ours.
    unsafe { atomic::store(&raw mut (*claim.slot).word, live.0) };
    if let Some(connections) = CONNECTIONS.get_ptr_mut(live.endpoint()) {
        // SAFETY: a pointer into the map.
        unsafe { atomic::fetch_add(&raw mut (*connections).opened, 1) };
    }
    let session = Session { number: claim.number, slot: claim.slot, word: live };
    events::opened(settings, &session);
    Ok(session)
}

/// Gives back a claimed slot that is not counted.
#[inline(always)]
pub fn abandon(claim: &Claim, now: u32) {
    // SAFETY: a pointer into the map; the slot is ours.
    unsafe { (*claim.slot).last_seen = now };
    // SAFETY: as above.
    unsafe { atomic::store(&raw mut (*claim.slot).word, claim.word.freed().0) };
}

//! A session: one translated flow, one slot, one cache line.
//!
//! The slot's number *is* the source address and port that the backend sees
//! (see [`crate::snat`]), so a return packet finds its session by one array
//! access. The forward path finds it through [`crate::index`].
//!
//! # Who may write what
//! `word` changes by compare-and-swap only, and whoever makes a change owns its
//! consequences:
//!
//! ```text
//!            claim (program)            publish (same program)
//!   FREE ───────────────────▶ CLAIMED ────────────────────────▶ LIVE
//!     ▲                          │ undo                           │ idle (reaper), or its
//!     │                          │                                │ index entry was refused
//!     └──────────────────────────┴────────── REAPING ◀────────────┘
//!                         index entry removed
//! ```
//!
//! Clearing `COUNTED` obliges the clearer to lower the endpoint's counter, once.
//! The other fields belong to the claimer until LIVE; then only `last_seen`,
//! `generation`, `created`, `attachment`, `client_mac`, `left_to_tc`, `pending` and the bytes
//! change, by plain stores. A reader reads `word`, compares the key, and reads `word` again: equal
//! words mean that the fields belong together, because every claim raises the incarnation.

use crate::be::{Be16, Be32};
use crate::client_address::pending;
use crate::tcp;
use crate::volume::Volume;

/// Nanoseconds per tick as a shift: 2^28 ns is about 0.27 s. A power of two,
/// since BPF has no cheap 64-bit division; 32 bits of ticks last 36 years.
pub const TICK_SHIFT: u32 = 28;

/// Ticks in `seconds`, rounded up.
pub const fn ticks(seconds: u32) -> u32 {
    let ns = seconds as u64 * 1_000_000_000;
    ns.div_ceil(1 << TICK_SHIFT) as u32
}

/// Whole seconds in `ticks`.
pub const fn seconds(ticks: u32) -> u64 {
    ((ticks as u64) << TICK_SHIFT) / 1_000_000_000
}

/// A flow as the client sends it: what the forward index looks for.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Client address.
    pub source: Be32,
    /// Endpoint address.
    pub destination: Be32,
    /// Client port.
    pub source_port: Be16,
    /// Endpoint port.
    pub destination_port: Be16,
    /// Consumer VPC number.
    pub vpc: u16,
    /// IANA protocol number.
    pub protocol: u8,
    /// Zero.
    pub pad: u8,
}
const _: () = assert!(size_of::<FlowKey>() == 16);

impl FlowKey {
    /// The key as two words, for hashing.
    #[inline(always)]
    pub const fn words(&self) -> [u64; 2] {
        [
            self.source.0 as u64 | (self.destination.0 as u64) << 32,
            self.source_port.0 as u64
                | (self.destination_port.0 as u64) << 16
                | (self.vpc as u64) << 32
                | (self.protocol as u64) << 48,
        ]
    }
}

/// One session of IPv4.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// See [`Word`].
    pub word: u64,
    /// Tick of the last packet that keeps the session alive; of the release
    /// once it is free.
    pub last_seen: u32,
    /// Generation of the endpoint's policy it was last checked under.
    pub generation: u32,
    /// Tick of the opening; but see [`Slot::opened`].
    pub created: u32,
    /// Client address.
    pub client: Be32,
    /// Endpoint address.
    pub endpoint: Be32,
    /// Backend address.
    pub backend: Be32,
    /// Client port.
    pub client_port: Be16,
    /// Endpoint port.
    pub endpoint_port: Be16,
    /// Backend port.
    pub backend_port: Be16,
    /// Consumer VPC number.
    pub consumer_vpc: u16,
    /// Provider VPC number.
    pub provider_vpc: u16,
    /// Next-hop number towards the backend.
    pub next_hop: u16,
    /// Attachment the client's packets come in on; replies leave there.
    pub attachment: u16,
    /// Who sends the client's packets to us: the client or its router.
    pub client_mac: [u8; 6],
    /// IANA protocol number.
    pub protocol: u8,
    /// [`left_to_tc`]: sides whose packets XDP leaves alone.
    pub left_to_tc: u8,
    /// What the server has not been told yet of the client's address:
    /// [`crate::client_address::pending`].
    pub pending: u8,
    /// Zero.
    pub reserved: u8,
    /// Bytes towards the backend, counted while events are reported.
    pub bytes_out: Volume,
    /// Bytes back to the client, likewise.
    pub bytes_in: Volume,
}
const _: () = assert!(size_of::<Slot>() == 64);

impl Slot {
    /// Tick of the opening. While a PROXY header is on its way, `created` has the number of the
    /// client's SYN instead, and the last packet has to do.
    #[inline(always)]
    pub const fn opened(&self) -> u32 {
        // Without a branch, which in the reaper's loop costs the verifier half as much again.
        let mask = ((self.pending & pending::PROXY) as u32 / pending::PROXY as u32).wrapping_neg();
        self.last_seen & mask | self.created & !mask
    }

    /// The forward key of this session.
    #[inline(always)]
    pub const fn key(&self) -> FlowKey {
        FlowKey {
            source: self.client,
            destination: self.endpoint,
            source_port: self.client_port,
            destination_port: self.endpoint_port,
            vpc: self.consumer_vpc,
            protocol: self.protocol,
            pad: 0,
        }
    }
}

/// Bits of [`Slot::left_to_tc`]: XDP passed the handshake packet of that side on
/// to TC, because its checksum was still to be completed (a sender on veth with
/// tx offload) or because its way out takes no redirected frames. The rest of
/// the connection goes the same way.
pub mod left_to_tc {
    /// Packets from the client.
    pub const CLIENT: u8 = 1 << 0;
    /// Packets from the backend.
    pub const BACKEND: u8 = 1 << 1;
}

/// What a slot is being used for.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Nobody's; may be resting.
    Free = 0,
    /// Being filled by the program that claimed it.
    Claimed = 1,
    /// A session.
    Live = 2,
    /// Being taken out of the index by the reaper.
    Reaping = 3,
}

/// The state word of a slot.
///
/// ```text
///  63        40 39       16 15  12  11    10     9    8   7   4 3   0
/// ┌────────────┬───────────┬──────┬─────┬──────┬────┬─────┬─────┬─────┐
/// │incarnation │ endpoint  │ zero │refus│ half │told│count│ TCP │ use │
/// └────────────┴───────────┴──────┴─────┴──────┴────┴─────┴─────┴─────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub u64);

impl Word {
    /// The session is in its endpoint's count.
    pub const COUNTED: u64 = 1 << 8;
    /// The session was cut off and its client has been told.
    pub const TOLD: u64 = 1 << 9;
    /// The session is in its endpoint's count of unfinished handshakes.
    pub const HALF_OPEN: u64 = 1 << 10;
    /// The counts that a session may be in.
    pub const COUNTS: u64 = Self::COUNTED | Self::HALF_OPEN;
    /// The backend refused the connection.
    pub const REFUSED: u64 = 1 << 11;
    const INCARNATION_SHIFT: u32 = 40;

    /// What the slot is used for; `None` for a value that is never written.
    #[inline(always)]
    pub const fn usage(self) -> Option<Use> {
        match self.0 & 0xf {
            0 => Some(Use::Free),
            1 => Some(Use::Claimed),
            2 => Some(Use::Live),
            3 => Some(Use::Reaping),
            _ => None,
        }
    }

    /// Whether the slot holds a session.
    #[inline(always)]
    pub const fn is_live(self) -> bool {
        self.0 & 0xf == Use::Live as u64
    }

    /// Whether the slot is nobody's.
    #[inline(always)]
    pub const fn is_free(self) -> bool {
        self.0 & 0xf == Use::Free as u64
    }

    /// Whether the session is in its endpoint's count.
    #[inline(always)]
    pub const fn is_counted(self) -> bool {
        self.0 & Self::COUNTED != 0
    }

    /// Whether the session is in its endpoint's count of unfinished handshakes.
    #[inline(always)]
    pub const fn is_half_open(self) -> bool {
        self.0 & Self::HALF_OPEN != 0
    }

    /// Whether the client of a cut-off session has been told.
    #[inline(always)]
    pub const fn is_told(self) -> bool {
        self.0 & Self::TOLD != 0
    }

    /// Whether the backend refused the connection.
    #[inline(always)]
    pub const fn is_refused(self) -> bool {
        self.0 & Self::REFUSED != 0
    }

    /// State of the TCP connection.
    #[inline(always)]
    pub const fn tcp(self) -> tcp::State {
        tcp::State::from_bits(self.tcp_bits() as u8)
    }

    /// The four bits of the TCP state, as an index into tables of
    /// [`tcp::State::COUNT`]: below 16 also in the eyes of the verifier, which
    /// does not know the range of an enum.
    #[inline(always)]
    pub const fn tcp_bits(self) -> usize {
        (self.0 >> 4) as usize & 0xf
    }

    /// Endpoint number.
    #[inline(always)]
    pub const fn endpoint(self) -> u32 {
        (self.0 >> 16) as u32 & 0xff_ffff
    }

    /// The word of whoever claims this free slot for `endpoint`: the next incarnation.
    #[inline(always)]
    pub const fn claimed(self, endpoint: u32) -> Self {
        let incarnation = (self.0 >> Self::INCARNATION_SHIFT).wrapping_add(1) << Self::INCARNATION_SHIFT;
        Self(incarnation | (endpoint as u64) << 16 | Use::Claimed as u64)
    }

    /// The word of a claimed slot that becomes a session, in these [`Self::COUNTS`].
    #[inline(always)]
    pub const fn live(self, tcp: tcp::State, counts: u64) -> Self {
        Self((self.0 & !0xffff) | counts & Self::COUNTS | (tcp as u64) << 4 | Use::Live as u64)
    }

    /// The same with another TCP state. A session that is over is not counted, and one
    /// whose handshake came to an end is not half open. One that is over before the
    /// backend has answered its SYN was refused.
    #[inline(always)]
    pub const fn with_tcp(self, tcp: tcp::State) -> Self {
        let word = (self.0 & !0xf0) | (tcp as u64) << 4;
        match (self.tcp(), tcp) {
            (_, tcp::State::SynSent | tcp::State::SynReceived) => Self(word),
            (tcp::State::SynSent, tcp::State::TimeWait) => Self(word & !Self::COUNTS | Self::REFUSED),
            (_, tcp::State::TimeWait) => Self(word & !Self::COUNTS),
            _ => Self(word & !Self::HALF_OPEN),
        }
    }

    /// The same, used otherwise.
    #[inline(always)]
    pub const fn with_use(self, usage: Use) -> Self {
        Self((self.0 & !0xf) | usage as u64)
    }

    /// The word of a freed slot: only endpoint and incarnation stay.
    #[inline(always)]
    pub const fn freed(self) -> Self {
        Self(self.0 & !0xffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_goes_through_a_life() {
        let free = Word(0);
        assert!(free.is_free());
        let claimed = free.claimed(0xab_cdef);
        assert_eq!(claimed.usage(), Some(Use::Claimed));
        let live = claimed.live(tcp::State::SynSent, Word::COUNTS);
        assert!(live.is_live() && live.is_counted() && live.is_half_open());
        assert!(live.with_tcp(tcp::State::SynReceived).is_half_open());
        assert!(!live.with_tcp(tcp::State::Established).is_half_open());
        assert_eq!((live.endpoint(), live.tcp()), (0xab_cdef, tcp::State::SynSent));
        let over = live.with_tcp(tcp::State::TimeWait);
        assert!(over.is_live() && !over.is_counted());
        let freed = over.with_use(Use::Reaping).freed();
        assert!(freed.is_free() && !freed.is_counted());
        assert_ne!(freed.claimed(0xab_cdef), claimed, "a second claim is another incarnation");
    }

    #[test]
    fn ticks_round_up_and_seconds_down() {
        for secs in [0, 1, 10, 120, 240, 7440] {
            assert!(seconds(ticks(secs)) >= u64::from(secs));
            assert!(seconds(ticks(secs)) <= u64::from(secs) + 1);
        }
    }
}

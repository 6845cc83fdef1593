//! What the programs report of sessions, through the ring buffer `EVENTS`.
//!
//! Each kind of event has a budget per CPU and window of about a second. What is
//! beyond it, or finds the ring full, is counted and not reported, so that nobody
//! takes what was reported for all there was.

use crate::be::{Be16, Be32};
use crate::counter::DropReason;
use crate::session::Word;
use crate::tcp::State;
use crate::volume::Volume;

/// One event, as it stands in the ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// When it was reported: nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// Endpoint number, or [`crate::endpoint::NO_ENDPOINT`].
    pub endpoint: u32,
    /// Slot number; 0 for a packet that was refused.
    pub slot: u32,
    /// Tick of the opening; 0 for a packet that was refused.
    pub created: u32,
    /// Tick of the last packet that kept the session alive; likewise.
    pub last_seen: u32,
    /// Bytes towards the backend, of a session that is over.
    pub bytes_out: Volume,
    /// Bytes back to the client, likewise.
    pub bytes_in: Volume,
    /// Client address; source of a packet that was refused.
    pub client: Be32,
    /// Endpoint address; destination of a packet that was refused.
    pub address: Be32,
    /// Backend address; 0 for a packet that was refused.
    pub backend: Be32,
    /// Client port, or source port.
    pub client_port: Be16,
    /// Endpoint port, or destination port.
    pub port: Be16,
    /// Backend port; 0 for a packet that was refused.
    pub backend_port: Be16,
    /// Consumer VPC number, or that of the VPC a refused packet came from.
    pub vpc: u16,
    /// Provider VPC number; 0 for a packet that was refused.
    pub provider_vpc: u16,
    /// IANA protocol number.
    pub protocol: u8,
    /// [`Kind`].
    pub kind: u8,
    /// [`End`] of a session that is over, [`DropReason`] of a packet that was refused.
    pub reason: u8,
    /// Zero.
    pub pad: [u8; 7],
}
const _: () = assert!(size_of::<Event>() == 64);
const _: () = assert!(DropReason::SLOTS <= u8::MAX as usize);

/// What happened.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session was opened.
    Opened = 0,
    /// A session is over, and its slot free or another's.
    Closed = 1,
    /// A packet was refused.
    Refused = 2,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Opened, Self::Closed, Self::Refused];
    /// Entries of `EVENT_BUDGETS`.
    pub const COUNT: u32 = Self::ALL.len() as u32;

    /// The kind of this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The name shown to users; stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::Refused => "refused",
        }
    }
}

/// How a session ended.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides have closed, or a DNS query has its answer.
    Closed = 0,
    /// The backend refused the connection.
    RefusedByBackend = 1,
    /// The client sent a reset.
    ResetByClient = 2,
    /// The backend sent a reset.
    ResetByBackend = 3,
    /// The endpoint's policy does not admit it any more.
    CutOff = 4,
    /// Nobody sent anything for as long as its state allows.
    Idle = 5,
}

impl End {
    /// Every end.
    pub const ALL: [Self; 6] = [
        Self::Closed,
        Self::RefusedByBackend,
        Self::ResetByClient,
        Self::ResetByBackend,
        Self::CutOff,
        Self::Idle,
    ];

    /// How a session ends whose last word this is; `is_accepted` says whether its
    /// endpoint is.
    #[inline(always)]
    pub const fn of(word: Word, is_accepted: bool) -> Self {
        if word.is_told() {
            return Self::CutOff;
        }
        match word.tcp() {
            State::TimeWait if word.is_refused() => Self::RefusedByBackend,
            State::TimeWait | State::LastFinClient | State::LastFinBackend => Self::Closed,
            State::ResetByClient => Self::ResetByClient,
            State::ResetByBackend => Self::ResetByBackend,
            _ if is_accepted => Self::Idle,
            _ => Self::CutOff,
        }
    }

    /// The end of this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|end| *end as u8 == number)
    }

    /// The name shown to users; stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::RefusedByBackend => "refused_by_backend",
            Self::ResetByClient => "reset_by_client",
            Self::ResetByBackend => "reset_by_backend",
            Self::CutOff => "cut_off",
            Self::Idle => "idle",
        }
    }
}

/// Length of a window of [`Budget`] as a shift: 2^30 ns.
const WINDOW_SHIFT: u32 = 30;

/// How many events of one kind one CPU has reported in the current window, and
/// what it did not report since the map was made. Per CPU, so plain adds.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Number of the window.
    pub window: u64,
    /// Events in it.
    pub used: u64,
    /// Events beyond the rate.
    pub held_back: u64,
    /// Events that found no room in the ring.
    pub lost: u64,
}

impl Budget {
    /// Whether one more event may be reported at a rate; counts it either way.
    #[inline(always)]
    pub const fn admit(&mut self, time_ns: u64, rate: u32) -> bool {
        let window = time_ns >> WINDOW_SHIFT;
        if self.window != window {
            self.window = window;
            self.used = 0;
        }
        if self.used >= rate as u64 {
            self.held_back += 1;
            return false;
        }
        self.used += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::{Side, flags};

    #[test]
    fn a_budget_admits_its_rate_in_each_window_and_counts_the_rest() {
        let mut budget = Budget::default();
        let second = 1 << WINDOW_SHIFT;
        for (time_ns, admitted, held_back) in [
            (0, true, 0),
            (1, true, 0),
            (second - 1, false, 1),
            (second, true, 1),
            (second, true, 1),
            (second + 1, false, 2),
            // Another CPU's clock may be a little behind: a window of its own.
            (second - 1, true, 2),
        ] {
            assert_eq!(budget.admit(time_ns, 2), admitted, "at {time_ns}");
            assert_eq!(budget.held_back, held_back, "at {time_ns}");
        }
        assert!(!Budget::default().admit(0, 0), "a rate of 0 admits nothing");
    }

    #[test]
    fn a_session_tells_how_it_ended() {
        let opened = Word(0).claimed(1).live(State::SynSent, Word::COUNTED);
        let in_state = |state| opened.with_tcp(State::Established).with_tcp(state);
        let refused = opened.with_tcp(State::SynSent.step(Side::Backend, flags::RST | flags::ACK));
        let told = |word: Word| Word(word.0 | Word::TOLD);
        let udp = |state| Word(0).claimed(1).live(state, Word::COUNTED);
        for (name, word, is_accepted, end) in [
            ("both closed", in_state(State::TimeWait), true, End::Closed),
            ("last ACK not seen", in_state(State::LastFinBackend), true, End::Closed),
            ("refused", refused, true, End::RefusedByBackend),
            ("reset by the client", in_state(State::ResetByClient), true, End::ResetByClient),
            ("reset by the backend", in_state(State::ResetByBackend), true, End::ResetByBackend),
            ("cut off", told(in_state(State::ResetByBackend)), false, End::CutOff),
            ("cut off, accepted again", told(in_state(State::ResetByBackend)), true, End::CutOff),
            ("endpoint gone, no packet since", in_state(State::Established), false, End::CutOff),
            ("endpoint gone, closed before", in_state(State::TimeWait), false, End::Closed),
            ("idle", in_state(State::Established), true, End::Idle),
            ("half closed", in_state(State::FinClient), true, End::Idle),
            ("no answer", opened, true, End::Idle),
            ("UDP", udp(State::Answered), true, End::Idle),
            ("DNS", udp(State::Query).with_tcp(State::TimeWait), true, End::Closed),
        ] {
            assert_eq!(End::of(word, is_accepted), end, "{name}");
        }
    }

    #[test]
    fn numbers_lead_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind as u8), Some(kind));
        }
        for end in End::ALL {
            assert_eq!(End::from_number(end as u8), Some(end));
        }
        assert_eq!((Kind::from_number(3), End::from_number(6)), (None, None));
        for reason in DropReason::ALL {
            assert_eq!(DropReason::from_number(*reason as u8), Some(*reason));
        }
        assert_eq!(DropReason::from_number(31), None);
    }
}

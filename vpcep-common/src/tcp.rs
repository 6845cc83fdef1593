//! Tracking of a translated connection. TCP: RFC 7857 section 2 (and RFC 6146
//! section 3.5.2) without sequence numbers. UDP: who has spoken.
//!
//! ```text
//!            SYN from client
//!                  │
//!                  ▼      SYN-ACK from backend        ACK from client
//!              SYN_SENT ───────────────────▶ SYN_RECEIVED ───────▶ ESTABLISHED
//!                  │ RST from backend                               │        │
//!                  │ (refused)                      FIN from client │        │ FIN from backend
//!                  │                                                ▼        ▼
//!                  │                                       FIN_CLIENT      FIN_BACKEND
//!                  │                              FIN from backend │        │ FIN from client
//!                  │                                               ▼        ▼
//!                  │                          LAST_FIN_BACKEND              LAST_FIN_CLIENT
//!                  ▼                           ACK from client │        │ ACK from backend
//!              TIME_WAIT ◀─────────────────────────────────────┴────────┘
//! ```
//!
//! A RST in any other state leads to RESET_BY_its-sender, which only shortens
//! the timer: a forged one must free nothing. The alleged sender's next packet
//! that is no RST proves the forgery and leads back to ESTABLISHED; packets of
//! the other side prove nothing, they may have been under way.
//!
//! ```text
//!   UDP, first from client ──▶ UNANSWERED ── from backend ──▶ ANSWERED
//!   DNS, first from client ──▶ QUERY ─────── from backend ──▶ TIME_WAIT
//! ```
//!
//! A DNS query is over with its answer, though the backend may still send another;
//! the client's next one is a new connection. Otherwise a resolver that takes a new
//! port for each query, as it should (RFC 5452), would fill any limit of connections.

/// TCP flag bits as they stand in byte 13 of the header (RFC 9293 section 3.1).
pub mod flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgement field is significant.
    pub const ACK: u8 = 0x10;
}

/// IANA number of TCP.
pub const IPPROTO_TCP: u8 = 6;
/// IANA number of UDP.
pub const IPPROTO_UDP: u8 = 17;
/// The port of DNS.
const DNS: u16 = 53;

/// Who sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client, in the consumer's VPC.
    Client,
    /// The backend, in the provider's VPC.
    Backend,
}

/// State of a connection. Fits the four bits it has in a session word.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not tracked (protocols without connections).
    None = 0,
    /// SYN seen from the client.
    SynSent = 1,
    /// SYN-ACK seen from the backend.
    SynReceived = 2,
    /// Data flows.
    Established = 3,
    /// The client has closed its side.
    FinClient = 4,
    /// The backend has closed its side.
    FinBackend = 5,
    /// Both closed, the client last.
    LastFinClient = 6,
    /// Both closed, the backend last.
    LastFinBackend = 7,
    /// Over, and no longer counted; kept for late retransmissions.
    TimeWait = 8,
    /// The client sent a RST.
    ResetByClient = 9,
    /// The backend sent a RST.
    ResetByBackend = 10,
    /// UDP, and only the client has sent.
    Unanswered = 11,
    /// UDP, and both have sent.
    Answered = 12,
    /// DNS over UDP, and the answer is to come.
    Query = 13,
}

impl State {
    /// Number of values that four bits can take; timers are tables of this size.
    pub const COUNT: usize = 16;

    /// Every state.
    pub const ALL: [Self; 14] = [
        Self::None,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinClient,
        Self::FinBackend,
        Self::LastFinClient,
        Self::LastFinBackend,
        Self::TimeWait,
        Self::ResetByClient,
        Self::ResetByBackend,
        Self::Unanswered,
        Self::Answered,
        Self::Query,
    ];

    /// The state that a connection begins with.
    #[inline(always)]
    pub const fn first(protocol: u8, endpoint_port: u16) -> Self {
        match (protocol, endpoint_port) {
            (IPPROTO_UDP, DNS) => Self::Query,
            (IPPROTO_UDP, _) => Self::Unanswered,
            _ => Self::SynSent,
        }
    }

    /// Whether this is UDP that the backend has not answered yet.
    #[inline(always)]
    pub const fn is_unanswered(self) -> bool {
        matches!(self, Self::Unanswered | Self::Query)
    }

    /// Whether nobody has answered the client's SYN yet.
    #[inline(always)]
    pub const fn is_syn_sent(self) -> bool {
        matches!(self, Self::SynSent)
    }

    /// Whether the client has finished the handshake.
    #[inline(always)]
    pub const fn has_client_answered(self) -> bool {
        !matches!(self, Self::SynSent | Self::SynReceived)
    }

    /// From the bits of a session word; what is none of ours is `None`.
    #[inline(always)]
    pub const fn from_bits(bits: u8) -> Self {
        match bits {
            1 => Self::SynSent,
            2 => Self::SynReceived,
            3 => Self::Established,
            4 => Self::FinClient,
            5 => Self::FinBackend,
            6 => Self::LastFinClient,
            7 => Self::LastFinBackend,
            8 => Self::TimeWait,
            9 => Self::ResetByClient,
            10 => Self::ResetByBackend,
            11 => Self::Unanswered,
            12 => Self::Answered,
            13 => Self::Query,
            _ => Self::None,
        }
    }

    /// The name shown to users.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SynSent => "syn-sent",
            Self::SynReceived => "syn-received",
            Self::Established => "established",
            Self::FinClient | Self::FinBackend | Self::LastFinClient | Self::LastFinBackend => "closing",
            Self::TimeWait => "closed",
            Self::ResetByClient | Self::ResetByBackend => "reset",
            Self::Unanswered | Self::Query => "unanswered",
            Self::Answered => "answered",
        }
    }

    /// Whether a new SYN of the same five-tuple starts a new connection rather
    /// than belonging to this one.
    #[inline(always)]
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            Self::LastFinClient
                | Self::LastFinBackend
                | Self::TimeWait
                | Self::ResetByClient
                | Self::ResetByBackend
        )
    }

    /// The state after a packet with `flags` (0 for UDP) from `side`.
    #[inline(always)]
    pub const fn step(self, side: Side, flags: u8) -> Self {
        let from_client = matches!(side, Side::Client);
        match (self, from_client) {
            (Self::Unanswered, false) => return Self::Answered,
            (Self::Query, false) => return Self::TimeWait,
            (Self::Unanswered | Self::Answered | Self::Query, _) => return self,
            _ => {}
        }
        if flags & flags::RST != 0 {
            return match (self, from_client) {
                (Self::None | Self::TimeWait, _) => self,
                // Connection refused: only the backend's VPC can say so.
                (Self::SynSent, false) => Self::TimeWait,
                (_, true) => Self::ResetByClient,
                (_, false) => Self::ResetByBackend,
            };
        }
        if flags & flags::SYN != 0 {
            return match (self, from_client) {
                (Self::SynSent, false) if flags & flags::ACK != 0 => Self::SynReceived,
                _ => self,
            };
        }
        if flags & flags::FIN != 0 {
            return match (self, from_client) {
                (Self::SynSent | Self::SynReceived | Self::Established | Self::ResetByClient, true) => {
                    Self::FinClient
                }
                (Self::SynReceived | Self::Established | Self::ResetByBackend, false) => Self::FinBackend,
                (Self::FinBackend, true) => Self::LastFinClient,
                (Self::FinClient, false) => Self::LastFinBackend,
                _ => self,
            };
        }
        if flags & flags::ACK != 0 {
            return match (self, from_client) {
                (Self::SynReceived | Self::ResetByClient, true) | (Self::ResetByBackend, false) => {
                    Self::Established
                }
                (Self::LastFinBackend, true) | (Self::LastFinClient, false) => Self::TimeWait,
                _ => self,
            };
        }
        self
    }

    /// Whether a packet with `flags` from `side` that left the state as it is
    /// keeps the session alive. RSTs do not (RFC 7857 section 2.4), nor does
    /// what the other side still had under way when one side reset, nor anything
    /// on a connection that is over and not counted any more, nor SYN-ACKs that the
    /// backend repeats because nobody finishes the handshake.
    #[inline(always)]
    pub const fn is_refreshed_by(self, side: Side, flags: u8) -> bool {
        let from_client = matches!(side, Side::Client);
        flags & flags::RST == 0
            && !matches!(
                (self, from_client),
                (Self::TimeWait, _)
                    | (Self::SynReceived | Self::ResetByClient, false)
                    | (Self::ResetByBackend, true)
            )
    }
}

#[cfg(test)]
mod tests {
    use super::State::*;
    use super::flags::*;
    use super::*;

    const PACKETS: [(&str, u8); 5] =
        [("SYN", SYN), ("SYN-ACK", SYN | ACK), ("ACK", ACK), ("FIN", FIN | ACK), ("RST", RST)];

    /// For each state, what each packet leads to: from the client, then from the backend.
    const TABLE: [(State, [State; 5], [State; 5]); 11] = [
        (None, [None, None, None, None, None], [None, None, None, None, None]),
        (
            SynSent,
            [SynSent, SynSent, SynSent, FinClient, ResetByClient],
            [SynSent, SynReceived, SynSent, SynSent, TimeWait],
        ),
        (
            SynReceived,
            [SynReceived, SynReceived, Established, FinClient, ResetByClient],
            [SynReceived, SynReceived, SynReceived, FinBackend, ResetByBackend],
        ),
        (
            Established,
            [Established, Established, Established, FinClient, ResetByClient],
            [Established, Established, Established, FinBackend, ResetByBackend],
        ),
        (
            FinClient,
            [FinClient, FinClient, FinClient, FinClient, ResetByClient],
            [FinClient, FinClient, FinClient, LastFinBackend, ResetByBackend],
        ),
        (
            FinBackend,
            [FinBackend, FinBackend, FinBackend, LastFinClient, ResetByClient],
            [FinBackend, FinBackend, FinBackend, FinBackend, ResetByBackend],
        ),
        (
            LastFinClient,
            [LastFinClient, LastFinClient, LastFinClient, LastFinClient, ResetByClient],
            [LastFinClient, LastFinClient, TimeWait, LastFinClient, ResetByBackend],
        ),
        (
            LastFinBackend,
            [LastFinBackend, LastFinBackend, TimeWait, LastFinBackend, ResetByClient],
            [LastFinBackend, LastFinBackend, LastFinBackend, LastFinBackend, ResetByBackend],
        ),
        (TimeWait, [TimeWait; 5], [TimeWait; 5]),
        (
            ResetByClient,
            [ResetByClient, ResetByClient, Established, FinClient, ResetByClient],
            [ResetByClient, ResetByClient, ResetByClient, ResetByClient, ResetByBackend],
        ),
        (
            ResetByBackend,
            [ResetByBackend, ResetByBackend, ResetByBackend, ResetByBackend, ResetByClient],
            [ResetByBackend, ResetByBackend, Established, FinBackend, ResetByBackend],
        ),
    ];

    #[test]
    fn every_state_and_packet() {
        for (state, client, backend) in TABLE {
            for (i, (name, flags)) in PACKETS.iter().enumerate() {
                assert_eq!(state.step(Side::Client, *flags), client[i], "{state:?} + {name} from the client");
                assert_eq!(
                    state.step(Side::Backend, *flags),
                    backend[i],
                    "{state:?} + {name} from the backend"
                );
            }
        }
    }

    #[test]
    fn bits_round_trip() {
        for state in State::ALL {
            assert_eq!(State::from_bits(state as u8), state);
        }
        assert_eq!(State::from_bits(15), State::None);
    }

    #[test]
    fn udp_is_answered_and_a_query_over_with_its_answer() {
        let first = |port| State::first(IPPROTO_UDP, port);
        assert_eq!((first(123), first(53), State::first(IPPROTO_TCP, 53)), (Unanswered, Query, SynSent));
        for (state, client, backend) in
            [(Unanswered, Unanswered, Answered), (Answered, Answered, Answered), (Query, Query, TimeWait)]
        {
            assert_eq!((state.step(Side::Client, 0), state.step(Side::Backend, 0)), (client, backend));
            assert!(state.is_refreshed_by(Side::Client, 0) && !state.is_over(), "{state:?}");
        }
    }

    #[test]
    fn a_reset_is_not_refreshed_by_what_was_under_way() {
        assert!(!ResetByClient.is_refreshed_by(Side::Backend, ACK));
        assert!(!Established.is_refreshed_by(Side::Client, RST));
        assert!(
            !TimeWait.is_refreshed_by(Side::Client, ACK) && !TimeWait.is_refreshed_by(Side::Backend, ACK)
        );
        assert!(Established.is_refreshed_by(Side::Client, ACK));
    }
}

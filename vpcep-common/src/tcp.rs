//! TCP tracking of a translated connection: RFC 7857 section 2 (and RFC 6146
//! section 3.5.2) without sequence numbers.
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
}

impl State {
    /// Number of values that four bits can take; timers are tables of this size.
    pub const COUNT: usize = 16;

    /// Every state.
    pub const ALL: [Self; 11] = [
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
    ];

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

    /// The state after a packet with `flags` from `side`.
    #[inline(always)]
    pub const fn step(self, side: Side, flags: u8) -> Self {
        let from_client = matches!(side, Side::Client);
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
    /// on a connection that is over and not counted any more.
    #[inline(always)]
    pub const fn is_refreshed_by(self, side: Side, flags: u8) -> bool {
        let from_client = matches!(side, Side::Client);
        flags & flags::RST == 0
            && !matches!(
                (self, from_client),
                (Self::TimeWait, _) | (Self::ResetByClient, false) | (Self::ResetByBackend, true)
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
    fn a_reset_is_not_refreshed_by_what_was_under_way() {
        assert!(!ResetByClient.is_refreshed_by(Side::Backend, ACK));
        assert!(!Established.is_refreshed_by(Side::Client, RST));
        assert!(
            !TimeWait.is_refreshed_by(Side::Client, ACK) && !TimeWait.is_refreshed_by(Side::Backend, ACK)
        );
        assert!(Established.is_refreshed_by(Side::Client, ACK));
    }
}

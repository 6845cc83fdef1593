//! What the loader tells the programs; changeable while they run.

use crate::counter::Connections;
use crate::endpoint::{idle, policy};
use crate::session::Word;
use crate::snat::Shard;
use crate::tcp;

/// The one entry of `SETTINGS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Key of the keyed hash; random, made once per table.
    pub hash_key: [u64; 2],
    /// [`crate::ABI_VERSION`] of whoever made the maps.
    pub abi_version: u32,
    /// First address of the shard, host byte order.
    pub shard_base: u32,
    /// Addresses of the shard minus one.
    pub shard_mask: u32,
    /// Buckets of the forward index minus one.
    pub index_mask: u32,
    /// [`settings_flags`].
    pub flags: u32,
    /// Ticks that a freed port rests before another flow may have it.
    pub rest: u32,
    /// Ticks that an unfinished handshake has at an endpoint that is crowded
    /// ([`crate::counter::Connections::is_crowded`]).
    pub handshake_crowded: u32,
    /// Most events of one kind that one CPU reports in a second, about.
    pub event_rate: u32,
    /// Tick since when all bytes of sessions are counted, if they are.
    pub events_since: u32,
    /// [`crate::meter::connection_cost`] of an ICMP error of the gateway's own; 0 if it makes none.
    pub error_cost: u32,
    /// Identity of the store whose state the maps follow.
    pub owner: [u8; 16],
    /// Ticks of idleness after which a session ends, by TCP state.
    pub idle: [u32; tcp::State::COUNT],
}
const _: () = assert!(size_of::<Settings>() == 136);

/// Bits of [`Settings::flags`].
pub mod settings_flags {
    /// Echo requests to endpoints are dropped.
    pub const NO_ECHO: u32 = 1 << 0;
    /// Somebody reads events: they are reported, and bytes of sessions counted.
    pub const EVENTS: u32 = 1 << 1;
}

/// What an endpoint means for how long its sessions may be idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is accepted.
    pub is_accepted: bool,
    /// Whether it is near its limit of connections.
    pub is_crowded: bool,
    /// Ticks that it gives connections in use by both sides; 0 for those of the settings.
    pub idle: u32,
}

impl Standing {
    /// Of an endpoint that is not there.
    pub const ABSENT: Self = Self { is_accepted: false, is_crowded: false, idle: 0 };

    /// From `word`, `limit` and `idle` of the endpoint's policy, and its connections.
    #[inline(always)]
    pub const fn of(word: u64, limit: u32, idle: u32, current: u64) -> Self {
        Self {
            is_accepted: word & policy::ACCEPTED != 0,
            is_crowded: Connections::is_crowded(current, limit),
            idle: idle::ticks(idle),
        }
    }
}

impl Settings {
    /// The gateway's shard.
    #[inline(always)]
    pub const fn shard(&self) -> Shard {
        Shard { base: self.shard_base, mask: self.shard_mask }
    }

    /// Whether a session that has been silent for `silence` ticks is over.
    /// Nothing flows through an endpoint that is not accepted: its sessions go
    /// as fast as reset ones. At a crowded endpoint handshakes have less time, and an
    /// endpoint may have a time of its own for what both sides have used.
    /// A time stamp from another CPU's clock, a little ahead, is not idleness.
    #[inline(always)]
    pub const fn is_idle(&self, word: Word, standing: Standing, silence: u32) -> bool {
        let Standing { is_accepted, is_crowded, idle } = standing;
        let in_handshake = matches!(word.tcp(), tcp::State::SynSent | tcp::State::SynReceived);
        let in_use = matches!(word.tcp(), tcp::State::Established | tcp::State::Answered);
        let by_state = self.idle[word.tcp_bits()];
        let by_state = if is_crowded && in_handshake && self.handshake_crowded < by_state {
            self.handshake_crowded
        } else if in_use && idle != 0 {
            idle
        } else {
            by_state
        };
        let reset = self.idle[tcp::State::ResetByBackend as usize];
        let allowed = if is_accepted || by_state < reset { by_state } else { reset };
        silence >= allowed && silence <= u32::MAX / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::State;

    const OPEN: Standing = Standing { is_accepted: true, ..Standing::ABSENT };
    const SHORT: Standing = Standing { idle: 30, ..OPEN };

    /// Every state has 100 ticks, a reset connection 50, a crowded handshake 20.
    fn settings() -> Settings {
        let mut idle = [100; State::COUNT];
        idle[State::ResetByBackend as usize] = 50;
        Settings {
            hash_key: [0; 2],
            abi_version: 0,
            shard_base: 0,
            shard_mask: 0,
            index_mask: 0,
            flags: 0,
            rest: 0,
            handshake_crowded: 20,
            event_rate: 0,
            events_since: 0,
            error_cost: 0,
            owner: [0; 16],
            idle,
        }
    }

    #[test]
    fn each_session_has_the_time_of_its_state_and_endpoint() {
        let crowded = Standing { is_crowded: true, ..OPEN };
        for (name, state, standing, ticks) in [
            ("settings", State::Established, OPEN, 100),
            ("the endpoint's own", State::Established, SHORT, 30),
            ("a longer one", State::Established, Standing { idle: 5000, ..OPEN }, 5000),
            ("UDP of both sides", State::Answered, SHORT, 30),
            ("UDP of one side", State::Unanswered, SHORT, 100),
            ("half closed", State::FinClient, SHORT, 100),
            ("handshake", State::SynReceived, SHORT, 100),
            ("crowded handshake", State::SynReceived, Standing { idle: 30, ..crowded }, 20),
            ("crowded, in use", State::Established, crowded, 100),
            ("crowded, in use, its own", State::Established, Standing { idle: 30, ..crowded }, 30),
            ("reset", State::ResetByBackend, SHORT, 50),
            ("not accepted", State::Established, Standing { idle: 5000, ..Standing::ABSENT }, 50),
            ("not accepted, its own", State::Established, Standing { idle: 30, ..Standing::ABSENT }, 30),
        ] {
            let word = Word(0).claimed(1).live(state, 0);
            assert!(!settings().is_idle(word, standing, ticks - 1), "{name}: a tick early");
            assert!(settings().is_idle(word, standing, ticks), "{name}: in time");
            assert!(!settings().is_idle(word, standing, u32::MAX), "{name}: another CPU's clock");
        }
    }

    #[test]
    fn a_policy_keeps_time_and_flag_apart() {
        for resets in [false, true] {
            let value = idle::new(7, resets);
            assert_eq!((idle::ticks(value), idle::resets(value)), (7, resets));
            assert_eq!(Standing::of(policy::ACCEPTED, 1, value, 0), Standing { idle: 7, ..OPEN });
        }
    }
}

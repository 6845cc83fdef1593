//! What the loader tells the programs; changeable while they run.

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
    /// Zero.
    pub pad: u32,
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

impl Settings {
    /// The gateway's shard.
    #[inline(always)]
    pub const fn shard(&self) -> Shard {
        Shard { base: self.shard_base, mask: self.shard_mask }
    }

    /// Whether a session that has been silent for `silence` ticks is over.
    /// Nothing flows through an endpoint that is not accepted: its sessions go
    /// as fast as reset ones. At a crowded endpoint handshakes have less time.
    /// A time stamp from another CPU's clock, a little ahead, is not idleness.
    #[inline(always)]
    pub const fn is_idle(&self, word: Word, is_accepted: bool, is_crowded: bool, silence: u32) -> bool {
        let in_handshake = matches!(word.tcp(), tcp::State::SynSent | tcp::State::SynReceived);
        let by_state = self.idle[word.tcp_bits()];
        let by_state = if is_crowded && in_handshake && self.handshake_crowded < by_state {
            self.handshake_crowded
        } else {
            by_state
        };
        let reset = self.idle[tcp::State::ResetByBackend as usize];
        let allowed = if is_accepted || by_state < reset { by_state } else { reset };
        silence >= allowed && silence <= u32::MAX / 2
    }
}

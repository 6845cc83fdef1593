//! What the loader tells the programs; changeable while they run.

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
    /// Ticks that a freed port rests before another flow may have it.
    pub rest: u32,
    /// Identity of the store whose state the maps follow.
    pub owner: [u8; 16],
    /// Ticks of idleness after which a session ends, by TCP state.
    pub idle: [u32; tcp::State::COUNT],
}
const _: () = assert!(size_of::<Settings>() == 112);

impl Settings {
    /// The gateway's shard.
    #[inline(always)]
    pub const fn shard(&self) -> Shard {
        Shard { base: self.shard_base, mask: self.shard_mask }
    }
}

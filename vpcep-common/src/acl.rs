//! Client whitelists: which sources may use an endpoint.

use crate::be::Be32;

/// Data of an `ACL` key, behind the prefix length of the LPM trie. The endpoint
/// is always matched whole, so a prefix length is [`ENDPOINT_BITS`] plus that
/// of the client prefix.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AclKey {
    /// Endpoint number.
    pub endpoint: Be32,
    /// Client network.
    pub source: Be32,
}

/// Bits of an [`AclKey`] before the client's.
pub const ENDPOINT_BITS: u32 = 32;

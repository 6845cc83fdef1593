//! Client whitelists.

use aya_ebpf::maps::lpm_trie::Key;
use vpcep_common::acl::{AclKey, ENDPOINT_BITS};
use vpcep_common::be::Be32;

use crate::maps::ACL;

/// Whether the whitelist of an endpoint covers a client.
#[inline(always)]
pub fn contains(endpoint: u32, source: Be32) -> bool {
    ACL.get(Key::new(ENDPOINT_BITS + 32, AclKey { endpoint: Be32::new(endpoint), source })).is_some()
}

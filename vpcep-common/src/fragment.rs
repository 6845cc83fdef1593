//! Fragments of datagrams: only the first one has ports, which the others are given by it.

use crate::be::{Be16, Be32};

/// What the fragments of one datagram have in common (RFC 791 section 3.2), in one VPC. Key of
/// `FRAGMENTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// Source address.
    pub source: Be32,
    /// Destination address.
    pub destination: Be32,
    /// Identification, as it stands in the header.
    pub id: u16,
    /// VPC number.
    pub vpc: u16,
    /// IANA protocol number.
    pub protocol: u8,
    /// Zero.
    pub pad: [u8; 3],
}
const _: () = assert!(size_of::<FragmentKey>() == 16);

/// What the first fragment said. Value of `FRAGMENTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Source port.
    pub source: Be16,
    /// Destination port.
    pub destination: Be16,
    /// Tick of the first fragment.
    pub seen: u32,
}

/// Seconds that a datagram has for all of its fragments: what is put together at its receiver has
/// 15 to 120 (RFC 1122 section 3.3.2), but on one link they follow each other closely.
pub const LIFETIME_SECS: u32 = 5;

//! Integers in network byte order, converted once, at the edge.

use core::net::Ipv4Addr;

/// A 16-bit number (a port) in network byte order.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Be16(pub u16);

impl Be16 {
    /// From host byte order.
    #[inline(always)]
    pub const fn new(host: u16) -> Self {
        Self(host.to_be())
    }

    /// To host byte order.
    #[inline(always)]
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }
}

/// A 32-bit number (an IPv4 address) in network byte order.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Be32(pub u32);

impl Be32 {
    /// From host byte order.
    #[inline(always)]
    pub const fn new(host: u32) -> Self {
        Self(host.to_be())
    }

    /// To host byte order.
    #[inline(always)]
    pub const fn get(self) -> u32 {
        u32::from_be(self.0)
    }

    /// From the four bytes as they stand in a packet.
    #[inline(always)]
    pub const fn from_octets(octets: [u8; 4]) -> Self {
        Self(u32::from_ne_bytes(octets))
    }
}

impl From<Ipv4Addr> for Be32 {
    fn from(address: Ipv4Addr) -> Self {
        Self::from_octets(address.octets())
    }
}

impl From<Be32> for Ipv4Addr {
    fn from(address: Be32) -> Self {
        Self::from(address.0.to_ne_bytes())
    }
}

//! IPv4 prefixes and arithmetic on them.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use super::ModelError;

/// An IPv4 network: an address whose host bits are zero, and a length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    network: u32,
    len: u8,
}

impl Cidr {
    /// Sources the data plane uses towards backends. No VPC may contain any of
    /// it: a reply to such an address must find the gateway.
    pub const RESERVED: Self = Self { network: u32::from_be_bytes([198, 19, 128, 0]), len: 17 };

    /// The network of this address and length (0..=32).
    ///
    /// # Errors
    /// When the length is above 32 or host bits are set.
    pub fn new(address: Ipv4Addr, len: u8) -> Result<Self, ModelError> {
        let value = || format!("{address}/{len}");
        if len > 32 {
            return Err(ModelError::Cidr { value: value() });
        }
        let cidr = Self::containing(address, len);
        if cidr.network != u32::from(address) {
            return Err(ModelError::HostBits { value: value(), network: cidr });
        }
        Ok(cidr)
    }

    /// The /32 of one address.
    #[must_use]
    pub fn host(address: Ipv4Addr) -> Self {
        Self { network: address.into(), len: 32 }
    }

    /// The network of this length around `address`; lengths above 32 are 32.
    #[must_use]
    pub fn containing(address: Ipv4Addr, len: u8) -> Self {
        let len = len.min(32);
        Self { network: u32::from(address) & mask(len), len }
    }

    /// The first address.
    #[must_use]
    pub fn network(self) -> Ipv4Addr {
        self.network.into()
    }

    /// The last address.
    #[must_use]
    pub fn broadcast(self) -> Ipv4Addr {
        (self.network | !mask(self.len)).into()
    }

    /// Length in bits (0..=32).
    #[must_use]
    pub fn prefix_len(self) -> u8 {
        self.len
    }

    /// Whether `address` is one of this network's.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.len) == self.network
    }

    /// Whether all of `other` lies in this network.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.len <= other.len && self.contains(other.network())
    }

    /// Whether any address is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// Addresses a host may have, in order: all but the first and the last,
    /// which are the network and its broadcast; all of a /31 (RFC 3021) and a /32.
    pub fn hosts(self) -> impl DoubleEndedIterator<Item = Ipv4Addr> {
        let (first, last) = (self.network, u32::from(self.broadcast()));
        let edge = u32::from(self.len < 31);
        (first + edge..=last - edge).map(Ipv4Addr::from)
    }

    /// Whether a host may have this address; see [`Cidr::hosts`].
    #[must_use]
    pub fn is_host(self, address: Ipv4Addr) -> bool {
        self.contains(address)
            && (self.len >= 31 || (address != self.network() && address != self.broadcast()))
    }
}

fn mask(len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let bad = || ModelError::Cidr { value: text.into() };
        let (address, len) = text.split_once('/').ok_or_else(bad)?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad())?;
        if len.is_empty() || len.len() > 2 || !len.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        Self::new(address, len.parse().map_err(|_| bad())?)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.len)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cidr({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_print_as_they_were_read() {
        for text in ["0.0.0.0/0", "10.0.0.0/24", "198.19.128.0/17", "192.0.2.7/32"] {
            assert_eq!(cidr(text).to_string(), text);
        }
    }

    #[test]
    fn bad_prefixes_say_what_would_be_right() {
        let cases = [
            (
                "192.0.2.77/28",
                "bad prefix \"192.0.2.77/28\": host bits are set, the network is 192.0.2.64/28",
            ),
            ("10.0.0.0/33", "bad prefix \"10.0.0.0/33\": expected an IPv4 network such as 10.0.0.0/24"),
            ("10.0.0.0", "bad prefix \"10.0.0.0\": expected an IPv4 network such as 10.0.0.0/24"),
            ("10.0.0.0/+8", "bad prefix \"10.0.0.0/+8\": expected an IPv4 network such as 10.0.0.0/24"),
            ("::/0", "bad prefix \"::/0\": expected an IPv4 network such as 10.0.0.0/24"),
        ];
        for (text, message) in cases {
            assert_eq!(text.parse::<Cidr>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn overlap_is_containment_in_either_direction() {
        for (a, b, overlap) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/24", "10.0.0.0/24", true),
            ("10.0.0.0/24", "10.0.1.0/24", false),
            ("0.0.0.0/0", "198.19.128.0/17", true),
        ] {
            assert_eq!(cidr(a).overlaps(cidr(b)), overlap, "{a} {b}");
            assert_eq!(cidr(b).overlaps(cidr(a)), overlap, "{b} {a}");
        }
    }

    #[test]
    fn hosts_leave_out_network_and_broadcast_except_in_the_smallest() {
        let hosts = |text: &str| cidr(text).hosts().map(|a| a.to_string()).collect::<Vec<_>>();
        assert_eq!(hosts("10.0.0.0/30"), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(hosts("10.0.0.0/31"), ["10.0.0.0", "10.0.0.1"]);
        assert_eq!(hosts("10.0.0.9/32"), ["10.0.0.9"]);
        assert!(!cidr("10.0.0.0/24").is_host(Ipv4Addr::new(10, 0, 0, 255)));
        assert!(cidr("10.0.0.0/24").is_host(Ipv4Addr::new(10, 0, 0, 254)));
    }
}

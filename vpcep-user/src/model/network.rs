//! VPCs, their subnets, and where they reach this host.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use super::{AttachmentId, Cidr, Description, ModelError, Name, ProjectId, SubnetId, Timestamp, VpcId};
use crate::reconcile::desired::AttachMode;

/// An isolated IPv4 network. Others may have the same range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpc {
    /// Names it.
    pub id: VpcId,
    /// Its owner.
    pub project: ProjectId,
    /// For people; not unique.
    pub name: Name,
    /// Its range.
    pub cidr: Cidr,
    /// Unique on this host (1..=65535): what the data plane tells networks with
    /// equal ranges apart by. Not used again while anything refers to it.
    pub number: u16,
    /// The owner's note.
    pub description: Description,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A part of a VPC's range that endpoints take addresses from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Names it.
    pub id: SubnetId,
    /// The VPC it is part of.
    pub vpc: VpcId,
    /// Its owner.
    pub project: ProjectId,
    /// For people; not unique.
    pub name: Name,
    /// Its range, inside the VPC's.
    pub cidr: Cidr,
    /// The router of its hosts, if vpcep has been told: nobody is given its address.
    pub gateway: Option<Ipv4Addr>,
    /// Whether its hosts are told to ask for their address. Shown, not used.
    pub dhcp_enabled: bool,
    /// Name servers of its hosts. Shown, not used.
    pub dns: DnsServers,
    /// Where it is, in the owner's words.
    pub availability_zone: Option<Name>,
    /// The owner's note.
    pub description: Description,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Name servers of a subnet, at most [`DnsServers::MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsServers(Vec<Ipv4Addr>);

impl DnsServers {
    /// Most name servers of one subnet.
    pub const MAX: usize = 5;

    /// Takes name servers in the order they are asked.
    ///
    /// # Errors
    /// When there are too many, or one is there twice.
    pub fn new(servers: Vec<Ipv4Addr>) -> Result<Self, ModelError> {
        let bad = |problem| Err(ModelError::DnsServers { problem });
        if servers.len() > Self::MAX {
            return bad(format!("{} given, expected at most {}", servers.len(), Self::MAX));
        }
        for (index, server) in servers.iter().enumerate() {
            if servers[..index].contains(server) {
                return bad(format!("{server} is listed twice"));
            }
        }
        Ok(Self(servers))
    }

    /// The name servers, in the order they are asked.
    #[must_use]
    pub fn as_slice(&self) -> &[Ipv4Addr] {
        &self.0
    }
}

/// Where a VPC reaches this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Names it.
    pub id: AttachmentId,
    /// The VPC.
    pub vpc: VpcId,
    /// The interface.
    pub interface: InterfaceName,
    /// The VLAN of it that is the VPC, if it is one.
    pub vlan: Option<VlanId>,
    /// The gateway's own address in the VPC.
    pub address: InterfaceAddress,
    /// How programs are attached.
    pub mode: AttachMode,
    /// Router for addresses outside the on-link prefix.
    pub next_hop: Option<Ipv4Addr>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An address and the prefix that is on link with it, `A/LEN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    address: Ipv4Addr,
    len: u8,
}

impl InterfaceAddress {
    /// The address.
    #[must_use]
    pub fn address(self) -> Ipv4Addr {
        self.address
    }

    /// The on-link prefix.
    #[must_use]
    pub fn network(self) -> Cidr {
        Cidr::containing(self.address, self.len)
    }
}

impl FromStr for InterfaceAddress {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let bad = |expected| ModelError::InterfaceAddress { value: text.into(), expected };
        let form = "expected an address with its prefix length, such as 10.0.0.1/24";
        let (address, len) = text.split_once('/').ok_or_else(|| bad(form))?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad(form))?;
        let len: u8 = len.parse().map_err(|_| bad(form))?;
        if !(1..=32).contains(&len) {
            return Err(bad("expected a prefix length of 1 to 32"));
        }
        if !Cidr::containing(address, len).is_host(address) {
            return Err(bad("this is the network or broadcast address, expected a host's"));
        }
        Ok(Self { address, len })
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

/// A kernel interface name: 1 to 15 bytes, no `/`, no white space, not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InterfaceName {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        // dev_valid_name() of net/core/dev.c.
        let valid = (1..=15).contains(&text.len())
            && text != "."
            && text != ".."
            && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
        if valid { Ok(Self(text.into())) } else { Err(ModelError::Interface { value: text.into() }) }
    }
}

/// An 802.1Q id, 1..=4094.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VlanId(u16);

impl VlanId {
    /// The id of this number.
    ///
    /// # Errors
    /// When it is not in 1..=4094.
    pub fn new(value: u32) -> Result<Self, ModelError> {
        match u16::try_from(value) {
            Ok(id @ 1..=4094) => Ok(Self(id)),
            _ => Err(ModelError::Vlan { value }),
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_addresses_are_hosts_of_their_prefix() {
        for (text, ok) in [
            ("10.0.0.1/24", true),
            ("10.0.0.1/32", true),
            ("10.0.0.0/31", true),
            ("10.0.0.0/24", false),
            ("10.0.0.255/24", false),
            ("10.0.0.1/0", false),
            ("10.0.0.1/33", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(text.parse::<InterfaceAddress>().is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn name_servers_are_five_at_most_each_once() {
        let servers = |lasts: &[u8]| lasts.iter().map(|last| Ipv4Addr::new(10, 0, 0, *last)).collect();
        for (lasts, ok) in
            [(&[][..], true), (&[1, 2, 3, 4, 5], true), (&[1, 2, 3, 4, 5, 6], false), (&[1, 2, 1], false)]
        {
            assert_eq!(DnsServers::new(servers(lasts)).is_ok(), ok, "{lasts:?}");
        }
    }

    #[test]
    fn interface_names_and_vlans_are_what_the_kernel_takes() {
        for (text, ok) in [
            ("eth0", true),
            ("a23456789012345", true),
            ("a234567890123456", false),
            ("", false),
            ("a/b", false),
            ("..", false),
        ] {
            assert_eq!(text.parse::<InterfaceName>().is_ok(), ok, "{text}");
        }
        for (id, ok) in [(0, false), (1, true), (4094, true), (4095, false), (70000, false)] {
            assert_eq!(VlanId::new(id).is_ok(), ok, "{id}");
        }
    }
}

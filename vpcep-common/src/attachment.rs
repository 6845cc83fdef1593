//! Where VPCs reach the gateway: interfaces, the gateway's own addresses, and
//! the neighbours packets leave to.

use crate::be::Be32;

/// Key of `INTERFACES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceKey {
    /// Kernel interface index.
    pub ifindex: u32,
    /// 802.1Q id, host byte order; 0 when untagged.
    pub vlan: u16,
    /// Zero.
    pub pad: u16,
}

/// One VPC on one interface. `ifindex` 0 marks a number that is not in use.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// Kernel interface index.
    pub ifindex: u32,
    /// 802.1Q id, host byte order; 0 when untagged.
    pub vlan: u16,
    /// VPC number.
    pub vpc: u16,
    /// The gateway's own address in the VPC.
    pub address: Be32,
    /// MAC of the interface.
    pub mac: [u8; 6],
    /// [`attachment_flags`].
    pub flags: u16,
    /// Most bytes of an IP packet that leaves by it.
    pub mtu: u32,
    /// Who made it: the id of the attachment in the model.
    pub id: [u8; 16],
}
const _: () = assert!(size_of::<Attachment>() == 40);

/// Bits of [`Attachment::flags`].
pub mod attachment_flags {
    /// The device transmits frames that an XDP program redirects to it
    /// (`NETDEV_XDP_ACT_NDO_XMIT` in include/uapi/linux/netdev.h). Without it a
    /// redirect loses the frame, so the program leaves such packets to TC.
    pub const TAKES_XDP_FRAMES: u16 = 1 << 0;
    /// The XDP program runs in generic mode, where any device can be a target.
    pub const XDP_GENERIC: u16 = 1 << 1;
    /// An XDP program runs in front of TC here.
    pub const HAS_XDP: u16 = 1 << 3;
    /// The host has a permanent IPv6 address of its own here: IPv6 is left to it.
    pub const HOST_IPV6: u16 = 1 << 2;
    /// The host has an IPv4 address of its own here: multicast and broadcast are
    /// left to it.
    pub const HOST_IPV4: u16 = 1 << 4;
}

/// Key of `NEIGHBOURS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NeighbourKey {
    /// Address of the neighbour.
    pub address: Be32,
    /// VPC number.
    pub vpc: u16,
    /// Zero.
    pub pad: u16,
}

/// A neighbour that packets leave to. The programs alone write `mac` and `seen`,
/// from ARP; user space alone writes the rest. An `attachment` of 0 marks a free number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// [`mac_word`]; 0 while unresolved.
    pub mac: u64,
    /// Address of the neighbour.
    pub address: Be32,
    /// VPC number.
    pub vpc: u16,
    /// Attachment it is reached through.
    pub attachment: u16,
    /// Tick (see [`crate::session::TICK_SHIFT`]) of its last ARP packet.
    pub seen: u32,
    /// Zero.
    pub pad: u32,
}
const _: () = assert!(size_of::<NextHop>() == 24);

/// Marks [`NextHop::mac`] as resolved.
pub const MAC_RESOLVED: u64 = 1 << 63;

/// A MAC as one word, so that it is read and replaced whole.
#[inline(always)]
pub const fn mac_word(mac: [u8; 6]) -> u64 {
    MAC_RESOLVED | u64::from_le_bytes([mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], 0, 0])
}

/// The MAC in a word; `None` while unresolved.
#[inline(always)]
pub const fn word_mac(word: u64) -> Option<[u8; 6]> {
    if word & MAC_RESOLVED == 0 {
        return None;
    }
    let b = word.to_le_bytes();
    Some([b[0], b[1], b[2], b[3], b[4], b[5]])
}

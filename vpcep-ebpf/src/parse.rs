//! Ethernet, IPv4 and TCP or UDP headers into one [`Headers`] value.
//!
//! Sources: RFC 894, RFC 791 section 3.1, RFC 9293 section 3.1, RFC 768.

use core::mem::offset_of;

use network_types::eth::EthHdr;
use network_types::ip::Ipv4Hdr;
use network_types::tcp::TcpHdr;
use network_types::udp::UdpHdr;
use vpcep_common::be::{Be16, Be32};
use vpcep_common::counter::DropReason;
use vpcep_common::csum;
use vpcep_common::session::FlowKey;
use vpcep_common::tcp::{IPPROTO_TCP, IPPROTO_UDP, flags};

use crate::fragment::{self, Part};
use crate::packet::Packet;

/// Ethernet types, network byte order.
pub const ETH_P_IP: u16 = 0x0800_u16.to_be();
/// ARP.
pub const ETH_P_ARP: u16 = 0x0806_u16.to_be();
/// IPv6.
pub const ETH_P_IPV6: u16 = 0x86dd_u16.to_be();
/// An 802.1Q tag follows.
pub const ETH_P_8021Q: u16 = 0x8100_u16.to_be();

/// IANA number of ICMP.
pub const IPPROTO_ICMP: u8 = 1;
/// In the word of an IP header that has flags and fragment offset, network byte order.
pub const DONT_FRAGMENT: u16 = 0x4000_u16.to_be();

/// Frame bytes that hold Ethernet, IPv4 and TCP without options. No more is made
/// accessible as a rule: in what a local sender hands over, that is all of the
/// linear part, and asking for more copies every packet.
pub const MIN_HEADERS: u32 = 14 + 20 + 20;

/// Everything of the headers that later steps need. Offsets count from the
/// start of the frame.
#[derive(Clone, Copy)]
pub struct Headers {
    /// MAC of whoever sent the frame.
    pub source_mac: [u8; 6],
    /// Source address.
    pub source: Be32,
    /// Destination address.
    pub destination: Be32,
    /// Source port; 0 in a fragment that is not carried, and in other protocols.
    pub source_port: Be16,
    /// Destination port; likewise.
    pub destination_port: Be16,
    /// IANA protocol number.
    pub protocol: u8,
    /// Hop limit.
    pub ttl: u8,
    /// Whether this is a fragment that is not carried: of TCP, or of a datagram whose first one is
    /// not known. Others are like whole datagrams here: what they are is asked of the packet, since
    /// the verifier would follow each kind through all of the program.
    pub is_fragment: bool,
    /// TCP flags; 0 in other protocols.
    pub flags: u8,
    /// TCP sequence number, network byte order.
    pub sequence: Be32,
    /// TCP acknowledgement number, network byte order.
    pub acknowledgement: Be32,
    /// Bytes of the IP packet, header included.
    pub ip_len: u16,
    /// Offset of the transport header.
    l4: u32,
    /// Bytes of the TCP header; 0 in other protocols.
    pub tcp_len: u8,
}

/// Offset of the IPv4 header: no tag is left in a frame we handle.
pub const L3: usize = EthHdr::LEN;

impl Headers {
    /// Offset of the transport header. Kept in 32 bits: a longer one is copied in halves, after
    /// which the verifier knows no bound of it.
    #[inline(always)]
    pub fn l4(&self) -> usize {
        self.l4 as usize
    }

    /// Whether this is of a protocol that sessions have, and of none that is in parts.
    #[inline(always)]
    pub fn is_carried(&self) -> bool {
        !self.is_fragment && (self.is_udp() || self.is_tcp())
    }

    /// Whether this is TCP.
    #[inline(always)]
    pub fn is_tcp(&self) -> bool {
        self.protocol == IPPROTO_TCP
    }

    /// Whether this is UDP.
    #[inline(always)]
    pub fn is_udp(&self) -> bool {
        self.protocol == IPPROTO_UDP
    }

    /// Whether this is a whole ICMP message.
    #[inline(always)]
    pub fn is_icmp(&self) -> bool {
        !self.is_fragment && self.protocol == IPPROTO_ICMP
    }

    /// Whether it may open a session: a SYN without ACK or RST, or any datagram.
    #[inline(always)]
    pub fn is_opening(&self) -> bool {
        self.is_udp() || self.flags & (flags::SYN | flags::ACK | flags::RST) == flags::SYN
    }

    /// Bytes of the IP packet behind the IP header.
    #[inline(always)]
    pub fn segment_len(&self) -> u16 {
        self.ip_len - (self.l4 - L3 as u32) as u16
    }

    /// Bytes of the IP header and of that of TCP or UDP.
    #[inline(always)]
    pub fn len(&self) -> u32 {
        let transport = if self.is_udp() { UdpHdr::LEN as u32 } else { u32::from(self.tcp_len) };
        self.l4 - L3 as u32 + transport
    }

    /// Key of the flow from the client's side.
    #[inline(always)]
    pub fn flow(&self, vpc: u16) -> FlowKey {
        FlowKey {
            source: self.source,
            destination: self.destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
            vpc,
            protocol: self.protocol,
            pad: 0,
        }
    }
}

/// Reads a `T` at `offset` into a header that was bounds-checked whole.
///
/// # Safety
/// `offset + size_of::<T>()` lies within the header.
#[inline(always)]
pub unsafe fn field<H, T: Copy>(header: *const H, offset: usize) -> T {
    // SAFETY: within the header by contract. Two-byte alignment suffices: BPF
    // loads may be unaligned on the architectures that the kernel JITs for.
    unsafe { *header.byte_add(offset).cast::<T>() }
}

/// Parses an IPv4 packet. Lengths that contradict each other or the frame, and
/// headers that are cut short, are [`DropReason::Malformed`]. The packet is of `vpc`.
#[inline(always)]
pub fn ipv4<P: Packet>(packet: &mut P, vpc: u16) -> Result<Headers, DropReason> {
    let ethernet = packet.at::<EthHdr>(0).ok_or(DropReason::Malformed)?;
    // SAFETY: bounds checked just now.
    let source_mac = unsafe { (*ethernet).src_addr };
    let ip = packet.at::<Ipv4Hdr>(L3).ok_or(DropReason::Malformed)?;
    // SAFETY: bounds checked just now.
    let (vihl, ip_len): (u8, u16) = unsafe { (field(ip, 0), field(ip, offset_of!(Ipv4Hdr, tot_len))) };
    let ip_len = u16::from_be(ip_len);
    let header_len = usize::from(vihl & 0xf) * 4;
    if vihl >> 4 != 4
        || header_len < Ipv4Hdr::LEN
        || usize::from(ip_len) < header_len
        || u32::from(ip_len) + L3 as u32 > packet.len()
    {
        return Err(DropReason::Malformed);
    }
    let ip = if header_len > Ipv4Hdr::LEN {
        packet.pull((L3 + header_len + TcpHdr::LEN) as u32);
        packet.at::<Ipv4Hdr>(L3).ok_or(DropReason::Malformed)?
    } else {
        ip
    };
    if !is_header_sum_right(packet, header_len) {
        return Err(DropReason::Malformed);
    }
    let part = Part::of(packet);
    // SAFETY: as above.
    let mut headers = unsafe {
        Headers {
            source_mac,
            source: Be32(field(ip, offset_of!(Ipv4Hdr, src_addr))),
            destination: Be32(field(ip, offset_of!(Ipv4Hdr, dst_addr))),
            source_port: Be16(0),
            destination_port: Be16(0),
            protocol: field(ip, offset_of!(Ipv4Hdr, proto)),
            ttl: field(ip, offset_of!(Ipv4Hdr, ttl)),
            is_fragment: part.is_fragment(),
            flags: 0,
            sequence: Be32(0),
            acknowledgement: Be32(0),
            ip_len,
            l4: (L3 + header_len) as u32,
            tcp_len: 0,
        }
    };
    if headers.is_udp() {
        if part.is_later() {
            headers.is_fragment = !fragment::complete(packet, vpc, &mut headers);
        } else {
            udp(packet, &mut headers)?;
            headers.is_fragment = false;
        }
    } else if headers.is_carried() {
        tcp(packet, &mut headers)?;
    } else if headers.is_icmp() {
        // All of it is read, to see whether it adds up.
        packet.pull(L3 as u32 + u32::from(headers.ip_len));
    }
    Ok(headers)
}

/// Whether an IP header adds up (RFC 1812 section 5.2.2): what a broken one says must not open nor
/// end anything.
#[inline(always)]
fn is_header_sum_right<P: Packet>(packet: &P, header_len: usize) -> bool {
    let Some(words) = packet.at::<[u32; 5]>(L3) else { return false };
    // SAFETY: bounds checked just now.
    let [a, b, c, d, e] = unsafe { *words }.map(u64::from);
    let mut sum = a + b + c + d + e;
    // A number of its own: what the verifier learns of the length here it would carry along, and see
    // the rest of the program once for each.
    let header_len = core::hint::black_box(header_len) & 0x3c;
    for i in 5..15 {
        if i * 4 >= header_len {
            break;
        }
        let Some(word) = packet.at::<u32>(L3 + i * 4) else { return false };
        // SAFETY: bounds checked just now.
        sum += u64::from(unsafe { *word });
    }
    csum::fold64(sum) == 0xffff
}

/// Adds what the UDP header says.
#[inline(always)]
fn udp<P: Packet>(packet: &P, headers: &mut Headers) -> Result<(), DropReason> {
    let udp = packet.at::<UdpHdr>(headers.l4()).ok_or(DropReason::Malformed)?;
    // SAFETY: bounds checked just now.
    let (source, destination, length): (u16, u16, u16) =
        unsafe { (field(udp, 0), field(udp, 2), field(udp, 4)) };
    let length = u16::from_be(length);
    let is_cut = length > headers.segment_len() && !headers.is_fragment;
    // Behind a packet that ends before, padding may look like a header.
    if length < UdpHdr::LEN as u16 || headers.segment_len() < UdpHdr::LEN as u16 || is_cut {
        return Err(DropReason::Malformed);
    }
    headers.source_port = Be16(source);
    headers.destination_port = Be16(destination);
    Ok(())
}

/// Adds what the TCP header says.
#[inline(always)]
fn tcp<P: Packet>(packet: &P, headers: &mut Headers) -> Result<(), DropReason> {
    let tcp = packet.at::<TcpHdr>(headers.l4()).ok_or(DropReason::Malformed)?;
    // SAFETY: bounds checked just now; the data offset and the flags are bytes
    // 12 and 13, which the crate's type holds as one bit field.
    let (data_offset, flags) = unsafe { (field::<_, u8>(tcp, 12), field::<_, u8>(tcp, 13)) };
    headers.tcp_len = (data_offset >> 4) * 4;
    if usize::from(headers.tcp_len) < TcpHdr::LEN || u16::from(headers.tcp_len) > headers.segment_len() {
        return Err(DropReason::Malformed);
    }
    // SAFETY: bounds checked just now.
    unsafe {
        headers.source_port = Be16(field(tcp, offset_of!(TcpHdr, source)));
        headers.destination_port = Be16(field(tcp, offset_of!(TcpHdr, dest)));
        headers.sequence = Be32(field(tcp, offset_of!(TcpHdr, seq)));
        headers.acknowledgement = Be32(field(tcp, offset_of!(TcpHdr, ack_seq)));
    }
    headers.flags = flags;
    Ok(())
}

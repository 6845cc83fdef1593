//! Frames for the packet tests: built from named fields with checksums computed
//! in full, and read back into the same fields.
//!
//! The arithmetic here is written from the RFCs and shares nothing with
//! `vpcep_common::csum`, so that a frame which the data plane updated
//! incrementally is compared with an independent result.
//!
//! Sources: RFC 826 (ARP), RFC 791 (IPv4), RFC 1071 (checksum), RFC 9293 (TCP).

use std::net::{Ipv4Addr, SocketAddrV4};

/// A MAC address.
pub type Mac = [u8; 6];

/// Bytes of an Ethernet header.
pub const ETHERNET_LEN: usize = 14;
/// Ethernet type of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// Ethernet type of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// IANA number of TCP.
pub const TCP: u8 = 6;
/// TCP flag that the data plane does not care for: push.
pub const PSH: u8 = 0x08;

const BROADCAST: Mac = [0xff; 6];
const DONT_FRAGMENT: u16 = 0x4000;

/// A MAC as programs print it, such as `02:00:00:00:00:0a`.
pub fn parse_mac(text: &str) -> Option<Mac> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes?.try_into().ok()
}

/// An Ethernet frame of any type.
pub fn ethernet(destination: Mac, source: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETHERNET_LEN + payload.len());
    frame.extend(destination);
    frame.extend(source);
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The Internet checksum of `data` (RFC 1071), an odd byte padded with zero.
pub fn checksum(data: &[u8]) -> u16 {
    let mut sum: u64 = data
        .chunks(2)
        .map(|pair| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An ARP packet for IPv4 over Ethernet, and the frame around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Destination of the frame.
    pub to: Mac,
    /// Whether this is a reply rather than a request.
    pub is_reply: bool,
    /// Sender hardware address; also the source of the frame.
    pub sender_mac: Mac,
    /// Sender protocol address.
    pub sender: Ipv4Addr,
    /// Target hardware address.
    pub target_mac: Mac,
    /// Target protocol address.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Who has `target`? Tell `sender`.
    pub const fn request(sender_mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self { to: BROADCAST, is_reply: false, sender_mac, sender, target_mac: [0; 6], target }
    }

    /// `sender` is at `sender_mac`.
    pub const fn reply(sender_mac: Mac, sender: Ipv4Addr, target_mac: Mac, target: Ipv4Addr) -> Self {
        Self { to: target_mac, is_reply: true, sender_mac, sender, target_mac, target }
    }

    /// The frame.
    pub fn build(&self) -> Vec<u8> {
        let mut arp = vec![0, 1, 0x08, 0x00, 6, 4, 0, if self.is_reply { 2 } else { 1 }];
        arp.extend(self.sender_mac);
        arp.extend(self.sender.octets());
        arp.extend(self.target_mac);
        arp.extend(self.target.octets());
        ethernet(self.to, self.sender_mac, ETHERTYPE_ARP, &arp)
    }
}

/// An IPv4 packet of any protocol, and the frame around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Destination of the frame.
    pub to: Mac,
    /// Source of the frame.
    pub from: Mac,
    /// Type of service.
    pub tos: u8,
    /// Identification.
    pub id: u16,
    /// Flags and fragment offset, as they stand in the header.
    pub fragment: u16,
    /// Time to live.
    pub ttl: u8,
    /// IANA protocol number.
    pub protocol: u8,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// What follows the header.
    pub payload: Vec<u8>,
}

impl Datagram {
    /// A packet with ordinary values where nothing is said.
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Self {
        Self {
            to: [0; 6],
            from: [0; 6],
            tos: 0,
            id: 0x1234,
            fragment: DONT_FRAGMENT,
            ttl: 64,
            protocol,
            source,
            destination,
            options: Vec::new(),
            payload: payload.to_vec(),
        }
    }

    /// The frame.
    pub fn build(&self) -> Vec<u8> {
        let header_len = 20 + self.options.len();
        let total_len = (header_len + self.payload.len()) as u16;
        let mut packet = vec![0x40 | (header_len / 4) as u8, self.tos];
        packet.extend(total_len.to_be_bytes());
        packet.extend(self.id.to_be_bytes());
        packet.extend(self.fragment.to_be_bytes());
        packet.extend([self.ttl, self.protocol, 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(&self.options);
        let check = checksum(&packet);
        packet[10..12].copy_from_slice(&check.to_be_bytes());
        packet.extend(&self.payload);
        ethernet(self.to, self.from, ETHERTYPE_IPV4, &packet)
    }

    /// Reads a frame back; `None` unless it is IPv4 with consistent lengths and
    /// a right header checksum. Bytes behind the packet (padding) are left out.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let (ethernet, packet) = frame.split_at_checked(ETHERNET_LEN)?;
        let header_len = usize::from(packet.first()? & 0xf) * 4;
        let header = packet.get(..header_len.max(20))?;
        let total_len = usize::from(be16(header, 2));
        if be16(ethernet, 12) != ETHERTYPE_IPV4 || header[0] >> 4 != 4 || checksum(header) != 0 {
            return None;
        }
        Some(Self {
            to: array(ethernet, 0),
            from: array(ethernet, 6),
            tos: header[1],
            id: be16(header, 4),
            fragment: be16(header, 6),
            ttl: header[8],
            protocol: header[9],
            source: Ipv4Addr::from(array(header, 12)),
            destination: Ipv4Addr::from(array(header, 16)),
            options: header[20..].to_vec(),
            payload: packet.get(header.len()..total_len)?.to_vec(),
        })
    }
}

/// A TCP segment, and the packet and frame around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Destination of the frame.
    pub to: Mac,
    /// Source of the frame.
    pub from: Mac,
    /// Type of service.
    pub tos: u8,
    /// Identification of the IP packet.
    pub id: u16,
    /// Time to live.
    pub ttl: u8,
    /// IP options, a multiple of four bytes.
    pub ip_options: Vec<u8>,
    /// Source address and port.
    pub source: SocketAddrV4,
    /// Destination address and port.
    pub destination: SocketAddrV4,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// Flags, as in byte 13 of the header.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// TCP options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// Data.
    pub payload: Vec<u8>,
}

impl Segment {
    /// A segment with ordinary values where nothing is said.
    pub const fn new(source: SocketAddrV4, destination: SocketAddrV4, flags: u8) -> Self {
        Self {
            to: [0; 6],
            from: [0; 6],
            tos: 0,
            id: 0x1234,
            ttl: 64,
            ip_options: Vec::new(),
            source,
            destination,
            sequence: 0x1000_0000,
            acknowledgement: 0,
            flags,
            window: 0xfaf0,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// The frame.
    pub fn build(&self) -> Vec<u8> {
        self.datagram().build()
    }

    /// The IP packet.
    pub fn datagram(&self) -> Datagram {
        let header_len = 20 + self.options.len();
        let mut tcp = Vec::with_capacity(header_len + self.payload.len());
        tcp.extend(self.source.port().to_be_bytes());
        tcp.extend(self.destination.port().to_be_bytes());
        tcp.extend(self.sequence.to_be_bytes());
        tcp.extend(self.acknowledgement.to_be_bytes());
        tcp.extend([((header_len / 4) << 4) as u8, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(&self.options);
        tcp.extend(&self.payload);
        let check = tcp_checksum(*self.source.ip(), *self.destination.ip(), &tcp);
        tcp[16..18].copy_from_slice(&check.to_be_bytes());
        Datagram {
            to: self.to,
            from: self.from,
            tos: self.tos,
            id: self.id,
            ttl: self.ttl,
            options: self.ip_options.clone(),
            ..Datagram::new(*self.source.ip(), *self.destination.ip(), TCP, &tcp)
        }
    }

    /// Reads a frame back; `None` unless it is TCP with right checksums.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let packet = Datagram::parse(frame)?;
        let tcp = packet.payload.as_slice();
        let header = tcp.get(..usize::from(tcp.get(12)? >> 4) * 4)?;
        if header.len() < 20
            || packet.protocol != TCP
            || packet.fragment != DONT_FRAGMENT
            || tcp_checksum(packet.source, packet.destination, tcp) != 0
        {
            return None;
        }
        Some(Self {
            to: packet.to,
            from: packet.from,
            tos: packet.tos,
            id: packet.id,
            ttl: packet.ttl,
            ip_options: packet.options,
            source: SocketAddrV4::new(packet.source, be16(header, 0)),
            destination: SocketAddrV4::new(packet.destination, be16(header, 2)),
            sequence: u32::from_be_bytes(array(header, 4)),
            acknowledgement: u32::from_be_bytes(array(header, 8)),
            flags: header[13],
            window: be16(header, 14),
            options: header[20..].to_vec(),
            payload: tcp[header.len()..].to_vec(),
        })
    }
}

/// Checksum of a TCP segment and its pseudo-header; 0 when the segment carries
/// the right one.
fn tcp_checksum(source: Ipv4Addr, destination: Ipv4Addr, tcp: &[u8]) -> u16 {
    let mut covered = Vec::with_capacity(12 + tcp.len());
    covered.extend(source.octets());
    covered.extend(destination.octets());
    covered.extend([0, TCP]);
    covered.extend((tcp.len() as u16).to_be_bytes());
    covered.extend(tcp);
    checksum(&covered)
}

fn be16(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes(array(bytes, offset))
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[offset..offset + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> Segment {
        let source = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 182), 40_000);
        let destination = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 100), 80);
        Segment {
            ip_options: vec![1; 8],
            options: vec![2, 4, 5, 0xb4],
            payload: b"odd".to_vec(),
            ..Segment::new(source, destination, 0x18)
        }
    }

    #[test]
    fn a_segment_reads_back_as_it_was_built() {
        assert_eq!(Segment::parse(&segment().build()), Some(segment()));
    }

    #[test]
    fn any_flipped_bit_behind_the_ethernet_header_is_noticed() {
        let frame = segment().build();
        for bit in ETHERNET_LEN * 8..frame.len() * 8 {
            let mut broken = frame.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Segment::parse(&broken), None, "bit {bit}");
        }
    }
}

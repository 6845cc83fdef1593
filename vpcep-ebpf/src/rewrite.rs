//! Addresses, ports, MACs, hop limit, and the checksums that follow.

use core::mem::offset_of;

use network_types::eth::EthHdr;
use network_types::ip::Ipv4Hdr;
use network_types::tcp::TcpHdr;
use network_types::udp::UdpHdr;
use vpcep_common::be::{Be16, Be32};
use vpcep_common::csum;

use crate::fragment::Part;
use crate::packet::Packet;
use crate::parse::{Headers, L3};

/// Hop limit of what the gateway itself sends (RFC 1700).
pub const TTL: u8 = 64;

/// What a packet becomes.
pub struct Rewrite {
    /// MACs of the frame that leaves.
    pub source_mac: [u8; 6],
    /// Likewise.
    pub destination_mac: [u8; 6],
    /// Source address and port.
    pub source: Be32,
    /// Likewise.
    pub source_port: Be16,
    /// Destination address and port.
    pub destination: Be32,
    /// Likewise.
    pub destination_port: Be16,
}

/// Rewrites a TCP or UDP packet in place; `false` when its bytes are no longer there,
/// which cannot happen between parsing and now.
#[inline(always)]
pub fn translate<P: Packet>(packet: &mut P, headers: &Headers, to: &Rewrite) -> bool {
    if !network(packet, headers, to, headers.ttl.wrapping_sub(1)) {
        return false;
    }
    // All other parts of a datagram have neither ports nor a checksum.
    if headers.is_udp() && Part::of(packet).is_later() {
        return true;
    }
    // Source and destination port, which TCP and UDP have at the same place.
    let Some(ports_at) = packet.at::<[u16; 2]>(headers.l4()) else { return false };
    // SAFETY: bounds checked just now.
    unsafe { *ports_at = [to.source_port.0, to.destination_port.0] };
    let addresses = addresses(headers, to);
    let ports = csum::add(
        csum::diff16(headers.source_port.0, to.source_port.0),
        csum::diff16(headers.destination_port.0, to.destination_port.0),
    );
    if headers.is_udp() {
        packet.update_udp_checksum(headers.l4() + offset_of!(UdpHdr, check), addresses, ports);
    } else {
        packet.update_tcp_checksum(headers.l4() + offset_of!(TcpHdr, check), addresses, ports);
    }
    true
}

/// The part of [`translate`] that is the same for every protocol: MACs, addresses, hop
/// limit, and the checksum of the IP header.
#[inline(always)]
pub fn network<P: Packet>(packet: &mut P, headers: &Headers, to: &Rewrite, ttl: u8) -> bool {
    let Some(ethernet) = packet.at::<EthHdr>(0) else { return false };
    let Some(ip) = packet.at::<Ipv4Hdr>(L3) else { return false };
    // The hop limit shares a 16-bit word with the protocol.
    let hop = csum::diff16(
        u16::from_ne_bytes([headers.ttl, headers.protocol]),
        u16::from_ne_bytes([ttl, headers.protocol]),
    );
    // SAFETY: bounds checked above.
    unsafe {
        (*ethernet).dst_addr = to.destination_mac;
        (*ethernet).src_addr = to.source_mac;
    }
    // SAFETY: bounds checked above; fields by offset, since the crate's types
    // hold them as bytes.
    unsafe {
        let check = ip.byte_add(offset_of!(Ipv4Hdr, check)).cast::<u16>();
        *check = csum::apply(*check, csum::add(addresses(headers, to), hop));
        (*ip).ttl = ttl;
        *ip.byte_add(offset_of!(Ipv4Hdr, src_addr)).cast::<u32>() = to.source.0;
        *ip.byte_add(offset_of!(Ipv4Hdr, dst_addr)).cast::<u32>() = to.destination.0;
    }
    true
}

/// What the change of addresses does to a sum.
#[inline(always)]
fn addresses(headers: &Headers, to: &Rewrite) -> u32 {
    csum::add(
        csum::diff32(headers.source.0, to.source.0),
        csum::diff32(headers.destination.0, to.destination.0),
    )
}

//! TCP resets: what a refused client gets, and how both ends of a connection
//! that is cut off learn of it. The packet at hand becomes the reset.
//!
//! Source: RFC 9293 section 3.5.2 (reset generation).

use network_types::eth::EthHdr;
use network_types::ip::Ipv4Hdr;
use vpcep_common::be::Be32;
use vpcep_common::csum;
use vpcep_common::tcp::{IPPROTO_TCP, flags};

use crate::packet::{Packet, RESET_FRAME_LEN};
use crate::parse::{DONT_FRAGMENT, ETH_P_IP, Headers, L3};
use crate::rewrite::{Rewrite, TTL};

/// IPv4 without options, and TCP without options, as five words each.
#[repr(C)]
struct Segment {
    ip: [u32; 5],
    tcp: [u32; 5],
}

const SEGMENT_LEN: u16 = size_of::<Segment>() as u16;

/// Sequence and acknowledgement of the reset that answers a packet.
#[inline(always)]
fn answer(headers: &Headers) -> (Be32, Be32, u8) {
    if headers.flags & flags::ACK != 0 {
        return (headers.acknowledgement, Be32(0), flags::RST);
    }
    let control = u32::from(headers.flags & flags::SYN != 0) + u32::from(headers.flags & flags::FIN != 0);
    let payload = u32::from(headers.segment_len()) - u32::from(headers.tcp_len);
    let next = headers.sequence.get().wrapping_add(payload).wrapping_add(control);
    (Be32(0), Be32::new(next), flags::RST | flags::ACK)
}

/// Makes the packet the reset that answers it; `to` says where it goes and from
/// whom. `false` when it must stay unanswered: a reset is never answered by one.
#[inline(always)]
pub fn reply<P: Packet>(packet: &mut P, headers: &Headers, to: &Rewrite) -> bool {
    if headers.protocol != IPPROTO_TCP || headers.is_fragment || headers.flags & flags::RST != 0 {
        return false;
    }
    let (sequence, acknowledgement, flags) = answer(headers);
    write(packet, to, sequence, acknowledgement, flags)
}

/// Makes the packet a reset in its own direction, at its own place in the
/// sequence: what the receiver takes for its peer's.
#[inline(always)]
pub fn onward<P: Packet>(packet: &mut P, headers: &Headers, to: &Rewrite) -> bool {
    write(packet, to, headers.sequence, headers.acknowledgement, flags::RST | (headers.flags & flags::ACK))
}

#[inline(always)]
fn write<P: Packet>(packet: &mut P, to: &Rewrite, sequence: Be32, acknowledgement: Be32, flags: u8) -> bool {
    if RESET_FRAME_LEN > packet.len() || !packet.resize(RESET_FRAME_LEN) {
        return false;
    }
    let mut segment = Segment {
        ip: [
            u32::from_ne_bytes([0x45, 0, (SEGMENT_LEN >> 8) as u8, SEGMENT_LEN as u8]),
            (u32::from(DONT_FRAGMENT)) << 16,
            u32::from_ne_bytes([TTL, IPPROTO_TCP, 0, 0]),
            to.source.0,
            to.destination.0,
        ],
        tcp: [
            u32::from(to.source_port.0) | u32::from(to.destination_port.0) << 16,
            sequence.0,
            acknowledgement.0,
            u32::from_ne_bytes([5 << 4, flags, 0, 0]),
            0,
        ],
    };
    let header = sum(&segment.ip);
    segment.ip[2] |= u32::from(!csum::fold(header)) << 16;
    let tcp_len = SEGMENT_LEN - Ipv4Hdr::LEN as u16;
    let pseudo_header = csum::pseudo_header(to.source.0, to.destination.0, IPPROTO_TCP, tcp_len);
    let segment_sum = sum(&segment.tcp);

    let Some(ethernet) = packet.at::<EthHdr>(0) else { return false };
    // SAFETY: bounds checked just now.
    unsafe {
        (*ethernet).dst_addr = to.destination_mac;
        (*ethernet).src_addr = to.source_mac;
        (*ethernet).ether_type = ETH_P_IP;
    }
    let Some(place) = packet.at::<Segment>(L3) else { return false };
    // SAFETY: bounds checked just now.
    unsafe { *place = segment };
    packet.set_tcp_checksum(L3 + Ipv4Hdr::LEN + 16, pseudo_header, segment_sum);
    true
}

/// Accumulator over five words.
#[inline(always)]
fn sum(words: &[u32; 5]) -> u32 {
    let [a, b, c, d, e] = *words;
    let ab = csum::add(csum::word(a), csum::word(b));
    let cd = csum::add(csum::word(c), csum::word(d));
    csum::add(csum::add(ab, cd), csum::word(e))
}

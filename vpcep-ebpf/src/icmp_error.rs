//! ICMP errors that the gateway makes itself: what is refused, has run out of hops or is too big
//! for its way out. The packet at hand becomes the error, behind new headers.
//!
//! An error carries the IP header of the packet as its sender wrote it, options included, and its
//! UDP header or the first 20 bytes of TCP: more than the 8 bytes of RFC 792, less than the 576
//! that RFC 1812 would like, since a host needs no more to find the socket. It comes from the
//! endpoint's address if that is where the packet went, as from a host; else, as from a router,
//! from the gateway's own.
//!
//! Sources: RFC 792; RFC 1812 sections 4.3.2 and 5.3.1; RFC 1122 section 3.2.2 (what is never
//! answered, port unreachable); RFC 5508 REQ-8 (prohibited); RFC 1191 (the MTU).

use core::mem::offset_of;

use network_types::eth::EthHdr;
use network_types::ip::Ipv4Hdr;
use network_types::tcp::TcpHdr;
use network_types::udp::UdpHdr;
use vpcep_common::be::Be32;
use vpcep_common::counter::DropReason;
use vpcep_common::csum;
use vpcep_common::meter::ERROR_BURST;

use crate::endpoint::{self, Address};
use crate::fragment::Part;
use crate::icmp::{HEADER_LEN, TIME_EXCEEDED, UNREACHABLE};
use crate::maps::CONNECTIONS;
use crate::meter;
use crate::packet::Packet;
use crate::parse::{DONT_FRAGMENT, ETH_P_IP, Headers, IPPROTO_ICMP, L3, field};
use crate::pipeline::{MULTICAST, Scene};
use crate::rewrite::TTL;
use crate::verdict::{Answer, Refusal};

/// No error.
pub const NONE: u16 = 0;

const HOPS_EXCEEDED: u16 = u16::from_ne_bytes([TIME_EXCEEDED, 0]);
const PORT_UNREACHABLE: u16 = u16::from_ne_bytes([UNREACHABLE, 3]);
const FRAGMENTATION_NEEDED: u16 = u16::from_ne_bytes([UNREACHABLE, 4]);
const PROHIBITED: u16 = u16::from_ne_bytes([UNREACHABLE, 13]);

/// Internetwork control, which RFC 1812 section 4.3.2.5 wants of errors.
const TOS: u8 = 0xc0;

/// What stands in front of the packet that an error is about, as words.
#[repr(C)]
struct Message {
    ip: [u32; 5],
    icmp: [u32; 2],
}

const MESSAGE_LEN: u32 = size_of::<Message>() as u32;
const _: () = assert!(size_of::<Message>() == Ipv4Hdr::LEN + HEADER_LEN);

/// Type and code of the error about a packet that goes no further, in memory order, or [`NONE`].
#[inline(always)]
pub fn about(headers: &Headers, refusal: &Refusal) -> u16 {
    let is_refused = match refusal.answer {
        Answer::Silence => false,
        Answer::Reset => headers.is_udp(),
        // An error does not end a connection that is there (RFC 5461); the reset does.
        Answer::Icmp => headers.is_opening(),
    };
    match refusal.reason {
        DropReason::TtlExceeded => HOPS_EXCEEDED,
        DropReason::TooBig => FRAGMENTATION_NEEDED,
        DropReason::PortNotMapped if is_refused => PORT_UNREACHABLE,
        _ if is_refused => PROHIBITED,
        _ => NONE,
    }
}

/// Makes the packet the error about it. `false` when it must stay unanswered, or errors come too
/// often.
#[inline(always)]
pub fn reply<P: Packet>(
    packet: &mut P,
    scene: &Scene,
    headers: &Headers,
    refusal: &Refusal,
    error: u16,
) -> bool {
    if !may_be_answered(packet, headers, error) || !is_within_rate(scene, refusal.endpoint) {
        return false;
    }
    let is_to_endpoint =
        matches!(endpoint::address(scene.attachment.vpc, headers.destination), Address::Endpoint(_));
    let source = if is_to_endpoint { headers.destination } else { scene.attachment.address };
    let Some((kept, sum)) = settle(packet, headers) else { return false };
    if !packet.resize(headers.l4() as u32 + kept) || !packet.make_room(MESSAGE_LEN) {
        return false;
    }
    let ip_len = MESSAGE_LEN + (headers.l4() - L3) as u32 + kept;
    write(packet, scene, headers, source, ip_len as u16, u32::from(error), refusal.mtu.to_be(), sum)
}

/// RFC 1122 section 3.2.2: no answer to what was sent to many, nor to a source that is no single
/// host, nor to a fragment. ICMP does not get this far. And what may be cut into fragments is not told
/// its size (RFC 1191).
#[inline(always)]
fn may_be_answered<P: Packet>(packet: &P, headers: &Headers, error: u16) -> bool {
    let Some(ethernet) = packet.at::<EthHdr>(0) else { return false };
    // SAFETY: bounds checked just now.
    let is_group = unsafe { (*ethernet).dst_addr[0] | (*ethernet).src_addr[0] } & 1 != 0;
    let source = headers.source.get();
    let is_host = source < MULTICAST && source >> 24 != 0 && source >> 24 != 127;
    if error == FRAGMENTATION_NEEDED {
        let Some(ip) = packet.at::<Ipv4Hdr>(L3) else { return false };
        // SAFETY: bounds checked just now.
        let frags: u16 = unsafe { field(ip, offset_of!(Ipv4Hdr, frags)) };
        if frags & DONT_FRAGMENT == 0 {
            return false;
        }
    }
    is_host && !is_group && !Part::of(packet).is_fragment()
}

#[inline(always)]
fn is_within_rate(scene: &Scene, endpoint: u32) -> bool {
    let cost = scene.settings.error_cost;
    let Some(connections) = CONNECTIONS.get_ptr_mut(endpoint) else { return false };
    // SAFETY: a pointer into the map.
    let paid_until = unsafe { &raw mut (*connections).errors_until };
    cost != 0 && meter::admits(paid_until, u64::from(cost), ERROR_BURST)
}

/// How many bytes behind the IP header an error carries, and their sum. A checksum among them that
/// is still to be completed becomes one that completion leaves as it is: at TC, and in generic XDP,
/// the device does it all the same, over what is then the end of the error, and the error's own
/// checksum must be right before and after.
#[inline(always)]
fn settle<P: Packet>(packet: &P, headers: &Headers) -> Option<(u32, u32)> {
    let l4 = headers.l4();
    // SAFETY: bounds checked just now.
    let [a, b] = unsafe { *packet.at::<[u32; 2]>(l4)? };
    let mut sum = csum::add(csum::word(a), csum::word(b));
    let (kept, check_at) = if headers.is_udp() {
        (UdpHdr::LEN, offset_of!(UdpHdr, check))
    } else {
        // SAFETY: bounds checked just now.
        let [a, b, c] = unsafe { *packet.at::<[u32; 3]>(l4 + 8)? };
        sum = csum::add(sum, csum::add(csum::word(a), csum::add(csum::word(b), csum::word(c))));
        (TcpHdr::LEN, offset_of!(TcpHdr, check))
    };
    let check = packet.at::<u16>(l4 + check_at)?;
    // SAFETY: bounds checked just now.
    let known = unsafe { *check };
    // One to be completed is the sum of the pseudo-header. Another is that too once in 65 536.
    let begun =
        csum::pseudo_header(headers.source.0, headers.destination.0, headers.protocol, headers.segment_len());
    if known == csum::fold(begun) {
        let rest = csum::add(sum, u32::from(!known));
        let settled = csum::settled(rest);
        // SAFETY: as above.
        unsafe { *check = settled };
        sum = csum::add(rest, u32::from(settled));
    }
    Some((kept as u32, sum))
}

/// Writes all that stands in front of the packet that the error is about.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "all of them decided by the one that calls it")]
fn write<P: Packet>(
    packet: &mut P,
    scene: &Scene,
    headers: &Headers,
    source: Be32,
    ip_len: u16,
    error: u32,
    mtu: u16,
    sum: u32,
) -> bool {
    let [high, low] = ip_len.to_be_bytes();
    let mut message = Message {
        ip: [
            u32::from_ne_bytes([0x45, TOS, high, low]),
            u32::from(DONT_FRAGMENT) << 16,
            u32::from_ne_bytes([TTL, IPPROTO_ICMP, 0, 0]),
            source.0,
            headers.source.0,
        ],
        icmp: [error, u32::from(mtu) << 16],
    };
    let header = message.ip.iter().fold(0, |sum, word| csum::add(sum, csum::word(*word)));
    message.ip[2] |= u32::from(!csum::fold(header)) << 16;
    // The IP header inside adds up to nothing: its sum was found right.
    let whole = csum::add(sum, csum::add(error, u32::from(mtu)));
    message.icmp[0] |= u32::from(!csum::fold(whole)) << 16;

    let Some(ethernet) = packet.at::<EthHdr>(0) else { return false };
    // SAFETY: bounds checked just now.
    unsafe {
        (*ethernet).dst_addr = headers.source_mac;
        (*ethernet).src_addr = scene.attachment.mac;
        (*ethernet).ether_type = ETH_P_IP;
    }
    let Some(place) = packet.at::<Message>(L3) else { return false };
    // SAFETY: bounds checked just now.
    unsafe { *place = message };
    true
}

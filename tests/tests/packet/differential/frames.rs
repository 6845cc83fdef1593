//! Frames for comparison: broken alike for both, and what is left of them without what a translator
//! may choose.

use std::ops::Range;

use vpcep_common::tcp::{IPPROTO_UDP, Side};
use vpcep_tests::packet::{Datagram, ETHERNET_LEN, TCP, checksum};

use crate::fuzz::pseudo_header;
use crate::icmp::ICMP;
use crate::random::Random;

/// Bytes of an ICMP header.
pub const ICMP_LEN: usize = 8;

/// A broken copy of a frame; half of them with right sums. Two frames that differ by the port that a
/// translator chose are broken alike by the same numbers.
pub fn break_copy(side: Side, frame: &[u8], random: &mut Random) -> Vec<u8> {
    let mut copy = frame.to_vec();
    random.break_frame(&mut copy);
    // Fragments are tests of their own.
    copy[20] &= 0xc0;
    copy[21] = 0;
    for range in kept(side, frame) {
        if let (Some(copy), Some(frame)) = (copy.get_mut(range.clone()), frame.get(range)) {
            copy.copy_from_slice(frame);
        }
    }
    if random.below(2) == 0 {
        mend(&mut copy);
    }
    copy
}

/// What breaking leaves alone. The client's port: another one is another conversation, of which nobody
/// knows any more what state it was left in. The port that was chosen, and the sums that depend on it:
/// the same bit would be worth something else for each of the two.
fn kept(side: Side, frame: &[u8]) -> Vec<Range<usize>> {
    let l4 = ETHERNET_LEN + usize::from(frame[14] & 0xf) * 4;
    // Recorded errors are about packets without IP options.
    let inner = l4 + ICMP_LEN + 20;
    let starts = match (side, frame[23]) {
        (Side::Client, ICMP) => vec![inner + 2],
        (Side::Client, _) => vec![l4],
        (Side::Backend, ICMP) => vec![l4 + 2, inner, inner + 6],
        (Side::Backend, TCP) => vec![l4 + 2, l4 + 16],
        (Side::Backend, _) => vec![l4 + 2, l4 + 6],
    };
    starts.into_iter().map(|at| at..at + 2).collect()
}

/// Makes the sums of a frame right, as far as there is room for them.
pub fn mend(frame: &mut [u8]) {
    let packet = &mut frame[ETHERNET_LEN..];
    let header_len = usize::from(packet[0] & 0xf) * 4;
    if header_len < 20 || packet.len() < header_len {
        return;
    }
    put(packet, 10, 0);
    let check = checksum(&packet[..header_len]);
    put(packet, 10, check);
    let total_len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let addresses: [u8; 8] = packet[12..20].try_into().expect("eight bytes");
    let protocol = packet[9];
    let Some(segment) = packet.get_mut(header_len..total_len) else { return };
    let at = match protocol {
        TCP => 16,
        IPPROTO_UDP => 6,
        ICMP => 2,
        _ => return,
    };
    if segment.len() < at + 2 {
        return;
    }
    put(segment, at, 0);
    let [a, b, c, d, e, f, g, h] = addresses;
    let pseudo = match protocol {
        ICMP => Vec::new(),
        _ => pseudo_header([a, b, c, d].into(), [e, f, g, h].into(), protocol, segment),
    };
    let check = checksum(&[&pseudo, &*segment].concat());
    put(segment, at, if check == 0 && protocol == IPPROTO_UDP { 0xffff } else { check });
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn get(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Source port of a frame that was sent towards the backend, unless it is an ICMP error.
pub fn source_port(frame: &[u8]) -> Option<u16> {
    let packet = Datagram::parse(frame)?;
    (packet.protocol != ICMP).then(|| get(&packet.payload, 0))
}

/// A forwarded packet without the port that was chosen: the field is 0, and the sum is what it would
/// be with that. The sum of an ICMP message is left as whether, and by how much, it is wrong. Bytes
/// behind the packet are no part of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Canonical {
    /// The packet.
    pub packet: Datagram,
    residue: u16,
}

impl Canonical {
    /// Of a frame that went out, of what came from this side.
    ///
    /// # Panics
    /// When it is no IPv4 packet with a right header sum.
    pub fn of(from: Side, frame: &[u8]) -> Self {
        let mut packet = Datagram::parse(frame).unwrap_or_else(|| panic!("out went no packet: {frame:02x?}"));
        let mut residue = 0;
        let payload = &mut packet.payload;
        match (packet.protocol, from) {
            (ICMP, _) => {
                residue = checksum(payload);
                put(payload, 2, 0);
                let inner = &mut payload[ICMP_LEN..];
                let header_len = usize::from(inner[0] & 0xf) * 4;
                let protocol = inner[9];
                forget_port(protocol, &mut inner[header_len..], (from == Side::Client).then_some(2));
            }
            (protocol, Side::Client) => forget_port(protocol, payload, Some(0)),
            (protocol, Side::Backend) => forget_port(protocol, payload, None),
        }
        Self { packet, residue }
    }
}

/// Makes a port 0, if there is one to forget, and the sum fit that. Both ways to write a sum of zero
/// become one, and "no sum" of UDP stays apart.
fn forget_port(protocol: u8, segment: &mut [u8], port_at: Option<usize>) {
    let port = port_at.map_or(0, |at| get(segment, at));
    if let Some(at) = port_at {
        put(segment, at, 0);
    }
    let at = if protocol == TCP { 16 } else { 6 };
    if segment.len() < at + 2 || (protocol == IPPROTO_UDP && get(segment, at) == 0) {
        return;
    }
    // RFC 1624, equation 3, with a new value of zero.
    let sum = !get(segment, at);
    let check = checksum(&[sum.to_be_bytes(), (!port).to_be_bytes()].concat());
    put(segment, at, if check == 0 { 0xffff } else { check });
}

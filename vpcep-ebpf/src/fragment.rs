//! Fragments of datagrams, in order: the first one is a packet like any other, and leaves its ports
//! for those that follow (RFC 4787 REQ-14, for which those that come before it are dropped).

use core::mem::offset_of;

use network_types::ip::Ipv4Hdr;
use vpcep_common::fragment::{FragmentKey, LIFETIME_SECS, Ports};
use vpcep_common::session::ticks;

use crate::maps::{FRAGMENTS, SCRATCH};
use crate::packet::Packet;
use crate::parse::{Headers, L3, field};
use crate::pipeline::Scene;
use crate::session;

/// Which part of a datagram a packet is (RFC 791 section 3.1).
#[derive(Clone, Copy)]
pub struct Part {
    /// As it stands in the header.
    id: u16,
    /// Offset in units of eight bytes, and above it whether more follow.
    place: u16,
}

impl Part {
    /// Reads it. What is too short for it, which the parser refuses, is a whole datagram.
    #[inline(always)]
    pub fn of<P: Packet>(packet: &P) -> Self {
        let Some(ip) = packet.at::<Ipv4Hdr>(L3) else { return Self { id: 0, place: 0 } };
        // SAFETY: bounds checked just now.
        let (id, frags): (u16, u16) =
            unsafe { (field(ip, offset_of!(Ipv4Hdr, id)), field(ip, offset_of!(Ipv4Hdr, frags))) };
        Self { id, place: u16::from_be(frags) & 0x3fff }
    }

    /// Whether it is not all there is.
    #[inline(always)]
    pub fn is_fragment(self) -> bool {
        self.place != 0
    }

    /// Whether the beginning is in another packet.
    #[inline(always)]
    pub fn is_later(self) -> bool {
        self.place & 0x1fff != 0
    }
}

/// The datagram that a fragment is of, in a place for which the stack has no room.
#[inline(always)]
fn key(part: Part, vpc: u16, headers: &Headers) -> Option<&'static FragmentKey> {
    let scratch = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a per-CPU value, which is written before it is read for every packet.
    let key = unsafe { &mut (*scratch).fragment };
    *key = FragmentKey {
        source: headers.source,
        destination: headers.destination,
        id: part.id,
        vpc,
        protocol: headers.protocol,
        pad: [0; 3],
    };
    Some(key)
}

/// Gives a later fragment the ports of its datagram. `false` when its first fragment has not been
/// sent on, or long ago.
#[inline(always)]
pub fn complete<P: Packet>(packet: &P, vpc: u16, headers: &mut Headers) -> bool {
    let Some(key) = key(Part::of(packet), vpc, headers) else { return false };
    let Some(ports) = FRAGMENTS.get_ptr(key) else { return false };
    // SAFETY: a pointer into the map. An element that is given to another datagram meanwhile has ports
    // of no session between these addresses, or of one that the sender has as well.
    let ports: Ports = unsafe { *ports };
    if session::now().wrapping_sub(ports.seen) > ticks(LIFETIME_SECS) {
        return false;
    }
    headers.source_port = ports.source;
    headers.destination_port = ports.destination;
    true
}

/// Leaves the ports of a first fragment that is sent on. What is not taken (another CPU has the
/// table) loses one datagram.
#[inline(always)]
pub fn note<P: Packet>(packet: &P, scene: &Scene, headers: &Headers) {
    if !headers.is_udp() {
        return;
    }
    let part = Part::of(packet);
    if !part.is_fragment() || part.is_later() {
        return;
    }
    let Some(key) = key(part, scene.attachment.vpc, headers) else { return };
    let ports = Ports { source: headers.source_port, destination: headers.destination_port, seen: scene.now };
    let _ = FRAGMENTS.insert(key, ports, 0);
}

//! ICMP: echo to an endpoint's address is answered here, and an error about a
//! packet of a session is carried to whoever sent that packet.
//!
//! Errors are translated whole: the packet inside becomes the one its sender
//! knows, and the error comes from the endpoint, since nothing else of the other
//! network is to be seen. They never end a session nor keep it alive.
//!
//! Sources: RFC 792; RFC 5508 REQ-3 to 7 (errors), RFC 1191 (path MTU, whose
//! messages are such errors); RFC 4787 REQ-12.

use core::mem::offset_of;

use network_types::ip::Ipv4Hdr;
use vpcep_common::attachment::Attachment;
use vpcep_common::be::{Be16, Be32};
use vpcep_common::counter::DropReason;
use vpcep_common::csum;
use vpcep_common::endpoint::NO_ENDPOINT;
use vpcep_common::session::FlowKey;
use vpcep_common::settings::settings_flags;
use vpcep_common::snat::in_range;
use vpcep_common::tcp::{IPPROTO_TCP, IPPROTO_UDP, Side};

use crate::endpoint::{self, Address, Policy};
use crate::packet::Packet;
use crate::parse::{Headers, L3, field};
use crate::pipeline::{Scene, check_policy, drop};
use crate::rewrite::{self, Rewrite, TTL};
use crate::session::{self, Session};
use crate::verdict::{Refusal, Verdict};
use crate::{counters, index, neighbour};

const ECHO_REPLY: u8 = 0;
pub const UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
pub const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/// Bytes of the ICMP header, in echo and in errors.
pub const HEADER_LEN: usize = 8;
/// Words of the longest message that is looked at: one frame of 1500 bytes.
const MAX_WORDS: usize = 370;

/// Type, code and checksum, in memory order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Head {
    kind: u8,
    code: u8,
    check: u16,
}

/// The packet that an error is about, as it stands in the error.
#[derive(Clone, Copy)]
struct Inner {
    source: Be32,
    destination: Be32,
    source_port: Be16,
    destination_port: Be16,
    protocol: u8,
    /// Offset of its transport header in the frame.
    l4: u32,
}

impl Inner {
    #[inline(always)]
    fn l4(&self) -> usize {
        self.l4 as usize
    }
}

/// Handles one ICMP message.
///
/// Everything here decides and acts at once, apart from [`crate::pipeline::Decision`]: with
/// two more kinds of decision LLVM saves registers that are not set, which the verifier
/// refuses to see.
#[inline(always)]
pub fn handle<P: Packet>(packet: &mut P, scene: &Scene, headers: &Headers) -> Verdict {
    let is_return = in_range(headers.destination.get());
    let mut endpoint = NO_ENDPOINT;
    let mut has_address = false;
    if !is_return {
        match endpoint::destination(scene.attachment.vpc, headers) {
            Address::Host => return Verdict::Pass,
            Address::Other => return drop(Refusal::silent(DropReason::NotForwarded)),
            Address::Routed(route) => endpoint = route.endpoint,
            Address::Endpoint(number) => {
                endpoint = number;
                has_address = true;
            }
        }
    }
    let Some(head) = packet.at::<Head>(headers.l4()) else {
        return drop(Refusal::of(endpoint, DropReason::Malformed));
    };
    // SAFETY: bounds checked just now.
    match unsafe { (*head).kind } {
        ECHO_REQUEST if has_address => echo(packet, scene, headers, endpoint),
        UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM => {
            if !is_sum_right(packet, headers.l4(), headers.segment_len()) {
                return drop(Refusal::of(endpoint, DropReason::Malformed));
            }
            let Some(inner) = inner(packet, headers) else {
                return drop(Refusal::of(endpoint, DropReason::Malformed));
            };
            if is_return {
                backward(packet, scene, headers, &inner)
            } else {
                forward(packet, scene, headers, &inner)
            }
        }
        _ => drop(Refusal::of(endpoint, DropReason::Protocol)),
    }
}

/// An echo request to an endpoint: answered to whoever may use it.
#[inline(always)]
fn echo<P: Packet>(packet: &mut P, scene: &Scene, headers: &Headers, number: u32) -> Verdict {
    if scene.settings.flags & settings_flags::NO_ECHO != 0 {
        return drop(Refusal::of(number, DropReason::Protocol));
    }
    let Some(policy) = Policy::of(number) else {
        return drop(Refusal::of(number, DropReason::NotAccepted));
    };
    if let Err(reason) = policy.admits(headers.source) {
        return drop(Refusal::of(number, reason));
    }
    if !packet.can_leave(scene.attachment, scene.attachment, u32::from(headers.ip_len)) {
        return Verdict::Pass;
    }
    if !answer(packet, scene, headers) {
        return Verdict::Drop;
    }
    packet.send(scene.attachment)
}

/// Makes an echo request its own answer. The sender checks the sum, which changes
/// by what the type does. `false` when the bytes are no longer there.
#[inline(always)]
fn answer<P: Packet>(packet: &mut P, scene: &Scene, headers: &Headers) -> bool {
    let Some(head) = packet.at::<Head>(headers.l4()) else { return false };
    // SAFETY: bounds checked just now.
    let head = unsafe { &mut *head };
    let was = u16::from_ne_bytes([head.kind, head.code]);
    let is = u16::from_ne_bytes([ECHO_REPLY, head.code]);
    head.kind = ECHO_REPLY;
    head.check = csum::apply(head.check, csum::diff16(was, is));
    let to = Rewrite {
        source_mac: scene.attachment.mac,
        destination_mac: headers.source_mac,
        source: headers.destination,
        source_port: Be16(0),
        destination: headers.source,
        destination_port: Be16(0),
    };
    rewrite::network(packet, headers, &to, TTL)
}

/// An error from a provider's VPC, about a packet of a client.
#[inline(always)]
fn backward<P: Packet>(packet: &mut P, scene: &Scene, headers: &Headers, inner: &Inner) -> Verdict {
    let unsolicited = Refusal::silent(DropReason::Unsolicited);
    if inner.source != headers.destination {
        return drop(unsolicited);
    }
    let number = scene.settings.shard().slot(inner.source.get(), inner.source_port.get());
    let Some(session) = number.and_then(session::in_slot) else { return drop(unsolicited) };
    let endpoint = session.word.endpoint();
    // SAFETY: a pointer into the map.
    let slot = unsafe { &*session.slot };
    let is_about_session = slot.backend == inner.destination
        && slot.backend_port == inner.destination_port
        && slot.protocol == inner.protocol;
    let (consumer_vpc, provider_vpc, back) = (slot.consumer_vpc, slot.provider_vpc, slot.attachment);
    let mut to = Rewrite {
        source_mac: [0; 6],
        destination_mac: slot.client_mac,
        source: slot.endpoint,
        source_port: slot.endpoint_port,
        destination: slot.client,
        destination_port: slot.client_port,
    };
    if !session.is_unchanged() {
        return drop(Refusal::silent(DropReason::Contended));
    }
    if provider_vpc != scene.attachment.vpc {
        return drop(Refusal::of(endpoint, DropReason::WrongVpc));
    }
    if !is_about_session {
        return drop(Refusal::of(endpoint, DropReason::WrongBackend));
    }
    let Some(out) = neighbour::attachment(u32::from(back)).filter(|out| out.vpc == consumer_vpc) else {
        return drop(Refusal::of(endpoint, DropReason::NoAttachment));
    };
    to.source_mac = out.mac;
    send(packet, scene, headers, inner, &session, &to, out, Side::Backend)
}

/// An error from a consumer's VPC, about a packet of a backend.
#[inline(always)]
fn forward<P: Packet>(packet: &mut P, scene: &Scene, headers: &Headers, inner: &Inner) -> Verdict {
    let flow = FlowKey {
        source: inner.destination,
        destination: inner.source,
        source_port: inner.destination_port,
        destination_port: inner.source_port,
        vpc: scene.attachment.vpc,
        protocol: inner.protocol,
        pad: 0,
    };
    let stray = Refusal::silent(DropReason::NoSession);
    if inner.source != headers.destination {
        return drop(stray);
    }
    let Some(session) = index::find(scene.settings, &flow) else { return drop(stray) };
    // SAFETY: a pointer into the map.
    let (next_hop, backend, backend_port) =
        unsafe { ((*session.slot).next_hop, (*session.slot).backend, (*session.slot).backend_port) };
    let (mac, out) = match neighbour::resolve(next_hop) {
        Ok(way) => way,
        Err(reason) => return drop(Refusal::of(session.word.endpoint(), reason)),
    };
    let (source, port) = scene.settings.shard().source(session.number);
    let to = Rewrite {
        source_mac: out.mac,
        destination_mac: mac,
        source: Be32::new(source),
        source_port: Be16::new(port),
        destination: backend,
        destination_port: backend_port,
    };
    send(packet, scene, headers, inner, &session, &to, out, Side::Client)
}

/// Sends an error on if its session may still be used.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "all of them decided by the two that call it")]
fn send<P: Packet>(
    packet: &mut P,
    scene: &Scene,
    headers: &Headers,
    inner: &Inner,
    session: &Session,
    to: &Rewrite,
    out: &'static Attachment,
    sender: Side,
) -> Verdict {
    let endpoint = session.word.endpoint();
    if !packet.can_leave(scene.attachment, out, u32::from(headers.ip_len)) {
        return Verdict::Pass;
    }
    if let Err(refusal) = check_policy(session) {
        return drop(Refusal::of(endpoint, refusal.reason));
    }
    if headers.ttl <= 1 {
        return drop(Refusal::of(endpoint, DropReason::TtlExceeded));
    }
    if !relay(packet, headers, inner, to) {
        return Verdict::Drop;
    }
    counters::forwarded(endpoint, sender, u32::from(headers.ip_len));
    packet.send(out)
}

/// The packet inside an error; `None` when it is none of a session's, cut short
/// before its ports, or its header does not add up (RFC 5508 REQ-3).
#[inline(always)]
fn inner<P: Packet>(packet: &P, headers: &Headers) -> Option<Inner> {
    let l3 = headers.l4() + HEADER_LEN;
    let ip = packet.at::<Ipv4Hdr>(l3)?;
    // SAFETY: bounds checked just now.
    let (vihl, protocol, frags): (u8, u8, u16) = unsafe {
        (field(ip, 0), field(ip, offset_of!(Ipv4Hdr, proto)), field(ip, offset_of!(Ipv4Hdr, frags)))
    };
    // SAFETY: as above.
    let (source, destination): (u32, u32) =
        unsafe { (field(ip, offset_of!(Ipv4Hdr, src_addr)), field(ip, offset_of!(Ipv4Hdr, dst_addr))) };
    let header_len = u16::from(vihl & 0xf) * 4;
    let is_later_fragment = u16::from_be(frags) & 0x1fff != 0;
    let is_carried = protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
    if vihl >> 4 != 4
        || usize::from(header_len) < Ipv4Hdr::LEN
        || is_later_fragment
        || !is_carried
        || headers.segment_len() < HEADER_LEN as u16 + header_len + 8
        || !is_sum_right(packet, l3, header_len)
    {
        return None;
    }
    let l4 = l3 + usize::from(header_len);
    let ports = packet.at::<[u16; 2]>(l4)?;
    // SAFETY: bounds checked just now.
    let [source_port, destination_port] = unsafe { *ports };
    Some(Inner {
        source: Be32(source),
        destination: Be32(destination),
        source_port: Be16(source_port),
        destination_port: Be16(destination_port),
        protocol,
        l4: l4 as u32,
    })
}

/// Whether bytes that contain their own checksum, four at least, add up (RFC 1071).
#[inline(always)]
fn is_sum_right<P: Packet>(packet: &P, offset: usize, length: u16) -> bool {
    let mut sum = 0;
    let whole = usize::from(length / 4);
    for i in 0..MAX_WORDS {
        if i == whole {
            break;
        }
        let Some(word) = packet.at::<u32>(offset + i * 4) else { return false };
        // SAFETY: bounds checked just now.
        sum = csum::add(sum, csum::word(unsafe { *word }));
    }
    let rest = u32::from(length & 3);
    if rest != 0 {
        // The last word, with what it has of the one before shifted out. Where it is goes through a
        // black box: else the check is of its end and the access below that, which the verifier refuses.
        let at = core::hint::black_box((offset + usize::from(length)) as u32 - 4) & 0x7ff;
        let Some(word) = packet.at::<u32>(at as usize) else { return false };
        // SAFETY: bounds checked just now.
        let word = u32::from_le(unsafe { *word });
        sum = csum::add(sum, csum::word((word >> (8 * (4 - rest))).to_le()));
    }
    length >= 4 && whole <= MAX_WORDS && csum::fold(sum) == 0xffff
}

/// Translates an error: outside like any packet, and the packet inside, which
/// went the other way. `false` when the bytes are no longer there.
#[inline(always)]
fn relay<P: Packet>(packet: &mut P, headers: &Headers, inner: &Inner, to: &Rewrite) -> bool {
    let addresses = csum::add(
        csum::diff32(inner.source.0, to.destination.0),
        csum::diff32(inner.destination.0, to.source.0),
    );
    let ports = csum::add(
        csum::diff16(inner.source_port.0, to.destination_port.0),
        csum::diff16(inner.destination_port.0, to.source_port.0),
    );
    let Some(ip) = packet.at::<Ipv4Hdr>(headers.l4() + HEADER_LEN) else { return false };
    // SAFETY: bounds checked just now. The header's own checksum keeps its sum as it was.
    unsafe {
        let check = ip.byte_add(offset_of!(Ipv4Hdr, check)).cast::<u16>();
        *check = csum::apply(*check, addresses);
        *ip.byte_add(offset_of!(Ipv4Hdr, src_addr)).cast::<u32>() = to.destination.0;
        *ip.byte_add(offset_of!(Ipv4Hdr, dst_addr)).cast::<u32>() = to.source.0;
    }
    let Some(at) = packet.at::<[u16; 2]>(inner.l4()) else { return false };
    // SAFETY: bounds checked just now.
    unsafe { *at = [to.destination_port.0, to.source_port.0] };
    let mut changed = ports;
    // The error need not be long enough to have a TCP checksum in it, and what is behind it in the
    // frame is none.
    let check_at = inner.l4() + if inner.protocol == IPPROTO_UDP { 6 } else { 16 };
    let is_inside = check_at + size_of::<u16>() <= L3 + usize::from(headers.ip_len);
    if is_inside && let Some(check) = packet.at::<u16>(check_at) {
        // SAFETY: bounds checked just now.
        let known = unsafe { *check };
        if inner.protocol == IPPROTO_TCP || known != 0 {
            let new = match csum::apply(known, csum::add(addresses, ports)) {
                // To UDP 0 is "none" (RFC 768).
                0 if inner.protocol == IPPROTO_UDP => 0xffff,
                sum => sum,
            };
            // SAFETY: as above.
            unsafe { *check = new };
            changed = csum::add(changed, csum::diff16(known, new));
        }
    }
    let Some(head) = packet.at::<Head>(headers.l4()) else { return false };
    // SAFETY: bounds checked just now.
    unsafe { (*head).check = csum::apply((*head).check, changed) };
    rewrite::network(packet, headers, to, headers.ttl.wrapping_sub(1))
}

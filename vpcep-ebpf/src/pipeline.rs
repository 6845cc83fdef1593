//! The story of a packet.
//!
//! ```text
//!  frame ─▶ attachment? ─▶ ARP ──────────────▶ answered for our addresses
//!              │ no: stack  └▶ IPv4 ─▶ to our source range ─▶ RETURN ─▶ client
//!                                   └▶ to an endpoint ──────▶ FORWARD ─▶ backend
//!                                   └▶ to the host itself ──▶ stack
//!                                   └▶ anything else ───────▶ dropped: we do not route
//! ```
//!
//! Policy for what goes wrong: a malformed packet is dropped; a lookup that finds
//! nothing refuses (reset, ICMP error or silence, as the endpoint wants it); a full table
//! refuses new connections and leaves the others alone; a neighbour that is not
//! resolved drops without a word, the sender retransmits.

use network_types::eth::EthHdr;
use vpcep_common::attachment::{Attachment, attachment_flags};
use vpcep_common::be::{Be16, Be32};
use vpcep_common::counter::DropReason;
use vpcep_common::session::{left_to_tc, ticks};
use vpcep_common::settings::Settings;
use vpcep_common::snat::in_range;
use vpcep_common::tcp::{Side, flags};

use crate::client_address::{Room, Task};
use crate::endpoint::{self, Address, Policy};
use crate::fragment::Part;
use crate::maps::{SCRATCH, SETTINGS};
use crate::packet::Packet;
use crate::parse::{self, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, Headers, MIN_HEADERS};
use crate::rewrite::{self, Rewrite};
use crate::session::{self, Session};
use crate::verdict::{Answer, Refusal, Verdict};
use crate::{
    client_address, counters, events, fragment, icmp, icmp_error, index, meter, neighbour, open, reset,
};

/// First multicast address (RFC 5771); broadcast is above.
pub const MULTICAST: u32 = 0xe000_0000;
/// Longest IP packet that is made here: an ICMP error about TCP with IP options, or a reset.
const ANSWER_LEN: u32 = 28 + 60 + 20;

/// What a step decided; carried out in one place, [`process`].
pub enum Decision {
    /// Nothing more to do to the packet.
    Done(Verdict),
    /// Translate and send.
    Forward { to: Rewrite, out: &'static Attachment, endpoint: u32, sender: Side },
    /// Drop, and tell the sender if the refusal says so.
    Refuse(Refusal),
    /// The session is cut off: the packet becomes a reset to its receiver.
    CutOff { to: Rewrite, out: &'static Attachment, refusal: Refusal },
}

/// What all steps know: where the packet came in and what rules here.
#[derive(Clone, Copy)]
pub struct Scene {
    /// What the loader says.
    pub settings: &'static Settings,
    /// Where the packet came in.
    pub attachment: &'static Attachment,
    /// Its number.
    pub attachment_number: u32,
    /// In ticks.
    pub now: u32,
}

/// Handles one packet.
#[inline(always)]
pub fn process<P: Packet>(packet: &mut P) -> Verdict {
    let Some(attachment_number) = neighbour::incoming(packet) else { return Verdict::Pass };
    // Ours, but being taken down: the stack might route it.
    let Some(attachment) = neighbour::attachment(attachment_number) else { return Verdict::Drop };
    packet.pull(MIN_HEADERS);
    let Some(ethernet) = packet.at::<EthHdr>(0) else { return Verdict::Drop };
    // SAFETY: bounds checked just now.
    match unsafe { (*ethernet).ether_type } {
        ETH_P_IP => {}
        ETH_P_ARP => return crate::arp::handle(packet, attachment),
        ETH_P_IPV6 => return ipv6(attachment),
        _ => return Verdict::Pass,
    }
    let Some(settings) = SETTINGS.get(0) else { return Verdict::Drop };
    let headers = match parse::ipv4(packet, attachment.vpc) {
        Ok(headers) => headers,
        Err(reason) => return drop(Refusal::silent(reason)),
    };
    let scene = Scene { settings, attachment, attachment_number, now: session::now() };
    if headers.is_icmp() && headers.destination.get() < MULTICAST {
        return icmp::handle(packet, &scene, &headers);
    }
    // TC may have sent on the fragment that this one goes by.
    if headers.is_fragment && headers.is_udp() && !packet.is_last() {
        return Verdict::Pass;
    }
    let mut task = Task::Nothing;
    let refusal = match decide(packet, &scene, &headers, &mut task) {
        Decision::Done(verdict) => return verdict,
        Decision::Forward { to, out, endpoint, sender } => {
            if !rewrite::translate(packet, &headers, &to) {
                return Verdict::Drop;
            }
            if task == Task::Carry && !client_address::carry(packet, &headers, endpoint) {
                return Verdict::Drop;
            }
            fragment::note(packet, &scene, &headers);
            counters::forwarded(endpoint, sender, u32::from(headers.ip_len));
            return packet.send(out);
        }
        Decision::Refuse(refusal) => refusal,
        Decision::CutOff { to, out, refusal } => {
            counters::dropped(refusal.endpoint, refusal.reason);
            events::refused(settings, attachment.vpc, &headers, &refusal);
            if !reset::onward(packet, &headers, &to) {
                return Verdict::Drop;
            }
            return packet.send(out);
        }
    };
    refuse(packet, &scene, &headers, refusal)
}

/// Where an IPv4 packet belongs.
#[inline(always)]
fn decide<P: Packet>(packet: &mut P, scene: &Scene, headers: &Headers, task: &mut Task) -> Decision {
    let destination = headers.destination.get();
    // Multicast (224/4) and broadcast are for the host, if it lives here at all:
    // tenants have no business with its DHCP client or name resolution.
    if destination >= MULTICAST {
        let is_host_here = scene.attachment.flags & attachment_flags::HOST_IPV4 != 0;
        return Decision::Done(if is_host_here { Verdict::Pass } else { Verdict::Drop });
    }
    if in_range(destination) {
        if !headers.is_carried() {
            return refused(Refusal::silent(transport(headers)));
        }
        return match backward(packet, scene, headers, task) {
            Ok(decision) => decision,
            Err(refusal) => refused(refusal),
        };
    }
    if !headers.is_carried() {
        return other_protocol(scene, headers);
    }
    match forward(packet, scene, headers, task) {
        Ok(decision) => decision,
        Err(refusal) => refused(refusal),
    }
}

#[inline(always)]
fn refused(refusal: Refusal) -> Decision {
    Decision::Refuse(refusal)
}

/// Why a packet that is no whole segment or datagram is not translated.
#[inline(always)]
fn transport(headers: &Headers) -> DropReason {
    if headers.is_fragment { DropReason::Fragment } else { DropReason::Protocol }
}

/// Fragments, and protocols other than TCP and UDP.
#[inline(always)]
fn other_protocol(scene: &Scene, headers: &Headers) -> Decision {
    match endpoint::destination(scene.attachment.vpc, headers) {
        Address::Host => Decision::Done(Verdict::Pass),
        Address::Endpoint(number) => refused(Refusal::of(number, transport(headers))),
        Address::Routed(route) => refused(Refusal::of(route.endpoint, transport(headers))),
        Address::Other => refused(Refusal::silent(DropReason::NotForwarded)),
    }
}

/// From a client towards an endpoint.
#[inline(always)]
fn forward<P: Packet>(
    packet: &mut P,
    scene: &Scene,
    headers: &Headers,
    task: &mut Task,
) -> Result<Decision, Refusal> {
    let flow = headers.flow(scene.attachment.vpc);
    let is_opening = headers.is_opening() && !(headers.is_udp() && Part::of(packet).is_later());
    match index::find(scene.settings, &flow) {
        Some(session) if !(is_opening && session.word.tcp().is_over()) => {
            forward_known(packet, scene, headers, task, &session)
        }
        // By number: an absent session would leave registers unset, which the verifier
        // refuses to see saved ("R4 !read_ok").
        over => {
            let over = over.map_or(open::NO_SLOT, |session| session.number);
            open::forward_new(packet, scene, headers, task, &flow, is_opening, over)
        }
    }
}

/// A packet of a session, from the client.
#[inline(always)]
fn forward_known<P: Packet>(
    packet: &mut P,
    scene: &Scene,
    headers: &Headers,
    task: &mut Task,
    session: &Session,
) -> Result<Decision, Refusal> {
    let endpoint = session.word.endpoint();
    // SAFETY: a pointer into the map.
    if !packet.handles(unsafe { (*session.slot).left_to_tc } & left_to_tc::CLIENT != 0) {
        return Ok(Decision::Done(Verdict::Pass));
    }
    if let Err(mut refusal) = check_policy(session) {
        session.cut();
        if headers.flags & flags::RST != 0 {
            refusal.answer = Answer::Silence;
        }
        return Err(refusal);
    }
    // SAFETY: a pointer into the map.
    let next_hop = unsafe { (*session.slot).next_hop };
    let (mac, out) = neighbour::resolve(next_hop).map_err(|reason| Refusal::of(endpoint, reason))?;
    let growth = client_address::growth(session);
    if !packet.can_leave(scene.attachment, out, u32::from(headers.ip_len) + growth) {
        return Ok(Decision::Done(Verdict::Pass));
    }
    if headers.ttl <= 1 {
        return Err(Refusal::of(endpoint, DropReason::TtlExceeded));
    }
    fits(packet, headers, endpoint, out, growth)?;
    if !meter::admits_packet(endpoint, Side::Client, headers.ip_len) {
        return Err(Refusal::of(endpoint, DropReason::Bandwidth));
    }
    *task = client_address::from_client(session, headers);
    if *task == Task::Refused {
        return Err(Refusal::of(endpoint, DropReason::Malformed));
    }
    if *task == Task::Carry {
        match client_address::make_room(packet, headers) {
            Room::Made => {}
            Room::Left => return Ok(Decision::Done(Verdict::Pass)),
            Room::None => return Err(Refusal::of(endpoint, DropReason::NoRoom)),
        }
    }
    follow_client(session, scene, headers);
    session.track(Side::Client, headers.flags, scene.now);
    session.count(scene.settings, Side::Client, headers.ip_len);
    Ok(towards_backend(scene, session, mac, out))
}

/// Replies go where the client's packets come from, also after its router or
/// its interface changed. Not at any packet's word, though: one that a neighbour
/// forged would divert a running stream. A connection whose way is broken falls
/// silent first.
#[inline(always)]
fn follow_client(session: &Session, scene: &Scene, headers: &Headers) {
    const SILENCE: u32 = ticks(1);
    // SAFETY: a pointer into the map.
    let silent_for = scene.now.wrapping_sub(unsafe { (*session.slot).last_seen });
    let is_syn = headers.flags & flags::SYN != 0;
    let is_regular = headers.is_udp() || headers.flags & (flags::RST | flags::ACK) == flags::ACK;
    if !is_syn && (!is_regular || silent_for < SILENCE) {
        return;
    }
    // SAFETY: a pointer into the map; plain stores by design, and a reply that
    // sees half of a change goes astray once.
    let slot = unsafe { &mut *session.slot };
    if slot.client_mac != headers.source_mac {
        slot.client_mac = headers.source_mac;
    }
    if u32::from(slot.attachment) != scene.attachment_number {
        slot.attachment = scene.attachment_number as u16;
    }
}

/// The decision that sends a packet of a session to its backend.
#[inline(always)]
pub fn towards_backend(scene: &Scene, session: &Session, mac: [u8; 6], out: &'static Attachment) -> Decision {
    let (source, port) = scene.settings.shard().source(session.number);
    // SAFETY: a pointer into the map.
    let (backend, backend_port) = unsafe { ((*session.slot).backend, (*session.slot).backend_port) };
    Decision::Forward {
        to: Rewrite {
            source_mac: out.mac,
            destination_mac: mac,
            source: Be32::new(source),
            source_port: Be16::new(port),
            destination: backend,
            destination_port: backend_port,
        },
        out,
        endpoint: session.word.endpoint(),
        sender: Side::Client,
    }
}

/// A session was admitted under some generation of its endpoint's policy; under
/// another it is checked again. So a reject, a changed whitelist or a removed
/// endpoint work on the next packet, without a search for sessions.
#[inline(always)]
pub fn check_policy(session: &Session) -> Result<(), Refusal> {
    let endpoint = session.word.endpoint();
    let policy = Policy::of(endpoint).ok_or(Refusal::of(endpoint, DropReason::NotAccepted))?;
    // SAFETY: a pointer into the map.
    let (generation, client) = unsafe { ((*session.slot).generation, (*session.slot).client) };
    if generation == policy.generation() {
        return Ok(());
    }
    policy.admits(client).map_err(|reason| policy.refuse(reason))?;
    // SAFETY: a pointer into the map; a plain store by design.
    unsafe { (*session.slot).generation = policy.generation() };
    Ok(())
}

/// From a provider's VPC, to an address of the range that backends see.
#[inline(always)]
fn backward<P: Packet>(
    packet: &P,
    scene: &Scene,
    headers: &Headers,
    task: &mut Task,
) -> Result<Decision, Refusal> {
    let shard = scene.settings.shard();
    // Another gateway's: its sessions are not ours to reset.
    let number = shard
        .slot(headers.destination.get(), headers.destination_port.get())
        .ok_or(Refusal::silent(DropReason::Unsolicited))?;
    let session = session::in_slot(number).ok_or_else(|| unsolicited(headers))?;
    let endpoint = session.word.endpoint();
    // SAFETY: a pointer into the map.
    let slot = unsafe { &*session.slot };
    let is_from_backend = slot.backend == headers.source
        && slot.backend_port == headers.source_port
        && slot.protocol == headers.protocol;
    let (consumer_vpc, provider_vpc) = (slot.consumer_vpc, slot.provider_vpc);
    let (destination_mac, back) = (slot.client_mac, slot.attachment);
    let (source, source_port) = (slot.endpoint, slot.endpoint_port);
    let (destination, destination_port) = (slot.client, slot.client_port);
    let is_left = slot.left_to_tc & left_to_tc::BACKEND != 0;
    if !session.is_unchanged() {
        return Err(Refusal::silent(DropReason::Contended));
    }
    // Two provider VPCs may have the same ranges: without this check one could
    // speak in another's sessions.
    if provider_vpc != scene.attachment.vpc {
        return Err(Refusal::of(endpoint, DropReason::WrongVpc));
    }
    if !is_from_backend {
        return Err(Refusal::of(endpoint, DropReason::WrongBackend));
    }
    // The backend may answer an opening, once; it never opens, not even on a
    // connection that is over.
    if headers.flags & flags::SYN != 0 && (headers.flags & flags::ACK == 0 || session.word.tcp().is_over()) {
        return Err(Refusal::of(endpoint, DropReason::Unsolicited));
    }
    let out = neighbour::attachment(u32::from(back))
        .filter(|out| out.vpc == consumer_vpc)
        .ok_or(Refusal::of(endpoint, DropReason::NoAttachment))?;
    // The first packet tells how the backend's are to be treated.
    if headers.flags & flags::SYN != 0 || session.word.tcp().is_unanswered() {
        if !packet.can_keep_checksum(headers) {
            return Ok(Decision::Done(Verdict::Pass));
        }
        if packet.was_left(scene.attachment) {
            // SAFETY: a pointer into the map; a plain store by design.
            unsafe { (*session.slot).left_to_tc |= left_to_tc::BACKEND };
        }
    }
    if !packet.can_leave(scene.attachment, out, u32::from(headers.ip_len)) || !packet.handles(is_left) {
        return Ok(Decision::Done(Verdict::Pass));
    }
    let to =
        Rewrite { source_mac: out.mac, destination_mac, source, source_port, destination, destination_port };
    if let Err(refusal) = check_policy(&session) {
        let is_told = session.word.is_told();
        session.cut();
        // The client first, by this very packet; the backend by its next one.
        let is_answered = refusal.answer != Answer::Silence && headers.flags & flags::RST == 0;
        if is_answered && headers.is_tcp() && !is_told {
            return Ok(Decision::CutOff { to, out, refusal });
        }
        return Err(refusal);
    }
    if headers.ttl <= 1 {
        return Err(Refusal::of(endpoint, DropReason::TtlExceeded));
    }
    fits(packet, headers, endpoint, out, 0)?;
    if !meter::admits_packet(endpoint, Side::Backend, headers.ip_len) {
        return Err(Refusal::of(endpoint, DropReason::Bandwidth));
    }
    session.track(Side::Backend, headers.flags, scene.now);
    session.count(scene.settings, Side::Backend, headers.ip_len);
    *task = client_address::from_backend(&session, headers, scene.now);
    Ok(Decision::Forward { to, out, endpoint, sender: Side::Backend })
}

/// A packet to a source port without a session. An attempt to open something
/// meets silence (RFC 5382 REQ-4); what remains of a connection that is gone
/// here is told so.
#[inline(always)]
fn unsolicited(headers: &Headers) -> Refusal {
    let mut refusal = Refusal::silent(DropReason::Unsolicited);
    if headers.flags & (flags::SYN | flags::ACK) == flags::ACK {
        refusal.answer = Answer::Reset;
    }
    refusal
}

/// Whether a packet that grows by so many bytes is small enough for its way out. Nothing is cut
/// into fragments here.
#[inline(always)]
pub fn fits<P: Packet>(
    packet: &P,
    headers: &Headers,
    endpoint: u32,
    out: &Attachment,
    growth: u32,
) -> Result<(), Refusal> {
    let largest = match packet.segment_payload() {
        0 => u32::from(headers.ip_len),
        payload => headers.len() + payload,
    };
    let room = out.mtu.saturating_sub(growth);
    if largest <= room {
        return Ok(());
    }
    let mtu = if room > 0xffff { 0xffff } else { room as u16 };
    Err(Refusal { mtu, ..Refusal::of(endpoint, DropReason::TooBig) })
}

/// IPv6 is not translated, and is the host's where it lives here. Elsewhere even
/// link-local traffic must not reach it: the kernel gives every interface a
/// link-local address, on which services of the host listen, and takes router
/// advertisements.
#[inline(always)]
fn ipv6(attachment: &Attachment) -> Verdict {
    if attachment.flags & attachment_flags::HOST_IPV6 != 0 {
        return Verdict::Pass;
    }
    drop(Refusal::silent(DropReason::NotForwarded))
}

/// Drops a packet, and answers it by a reset or an ICMP error where the refusal says so.
#[inline(always)]
fn refuse<P: Packet>(packet: &mut P, scene: &Scene, headers: &Headers, refusal: Refusal) -> Verdict {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return Verdict::Drop };
    // SAFETY: a per-CPU value with room for both; what is read is what was written.
    let (refusal, error) = unsafe {
        let place = (&raw mut (*scratch).refusal).cast::<(Refusal, u16)>();
        place.write_volatile((refusal, icmp_error::about(headers, &refusal)));
        place.read_volatile()
    };
    let is_answered = error != icmp_error::NONE || refusal.answer != Answer::Silence;
    // A hook that cannot answer here leaves it to the one that can.
    if is_answered && !packet.can_leave(scene.attachment, scene.attachment, ANSWER_LEN) {
        return Verdict::Pass;
    }
    events::refused(scene.settings, scene.attachment.vpc, headers, &refusal);
    let verdict = drop(refusal);
    if !is_answered {
        return verdict;
    }
    if error != icmp_error::NONE {
        if !icmp_error::reply(packet, scene, headers, &refusal, error) {
            return verdict;
        }
        return packet.send(scene.attachment);
    }
    let to = Rewrite {
        source_mac: scene.attachment.mac,
        destination_mac: headers.source_mac,
        source: headers.destination,
        source_port: headers.destination_port,
        destination: headers.source,
        destination_port: headers.source_port,
    };
    if !reset::reply(packet, headers, &to) {
        return verdict;
    }
    packet.send(scene.attachment)
}

const _: () = assert!(size_of::<(Refusal, u16)>() <= size_of::<[u32; 4]>());

#[inline(always)]
pub fn drop(refusal: Refusal) -> Verdict {
    counters::dropped(refusal.endpoint, refusal.reason);
    Verdict::Drop
}

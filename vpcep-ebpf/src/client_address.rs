//! The client's address on its way to the server. Which packets carry it, and what becomes of
//! sequence numbers, is in `vpcep_common::client_address`.
//!
//! Sources: the PROXY protocol, version 2; RFC 9293 section 3.1 (options).

use core::mem::offset_of;

use network_types::ip::Ipv4Hdr;
use network_types::tcp::TcpHdr;
use vpcep_common::be::Be32;
use vpcep_common::client_address::{
    self, Carried, HEADER_LEN, PREFIX, TOA_KIND, TOA_LEN, Tlvs, pending, what,
};
use vpcep_common::csum;
use vpcep_common::endpoint::policy;
use vpcep_common::tcp::flags;

use crate::maps::{SCRATCH, TLVS};
use crate::packet::Packet;
use crate::parse::{Headers, L3};
use crate::session::Session;

/// Whether a packet has anything to do for the client's address.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Task {
    /// It has not.
    Nothing,
    /// It has: see [`carry`].
    Carry,
    /// It must not go at all.
    Refused,
}

/// Offset of the options of a TCP segment without IP options.
const OPTIONS: usize = L3 + Ipv4Hdr::LEN + TcpHdr::LEN;
/// What a segment has of options as a rule: two no-operations and a time stamp (RFC 7323, appendix A).
const TIME_STAMP: u32 = u32::from_ne_bytes([1, 1, 8, 10]);
/// Bytes of these.
const TIME_STAMP_LEN: u8 = 12;

/// Bytes of data in a segment.
#[inline(always)]
fn payload(headers: &Headers) -> u16 {
    headers.segment_len() - u16::from(headers.tcp_len)
}

/// What the server of a new session must be told: `word` is its policy's.
#[inline(always)]
pub fn pending(word: u64, headers: &Headers) -> u8 {
    if headers.is_udp() {
        return 0;
    }
    let toa = if word & policy::TOA != 0 { pending::TOA } else { 0 };
    let proxy = if word & policy::PROXY != 0 { pending::PROXY } else { 0 };
    toa | proxy
}

/// What the SYN of a new session has to do.
#[inline(always)]
pub fn by_syn(pending: u8, headers: &Headers) -> Task {
    if pending & pending::PROXY == 0 {
        return Task::Nothing;
    }
    outward(pending::PROXY, headers.sequence.get(), true, headers)
}

/// What a packet of the client has to do.
#[inline(always)]
pub fn from_client(session: &Session, headers: &Headers) -> Task {
    // SAFETY: a pointer into the map.
    if unsafe { (*session.slot).pending } == 0 {
        return Task::Nothing;
    }
    let begins_anew = headers.flags & flags::SYN != 0 && session.word.tcp().is_syn_sent();
    if begins_anew {
        let initial = headers.sequence.get();
        // SAFETY: as above; a plain store by design.
        unsafe {
            if (*session.slot).pending & pending::PROXY != 0 {
                (*session.slot).created = initial;
            }
        }
    }
    // SAFETY: as above. Whoever ends the wait first says so, and then writes the time there.
    let (initial, open) = unsafe {
        let initial = (&raw const (*session.slot).created).read_volatile();
        (initial, (&raw const (*session.slot).pending).read_volatile())
    };
    outward(open, initial, !session.word.tcp().has_client_answered(), headers)
}

/// Bytes that a segment of the client may grow by.
#[inline(always)]
pub fn growth(session: &Session) -> u32 {
    // SAFETY: a pointer into the map.
    let open = unsafe { (*session.slot).pending };
    // Without a branch, for the verifier.
    u32::from(open & pending::TOA) * (u32::from(TOA_LEN) / u32::from(pending::TOA))
}

#[inline(always)]
fn outward(open: u8, initial: u32, is_first: bool, headers: &Headers) -> Task {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return Task::Refused };
    // SAFETY: a per-CPU value, which is written before it is read for every packet.
    let carried = unsafe { &mut (*scratch).carried };
    carried.what = 0;
    if open & pending::PROXY != 0 {
        let outward =
            client_address::outward(initial, headers.flags, headers.sequence.get(), payload(headers));
        if outward.is_refused {
            return Task::Refused;
        }
        carried.sequence = Be32::new(outward.sequence);
        carried.acknowledgement = headers.acknowledgement;
        carried.what = what::RENUMBER | if outward.has_header { what::HEADER } else { 0 };
    }
    if open & pending::TOA != 0 && headers.flags & (flags::SYN | flags::RST) == 0 {
        carried.what |= what::OPTION | if is_first { what::FIRST } else { 0 };
    }
    Task::Carry
}

/// What a packet of the server has to do, and what it says of what has arrived there.
#[inline(always)]
pub fn from_backend(session: &Session, headers: &Headers, now: u32) -> Task {
    // SAFETY: a pointer into the map; packets of the server alone take bits away, by plain stores.
    let slot = unsafe { &mut *session.slot };
    if slot.pending == 0 {
        return Task::Nothing;
    }
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return Task::Refused };
    // SAFETY: as above.
    let carried = unsafe { &mut (*scratch).carried };
    carried.what = 0;
    if slot.pending & pending::TOA != 0 && headers.flags & flags::RST == 0 {
        if headers.flags & flags::SYN != 0 {
            carried.what = what::LOWER_MSS;
        } else {
            slot.pending &= !pending::TOA;
        }
    }
    if slot.pending & pending::PROXY != 0 {
        let inward = client_address::inward(
            slot.created,
            headers.flags,
            headers.sequence.get(),
            headers.acknowledgement.get(),
            payload(headers),
        );
        carried.sequence = Be32::new(inward.sequence);
        carried.acknowledgement = Be32::new(inward.acknowledgement);
        carried.what |= what::RENUMBER;
        if inward.has_arrived {
            slot.pending &= !pending::PROXY;
            slot.created = now;
        }
    }
    Task::Carry
}

/// What comes of making room in a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Room {
    /// It has what it needs.
    Made,
    /// It is as it was, and a hook that comes behind this one can make more of it.
    Left,
    /// There is none.
    None,
}

/// Bits of [`what`]. Read anew each time: what the verifier learned of one bit it would carry along,
/// and go on once for each set of them.
#[inline(always)]
fn read(carried: &Carried) -> u32 {
    // SAFETY: a reference is a valid pointer.
    unsafe { (&raw const carried.what).read_volatile() }
}

#[inline(always)]
fn has(carried: &Carried, bit: u32) -> bool {
    read(carried) & bit != 0
}

/// Makes room in a packet of the client for what it has to carry, and says so in what it has to do.
#[inline(always)]
pub fn make_room<P: Packet>(packet: &mut P, headers: &Headers) -> Room {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return Room::None };
    // SAFETY: as above.
    let carried = unsafe { &mut (*scratch).carried };
    if has(carried, what::OPTION) {
        let taken = takes_option(packet, headers);
        // Behind an acknowledgement that carried it, it need not be repeated at any price.
        if taken == FORGED || (taken == NO && has(carried, what::FIRST)) {
            return Room::None;
        }
        if taken == NO {
            carried.what &= !what::OPTION;
        }
    }
    if has(carried, what::HEADER) {
        let end = headers.l4() as u32 + u32::from(headers.tcp_len);
        if !packet.resize(end + HEADER_LEN) {
            return if packet.is_last() { Room::None } else { Room::Left };
        }
    }
    if has(carried, what::OPTION) && !packet.open_gap() {
        return if packet.is_last() || has(carried, what::HEADER) { Room::None } else { Room::Left };
    }
    Room::Made
}

/// Does what a translated packet has to do, in the room that was made. `false` when its bytes are no
/// longer there.
#[inline(always)]
pub fn carry<P: Packet>(packet: &mut P, headers: &Headers, endpoint: u32) -> bool {
    let Some(scratch) = SCRATCH.get_ptr(0) else { return false };
    // SAFETY: as above.
    let carried = unsafe { &(*scratch).carried };
    if has(carried, what::RENUMBER) {
        renumber(packet, headers, carried);
    }
    if has(carried, what::LOWER_MSS) {
        lower_mss(packet, headers);
    }
    if has(carried, what::OPTION) && !write_option(packet, headers) {
        return false;
    }
    // Without a branch, for the verifier.
    let grown = (read(carried) & what::OPTION) * (TOA_LEN as u32 / what::OPTION);
    !has(carried, what::HEADER) || write_header(packet, headers, endpoint, grown as u8)
}

/// Gives a segment other sequence and acknowledgement numbers.
#[inline(always)]
fn renumber<P: Packet>(packet: &mut P, headers: &Headers, carried: &Carried) {
    let Some(numbers) = packet.at::<[u32; 2]>(headers.l4() + offset_of!(TcpHdr, seq)) else { return };
    // SAFETY: bounds checked just now.
    unsafe { *numbers = [carried.sequence.0, carried.acknowledgement.0] };
    let diff = csum::add(
        csum::diff32(headers.sequence.0, carried.sequence.0),
        csum::diff32(headers.acknowledgement.0, carried.acknowledgement.0),
    );
    packet.update_tcp_checksum(headers.l4() + offset_of!(TcpHdr, check), 0, diff);
}

/// Lowers what a SYN-ACK says a segment may hold (RFC 9293 section 3.7.1), where it says so first.
#[inline(always)]
fn lower_mss<P: Packet>(packet: &mut P, headers: &Headers) {
    const MSS: [u8; 2] = [2, 4];
    if usize::from(headers.tcp_len) < TcpHdr::LEN + 4 {
        return;
    }
    packet.pull((headers.l4() + TcpHdr::LEN + 4) as u32);
    let Some(option) = packet.at::<[u8; 4]>(headers.l4() + TcpHdr::LEN) else { return };
    // SAFETY: bounds checked just now.
    let [kind, length, high, low] = unsafe { *option };
    let mss = u16::from_be_bytes([high, low]);
    if [kind, length] != MSS || mss <= u16::from(TOA_LEN) {
        return;
    }
    let lowered = mss - u16::from(TOA_LEN);
    let [high, low] = lowered.to_be_bytes();
    // SAFETY: bounds checked just now.
    unsafe { *option = [kind, length, high, low] };
    let diff = csum::diff16(mss.to_be(), lowered.to_be());
    packet.update_tcp_checksum(headers.l4() + offset_of!(TcpHdr, check), 0, diff);
}

/// Answers of [`takes_option`].
const YES: u32 = 0;
/// There is no room, or none that could be made.
const NO: u32 = 1;
/// It has what may be such an option already, which only a forger puts there.
const FORGED: u32 = 2;

/// Whether a segment can take the option.
#[inline(always)]
fn takes_option<P: Packet>(packet: &mut P, headers: &Headers) -> u32 {
    let is_plain = headers.tcp_len as usize == TcpHdr::LEN;
    if !is_plain {
        packet.pull(headers.l4() as u32 + u32::from(headers.tcp_len));
        let Some(first) = packet.at::<u32>(headers.l4() + TcpHdr::LEN) else { return FORGED };
        // SAFETY: bounds checked just now.
        let is_time_stamp = unsafe { *first } == TIME_STAMP;
        if !(is_time_stamp && headers.tcp_len == TcpHdr::LEN as u8 + TIME_STAMP_LEN)
            && may_be_forged(packet, headers)
        {
            return FORGED;
        }
    }
    let has_room = headers.tcp_len <= 60 - TOA_LEN && headers.l4() == L3 + Ipv4Hdr::LEN;
    if has_room && packet.segment_payload() == 0 { YES } else { NO }
}

/// Whether the byte of the option's kind is anywhere in the options. That is more than such options:
/// who has it in another one comes through without it, on a repeated segment say.
#[inline(always)]
fn may_be_forged<P: Packet>(packet: &P, headers: &Headers) -> bool {
    const EVERY: u32 = 0x0101_0101;
    let length = core::hint::black_box(usize::from(headers.tcp_len) - TcpHdr::LEN) & 0x3c;
    for i in 0..10 {
        if i * 4 >= length {
            break;
        }
        let Some(word) = packet.at::<u32>(headers.l4() + TcpHdr::LEN + i * 4) else { return true };
        // SAFETY: bounds checked just now.
        let other = unsafe { *word } ^ (EVERY * TOA_KIND as u32);
        // A byte of zero (Mycroft 1987).
        if other.wrapping_sub(EVERY) & !other & (EVERY << 7) != 0 {
            return true;
        }
    }
    false
}

/// Puts the option into its gap, in front of all others.
#[inline(always)]
fn write_option<P: Packet>(packet: &mut P, headers: &Headers) -> bool {
    let Some(gap) = packet.at::<[u16; 4]>(OPTIONS) else { return false };
    let address = headers.source.0;
    let option = [
        u16::from_ne_bytes([TOA_KIND, TOA_LEN]),
        headers.source_port.0,
        address as u16,
        (address >> 16) as u16,
    ];
    // SAFETY: bounds checked just now.
    unsafe { *gap = option };
    // The length of the header, and the flags beside it.
    let Some(offset) = packet.at::<[u8; 2]>(L3 + Ipv4Hdr::LEN + 12) else { return false };
    // SAFETY: bounds checked just now.
    let [known, flags] = unsafe { *offset };
    let longer = known + ((TOA_LEN / 4) << 4);
    // SAFETY: as above.
    unsafe { *offset = [longer, flags] };
    let [a, b, c, d] = option.map(u32::from);
    let header = csum::diff16(u16::from_ne_bytes([known, flags]), u16::from_ne_bytes([longer, flags]));
    lengthen(packet, headers, 0, u16::from(TOA_LEN), csum::add(header, a + b + c + d))
}

/// A PROXY header as it stands in a packet.
#[repr(C, packed(2))]
struct Header {
    prefix: [u32; 4],
    source: u32,
    destination: u32,
    source_port: u16,
    destination_port: u16,
    tlvs: Tlvs,
}
const _: () = assert!(size_of::<Header>() == HEADER_LEN as usize);

/// Puts the PROXY header behind a segment without data that has grown by so many bytes before.
#[inline(always)]
fn write_header<P: Packet>(packet: &mut P, headers: &Headers, endpoint: u32, grown: u8) -> bool {
    let Some(tlvs) = TLVS.get(endpoint) else { return false };
    let at = headers.l4() as u32 + u32::from(headers.tcp_len) + u32::from(grown);
    packet.pull(at + HEADER_LEN);
    let at = at as usize & 0xff;
    let Some(place) = packet.at::<Header>(at) else { return false };
    // SAFETY: bounds checked just now.
    let header = unsafe { &mut *place };
    header.prefix = PREFIX;
    header.source = headers.source.0;
    header.destination = headers.destination.0;
    header.source_port = headers.source_port.0;
    header.destination_port = headers.destination_port.0;
    header.tlvs = *tlvs;
    let Some(words) = packet.at::<[u32; HEADER_LEN as usize / 4]>(at) else { return false };
    let mut sum = 0u64;
    for i in 0..HEADER_LEN as usize / 4 {
        // SAFETY: bounds checked just now.
        sum += u64::from(unsafe { (*words)[i] });
    }
    lengthen(packet, headers, grown, HEADER_LEN as u16, u32::from(csum::fold64(sum)))
}

/// Brings lengths and checksums up to date after a packet that had grown by `before` bytes grew by
/// `by` more, `diff` being what that did to the sum of the segment.
#[inline(always)]
fn lengthen<P: Packet>(packet: &mut P, headers: &Headers, before: u8, by: u16, diff: u32) -> bool {
    let Some(ip) = packet.at::<Ipv4Hdr>(L3) else { return false };
    let (was, segment) = (headers.ip_len + u16::from(before), headers.segment_len() + u16::from(before));
    // SAFETY: bounds checked just now.
    unsafe {
        *ip.byte_add(offset_of!(Ipv4Hdr, tot_len)).cast::<u16>() = (was + by).to_be();
        let check = ip.byte_add(offset_of!(Ipv4Hdr, check)).cast::<u16>();
        *check = csum::apply(*check, csum::diff16(was.to_be(), (was + by).to_be()));
    }
    let pseudo_header = csum::diff16(segment.to_be(), (segment + by).to_be());
    packet.update_tcp_checksum(headers.l4() + offset_of!(TcpHdr, check), pseudo_header, diff);
    true
}

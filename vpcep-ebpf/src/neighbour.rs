//! Where packets leave: attachments, and the MACs of next hops.

use aya_log_ebpf::info;
use vpcep_common::attachment::{Attachment, InterfaceKey, NeighbourKey, NextHop, mac_word, word_mac};
use vpcep_common::be::Be32;
use vpcep_common::counter::DropReason;

use crate::atomic;
use crate::maps::{ATTACHMENTS, INTERFACES, NEIGHBOURS, NEXT_HOPS};
use crate::packet::Packet;
use crate::session;

/// Attachment number of the interface a packet came in on, if it is one of ours.
#[inline(always)]
pub fn incoming<P: Packet>(packet: &P) -> Option<u32> {
    let key = InterfaceKey { ifindex: packet.ifindex(), vlan: packet.vlan(), pad: 0 };
    // SAFETY: entries change only when an operator attaches or detaches.
    unsafe { INTERFACES.get(key) }.copied()
}

/// An attachment by number.
#[inline(always)]
pub fn attachment(number: u32) -> Option<&'static Attachment> {
    ATTACHMENTS.get(number).filter(|attachment| attachment.ifindex != 0)
}

/// Where a next hop is: its MAC and the attachment it is reached through.
#[inline(always)]
pub fn resolve(number: u16) -> Result<([u8; 6], &'static Attachment), DropReason> {
    let next_hop = NEXT_HOPS.get_ptr(u32::from(number)).ok_or(DropReason::NoAttachment)?;
    // SAFETY: a pointer into the map.
    let (attachment_number, vpc) = unsafe { ((*next_hop).attachment, (*next_hop).vpc) };
    let out = attachment(u32::from(attachment_number)).ok_or(DropReason::NoAttachment)?;
    // Numbers of attachments change owner only when nothing names them; should
    // that ever fail, a packet must still not end up in another VPC.
    if out.vpc != vpc {
        return Err(DropReason::NoAttachment);
    }
    // SAFETY: as above; the word is replaced whole.
    let word = unsafe { atomic::load(&raw const (*next_hop).mac) };
    let mac = word_mac(word).ok_or(DropReason::NeighbourUnresolved)?;
    Ok((mac, out))
}

/// Takes a neighbour's MAC from an ARP packet it sent: an answer to a request of
/// ours, or its own announcement after it moved.
#[inline(always)]
pub fn learn<P: Packet>(packet: &P, vpc: u16, address: Be32, mac: [u8; 6]) {
    // SAFETY: the number names an array element; a stale one is harmless, since
    // the element is checked to be of this address and VPC.
    let Some(number) = (unsafe { NEIGHBOURS.get(NeighbourKey { address, vpc, pad: 0 }) }) else { return };
    let Some(next_hop) = NEXT_HOPS.get_ptr_mut(*number) else { return };
    // SAFETY: a pointer into the map.
    let known: NextHop = unsafe { *next_hop };
    if known.address != address || known.vpc != vpc {
        return;
    }
    // SAFETY: a pointer into the map; programs alone write this field.
    unsafe { (*next_hop).seen = session::now() };
    if known.mac == mac_word(mac) {
        return;
    }
    if known.mac != 0 {
        info!(packet.context(), "neighbour {:i} of VPC {} moved to {:mac}", address.get(), vpc, mac);
    }
    // SAFETY: as above.
    unsafe { atomic::store(&raw mut (*next_hop).mac, mac_word(mac)) };
}

//! ARP (RFC 826): answers for endpoint addresses and for the gateway's own, and
//! learns where backends are.
//!
//! A request for any other address goes no further: the kernel answers ARP for
//! every address of the host on every interface (`arp_ignore` 0), and in a VPC
//! such an address may be a tenant's.

use network_types::arp::ArpHdr;
use network_types::eth::EthHdr;
use vpcep_common::attachment::Attachment;
use vpcep_common::be::Be32;

use crate::endpoint::{self, Address};
use crate::neighbour;
use crate::packet::Packet;
use crate::parse::L3;
use crate::verdict::Verdict;

const ETHERNET: [u8; 2] = 1_u16.to_be_bytes();
const IPV4: [u8; 2] = 0x0800_u16.to_be_bytes();
const REQUEST: [u8; 2] = 1_u16.to_be_bytes();
const REPLY: [u8; 2] = 2_u16.to_be_bytes();

/// Handles one ARP packet.
#[inline(always)]
pub fn handle<P: Packet>(packet: &mut P, attachment: &Attachment) -> Verdict {
    let Some(arp) = packet.at::<ArpHdr>(L3) else { return Verdict::Drop };
    // SAFETY: bounds checked just now.
    let request = unsafe { *arp };
    if request.htype != ETHERNET || request.ptype != IPV4 || request.hlen != 6 || request.plen != 4 {
        return Verdict::Pass;
    }
    neighbour::learn(packet, attachment.vpc, Be32::from_octets(request.spa), request.sha);
    if request.oper != REQUEST {
        return Verdict::Pass;
    }
    let wanted = Be32::from_octets(request.tpa);
    if wanted != attachment.address {
        match endpoint::address(attachment.vpc, wanted) {
            Address::Endpoint(_) => {}
            Address::Host => return Verdict::Pass,
            Address::Routed(_) | Address::Other => return Verdict::Drop,
        }
    }
    // A sender that asks for its own address announces itself: nothing to answer.
    if request.spa == request.tpa {
        return Verdict::Drop;
    }
    if !packet.can_leave(attachment, attachment, ArpHdr::LEN as u32) {
        return Verdict::Pass;
    }
    let Some(ethernet) = packet.at::<EthHdr>(0) else { return Verdict::Drop };
    // SAFETY: bounds checked just now.
    unsafe {
        (*ethernet).dst_addr = request.sha;
        (*ethernet).src_addr = attachment.mac;
    }
    // SAFETY: bounds checked above, and nothing moved the packet since.
    unsafe {
        (*arp).oper = REPLY;
        (*arp).sha = attachment.mac;
        (*arp).spa = request.tpa;
        (*arp).tha = request.sha;
        (*arp).tpa = request.spa;
    }
    packet.send(attachment)
}

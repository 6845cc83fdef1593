//! Packets at the XDP hook: the frame as it came from the wire, tags and all.

use core::mem::offset_of;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::{bpf_redirect, bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use aya_ebpf::programs::XdpContext;
use network_types::udp::UdpHdr;
use vpcep_common::attachment::{Attachment, attachment_flags};
use vpcep_common::csum;

use super::{GAP, Packet, RESET_FRAME_LEN, pointer};
use crate::parse::Headers;
use crate::verdict::Verdict;

/// A frame at XDP.
pub struct XdpPacket {
    context: XdpContext,
}

impl XdpPacket {
    /// The frame of this run.
    #[inline(always)]
    pub fn new(context: XdpContext) -> Self {
        Self { context }
    }
}

impl Packet for XdpPacket {
    #[inline(always)]
    fn context(&self) -> &impl EbpfContext {
        &self.context
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context of this run.
        unsafe { (*self.context.ctx).ingress_ifindex }
    }

    /// A tag is still in the frame; tagged frames are left to TC.
    #[inline(always)]
    fn vlan(&self) -> u16 {
        0
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        (self.data_end() - self.data()) as u32
    }

    #[inline(always)]
    fn data(&self) -> usize {
        // SAFETY: a pointer of the context.
        unsafe { pointer::<{ offset_of!(xdp_md, data) }, _>(self.context.ctx) }
    }

    #[inline(always)]
    fn data_end(&self) -> usize {
        // SAFETY: a pointer of the context.
        unsafe { pointer::<{ offset_of!(xdp_md, data_end) }, _>(self.context.ctx) }
    }

    /// All of the frame is accessible.
    #[inline(always)]
    fn pull(&mut self, _len: u32) {}

    #[inline(always)]
    fn update_tcp_checksum(&mut self, offset: usize, addresses: u32, ports: u32) {
        let Some(check) = self.at::<u16>(offset) else { return };
        // SAFETY: bounds checked just now.
        unsafe { *check = csum::apply(*check, csum::add(addresses, ports)) };
    }

    #[inline(always)]
    fn update_udp_checksum(&mut self, offset: usize, addresses: u32, ports: u32) {
        let Some(check) = self.at::<u16>(offset) else { return };
        // SAFETY: bounds checked just now.
        let known = unsafe { *check };
        if known == 0 {
            return;
        }
        let sum = csum::apply(known, csum::add(addresses, ports));
        // SAFETY: bounds checked just now.
        unsafe { *check = if sum == 0 { 0xffff } else { sum } };
    }

    #[inline(always)]
    fn set_tcp_checksum(&mut self, offset: usize, pseudo_header: u32, segment: u32) {
        let Some(check) = self.at::<u16>(offset) else { return };
        // SAFETY: bounds checked just now.
        unsafe { *check = !csum::fold(csum::add(pseudo_header, segment)) };
    }

    #[inline(always)]
    fn can_keep_checksum(&self, headers: &Headers) -> bool {
        let length = headers.segment_len();
        if headers.is_udp() {
            // One to be completed is the sum of the pseudo-header. Another is that too once in 65 536.
            let Some(check) = self.at::<u16>(headers.l4() + offset_of!(UdpHdr, check)) else { return false };
            let begun =
                csum::pseudo_header(headers.source.0, headers.destination.0, headers.protocol, length);
            // SAFETY: bounds checked just now.
            return unsafe { *check } != csum::fold(begun);
        }
        let mut sum = csum::pseudo_header(headers.source.0, headers.destination.0, headers.protocol, length);
        // Fifteen words are the longest TCP header; one with payload cannot be judged.
        if length as usize > 15 * 4 || length & 3 != 0 {
            return false;
        }
        for i in 0..15 {
            if i * 4 >= length as usize {
                break;
            }
            let Some(word) = self.at::<u32>(headers.l4() + i * 4) else { return false };
            // SAFETY: bounds checked just now.
            sum = csum::add(sum, csum::word(unsafe { *word }));
        }
        csum::fold(sum) == 0xffff
    }

    #[inline(always)]
    fn handles(&self, is_left_to_tc: bool) -> bool {
        !is_left_to_tc
    }

    #[inline(always)]
    fn was_left(&self, _attachment: &Attachment) -> bool {
        false
    }

    #[inline(always)]
    fn resize(&mut self, len: u32) -> bool {
        let delta = len as i32 - self.len() as i32;
        // SAFETY: the context of this run.
        unsafe { bpf_xdp_adjust_tail(self.context.ctx, delta) == 0 }
    }

    /// What is in front moves, which is less than what is behind.
    #[inline(always)]
    fn open_gap(&mut self) -> bool {
        type Front = [u16; RESET_FRAME_LEN as usize / 2];
        // SAFETY: the context of this run.
        if unsafe { bpf_xdp_adjust_head(self.context.ctx, -GAP) } != 0 {
            return false;
        }
        let Some(front) = self.at::<Front>(GAP as usize) else { return false };
        // SAFETY: bounds checked just now.
        let moved = unsafe { *front };
        let Some(place) = self.at::<Front>(0) else { return false };
        // SAFETY: as above.
        unsafe { *place = moved };
        true
    }

    #[inline(always)]
    fn is_last(&self) -> bool {
        false
    }

    #[inline(always)]
    fn segment_payload(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn make_room(&mut self, len: u32) -> bool {
        // SAFETY: the context of this run.
        unsafe { bpf_xdp_adjust_head(self.context.ctx, -(len as i32)) == 0 }
    }

    /// What is too big is left to TC: in generic mode it may be made of segments, which
    /// cannot be seen here.
    #[inline(always)]
    fn can_leave(&self, from: &Attachment, to: &Attachment, len: u32) -> bool {
        to.vlan == 0
            && len <= to.mtu
            && (from.flags & attachment_flags::XDP_GENERIC != 0
                || to.flags & attachment_flags::TAKES_XDP_FRAMES != 0)
    }

    #[inline(always)]
    fn send(&mut self, to: &Attachment) -> Verdict {
        // SAFETY: no pointer is involved.
        unsafe { bpf_redirect(to.ifindex, 0) };
        Verdict::Sent
    }
}

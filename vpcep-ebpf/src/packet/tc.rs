//! Packets at the TC ingress hook: socket buffers, which may be far larger than
//! the MTU (GSO), have headers that are not accessible yet, carry their VLAN tag
//! outside of the bytes, and leave their TCP checksum to be completed.

use core::mem::offset_of;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::bpf_adj_room_mode::BPF_ADJ_ROOM_MAC;
use aya_ebpf::bindings::{__sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR};
use aya_ebpf::helpers::generated::{
    bpf_l4_csum_replace, bpf_redirect, bpf_skb_adjust_room, bpf_skb_change_tail, bpf_skb_load_bytes,
    bpf_skb_pull_data, bpf_skb_store_bytes, bpf_skb_vlan_pop, bpf_skb_vlan_push,
};
use aya_ebpf::programs::TcContext;
use vpcep_common::attachment::{Attachment, attachment_flags};
use vpcep_common::csum;

use super::{FOREIGN_TAG, GAP, Packet, RESET_FRAME_LEN, pointer};
use crate::maps::SCRATCH;
use crate::parse::{ETH_P_8021Q, Headers};
use crate::verdict::Verdict;

/// Bytes that are moved at once to open a gap.
const CHUNK: u32 = 256;
/// Chunks of the longest frame that is no aggregate: a jumbo frame of 9216 bytes.
const MAX_CHUNKS: u32 = 36;

/// Moves `len` bytes, 1 to [`CHUNK`], at an offset of the frame by the width of a gap.
#[inline(always)]
fn move_bytes(skb: *mut __sk_buff, scratch: *mut [u8; CHUNK as usize], offset: u32, len: u32) -> bool {
    // SAFETY: the buffer has as many bytes; offsets are checked by the helper.
    if unsafe { bpf_skb_load_bytes(skb.cast(), offset, scratch.cast(), len) } != 0 {
        return false;
    }
    // SAFETY: as above.
    unsafe { bpf_skb_store_bytes(skb, offset + GAP as u32, scratch.cast(), len, 0) == 0 }
}

/// A socket buffer at TC.
pub struct TcPacket {
    context: TcContext,
}

impl TcPacket {
    /// The buffer of this run.
    #[inline(always)]
    pub fn new(context: TcContext) -> Self {
        Self { context }
    }
}

impl Packet for TcPacket {
    #[inline(always)]
    fn context(&self) -> &impl EbpfContext {
        &self.context
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context of this run.
        unsafe { (*self.context.skb.skb).ifindex }
    }

    #[inline(always)]
    fn vlan(&self) -> u16 {
        let skb = self.context.skb.skb;
        // SAFETY: the context of this run.
        let (is_present, kind, tag) = unsafe { ((*skb).vlan_present, (*skb).vlan_proto, (*skb).vlan_tci) };
        // Without a tag, kernels before 6.2 leave an old one in vlan_tci.
        if is_present == 0 {
            return 0;
        }
        if kind != u32::from(ETH_P_8021Q) {
            return FOREIGN_TAG;
        }
        tag as u16 & 0xfff
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.context.len()
    }

    #[inline(always)]
    fn data(&self) -> usize {
        // SAFETY: a pointer of the context.
        unsafe { pointer::<{ offset_of!(__sk_buff, data) }, _>(self.context.skb.skb) }
    }

    #[inline(always)]
    fn data_end(&self) -> usize {
        // SAFETY: a pointer of the context.
        unsafe { pointer::<{ offset_of!(__sk_buff, data_end) }, _>(self.context.skb.skb) }
    }

    #[inline(always)]
    fn pull(&mut self, len: u32) {
        let len = if len < self.len() { len } else { self.len() };
        if self.data() + (len as usize) > self.data_end() {
            // A failure leaves fewer bytes accessible, which the parser reports.
            // SAFETY: the context of this run.
            unsafe { bpf_skb_pull_data(self.context.skb.skb, len) };
        }
    }

    /// The kernel knows whether the sender left the checksum to be completed
    /// (then only the pseudo-header counts) or not (then both do); a program
    /// cannot see it, so the field is never written directly here.
    #[inline(always)]
    fn update_tcp_checksum(&mut self, offset: usize, addresses: u32, ports: u32) {
        let skb = self.context.skb.skb;
        // SAFETY: the context of this run; offsets are checked by the helper.
        unsafe {
            bpf_l4_csum_replace(skb, offset as u32, 0, u64::from(addresses), u64::from(BPF_F_PSEUDO_HDR))
        };
        // SAFETY: as above.
        unsafe { bpf_l4_csum_replace(skb, offset as u32, 0, u64::from(ports), 0) };
    }

    #[inline(always)]
    fn update_udp_checksum(&mut self, offset: usize, addresses: u32, ports: u32) {
        let skb = self.context.skb.skb;
        let (zero_is_none, addresses, ports) =
            (u64::from(BPF_F_MARK_MANGLED_0), u64::from(addresses), u64::from(ports));
        let pseudo_header = u64::from(BPF_F_PSEUDO_HDR) | zero_is_none;
        // SAFETY: the context of this run; offsets are checked by the helper.
        unsafe { bpf_l4_csum_replace(skb, offset as u32, 0, addresses, pseudo_header) };
        // SAFETY: as above.
        unsafe { bpf_l4_csum_replace(skb, offset as u32, 0, ports, zero_is_none) };
    }

    /// Right in both cases without knowing which it is: the field gets what
    /// completion wants, the folded pseudo-header; the helper then leaves it if
    /// completion is to come, and turns it into `!(P + S)` if not. Its update
    /// is `!fold(diff + !field)`, and minus is complement, so `diff` is `2P + S`.
    #[inline(always)]
    fn set_tcp_checksum(&mut self, offset: usize, pseudo_header: u32, segment: u32) {
        let Some(check) = self.at::<u16>(offset) else { return };
        // SAFETY: bounds checked just now.
        unsafe { *check = csum::fold(pseudo_header) };
        let diff = csum::add(csum::add(pseudo_header, pseudo_header), segment);
        // SAFETY: the context of this run.
        unsafe { bpf_l4_csum_replace(self.context.skb.skb, offset as u32, 0, u64::from(diff), 0) };
    }

    #[inline(always)]
    fn can_keep_checksum(&self, _headers: &Headers) -> bool {
        true
    }

    #[inline(always)]
    fn handles(&self, _is_left_to_tc: bool) -> bool {
        true
    }

    #[inline(always)]
    fn was_left(&self, attachment: &Attachment) -> bool {
        attachment.flags & attachment_flags::HAS_XDP != 0
    }

    #[inline(always)]
    fn resize(&mut self, len: u32) -> bool {
        // SAFETY: the context of this run.
        unsafe { bpf_skb_change_tail(self.context.skb.skb, len, 0) == 0 }
    }

    /// What is behind moves: the kernel holds on to where the checksum of a segment begins that is
    /// still to be completed, so that its header must stay in place.
    #[inline(always)]
    fn open_gap(&mut self) -> bool {
        let len = self.len();
        if !self.resize(len + GAP as u32) {
            return false;
        }
        let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return false };
        // SAFETY: a pointer into the map.
        let scratch = unsafe { &raw mut (*scratch).bytes };
        let skb = self.context.skb.skb;
        let mut end = len;
        for _ in 0..MAX_CHUNKS {
            let left = end.wrapping_sub(RESET_FRAME_LEN);
            if left < CHUNK {
                break;
            }
            end -= CHUNK;
            if !move_bytes(skb, scratch, end, CHUNK) {
                return false;
            }
        }
        let left = end.wrapping_sub(RESET_FRAME_LEN);
        if left >= CHUNK {
            return false;
        }
        let left = core::hint::black_box(left) & (CHUNK - 1);
        left == 0 || move_bytes(skb, scratch, RESET_FRAME_LEN, left)
    }

    #[inline(always)]
    fn is_last(&self) -> bool {
        true
    }

    #[inline(always)]
    fn segment_payload(&self) -> u32 {
        // SAFETY: the context of this run.
        unsafe { (*self.context.skb.skb).gso_size }
    }

    /// The checksum that a device may have to complete stays where it is.
    #[inline(always)]
    fn make_room(&mut self, len: u32) -> bool {
        // SAFETY: the context of this run.
        unsafe { bpf_skb_adjust_room(self.context.skb.skb, len as i32, BPF_ADJ_ROOM_MAC, 0) == 0 }
    }

    #[inline(always)]
    fn can_leave(&self, _from: &Attachment, _to: &Attachment, _len: u32) -> bool {
        true
    }

    #[inline(always)]
    fn send(&mut self, to: &Attachment) -> Verdict {
        let skb = self.context.skb.skb;
        if self.vlan() != to.vlan {
            if self.vlan() != 0 {
                // SAFETY: the context of this run.
                unsafe { bpf_skb_vlan_pop(skb) };
            }
            if to.vlan != 0 {
                // SAFETY: the context of this run.
                unsafe { bpf_skb_vlan_push(skb, ETH_P_8021Q, to.vlan) };
            }
        }
        // SAFETY: no pointer is involved.
        unsafe { bpf_redirect(to.ifindex, 0) };
        Verdict::Sent
    }
}

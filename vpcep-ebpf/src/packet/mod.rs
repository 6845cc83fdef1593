//! A packet at either hook.
//!
//! Everything in which XDP and TC differ is a verb of [`Packet`]: how bytes are
//! made accessible, how checksums are kept right, how a packet is cut short and
//! how it leaves. Steps that ask which hook they run on are not written.
//!
//! All of it is inlined: passed to a function that is not, LLVM would hand over
//! packet pointers as plain integers, and the verifier refuse them (`invalid mem
//! access 'scalar'`; rustc 1.96, kernel 6.18).

pub mod tc;
pub mod xdp;

use aya_ebpf::EbpfContext;
use vpcep_common::attachment::Attachment;

use crate::parse::Headers;
use crate::verdict::Verdict;

/// The packet pointer at this offset of a context. Loaded by an instruction that LLVM does not
/// look into: a field of 32 bits would be widened once more where it is used in another block, by
/// an instruction that cuts a register to 32 bits, and the verifier no longer takes that for a
/// pointer (`mem access 'scalar'`; rustc 1.97, kernel 6.18).
///
/// # Safety
/// There is such a pointer at this offset.
#[inline(always)]
unsafe fn pointer<const OFFSET: usize, C>(context: *const C) -> usize {
    let address: usize;
    // SAFETY: reads the context, which is there for the whole run.
    unsafe {
        core::arch::asm!(
            "{address} = *(u32 *)({context} + {offset})",
            address = lateout(reg) address,
            context = in(reg) context,
            offset = const OFFSET,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    address
}

/// Where a whole Ethernet frame of a reply ends: Ethernet, IPv4 and TCP without options.
pub const RESET_FRAME_LEN: u32 = 54;

/// Bytes of the gap that a TCP option is put into.
const GAP: i32 = 8;

/// No VLAN id (they have 12 bits), so that such frames belong to nobody.
pub const FOREIGN_TAG: u16 = 0xffff;

/// A packet being handled.
pub trait Packet {
    /// What the hook was given, for logging.
    fn context(&self) -> &impl EbpfContext;

    /// Kernel index of the interface it came in on.
    fn ifindex(&self) -> u32;

    /// 802.1Q id it came in with, outside of its bytes; 0 when untagged, and
    /// [`FOREIGN_TAG`] for a tag of another kind.
    fn vlan(&self) -> u16;

    /// Bytes of the frame, from the Ethernet header on.
    fn len(&self) -> u32;

    /// Start of the accessible bytes.
    fn data(&self) -> usize;

    /// End of the accessible bytes.
    fn data_end(&self) -> usize;

    /// Makes the first `len` bytes accessible if the packet has them.
    /// Invalidates pointers.
    fn pull(&mut self, len: u32);

    /// A `T` at `offset`, if it lies within the accessible bytes.
    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let start = self.data() + offset;
        if start + size_of::<T>() > self.data_end() {
            return None;
        }
        Some(start as *mut T)
    }

    /// Brings the TCP checksum at `offset` up to date after the headers were
    /// rewritten: `addresses` is the difference in the pseudo-header, `ports`
    /// the one in the TCP header itself (accumulators, see
    /// `vpcep_common::csum`). Invalidates pointers.
    fn update_tcp_checksum(&mut self, offset: usize, addresses: u32, ports: u32);

    /// The same for the UDP checksum at `offset`, where 0 says that there is none
    /// (RFC 768). Invalidates pointers.
    fn update_udp_checksum(&mut self, offset: usize, addresses: u32, ports: u32);

    /// Sets the TCP checksum at `offset` of a segment that was just written
    /// whole, given the sums of its pseudo-header and of its bytes with a zero
    /// checksum. Invalidates pointers.
    fn set_tcp_checksum(&mut self, offset: usize, pseudo_header: u32, segment: u32);

    /// Whether this hook can keep the checksums of a sender right, judged by a
    /// segment of its handshake or its first datagram: XDP cannot when they are
    /// still to be completed.
    fn can_keep_checksum(&self, headers: &Headers) -> bool;

    /// Whether this hook handles a side of a session that may have been left
    /// to TC.
    fn handles(&self, is_left_to_tc: bool) -> bool;

    /// Whether another hook saw this packet before and left it to this one.
    fn was_left(&self, attachment: &Attachment) -> bool;

    /// Makes the frame `len` bytes long; ones that are new at its end are still to be written.
    /// Invalidates pointers.
    fn resize(&mut self, len: u32) -> bool;

    /// Makes a gap of eight bytes behind [`RESET_FRAME_LEN`], for a TCP option; offsets in front of
    /// it stay as they are. Invalidates pointers.
    fn open_gap(&mut self) -> bool;

    /// Whether no other hook of ours comes behind this one.
    fn is_last(&self) -> bool;

    /// Bytes of data in each segment, where this is several in one, to be cut up
    /// where it leaves; else 0.
    fn segment_payload(&self) -> u32;

    /// Moves the Ethernet header `len` bytes away from what follows it. What it
    /// then has, and the room behind it, are to be written. Invalidates pointers.
    fn make_room(&mut self, len: u32) -> bool;

    /// Whether a packet that came in on `from` can leave on `to` from this hook,
    /// with `len` IP bytes.
    fn can_leave(&self, from: &Attachment, to: &Attachment, len: u32) -> bool;

    /// Sends the frame out of `to`.
    fn send(&mut self, to: &Attachment) -> Verdict;
}

//! The vpcep data plane: what the kernel runs on every packet of an attached VPC.
//!
//! Program entry points and the panic handler, nothing else. The story of a
//! packet is in [`pipeline`].
#![no_std]
#![no_main]
// Atomics that return the old value: `core::sync::atomic` has none for BPF.
#![feature(core_intrinsics)]
// How packet pointers are loaded, see packet::pointer.
#![feature(asm_experimental_arch)]
#![allow(internal_features, reason = "core_intrinsics, see atomic.rs")]
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "every access to a map value is one; a block here is one access to one object"
)]
#![expect(missing_docs, reason = "the program macros drop the documentation of what they wrap")]

mod acl;
mod arp;
mod atomic;
mod client_address;
mod counters;
mod endpoint;
mod events;
mod fragment;
mod icmp;
mod icmp_error;
mod index;
mod maps;
mod meter;
mod neighbour;
mod open;
mod packet;
mod parse;
mod pipeline;
mod reaper;
mod reset;
mod rewrite;
mod ring;
mod route;
mod session;
mod snat;
mod verdict;

use aya_ebpf::macros::{classifier, raw_tracepoint, xdp};
use aya_ebpf::programs::{RawTracePointContext, TcContext, XdpContext};

use crate::packet::{tc::TcPacket, xdp::XdpPacket};

/// XDP hook of an attached interface.
#[xdp]
#[inline(always)]
pub fn vpcep_xdp(context: XdpContext) -> u32 {
    let mut packet = XdpPacket::new(context);
    let verdict = pipeline::process(&mut packet);
    verdict.xdp_action()
}

/// TC ingress hook of an attached interface. It is attached beside XDP too, for
/// what XDP leaves: tagged frames, and packets that must leave by a device
/// which takes no redirected frames.
#[classifier]
#[inline(always)]
pub fn vpcep_tc(context: TcContext) -> i32 {
    let mut packet = TcPacket::new(context);
    let verdict = pipeline::process(&mut packet);
    verdict.tc_action()
}

/// Frees the sessions listed in `REAP_LIST`. Never attached: user space runs it
/// with the number of entries as its argument, so that it completes even when
/// user space is killed meanwhile.
#[raw_tracepoint]
#[inline(always)]
pub fn vpcep_reap(context: RawTracePointContext) -> i32 {
    reaper::run(&context);
    0
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

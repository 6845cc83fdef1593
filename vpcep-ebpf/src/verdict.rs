//! What becomes of a packet, and the return code each hook has for it.

use aya_ebpf::bindings::{TC_ACT_REDIRECT, TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::NO_ENDPOINT;

/// The end of a packet's way through the pipeline. No kind of it carries a value: LLVM would
/// save the others' unset (`R1 !read_ok`).
#[derive(Clone, Copy)]
pub enum Verdict {
    /// To the network stack, unchanged.
    Pass,
    /// For vpcepd alone, which reads it from the interface: behind XDP and in front of
    /// TC. The stack must not answer it.
    Tapped,
    /// Gone, and counted by whoever decided so, or of no interest to anyone.
    Drop,
    /// Sent. Where to is with the kernel, which has no reason to refuse: `bpf_redirect` and
    /// `bpf_xdp_redirect` (net/core/filter.c) look at their flags only.
    Sent,
}

impl Verdict {
    /// The code XDP returns.
    #[inline(always)]
    pub fn xdp_action(self) -> u32 {
        match self {
            Self::Pass | Self::Tapped => xdp_action::XDP_PASS,
            Self::Drop => xdp_action::XDP_DROP,
            Self::Sent => xdp_action::XDP_REDIRECT,
        }
    }

    /// The code TC returns.
    #[inline(always)]
    pub fn tc_action(self) -> i32 {
        match self {
            // Not OK, which would end the chain of programs here.
            Self::Pass => TC_ACT_UNSPEC,
            Self::Drop | Self::Tapped => TC_ACT_SHOT,
            Self::Sent => TC_ACT_REDIRECT,
        }
    }
}

/// How the sender of a refused packet is told. ICMP errors that are no refusal (the hop limit, the
/// size) follow from the reason alone.
#[repr(u16)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Not at all.
    Silence,
    /// By a TCP reset, or for UDP by an ICMP error.
    Reset,
    /// By an ICMP error, also of a TCP connection that was to be opened.
    Icmp,
}

/// A packet that goes no further, and on whose account.
#[derive(Clone, Copy)]
pub struct Refusal {
    /// Why.
    pub reason: DropReason,
    /// Endpoint number it is counted for, or [`NO_ENDPOINT`].
    pub endpoint: u32,
    /// How the sender is told.
    pub answer: Answer,
    /// What would have been small enough, of a packet that is too big.
    pub mtu: u16,
}

impl Refusal {
    /// A packet of no endpoint, dropped in silence.
    #[inline(always)]
    pub const fn silent(reason: DropReason) -> Self {
        Self::of(NO_ENDPOINT, reason)
    }

    /// A packet of an endpoint, dropped without a refusal to its sender.
    #[inline(always)]
    pub const fn of(endpoint: u32, reason: DropReason) -> Self {
        Self { reason, endpoint, answer: Answer::Silence, mtu: 0 }
    }
}

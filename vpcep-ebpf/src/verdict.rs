//! What becomes of a packet, and the return code each hook has for it.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::NO_ENDPOINT;

/// The end of a packet's way through the pipeline.
#[derive(Clone, Copy)]
pub enum Verdict {
    /// To the network stack, unchanged.
    Pass,
    /// For vpcepd alone, which reads it from the interface: behind XDP and in front of
    /// TC. The stack must not answer it.
    Tapped,
    /// Gone, and counted by whoever decided so, or of no interest to anyone.
    Drop,
    /// Sent: the hook's own return code from redirecting it.
    Sent(i32),
}

impl Verdict {
    /// The code XDP returns.
    #[inline(always)]
    pub fn xdp_action(self) -> u32 {
        match self {
            Self::Pass | Self::Tapped => xdp_action::XDP_PASS,
            Self::Drop => xdp_action::XDP_DROP,
            Self::Sent(code) => code as u32,
        }
    }

    /// The code TC returns.
    #[inline(always)]
    pub fn tc_action(self) -> i32 {
        match self {
            // Not OK, which would end the chain of programs here.
            Self::Pass => TC_ACT_UNSPEC,
            Self::Drop | Self::Tapped => TC_ACT_SHOT,
            Self::Sent(code) => code,
        }
    }
}

/// A packet that goes no further, and on whose account.
#[derive(Clone, Copy)]
pub struct Refusal {
    /// Why.
    pub reason: DropReason,
    /// Endpoint number it is counted for, or [`NO_ENDPOINT`].
    pub endpoint: u32,
    /// Whether the sender is told by a TCP reset.
    pub reset: bool,
}

impl Refusal {
    /// A packet of no endpoint, dropped in silence.
    #[inline(always)]
    pub const fn silent(reason: DropReason) -> Self {
        Self { reason, endpoint: NO_ENDPOINT, reset: false }
    }

    /// A packet of an endpoint, dropped in silence.
    #[inline(always)]
    pub const fn of(endpoint: u32, reason: DropReason) -> Self {
        Self { reason, endpoint, reset: false }
    }
}

//! What the programs keep of one packet while they handle it, and no longer.

use crate::client_address::Carried;
use crate::fragment::FragmentKey;

/// Value of `SCRATCH`, one per CPU. Each field is written before it is read, for every packet.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Scratch {
    /// On their way from one place of the packet to another: the stack has no room for them.
    pub bytes: [u8; 256],
    /// What the packet has to do.
    pub carried: Carried,
    /// Which datagram it is a fragment of.
    pub fragment: FragmentKey,
    /// Why it is refused, and by which ICMP error that is said. In here so that the verifier no longer
    /// knows, and goes on once and not for each reason.
    pub refusal: [u32; 4],
}

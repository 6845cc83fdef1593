//! Endpoint addresses, what each allows, and the servers behind them.

use crate::be::{Be16, Be32};

/// Key of `ENDPOINTS`: one mapped port of one endpoint; with port and protocol
/// 0, the address itself (which ARP answers for).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointKey {
    /// Endpoint address.
    pub address: Be32,
    /// Client port; 0 for the address itself.
    pub port: Be16,
    /// Consumer VPC number.
    pub vpc: u16,
    /// IANA protocol number; 0 for the address itself.
    pub protocol: u8,
    /// Zero.
    pub pad: [u8; 3],
}
const _: () = assert!(size_of::<EndpointKey>() == 12);

/// Value of `ENDPOINTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointValue {
    /// Endpoint number (1..); [`NO_ENDPOINT`] marks an address of the host
    /// itself, whose packets belong to the stack.
    pub endpoint: u32,
    /// Port at the backend.
    pub server_port: Be16,
    /// Zero.
    pub pad: u16,
}

/// The number that stands for no endpoint; its counters take what belongs to none.
pub const NO_ENDPOINT: u32 = 0;

/// What one endpoint allows. `word` is one 64-bit load, so that a packet sees
/// either the old policy or the new one: see [`policy`].
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Flags in the low half, generation in the high half.
    pub word: u64,
    /// Most concurrent connections.
    pub limit: u32,
    /// Provider VPC number.
    pub provider_vpc: u16,
    /// Consumer VPC number.
    pub vpc: u16,
    /// Endpoint address; 0 of one that has routes instead.
    pub address: Be32,
    /// Most connections whose handshake is not finished; 0 for no limit.
    pub half_open: u32,
    /// Id of the endpoint in the model; all zero marks a free number.
    pub id: [u8; 16],
    /// [`crate::meter::connection_cost`] of new connections.
    pub connection_cost: u32,
    /// [`crate::meter::byte_cost`] of each direction.
    pub byte_cost: u32,
    /// Where new connections go, see [`crate::ring::servers`].
    pub servers: u32,
    /// What becomes of its idle connections, see [`idle`].
    pub idle: u32,
    /// Zero.
    pub pad: [u32; 2],
}
const _: () = assert!(size_of::<Policy>() == 64);

/// Values of [`Policy::idle`]: a time, and a flag that only user space looks at.
pub mod idle {
    /// Both ends of a TCP connection that has timed out are made to learn it.
    const RESETS: u32 = 1 << 31;

    /// From its parts; [`super::super::session::ticks`] below 2^31, 0 for those of the
    /// settings.
    pub const fn new(ticks: u32, resets: bool) -> u32 {
        ticks | if resets { RESETS } else { 0 }
    }

    /// Ticks that a connection in use by both sides may be idle; 0 for those of the
    /// settings.
    #[inline(always)]
    pub const fn ticks(value: u32) -> u32 {
        value & !RESETS
    }

    /// Whether both ends are made to learn it.
    pub const fn resets(value: u32) -> bool {
        value & RESETS != 0
    }
}

/// Bits of [`Policy::word`].
pub mod policy {
    /// Connections may be opened and packets flow.
    pub const ACCEPTED: u64 = 1 << 0;
    /// Only clients in the whitelist.
    pub const WHITELIST: u64 = 1 << 1;
    /// A refused client gets silence instead of a reset.
    pub const SILENT: u64 = 1 << 2;
    /// Servers learn the client's address by a TCP option.
    pub const TOA: u64 = 1 << 3;
    /// Servers learn it by a PROXY protocol header.
    pub const PROXY: u64 = 1 << 4;
    /// A client whose connection is refused gets an ICMP error instead of a reset.
    pub const ICMP: u64 = 1 << 5;

    /// Raised by one with every change of the policy. A session carries the
    /// generation it was last checked under; a mismatch is checked again.
    #[inline(always)]
    pub const fn generation(word: u64) -> u32 {
        (word >> 32) as u32
    }

    /// A word from its parts.
    #[inline(always)]
    pub const fn word(flags: u64, generation: u32) -> u64 {
        (flags & 0xffff_ffff) | ((generation as u64) << 32)
    }
}

/// One server.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// Address in the provider VPC.
    pub address: Be32,
    /// The member's own port; 0 keeps the mapping's.
    pub port: Be16,
    /// Provider VPC number; 0 marks a free number.
    pub vpc: u16,
    /// Next-hop number; 0 is none.
    pub next_hop: u16,
    /// Zero.
    pub pad: u16,
}
const _: () = assert!(size_of::<Backend>() == 12);

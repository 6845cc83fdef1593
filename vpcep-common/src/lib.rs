//! What the vpcep data plane and controller agree on: the layout of every map
//! and the arithmetic that both sides (and the tests) must do alike.
//!
//! | module | owns |
//! |---|---|
//! | [`limits`], [`maps`] | capacities; map names |
//! | [`be`] | network byte order in the type |
//! | [`attachment`] | interfaces, the VPC behind each, next hops and neighbours |
//! | [`endpoint`], [`acl`] | endpoint addresses, their policy, backends, client whitelists |
//! | [`ring`] | how connections spread over the members of a load balancer |
//! | [`route`] | destinations that gateway-type endpoints lead to |
//! | [`session`], [`tcp`], [`snat`] | the session slot, TCP tracking, source ports and allocation |
//! | [`volume`], [`event`] | bytes of a session; what is reported of sessions |
//! | [`index`] | buckets that lead from a flow to its slot |
//! | [`hash`], [`csum`] | keyed hash (SipHash), Internet checksum (RFC 1071, RFC 1624) |
//! | [`counter`], [`meter`] | per-endpoint counters and drop reasons; rates |
//! | [`settings`] | what the loader tells the programs |
//!
//! Nothing here allocates, does I/O or knows the clock. Shared structs are
//! `repr(C)` without implicit padding; sizes are asserted at compile time.
#![no_std]

pub mod acl;
pub mod attachment;
pub mod be;
pub mod client_address;
pub mod counter;
pub mod csum;
pub mod endpoint;
pub mod event;
pub mod fragment;
pub mod hash;
pub mod index;
pub mod limits;
pub mod maps;
pub mod meter;
#[cfg(feature = "user")]
mod pod;
pub mod ring;
pub mod route;
pub mod scratch;
pub mod session;
pub mod settings;
pub mod snat;
pub mod tcp;
pub mod volume;

/// Version of the map layout. It is part of the pin directory's name, so that a
/// vpcepd never opens maps of another layout, and of [`settings::Settings`], so
/// that a mismatch is refused with both numbers.
pub const ABI_VERSION: u32 = 2;

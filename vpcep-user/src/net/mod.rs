//! The host's network: what interfaces are and can do, ARP requests, and packets in the
//! name of addresses that the kernel knows nothing of.

pub mod arp;
mod ethtool;
pub mod frame;
pub mod link;
pub mod tap;
mod xdp_features;

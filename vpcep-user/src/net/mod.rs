//! The host's network: what interfaces are and can do, and ARP requests.

pub mod arp;
mod ethtool;
pub mod link;
mod xdp_features;

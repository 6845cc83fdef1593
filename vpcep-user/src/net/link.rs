//! What an interface is, as far as the choice of a hook and of a way out needs it.

use std::io;
use std::net::Ipv4Addr;

use nix::ifaddrs::getifaddrs;

use super::{ethtool, xdp_features};

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Name.
    pub name: String,
    /// Kernel index.
    pub ifindex: u32,
    /// MAC.
    pub mac: [u8; 6],
    /// MTU in bytes.
    pub mtu: u32,
    /// Driver as ethtool names it; empty when it has none.
    pub driver: String,
    /// Whether there is no hardware behind it: its senders are on this machine,
    /// leave checksums to be completed and send packets larger than the MTU.
    pub is_virtual: bool,
    /// Whether the driver runs and redirects XDP. On kernels before 6.3, which
    /// do not tell, a NIC is taken to: attaching shows.
    pub has_xdp: bool,
    /// Whether frames that XDP redirects to it are sent now. On veth that takes
    /// GRO or an XDP program at the peer, and may change at any time.
    pub takes_xdp_frames: bool,
    /// Whether the device removes VLAN tags from received frames.
    pub strips_vlan_tags: bool,
    /// IPv4 addresses of the host on it.
    pub addresses: Vec<Ipv4Addr>,
    /// Whether the host has an IPv6 address on it that is not link-local.
    pub has_global_ipv6: bool,
}

/// Drivers without hardware. A bond is not among them: it has XDP if its
/// members have.
const VIRTUAL: [&str; 14] = [
    "veth",
    "tun",
    "bridge",
    "dummy",
    "macvlan",
    "macvtap",
    "ipvlan",
    "vxlan",
    "geneve",
    "ifb",
    "team",
    "netkit",
    "802.1Q VLAN Support",
    "",
];

impl Link {
    /// Looks an interface up by name.
    ///
    /// # Errors
    /// A text for the operator.
    pub fn find(name: &str) -> Result<Self, String> {
        let mut link = Self { name: name.into(), ..Self::default() };
        link.ifindex = nix::net::if_::if_nametoindex(name).map_err(|_| {
            format!("there is no interface {name:?} in vpcepd's network namespace (see `ip link`)")
        })?;
        link.read_addresses().map_err(|error| format!("cannot read the addresses of {name}: {error}"))?;
        if link.mac == [0; 6] {
            return Err(format!("{name} has no Ethernet address: only Ethernet interfaces can be attached"));
        }
        link.mtu = ethtool::mtu(name).unwrap_or(1500);
        link.driver = ethtool::driver(name).unwrap_or_default();
        link.is_virtual = VIRTUAL.contains(&link.driver.as_str());
        link.strips_vlan_tags = ethtool::strips_vlan_tags(name);
        match xdp_features::of(link.ifindex) {
            Ok(features) => {
                link.has_xdp = features.runs_and_redirects();
                link.takes_xdp_frames = features.takes_redirected_frames();
            }
            // Before 6.3 the kernel does not tell. A NIC's driver that runs XDP
            // nearly always sends redirected frames as well; a virtual device
            // depends on its other end, so it gets none.
            Err(_) => {
                link.has_xdp = !link.is_virtual;
                link.takes_xdp_frames = !link.is_virtual;
            }
        }
        Ok(link)
    }

    fn read_addresses(&mut self) -> io::Result<()> {
        for entry in getifaddrs()?.filter(|entry| entry.interface_name == self.name) {
            let Some(address) = entry.address else { continue };
            if let Some(mac) = address.as_link_addr().and_then(nix::sys::socket::LinkAddr::addr) {
                self.mac = mac;
            }
            if let Some(ipv4) = address.as_sockaddr_in() {
                self.addresses.push(ipv4.ip());
            }
            if let Some(ipv6) = address.as_sockaddr_in6() {
                self.has_global_ipv6 |= !ipv6.ip().is_unicast_link_local();
            }
        }
        self.addresses.sort_unstable();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error = Link::find("no-such-if0").unwrap_err();
        assert!(error.contains("no-such-if0") && error.contains("ip link"), "{error}");
    }

    #[test]
    fn loopback_is_no_ethernet() {
        let error = Link::find("lo").unwrap_err();
        assert!(error.contains("Ethernet"), "{error}");
    }
}

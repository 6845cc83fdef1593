//! What an interface is, as far as the choice of a hook and of a way out needs it.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

use nix::ifaddrs::getifaddrs;

use super::ethtool;
use super::xdp_features::Query;

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
    /// GRO or an XDP program at the peer, and may change at any time. `None` on
    /// kernels before 6.3, which do not tell.
    pub takes_xdp_frames: Option<bool>,
    /// Whether the device removes VLAN tags from received frames.
    pub strips_vlan_tags: bool,
    /// IPv4 addresses of the host on it.
    pub addresses: Vec<Ipv4Addr>,
    /// Whether the host has an IPv6 address on it that someone configured: not
    /// link-local, and not made up from what a router (here a tenant) advertised.
    pub has_configured_ipv6: bool,
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

/// Why an interface cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is none of that name.
    #[error("there is no interface {0:?} in vpcepd's network namespace (see `ip link`)")]
    Missing(String),
    /// It is not Ethernet.
    #[error("{0} has no Ethernet address: only Ethernet interfaces can be attached")]
    NoEthernet(String),
}

/// What the kernel says of all interfaces, asked once for any number of them.
#[derive(Debug)]
pub struct Snapshot {
    interfaces: BTreeMap<String, Addresses>,
    features: Option<Query>,
}

#[derive(Clone, Debug, Default)]
struct Addresses {
    mac: [u8; 6],
    ipv4: Vec<Ipv4Addr>,
    has_configured_ipv6: bool,
}

impl Snapshot {
    /// Asks.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn take() -> io::Result<Self> {
        let mut interfaces: BTreeMap<String, Addresses> = BTreeMap::new();
        for entry in getifaddrs()? {
            let addresses = interfaces.entry(entry.interface_name).or_default();
            let Some(address) = entry.address else { continue };
            if let Some(mac) = address.as_link_addr().and_then(nix::sys::socket::LinkAddr::addr) {
                addresses.mac = mac;
            }
            if let Some(ipv4) = address.as_sockaddr_in() {
                addresses.ipv4.push(ipv4.ip());
                addresses.ipv4.sort_unstable();
            }
        }
        // Where there is no IPv6 at all, there is no file.
        let ipv6 = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
        for name in ipv6.lines().filter_map(configured_ipv6) {
            interfaces.entry(name.into()).or_default().has_configured_ipv6 = true;
        }
        Ok(Self { interfaces, features: Query::open().ok() })
    }
}

/// The interface of a line of `if_inet6` (net/ipv6/addrconf.c, `if6_seq_show`:
/// address, index, prefix length, scope, flags, name), if the address on it is
/// global and permanent.
fn configured_ipv6(line: &str) -> Option<&str> {
    const IFA_F_PERMANENT: u32 = 0x80;
    const SCOPE_GLOBAL: u32 = 0;
    let mut fields = line.split_whitespace().skip(3);
    let mut number = || u32::from_str_radix(fields.next()?, 16).ok();
    let (scope, flags) = (number()?, number()?);
    (scope == SCOPE_GLOBAL && flags & IFA_F_PERMANENT != 0).then_some(fields.next()?)
}

impl Link {
    /// Looks an interface up by name.
    ///
    /// # Errors
    /// When there is none, or it is not Ethernet.
    pub fn find(name: &str, snapshot: &Snapshot) -> Result<Self, LinkError> {
        let ifindex = nix::net::if_::if_nametoindex(name).map_err(|_| LinkError::Missing(name.into()))?;
        let addresses = snapshot.interfaces.get(name).cloned().unwrap_or_default();
        if addresses.mac == [0; 6] {
            return Err(LinkError::NoEthernet(name.into()));
        }
        let driver = ethtool::driver(name).unwrap_or_default();
        let is_virtual = VIRTUAL.contains(&driver.as_str());
        let features = snapshot.features.as_ref().and_then(|query| query.of(ifindex).ok());
        Ok(Self {
            name: name.into(),
            ifindex,
            mac: addresses.mac,
            mtu: ethtool::mtu(name).unwrap_or(1500),
            is_virtual,
            // A NIC whose kernel does not tell is taken to: attaching shows.
            has_xdp: features.map_or(!is_virtual, |features| features.runs_and_redirects()),
            takes_xdp_frames: features.map(|features| features.takes_redirected_frames()),
            strips_vlan_tags: ethtool::strips_vlan_tags(name),
            addresses: addresses.ipv4,
            has_configured_ipv6: addresses.has_configured_ipv6,
            driver,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error = Link::find("no-such-if0", &Snapshot::take().unwrap()).unwrap_err().to_string();
        assert!(error.contains("no-such-if0") && error.contains("ip link"), "{error}");
    }

    #[test]
    fn loopback_is_no_ethernet() {
        let error = Link::find("lo", &Snapshot::take().unwrap()).unwrap_err().to_string();
        assert!(error.contains("Ethernet"), "{error}");
    }

    #[test]
    fn only_a_configured_ipv6_address_counts() {
        for (line, want) in [
            ("fe800000000000000000000000000001 02 40 20 80     eth1", None),
            ("20010db8000000000000000000000001 02 40 00 80     eth1", Some("eth1")),
            ("20010db8000000000000000000000002 02 40 00 00     eth1", None),
            ("nonsense", None),
        ] {
            assert_eq!(configured_ipv6(line), want, "{line}");
        }
    }
}

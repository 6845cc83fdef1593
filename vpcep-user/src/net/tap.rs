//! A packet socket that stands for one address on one interface: IPv4 packets out, and
//! in what comes to some of its TCP ports.
//!
//! The gateway has addresses in VPCs that the kernel knows nothing of, so that ranges
//! may overlap; this is how vpcepd speaks from them. The socket is bound to all
//! protocols, since only such ones see a packet before TC (net/core/dev.c,
//! `__netif_receive_skb_core`), and what it does not want is left out by a filter in the
//! kernel (packet(7), socket(7) `SO_ATTACH_FILTER`).

use std::io;
use std::net::Ipv4Addr;
use std::ops::RangeFrom;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

const ETH_P_ALL: u16 = 0x0003;
const ETH_P_IP: u16 = 0x0800;
const ETH_P_8021Q: u16 = 0x8100;
const IPPROTO_TCP: u32 = 6;
/// `PACKET_IGNORE_OUTGOING` in include/uapi/linux/if_packet.h.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

/// See the module.
#[derive(Debug)]
pub struct Tap {
    socket: OwnedFd,
    ifindex: u32,
    vlan: u16,
}

impl Tap {
    /// Opens it; takes `CAP_NET_RAW`. `vlan` is the 802.1Q id, 0 for none.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn open(ifindex: u32, vlan: u16, address: Ipv4Addr, ports: RangeFrom<u16>) -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // Protocol 0 receives nothing until the filter is in place.
        // SAFETY: no pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just opened, owned by nobody else.
        let tap = Self { socket: unsafe { OwnedFd::from_raw_fd(fd) }, ifindex, vlan };
        let filter = filter(vlan, address, ports.start);
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        tap.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)?;
        tap.set(libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1_i32)?;
        let at = tap.link_layer(ETH_P_ALL, [0; 6]);
        // SAFETY: the address lives through the call and has the length given.
        let bound = unsafe {
            libc::bind(
                tap.socket.as_raw_fd(),
                std::ptr::from_ref(&at).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(tap) }
    }

    fn set<T>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
        // SAFETY: the value lives through the call and has the length given.
        let done = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                level,
                option,
                std::ptr::from_ref(value).cast(),
                size_of::<T>() as u32,
            )
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn link_layer(&self, protocol: u16, mac: [u8; 6]) -> libc::sockaddr_ll {
        // SAFETY: a C struct of integers; zero is valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = self.ifindex as i32;
        address.sll_halen = 6;
        address.sll_addr[..6].copy_from_slice(&mac);
        address
    }

    /// Sends an IPv4 packet to the neighbour of this MAC.
    ///
    /// # Errors
    /// The kernel's answer, such as `ENETDOWN`.
    pub fn send(&self, mac: [u8; 6], packet: &[u8]) -> io::Result<()> {
        let mut tagged = Vec::new();
        let (protocol, bytes) = match self.vlan {
            0 => (ETH_P_IP, packet),
            vlan => {
                // The kernel writes the type of the frame; the tag behind it is ours.
                tagged.extend([vlan.to_be_bytes(), ETH_P_IP.to_be_bytes()].concat());
                tagged.extend_from_slice(packet);
                (ETH_P_8021Q, tagged.as_slice())
            }
        };
        let to = self.link_layer(protocol, mac);
        // SAFETY: both buffers live through the call and have the lengths given.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                0,
                std::ptr::from_ref(&to).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Takes the next IPv4 packet, cut off at the length of the buffer; `None` when there
    /// is none yet.
    ///
    /// # Errors
    /// The kernel's answer, such as `ENETDOWN`.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        // SAFETY: the buffer lives through the call and has the length given.
        let received =
            unsafe { libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        match usize::try_from(received) {
            Ok(len) => Ok(Some(len)),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                error => Err(error),
            },
        }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whole TCP packets of a VLAN (0: untagged) to an address, from one port on. Offsets
/// count from the IP header, which is where these sockets have packets begin.
fn filter(vlan: u16, address: Ipv4Addr, first_port: u16) -> Vec<libc::sock_filter> {
    const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const IF_SET: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const IP_HEADER_LEN: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
    const LOAD_HALF_BEHIND: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    /// `SKF_AD_OFF` and what is at it, in include/uapi/linux/filter.h.
    const ABOUT: u32 = (-0x1000_i32) as u32;
    const PROTOCOL: u32 = ABOUT;
    const VLAN_TAG: u32 = ABOUT + 44;

    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // How many steps to skip is filled in below: all refusals are one step, the last.
    let must = |code, k| (step(code, k), true);
    let plain = |code, k| (step(code, k), false);
    let steps = [
        plain(LOAD_WORD, PROTOCOL),
        must(IF_EQUAL, ETH_P_IP.into()),
        plain(LOAD_WORD, VLAN_TAG),
        plain(AND, 0xfff),
        must(IF_EQUAL, vlan.into()),
        plain(LOAD_BYTE, 9),
        must(IF_EQUAL, IPPROTO_TCP),
        plain(LOAD_WORD, 16),
        must(IF_EQUAL, address.into()),
        plain(LOAD_HALF, 6),
        // Fragments: none is set. The two ways of this jump are the other way round.
        must(IF_SET, 0x3fff),
        plain(IP_HEADER_LEN, 0),
        plain(LOAD_HALF_BEHIND, 2),
        must(IF_AT_LEAST, first_port.into()),
        plain(RETURN, u32::MAX),
        plain(RETURN, 0),
    ];
    let last = steps.len() - 1;
    let link = |(i, (mut step, is_condition)): (usize, (libc::sock_filter, bool))| {
        if is_condition {
            let refuse = (last - i - 1) as u8;
            let way = if u32::from(step.code) == IF_SET { &mut step.jt } else { &mut step.jf };
            *way = refuse;
        }
        step
    };
    steps.into_iter().enumerate().map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    /// What the kernel would do with a packet of this Ethernet type and VLAN
    /// (Documentation/networking/filter.rst), as far as these filters go.
    fn accepts(filter: &[libc::sock_filter], packet: &[u8], protocol: u16, vlan: u16) -> bool {
        let (mut a, mut x, mut at) = (0_u32, 0_u32, 0);
        let bytes = |from: u32, len: usize| {
            let from = from as usize;
            packet[from..from + len].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
        };
        loop {
            let step = filter[at];
            at += 1;
            let mut jump = |holds: bool| at += usize::from(if holds { step.jt } else { step.jf });
            match (step.code, step.k as i32) {
                (0x20, -0x1000) => a = protocol.into(),
                (0x20, -0xfd4) => a = vlan.into(),
                (0x20, _) => a = bytes(step.k, 4),
                (0x28, _) => a = bytes(step.k, 2),
                (0x30, _) => a = bytes(step.k, 1),
                (0x48, _) => a = bytes(x + step.k, 2),
                (0xb1, _) => x = 4 * (bytes(step.k, 1) & 0xf),
                (0x54, _) => a &= step.k,
                (0x15, _) => jump(a == step.k),
                (0x35, _) => jump(a >= step.k),
                (0x45, _) => jump(a & step.k != 0),
                (0x06, _) => return step.k != 0,
                other => panic!("{other:?} is no step of these filters"),
            }
        }
    }

    /// A packet to a port, with options in the IP header or without.
    fn packet(protocol: u8, fragment: u16, to: Ipv4Addr, port: u16, options: usize) -> Vec<u8> {
        let mut packet = vec![0; 20 + options + 20];
        packet[0] = 0x45 + (options / 4) as u8;
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet[9] = protocol;
        packet[16..20].copy_from_slice(&to.octets());
        let tcp = 20 + options;
        packet[tcp + 2..tcp + 4].copy_from_slice(&port.to_be_bytes());
        packet
    }

    #[test]
    fn only_what_comes_to_the_ports_of_the_address_gets_in() {
        const FROM: u16 = 61_000;
        const DONT_FRAGMENT: u16 = 0x4000;
        let other = Ipv4Addr::new(10, 0, 0, 2);
        for (name, packet, ethertype, vlan, want) in [
            ("first port", packet(6, DONT_FRAGMENT, OWN, FROM, 0), ETH_P_IP, 7, true),
            ("last port, options", packet(6, 0, OWN, u16::MAX, 8), ETH_P_IP, 7, true),
            ("priority in the tag", packet(6, 0, OWN, FROM, 0), ETH_P_IP, 0x6007, true),
            ("port below", packet(6, 0, OWN, FROM - 1, 0), ETH_P_IP, 7, false),
            ("another address", packet(6, 0, other, FROM, 0), ETH_P_IP, 7, false),
            ("another VLAN", packet(6, 0, OWN, FROM, 0), ETH_P_IP, 8, false),
            ("no VLAN", packet(6, 0, OWN, FROM, 0), ETH_P_IP, 0, false),
            ("UDP", packet(17, 0, OWN, FROM, 0), ETH_P_IP, 7, false),
            ("ARP", packet(6, 0, OWN, FROM, 0), 0x0806, 7, false),
            ("first fragment", packet(6, 0x2000, OWN, FROM, 0), ETH_P_IP, 7, false),
            ("last fragment", packet(6, 8, OWN, FROM, 0), ETH_P_IP, 7, false),
        ] {
            assert_eq!(accepts(&filter(7, OWN, FROM), &packet, ethertype, vlan), want, "{name}");
        }
        assert!(accepts(&filter(0, OWN, FROM), &packet(6, 0, OWN, FROM, 0), ETH_P_IP, 0), "untagged");
    }
}

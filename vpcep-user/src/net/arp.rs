//! ARP requests for backends and routers (RFC 826).
//!
//! The kernel's own neighbour entries would do this if the gateway had
//! addresses in the VPCs. It has none, on purpose, and the kernel would then ask
//! in the name of any other address of the host, which in a VPC may be a
//! tenant's. So requests are made here, in the name of the gateway's address in
//! that VPC; the programs learn from the answers.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

const BROADCAST: [u8; 6] = [0xff; 6];
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_8021Q: u16 = 0x8100;

/// A request as it goes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Interface it leaves by.
    pub ifindex: u32,
    /// 802.1Q id; 0 for none.
    pub vlan: u16,
    /// Who asks.
    pub sender_mac: [u8; 6],
    /// Who asks.
    pub sender: Ipv4Addr,
    /// Who is looked for.
    pub target: Ipv4Addr,
}

impl Request {
    /// The Ethernet frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(46);
        frame.extend_from_slice(&BROADCAST);
        frame.extend_from_slice(&self.sender_mac);
        if self.vlan != 0 {
            frame.extend_from_slice(&ETH_P_8021Q.to_be_bytes());
            frame.extend_from_slice(&self.vlan.to_be_bytes());
        }
        frame.extend_from_slice(&ETH_P_ARP.to_be_bytes());
        // Ethernet, IPv4, address lengths, request.
        frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend_from_slice(&self.sender_mac);
        frame.extend_from_slice(&self.sender.octets());
        frame.extend_from_slice(&[0; 6]);
        frame.extend_from_slice(&self.target.octets());
        frame
    }
}

/// A socket that sends requests and receives nothing.
#[derive(Debug)]
pub struct Requester {
    socket: OwnedFd,
}

impl Requester {
    /// Opens the socket; takes `CAP_NET_RAW`.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn new() -> io::Result<Self> {
        // Protocol 0 receives nothing.
        // SAFETY: no pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just opened, owned by nobody else.
        Ok(Self { socket: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Sends one request.
    ///
    /// # Errors
    /// The kernel's answer, such as `ENETDOWN`.
    pub fn send(&self, request: &Request) -> io::Result<()> {
        let frame = request.frame();
        // SAFETY: a C struct of integers; zero is valid.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_protocol = ETH_P_ARP.to_be();
        to.sll_ifindex = request.ifindex as i32;
        to.sll_halen = 6;
        to.sll_addr[..6].copy_from_slice(&BROADCAST);
        // SAFETY: both buffers live through the call and have the lengths given.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                std::ptr::from_ref(&to).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_laid_out_as_rfc_826_says() {
        let request = Request {
            ifindex: 1,
            vlan: 0,
            sender_mac: [2, 0, 0, 0, 0, 1],
            sender: Ipv4Addr::new(192, 168, 24, 1),
            target: Ipv4Addr::new(192, 168, 24, 10),
        };
        let frame = request.frame();
        assert_eq!(frame.len(), 42);
        assert_eq!(frame[12..22], [8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!(frame[28..32], [192, 168, 24, 1]);
        assert_eq!(frame[38..], [192, 168, 24, 10]);
        let tagged = Request { vlan: 7, ..request }.frame();
        assert_eq!(tagged[12..18], [0x81, 0, 0, 7, 8, 6]);
    }
}

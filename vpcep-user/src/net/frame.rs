//! A packet socket that sends Ethernet frames, of vpcepd's own making, by any interface.
//!
//! Source: packet(7).

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

const ETH_P_8021Q: u16 = 0x8100;
/// Where the type of an untagged frame is.
const ETHERTYPE: std::ops::Range<usize> = 12..14;

/// The Ethernet header of a frame, with its 802.1Q tag unless `vlan` is 0.
#[must_use]
pub fn header(destination: [u8; 6], source: [u8; 6], vlan: u16, ethertype: u16) -> Vec<u8> {
    let mut header = [destination, source].concat();
    if vlan != 0 {
        header.extend_from_slice(&ETH_P_8021Q.to_be_bytes());
        header.extend_from_slice(&vlan.to_be_bytes());
    }
    header.extend_from_slice(&ethertype.to_be_bytes());
    header
}

/// See the module. Receives nothing.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
}

impl Sender {
    /// Opens the socket; takes `CAP_NET_RAW`.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn new() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // Protocol 0 receives nothing.
        // SAFETY: no pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just opened, owned by nobody else.
        Ok(Self { socket: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Sends one frame that begins with a [`header`].
    ///
    /// # Errors
    /// The kernel's answer, such as `ENETDOWN`, or `EAGAIN` when the interface is behind.
    pub fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        let mut ethertype = [0; ETHERTYPE.end - ETHERTYPE.start];
        ethertype.copy_from_slice(&frame[ETHERTYPE]);
        // SAFETY: a C struct of integers; zero is valid.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_protocol = u16::from_ne_bytes(ethertype);
        to.sll_ifindex = ifindex as i32;
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

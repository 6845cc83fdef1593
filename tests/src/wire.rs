//! A packet socket on an interface: frames as they are, with their 802.1Q tags.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::Netns;

/// All protocols, in network byte order (`ETH_P_ALL` in include/uapi/linux/if_ether.h).
const ETH_P_ALL: u16 = (libc::ETH_P_ALL as u16).to_be();
const ETHERTYPE_VLAN: [u8; 2] = [0x81, 0x00];
/// Bytes of both MACs, behind which a tag stands.
const MACS_LEN: usize = 12;

/// See the module.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
}

impl Wire {
    /// Opens it in a namespace.
    ///
    /// # Errors
    /// Without root, or when there is no such interface.
    pub fn open(netns: &Netns, interface: &str) -> Result<Self> {
        netns.inside(|| Self::open_here(interface).with_context(|| format!("a packet socket on {interface}")))
    }

    /// Opens it in the namespace of the calling thread.
    ///
    /// # Errors
    /// As [`Wire::open`].
    pub fn open_here(interface: &str) -> Result<Self> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error().into());
        }
        // SAFETY: a descriptor that was just made and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let on: libc::c_int = 1;
        // SAFETY: the value lives through the call and its length is right.
        let result = unsafe {
            let len = size_of::<libc::c_int>() as libc::socklen_t;
            libc::setsockopt(fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, (&raw const on).cast(), len)
        };
        if result != 0 {
            return Err(io::Error::last_os_error().into());
        }
        let index = index(interface)?;
        // SAFETY: all zero is a valid address.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = ETH_P_ALL;
        address.sll_ifindex = index as i32;
        // SAFETY: the address lives through the call and its length is right.
        let result = unsafe {
            let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            libc::bind(fd, (&raw const address).cast(), len)
        };
        if result != 0 {
            return Err(io::Error::last_os_error().into());
        }
        Ok(Self { socket })
    }

    /// Sends a frame, its tag among its bytes if it has one.
    ///
    /// # Errors
    /// When the device does not take it.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        // SAFETY: the bytes live through the call.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent != frame.len() as isize {
            return Err(io::Error::last_os_error()).context("cannot send a frame");
        }
        Ok(())
    }

    /// The first frame to come in that `is_it` says is meant; a tag that the kernel took off is among
    /// its bytes again.
    ///
    /// # Errors
    /// When none comes in time.
    pub fn receive<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut is_it: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + timeout;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            let mut poll = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one entry, which lives through the call.
            if unsafe { libc::poll(&raw mut poll, 1, left.as_millis() as i32 + 1) } == 1
                && let Some(found) = is_it(&self.read()?)
            {
                return Ok(found);
            }
        }
        bail!("no {what} within {timeout:?}")
    }

    fn read(&self) -> Result<Vec<u8>> {
        let mut frame = vec![0u8; 65_536];
        let mut control = [0u64; 16];
        let mut part = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
        // SAFETY: all zero is a valid header.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: everything that the header points to lives through the call.
        let len = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0) };
        let Ok(len) = usize::try_from(len) else {
            return Err(io::Error::last_os_error()).context("cannot receive a frame");
        };
        frame.truncate(len);
        if let Some(tag) = tag_of(&message) {
            let tag = [ETHERTYPE_VLAN, tag.to_be_bytes()].concat();
            frame.splice(MACS_LEN..MACS_LEN, tag);
        }
        Ok(frame)
    }
}

/// Kernel index of an interface of the calling thread's namespace.
///
/// # Errors
/// When there is no such interface.
pub fn index(interface: &str) -> Result<u32> {
    let name = std::ffi::CString::new(interface)?;
    // SAFETY: a string that ends in zero and lives through the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()).with_context(|| format!("interface {interface}")),
        index => Ok(index),
    }
}

/// The tag that the kernel took off a frame.
fn tag_of(message: &libc::msghdr) -> Option<u16> {
    // SAFETY: the header and its control messages were filled in by the kernel.
    let first = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null or a whole control message.
    let header = unsafe { first.as_ref() }?;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    // SAFETY: a whole control message has data.
    let data = unsafe { libc::CMSG_DATA(first) }.cast::<libc::tpacket_auxdata>();
    // SAFETY: a control message of this type holds this struct.
    let data = unsafe { data.read_unaligned() };
    (data.tp_status & libc::TP_STATUS_VLAN_VALID != 0).then_some(data.tp_vlan_tci & 0xfff)
}

/// A frame with a tag of this 802.1Q id.
pub fn tagged(vlan: u16, frame: &[u8]) -> Vec<u8> {
    [&frame[..MACS_LEN], &ETHERTYPE_VLAN, &vlan.to_be_bytes(), &frame[MACS_LEN..]].concat()
}

/// A frame without its tag, if it has one of this id.
pub fn untagged(vlan: u16, frame: &[u8]) -> Option<Vec<u8>> {
    let tag = [ETHERTYPE_VLAN, vlan.to_be_bytes()].concat();
    let rest = frame.get(MACS_LEN..)?.strip_prefix(tag.as_slice())?;
    Some([&frame[..MACS_LEN], rest].concat())
}

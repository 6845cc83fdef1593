//! The few things that only the old ethtool interface tells, whatever the
//! kernel (include/uapi/linux/ethtool.h).

use std::ffi::CStr;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    cmd: u32,
    data: u32,
}

/// MTU in bytes.
pub fn mtu(name: &str) -> Option<u32> {
    let mut request = request(name)?;
    ioctl(libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: SIOCGIFMTU filled this member of the union.
    u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).ok()
}

/// Name of the driver.
pub fn driver(name: &str) -> Option<String> {
    let mut info = DriverInfo { cmd: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    ethtool(name, &raw mut info)?;
    CStr::from_bytes_until_nul(&info.driver).ok()?.to_str().ok().map(Into::into)
}

/// Whether VLAN tags are removed from received frames.
pub fn strips_vlan_tags(name: &str) -> bool {
    let mut value = Value { cmd: ETHTOOL_GFLAGS, data: 0 };
    ethtool(name, &raw mut value).is_some() && value.data & ETH_FLAG_RXVLAN != 0
}

fn ethtool<T>(name: &str, command: *mut T) -> Option<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_data = command.cast();
    ioctl(libc::SIOCETHTOOL as libc::c_ulong, &mut request)
}

fn request(name: &str) -> Option<libc::ifreq> {
    // SAFETY: a C struct of integers and a union of such; zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return None;
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Some(request)
}

fn ioctl(code: libc::c_ulong, request: &mut libc::ifreq) -> Option<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("0.0.0.0:0")).ok()?;
    // SAFETY: the request lives through the call, and so does what it points to.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), code, std::ptr::from_mut(request)) };
    (result == 0).then_some(())
}

//! What a device can do for XDP, from the generic netlink family "netdev"
//! (kernel 6.3; Documentation/netlink/specs/netdev.yaml).

use std::io;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

const NETDEV_XDP_ACT_BASIC: u64 = 1 << 0;
const NETDEV_XDP_ACT_REDIRECT: u64 = 1 << 1;
const NETDEV_XDP_ACT_NDO_XMIT: u64 = 1 << 2;

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// `struct nlmsghdr` and `struct genlmsghdr`.
const HEADERS: usize = 16 + 4;

/// Feature bits of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    /// Whether programs run in the driver and can redirect from it.
    pub fn runs_and_redirects(self) -> bool {
        let wanted = NETDEV_XDP_ACT_BASIC | NETDEV_XDP_ACT_REDIRECT;
        self.0 & wanted == wanted
    }

    /// Whether it sends frames redirected to it.
    pub fn takes_redirected_frames(self) -> bool {
        self.0 & NETDEV_XDP_ACT_NDO_XMIT != 0
    }
}

/// A socket to ask by.
#[derive(Debug)]
pub struct Query {
    socket: Socket,
    family: u16,
}

impl Query {
    /// Opens the socket and looks the family up; fails before 6.3.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let name = (CTRL_ATTR_FAMILY_NAME, b"netdev\0".as_slice());
        let family = ask(&socket, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, name, CTRL_ATTR_FAMILY_ID)?;
        let family = u16::from_ne_bytes(family.try_into().map_err(|_| malformed())?);
        Ok(Self { socket, family })
    }

    /// Features of the device with a kernel index, at this moment.
    pub fn of(&self, ifindex: u32) -> io::Result<Features> {
        let device = (NETDEV_A_DEV_IFINDEX, ifindex.to_ne_bytes());
        let device = (device.0, device.1.as_slice());
        let features = ask(&self.socket, self.family, NETDEV_CMD_DEV_GET, device, NETDEV_A_DEV_XDP_FEATURES)?;
        Ok(Features(u64::from_ne_bytes(features.try_into().map_err(|_| malformed())?)))
    }
}

/// Sends a request with one attribute; returns one attribute of the answer.
fn ask(
    socket: &Socket,
    family: u16,
    command: u8,
    attribute: (u16, &[u8]),
    wanted: u16,
) -> io::Result<Vec<u8>> {
    socket.send(&request(family, command, attribute), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    if answer.len() < HEADERS {
        return Err(malformed());
    }
    if u16::from_ne_bytes([answer[4], answer[5]]) == NLMSG_ERROR {
        let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
        return Err(io::Error::from_raw_os_error(-code));
    }
    find(&answer[HEADERS..], wanted).ok_or_else(malformed)
}

fn request(family: u16, command: u8, (kind, value): (u16, &[u8])) -> Vec<u8> {
    let attribute_len = 4 + value.len();
    let len = HEADERS + attribute_len.next_multiple_of(4);
    let mut message = Vec::with_capacity(len);
    message.extend_from_slice(&(len as u32).to_ne_bytes());
    message.extend_from_slice(&family.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[command, 1, 0, 0]);
    message.extend_from_slice(&(attribute_len as u16).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(value);
    message.resize(len, 0);
    message
}

/// An attribute of a message, by type.
fn find(mut attributes: &[u8], wanted: u16) -> Option<Vec<u8>> {
    while let [a, b, c, d, ..] = attributes {
        let len = usize::from(u16::from_ne_bytes([*a, *b]));
        let value = attributes.get(4..len)?;
        if u16::from_ne_bytes([*c, *d]) & 0x3fff == wanted {
            return Some(value.to_vec());
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
    None
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer about XDP features cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_behind_padding() {
        let message = [6, 0, 1, 0, 0xaa, 0xbb, 0, 0, 8, 0, 3, 0, 1, 2, 3, 4];
        assert_eq!(find(&message, 3), Some(vec![1, 2, 3, 4]));
        assert_eq!(find(&message, 1), Some(vec![0xaa, 0xbb]));
        assert_eq!(find(&message, 9), None);
        assert_eq!(find(&message[..10], 3), None, "cut short");
    }

    #[test]
    fn the_kernel_answers_for_loopback() {
        // Loopback runs no XDP in the driver; kernels before 6.3 have no such family.
        if let Ok(query) = Query::open() {
            assert!(!query.of(1).unwrap().takes_redirected_frames());
        }
    }
}

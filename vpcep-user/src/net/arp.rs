//! ARP requests for backends and routers (RFC 826).
//!
//! The kernel's own neighbour entries would do this if the gateway had
//! addresses in the VPCs. It has none, on purpose, and the kernel would then ask
//! in the name of any other address of the host, which in a VPC may be a
//! tenant's. So requests are made here, in the name of the gateway's address in
//! that VPC; the programs learn from the answers.

use std::net::Ipv4Addr;

use super::frame;

const BROADCAST: [u8; 6] = [0xff; 6];
const ETH_P_ARP: u16 = 0x0806;

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
        let mut frame = frame::header(BROADCAST, self.sender_mac, self.vlan, ETH_P_ARP);
        // Ethernet, IPv4, address lengths, request.
        frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend_from_slice(&self.sender_mac);
        frame.extend_from_slice(&self.sender.octets());
        frame.extend_from_slice(&[0; 6]);
        frame.extend_from_slice(&self.target.octets());
        frame
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

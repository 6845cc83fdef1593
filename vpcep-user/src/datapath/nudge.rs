//! Makes both ends of a connection that was idle for too long learn that it is over.
//!
//! What an end sends on a connection that is gone, the programs answer by a reset at the
//! right place in its sequence. A reset out of nothing would have no such place, because
//! sequence numbers are not tracked, and an end takes no other (RFC 5961 section 3). So
//! each end is made to send: in the name of its peer it gets an empty segment from outside
//! of its window, which it has to answer by an ACK (RFC 9293 section 3.10.7.4).
//!
//! It gets two, because one may be lost, half of the sequence space apart, because no
//! window has both (RFC 7323 section 2.3). Where the connection is gone by then, or another
//! has taken its place, such a segment does no harm: it has no data and fits nowhere.

use std::net::SocketAddrV4;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, TcpTimestampRepr,
};
use vpcep_common::session::Slot;
use vpcep_common::snat::Shard;

use crate::net::frame::{self, Sender};
use crate::reconcile::tables::Tables;

const ETH_P_IP: u16 = 0x0800;
/// Sequence numbers of the two.
const FIRST: i32 = 0;
const SECOND: i32 = i32::MIN;

/// One end of a connection that is over, and how to reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    ifindex: u32,
    vlan: u16,
    gateway_mac: [u8; 6],
    mac: [u8; 6],
    address: SocketAddrV4,
    /// Whom it takes for its peer.
    peer: SocketAddrV4,
}

impl End {
    /// The frame that makes it speak.
    fn frame(&self, sequence: i32) -> Vec<u8> {
        let sums = ChecksumCapabilities::default();
        let tcp = TcpRepr {
            src_port: self.peer.port(),
            dst_port: self.address.port(),
            control: TcpControl::None,
            seq_number: TcpSeqNumber(sequence),
            ack_number: Some(TcpSeqNumber(sequence)),
            window_len: 0,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            // Where timestamps were agreed on, a segment without would be dropped in
            // silence (RFC 7323 section 3.2). An old one gets the same answer as a sequence
            // number from elsewhere.
            timestamp: Some(TcpTimestampRepr::new(sequence.cast_unsigned(), 0)),
            payload: &[],
        };
        let ip = Ipv4Repr {
            src_addr: *self.peer.ip(),
            dst_addr: *self.address.ip(),
            next_header: IpProtocol::Tcp,
            payload_len: tcp.buffer_len(),
            hop_limit: 64,
        };
        let mut packet = Ipv4Packet::new_unchecked(vec![0; ip.buffer_len() + tcp.buffer_len()]);
        ip.emit(&mut packet, &sums);
        let (peer, address) = (self.peer.ip().to_owned().into(), self.address.ip().to_owned().into());
        tcp.emit(&mut TcpPacket::new_unchecked(packet.payload_mut()), &peer, &address, &sums);
        let mut frame = frame::header(self.mac, self.gateway_mac, self.vlan, ETH_P_IP);
        frame.extend_from_slice(packet.into_inner().as_slice());
        frame
    }
}

/// The ends of the session that was in a slot, as far as they can be reached: the client
/// and the backend. `mac` is what is known of a next hop.
pub(super) fn ends(
    shard: Shard,
    tables: &Tables,
    mac: impl Fn(u16) -> Option<[u8; 6]>,
    number: u32,
    slot: &Slot,
) -> [Option<End>; 2] {
    let reach = |attachment: u16, mac, address, peer| {
        let attachment = tables.attachments.get(&u32::from(attachment)).filter(|a| a.ifindex != 0)?;
        let (ifindex, vlan, gateway_mac) = (attachment.ifindex, attachment.vlan, attachment.mac);
        Some(End { ifindex, vlan, gateway_mac, mac, address, peer })
    };
    let client = SocketAddrV4::new(slot.client.into(), slot.client_port.get());
    let endpoint = SocketAddrV4::new(slot.endpoint.into(), slot.endpoint_port.get());
    let backend = SocketAddrV4::new(slot.backend.into(), slot.backend_port.get());
    let (source, port) = shard.source(number);
    let source = SocketAddrV4::new(source.into(), port);
    let hop = tables.next_hops.get(&slot.next_hop).and_then(|hop| Some((hop, mac(slot.next_hop)?)));
    let to_backend = hop.and_then(|(hop, mac)| reach(hop.attachment, mac, backend, source));
    [reach(slot.attachment, slot.client_mac, client, endpoint), to_backend]
}

/// Who is to be made to speak once more.
#[derive(Debug, Default)]
pub(super) struct Nudges {
    again: Vec<End>,
}

impl Nudges {
    /// Sends to those ends, and once more to those of the last time. Does not wait: what
    /// does not get out now is left out.
    pub(super) fn send(&mut self, sender: &Sender, ended: Vec<End>) {
        let again = std::mem::replace(&mut self.again, ended);
        let due = self.again.iter().map(|end| (end, FIRST)).chain(again.iter().map(|end| (end, SECOND)));
        for (end, sequence) in due {
            if let Err(error) = sender.send(end.ifindex, &end.frame(sequence)) {
                tracing::debug!(end = %end.address, %error, "an end of an idle connection is not told");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use vpcep_common::attachment::Attachment;
    use vpcep_common::be::Be16;

    use super::*;
    use crate::reconcile::tables::Hop;

    const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const BACKEND_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const SHARD: Shard = Shard { base: 0xc613_8000, mask: 15 };

    fn slot() -> Slot {
        Slot {
            client: Ipv4Addr::new(10, 0, 0, 182).into(),
            client_port: Be16::new(40_000),
            endpoint: Ipv4Addr::new(10, 0, 0, 100).into(),
            endpoint_port: Be16::new(80),
            backend: Ipv4Addr::new(10, 0, 0, 10).into(),
            backend_port: Be16::new(8080),
            client_mac: CLIENT_MAC,
            attachment: 1,
            next_hop: 3,
            ..Slot::default()
        }
    }

    fn tables() -> Tables {
        let attachment = |n: u8| Attachment {
            ifindex: u32::from(n) + 6,
            vlan: u16::from(n) - 1,
            mac: [6, 0, 0, 0, 0, n],
            ..Attachment::default()
        };
        let hop = Hop { vpc: 2, address: Ipv4Addr::new(10, 0, 0, 10), attachment: 2 };
        Tables {
            attachments: [(1, attachment(1)), (2, attachment(2))].into(),
            next_hops: [(3, hop)].into(),
            ..Tables::default()
        }
    }

    fn found(tables: &Tables, mac: Option<[u8; 6]>) -> Vec<End> {
        ends(SHARD, tables, |_| mac, 0x0001_9c40, &slot()).into_iter().flatten().collect()
    }

    #[test]
    fn each_end_hears_from_whom_it_knows() {
        let reached = found(&tables(), Some(BACKEND_MAC));
        let [client, backend] = reached.as_slice() else { panic!("{reached:?}") };
        for (end, ifindex, mac, address, peer) in [
            (client, 7, CLIENT_MAC, "10.0.0.182:40000", "10.0.0.100:80"),
            (backend, 8, BACKEND_MAC, "10.0.0.10:8080", "198.19.128.1:40000"),
        ] {
            assert_eq!((end.ifindex, end.mac), (ifindex, mac));
            assert_eq!((end.address, end.peer), (address.parse().unwrap(), peer.parse().unwrap()));
        }
    }

    #[test]
    fn an_end_that_cannot_be_reached_is_left_out() {
        let off = |number: u32| {
            let mut tables = tables();
            tables.attachments.get_mut(&number).unwrap().ifindex = 0;
            tables
        };
        let without_hop = Tables { next_hops: [].into(), ..tables() };
        let (client, backend) = ("10.0.0.182:40000", "10.0.0.10:8080");
        for (name, tables, mac, reached) in [
            ("client's VPC not attached", off(1), Some(BACKEND_MAC), backend),
            ("backend's VPC not attached", off(2), Some(BACKEND_MAC), client),
            ("backend does not answer ARP", tables(), None, client),
            ("no next hop", without_hop, Some(BACKEND_MAC), client),
        ] {
            let found: Vec<_> = found(&tables, mac).iter().map(|end| end.address.to_string()).collect();
            assert_eq!(found, [reached], "{name}");
        }
    }

    #[test]
    fn a_frame_is_an_empty_segment_with_right_checksums() {
        let tagged = found(&tables(), Some(BACKEND_MAC))[1];
        for (sequence, vlan_bytes) in [(FIRST, 4), (SECOND, 4)] {
            let frame = tagged.frame(sequence);
            assert_eq!(frame[..12], [BACKEND_MAC, tagged.gateway_mac].concat());
            assert_eq!(frame[12..18], [0x81, 0, 0, 1, 8, 0]);
            let ip = Ipv4Packet::new_checked(&frame[14 + vlan_bytes..]).unwrap();
            let (from, to) = (ip.src_addr(), ip.dst_addr());
            assert!(ip.verify_checksum() && (from, to) == (*tagged.peer.ip(), *tagged.address.ip()));
            let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
            assert!(tcp.verify_checksum(&from.into(), &to.into()));
            assert_eq!((tcp.src_port(), tcp.dst_port()), (tagged.peer.port(), tagged.address.port()));
            assert!(tcp.ack() && !tcp.syn() && !tcp.fin() && !tcp.rst() && tcp.payload().is_empty());
            assert_eq!(tcp.seq_number().0, sequence);
        }
    }
}

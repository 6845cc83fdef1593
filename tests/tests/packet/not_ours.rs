//! What the data plane has no business with passes to the stack untouched, and
//! what would have to be routed does not.

use vpcep_common::attachment::attachment_flags;
use vpcep_common::counter::DropReason;
use vpcep_tests::packet::ethernet;

use crate::stage::{CLIENT_MAC, CONSUMER, UNATTACHED};
use crate::table::{Case, check, syn};

const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_LLDP: u16 = 0x88cc;

/// An IPv6 packet to an address that starts with these two bytes.
fn ipv6(first: [u8; 2]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
    packet.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend(first);
    packet.extend([0; 13]);
    packet.push(2);
    ethernet(CONSUMER.mac, CLIENT_MAC, ETHERTYPE_IPV6, &packet)
}

#[test]
fn an_interface_that_is_not_attached_is_left_alone() {
    check([Case::new("SYN", UNATTACHED, syn().build())]);
}

#[test]
fn other_ethertypes_pass() {
    let tagged = {
        let inner = syn().build();
        let mut payload = vec![0, 7];
        payload.extend(&inner[12..]);
        ethernet(CONSUMER.mac, CLIENT_MAC, ETHERTYPE_VLAN, &payload)
    };
    check([
        Case::new("LLDP", CONSUMER, ethernet(CONSUMER.mac, CLIENT_MAC, ETHERTYPE_LLDP, &[0; 46])),
        Case::new(
            "802.3 length instead of a type",
            CONSUMER,
            ethernet(CONSUMER.mac, CLIENT_MAC, 46, &[0; 46]),
        ),
        // TC sees tags outside of the frame, where this one would be of an
        // unknown VLAN; inside it is a second tag.
        Case::new("802.1Q tag in the frame", CONSUMER, tagged),
    ]);
}

#[test]
fn ipv6_is_the_hosts_where_it_has_an_address() {
    let unicast = ipv6([0x20, 0x01]);
    let dropped = |name: &str, first| {
        Case::new(name, CONSUMER, ipv6(first)).dropped_unattributed(DropReason::NotForwarded)
    };
    check([
        dropped("unicast", [0x20, 0x01]),
        dropped("unique local", [0xfd, 0x00]),
        // The kernel gives itself such an address, and its services listen on it.
        dropped("link-local", [0xfe, 0x80]),
        // Router advertisements, too.
        dropped("multicast", [0xff, 0x02]),
        Case::new("unicast where the host has an address", CONSUMER, unicast.clone()).before(|gateway, _| {
            gateway
                .set_attachment(CONSUMER, attachment_flags::TAKES_XDP_FRAMES | attachment_flags::HOST_IPV6);
        }),
    ]);
}

//! ARP: who is answered, and what is learned.

use std::net::Ipv4Addr;

use vpcep_common::attachment::{NextHop, attachment_flags, mac_word};
use vpcep_common::maps;
use vpcep_tests::packet::{Arp, ETHERNET_LEN, Mac};

use crate::runner::{Gateway, Hook};
use crate::stage::{
    BACKEND, BACKEND_MAC, CLIENT, CLIENT_MAC, CONSUMER, ENDPOINT_ADDRESS, HOST_ADDRESS, LIMIT, Link,
    NEXT_HOP, PROVIDER, STRANGER,
};
use crate::table::{Case, check};

const OTHER_MAC: Mac = [2, 9, 9, 9, 9, 9];

/// The client asks for an address.
fn asks(target: Ipv4Addr) -> Arp {
    Arp::request(CLIENT_MAC, *CLIENT.ip(), target)
}

/// The gateway's answer to a request that came in on a link.
fn answer(link: Link, request: Arp) -> impl Fn(&Gateway) -> Vec<u8> {
    move |_| Arp::reply(link.mac, request.target, request.sender_mac, request.sender).build()
}

/// The backend tells the gateway where it is.
fn backend_answers(mac: Mac) -> Arp {
    Arp::reply(mac, *BACKEND.ip(), PROVIDER.mac, PROVIDER.gateway)
}

fn backend_is_at(mac: Mac) -> impl Fn(&Gateway) {
    move |gateway| {
        let next_hop: NextHop = gateway.entry(maps::NEXT_HOPS, u32::from(NEXT_HOP));
        assert_eq!(next_hop.mac, mac_word(mac));
        assert_eq!(
            (next_hop.vpc, next_hop.attachment),
            (PROVIDER.vpc, PROVIDER.attachment),
            "only the MAC changes"
        );
    }
}

#[test]
fn our_addresses_are_answered_for() {
    let endpoint = asks(*ENDPOINT_ADDRESS.ip());
    let gateway = asks(CONSUMER.gateway);
    let from_backend = Arp::request(BACKEND_MAC, *BACKEND.ip(), PROVIDER.gateway);
    let probe = Arp { sender: Ipv4Addr::UNSPECIFIED, ..endpoint };
    check([
        Case::new("endpoint address", CONSUMER, endpoint.build()).sent(answer(CONSUMER, endpoint)),
        Case::new("gateway's own address", CONSUMER, gateway.build()).sent(answer(CONSUMER, gateway)),
        Case::new("gateway's own address, provider's side", PROVIDER, from_backend.build())
            .sent(answer(PROVIDER, from_backend)),
        Case::new("endpoint that is not accepted", CONSUMER, endpoint.build())
            .before(|gateway, _| gateway.set_policy(0, 1, LIMIT))
            .sent(answer(CONSUMER, endpoint)),
        Case::new("address conflict probe (RFC 5227)", CONSUMER, probe.build()).sent(answer(CONSUMER, probe)),
        Case::new("unicast request", CONSUMER, Arp { to: CONSUMER.mac, ..endpoint }.build())
            .sent(answer(CONSUMER, endpoint)),
    ]);
}

#[test]
fn padding_of_a_short_frame_stays() {
    let request = asks(*ENDPOINT_ADDRESS.ip());
    let padded = |arp: Arp| [arp.build(), vec![0; 18]].concat();
    let reply = Arp::reply(CONSUMER.mac, request.target, request.sender_mac, request.sender);
    check([Case::new("60 bytes, as Ethernet wants", CONSUMER, padded(request)).sent(move |_| padded(reply))]);
}

#[test]
fn other_addresses_are_not() {
    let endpoint = *ENDPOINT_ADDRESS.ip();
    check([
        Case::new("another address of the subnet", CONSUMER, asks([10, 0, 0, 50].into()).build()).vanishes(),
        Case::new("the backend's address", CONSUMER, asks(*BACKEND.ip()).build()).vanishes(),
        Case::new("endpoint address, asked for in another VPC", PROVIDER, asks(endpoint).build()).vanishes(),
        Case::new("host's address: for its stack", CONSUMER, asks(HOST_ADDRESS).build()),
        Case::new(
            "gratuitous request for the endpoint's address",
            CONSUMER,
            Arp::request(OTHER_MAC, endpoint, endpoint).build(),
        )
        .vanishes(),
        Case::new(
            "gratuitous request of a neighbour",
            CONSUMER,
            Arp::request(CLIENT_MAC, *CLIENT.ip(), *CLIENT.ip()).build(),
        )
        .vanishes(),
    ]);
}

#[test]
fn backends_are_learned_where_they_say_they_are() {
    check([
        Case::new("answer to a request of ours", PROVIDER, backend_answers(BACKEND_MAC).build())
            .before(|gateway, _| gateway.set_backend_mac(None))
            .after(backend_is_at(BACKEND_MAC)),
        Case::new("it moved", PROVIDER, backend_answers(OTHER_MAC).build()).after(backend_is_at(OTHER_MAC)),
        Case::new(
            "it moved and announces itself",
            PROVIDER,
            Arp::request(OTHER_MAC, *BACKEND.ip(), *BACKEND.ip()).build(),
        )
        .vanishes()
        .after(backend_is_at(OTHER_MAC)),
        Case::new("a stranger with the same address", STRANGER, backend_answers(OTHER_MAC).build())
            .after(backend_is_at(BACKEND_MAC)),
        Case::new(
            "another neighbour",
            PROVIDER,
            Arp { sender: [192, 168, 24, 11].into(), ..backend_answers(OTHER_MAC) }.build(),
        )
        .after(backend_is_at(BACKEND_MAC)),
        Case::new(
            "number that meanwhile names another neighbour",
            PROVIDER,
            backend_answers(OTHER_MAC).build(),
        )
        .before(|gateway, _| {
            let other = NextHop {
                mac: mac_word(BACKEND_MAC),
                address: Ipv4Addr::new(192, 168, 24, 99).into(),
                vpc: PROVIDER.vpc,
                attachment: PROVIDER.attachment,
                ..NextHop::default()
            };
            gateway.array(maps::NEXT_HOPS).set(u32::from(NEXT_HOP), other, 0).unwrap();
        })
        .after(backend_is_at(BACKEND_MAC)),
    ]);
}

#[test]
fn what_is_no_arp_for_ipv4_over_ethernet_is_the_stacks() {
    let with = |offset: usize, byte: u8| {
        let mut frame = asks(*ENDPOINT_ADDRESS.ip()).build();
        frame[ETHERNET_LEN + offset] = byte;
        frame
    };
    check([
        Case::new("hardware type", CONSUMER, with(1, 6)),
        Case::new("protocol type", CONSUMER, with(2, 0x86)),
        Case::new("hardware length", CONSUMER, with(4, 8)),
        Case::new("protocol length", CONSUMER, with(5, 16)),
        Case::new("reverse request", CONSUMER, with(7, 3)),
    ]);
}

#[test]
fn truncated_arp_is_dropped() {
    let frame = asks(*ENDPOINT_ADDRESS.ip()).build();
    check((ETHERNET_LEN + 1..frame.len()).step_by(3).map(|len| {
        Case::new(format!("{len} of {} bytes", frame.len()), CONSUMER, frame[..len].to_vec()).vanishes()
    }));
}

#[test]
fn xdp_leaves_the_answer_to_tc_where_it_cannot_send() {
    let request = asks(*ENDPOINT_ADDRESS.ip());
    let without = |flags| move |gateway: &mut Gateway, _| gateway.set_attachment(CONSUMER, flags);
    check([
        Case::new("interface takes no frames", CONSUMER, request.build()).only(Hook::Xdp).before(without(0)),
        Case::new("the same at TC", CONSUMER, request.build())
            .only(Hook::Tc)
            .before(without(0))
            .sent(answer(CONSUMER, request)),
        Case::new("generic XDP sends anywhere", CONSUMER, request.build())
            .before(without(attachment_flags::XDP_GENERIC))
            .sent(answer(CONSUMER, request)),
    ]);
}

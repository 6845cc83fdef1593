//! Packets of no session: a SYN that opens one, and everything that does not.

use vpcep_common::attachment::attachment_flags;
use vpcep_common::be::Be16;
use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::{EndpointKey, EndpointValue, policy};
use vpcep_common::session::{FlowKey, Slot, Word};
use vpcep_common::tcp::State;
use vpcep_common::tcp::flags::{ACK, FIN, RST, SYN};
use vpcep_common::{index, maps};
use vpcep_tests::packet::{Datagram, PSH, Segment};

use crate::icmp_errors::HOPS_EXCEEDED;
use crate::runner::Gateway;
use crate::stage::{
    self, BACKEND, CLIENT, CLIENT_MAC, CONSUMER, ENDPOINT, ENDPOINT_ADDRESS, HOST_ADDRESS, LIMIT, NEXT_HOP,
    PROVIDER,
};
use crate::table::{
    Case, check, client_data, client_sends, first_source_port, on_each_hook, refusal_of, syn,
};

/// The SYN towards the backend, from the source port that the session got.
fn translated_syn(gateway: &Gateway) -> Vec<u8> {
    let source_port = gateway.source_port(CLIENT).expect("the SYN opened a session");
    stage::to_backend(&syn(), source_port).build()
}

fn has_no_session(gateway: &Gateway) {
    assert_eq!(gateway.source_port(CLIENT), None);
    assert_eq!(gateway.connections(ENDPOINT).current, 0);
}

#[test]
fn a_syn_opens_a_session() {
    check([Case::client("SYN to a mapped port", &syn()).sent(translated_syn).after(|gateway| {
        let source_port = gateway.source_port(CLIENT).unwrap();
        assert!(source_port >= 1024);
        assert_eq!(source_port, first_source_port());
        let slot = gateway.slot(u32::from(source_port));
        let word = Word(slot.word);
        assert!(word.is_live() && word.is_counted() && !word.is_told());
        assert_eq!((word.endpoint(), word.tcp()), (ENDPOINT, State::SynSent));
        let age = stage::now().wrapping_sub(slot.created);
        assert!(age < 8, "opened {age} ticks ago");
        let expected = Slot {
            word: slot.word,
            last_seen: slot.created,
            generation: 1,
            created: slot.created,
            client: (*CLIENT.ip()).into(),
            endpoint: (*ENDPOINT_ADDRESS.ip()).into(),
            backend: (*BACKEND.ip()).into(),
            client_port: Be16::new(CLIENT.port()),
            endpoint_port: Be16::new(ENDPOINT_ADDRESS.port()),
            backend_port: Be16::new(BACKEND.port()),
            consumer_vpc: CONSUMER.vpc,
            provider_vpc: PROVIDER.vpc,
            next_hop: NEXT_HOP,
            attachment: CONSUMER.attachment,
            client_mac: CLIENT_MAC,
            protocol: 6,
            ..Slot::default()
        };
        assert_eq!(slot, expected);
        let connections = gateway.connections(ENDPOINT);
        assert_eq!((connections.current, connections.peak, connections.opened), (1, 1, 1));
        let traffic = gateway.traffic(ENDPOINT);
        assert_eq!((traffic.packets_out, traffic.bytes_out, traffic.packets_in), (1, 60, 0));
    })]);
}

#[test]
fn the_port_of_a_backend_of_its_own_goes_before_the_mapping() {
    let to_member = move |gateway: &Gateway| {
        let source_port = gateway.source_port(CLIENT).unwrap();
        let mut segment = stage::to_backend(&syn(), source_port);
        segment.destination.set_port(9_090);
        segment.build()
    };
    check([Case::client("member with a port", &syn())
        .before(|gateway, _| {
            let mut backend: vpcep_common::endpoint::Backend = gateway.entry(maps::BACKENDS, 1);
            backend.port = Be16::new(9_090);
            gateway.array(maps::BACKENDS).set(1, backend, 0).unwrap();
        })
        .sent(to_member)]);
}

/// RFC 4787 REQ-1: the same flow keeps its source, and is one connection.
#[test]
fn a_retransmitted_syn_is_the_same_session() {
    on_each_hook(|gateway, hook| {
        let first = client_sends(gateway, hook, &syn());
        for _ in 0..3 {
            assert_eq!(client_sends(gateway, hook, &syn()), first);
        }
        let connections = gateway.connections(ENDPOINT);
        assert_eq!((connections.current, connections.opened), (1, 1));
    });
}

#[test]
fn equal_addresses_in_another_vpc_are_another_network() {
    check([Case::new("SYN to the endpoint's address from the provider's VPC", PROVIDER, syn().build())
        .dropped_unattributed(DropReason::NotForwarded)
        .after(has_no_session)]);
}

#[test]
fn what_opens_nothing_is_refused() {
    let to_other_port = Segment {
        destination: {
            let mut to = ENDPOINT_ADDRESS;
            to.set_port(81);
            to
        },
        ..syn()
    };
    let refused = |name: &str, segment: Segment, reason| {
        Case::client(name, &segment).answered(refusal_of(&segment), reason).after(has_no_session)
    };
    check([
        refused("port that is not mapped", to_other_port, DropReason::PortNotMapped),
        refused("data of no session", client_data(), DropReason::NoSession),
        refused("bare ACK of no session", stage::from_client(CLIENT, ACK), DropReason::NoSession),
        refused("FIN of no session", stage::from_client(CLIENT, FIN | ACK), DropReason::NoSession),
        refused("FIN without ACK", stage::from_client(CLIENT, FIN), DropReason::NoSession),
        refused("SYN-ACK of no session", stage::from_client(CLIENT, SYN | ACK), DropReason::NoSession),
        refused("no flags at all", stage::from_client(CLIENT, 0), DropReason::NoSession),
        refused(
            "data without ACK: the reset acknowledges it",
            Segment { payload: vec![7; 33], sequence: u32::MAX - 3, ..stage::from_client(CLIENT, PSH) },
            DropReason::NoSession,
        ),
        Case::client("RST of no session is never answered", &stage::from_client(CLIENT, RST))
            .dropped(DropReason::NoSession),
        Case::client("SYN with RST opens nothing", &stage::from_client(CLIENT, SYN | RST))
            .dropped(DropReason::NoSession)
            .after(has_no_session),
    ]);
}

#[test]
fn an_endpoint_that_is_not_accepted_refuses() {
    let refused = |name: &str, flags: u64| {
        Case::client(name, &syn())
            .before(move |gateway, _| gateway.set_policy(flags, 1, LIMIT))
            .after(has_no_session)
    };
    check([
        refused("reset by default", 0).answered(refusal_of(&syn()), DropReason::NotAccepted),
        refused("silence when the endpoint wants it", policy::SILENT).dropped(DropReason::NotAccepted),
        refused("a whitelist does not matter then", policy::WHITELIST)
            .answered(refusal_of(&syn()), DropReason::NotAccepted),
    ]);
}

fn out_of_hops(name: &str, ttl: u8) -> Case {
    Case::client(name, &Segment { ttl, ..syn() })
        .told(HOPS_EXCEEDED, DropReason::TtlExceeded)
        .after(has_no_session)
}

#[test]
fn a_session_needs_somewhere_to_go() {
    check([
        Case::client("no backend", &syn())
            .before(|gateway, _| gateway.set_servers(0))
            .answered(refusal_of(&syn()), DropReason::NoBackend)
            .after(has_no_session),
        Case::client("neighbour not resolved yet", &syn())
            .before(|gateway, _| gateway.set_backend_mac(None))
            .dropped(DropReason::NeighbourUnresolved)
            .after(has_no_session),
        Case::client("provider's VPC not attached any more", &syn())
            .before(|gateway, _| gateway.set_attachment(stage::Link { ifindex: 0, ..PROVIDER }, 0))
            .dropped(DropReason::NoAttachment)
            .after(has_no_session),
        out_of_hops("hop limit runs out", 1),
        out_of_hops("hop limit ran out before", 0),
    ]);
}

#[test]
fn sources_inside_the_translation_range_are_refused() {
    let from = |last: [u8; 4]| {
        let client = std::net::SocketAddrV4::new(last.into(), 40_000);
        stage::from_client(client, SYN)
    };
    let next_to = from([198, 19, 127, 255]);
    check([
        Case::client("first", &from([198, 19, 128, 0])).dropped(DropReason::ReservedSource),
        Case::client("last", &from([198, 19, 255, 255])).dropped(DropReason::ReservedSource),
        Case::client("just outside", &next_to.clone()).sent(move |gateway| {
            stage::to_backend(&next_to, gateway.source_port(next_to.source).unwrap()).build()
        }),
    ]);
}

/// On-premises clients come through a router: their source is in no range of
/// the VPC, and replies go back to that router.
#[test]
fn sources_outside_the_vpc_are_normal() {
    let client = std::net::SocketAddrV4::new([172, 16, 9, 9].into(), 51_000);
    let segment = stage::from_client(client, SYN);
    check([Case::client("office", &segment.clone())
        .sent(move |gateway| stage::to_backend(&segment, gateway.source_port(client).unwrap()).build())]);
}

#[test]
fn other_destinations_in_the_vpc_are_not_forwarded() {
    let to =
        |address: [u8; 4]| Segment { destination: std::net::SocketAddrV4::new(address.into(), 80), ..syn() };
    let host = Segment { destination: std::net::SocketAddrV4::new(HOST_ADDRESS, 22), ..syn() };
    check([
        Case::client("another address of the subnet", &to([10, 0, 0, 50]))
            .dropped_unattributed(DropReason::NotForwarded),
        Case::client("the backend's own address", &to(BACKEND.ip().octets()))
            .dropped_unattributed(DropReason::NotForwarded),
        Case::client("the internet", &to([1, 1, 1, 1])).dropped_unattributed(DropReason::NotForwarded),
        Case::client("an address of the host: for its stack", &host),
        Case::client("limited broadcast", &to([255, 255, 255, 255])).vanishes(),
        Case::client("multicast", &to([224, 0, 0, 251])).vanishes(),
        Case::client("multicast where the host has an address", &to([224, 0, 0, 251])).before(
            |gateway, _| {
                gateway.set_attachment(
                    CONSUMER,
                    attachment_flags::TAKES_XDP_FRAMES | attachment_flags::HOST_IPV4,
                );
            },
        ),
    ]);
}

#[test]
fn other_protocols_are_not_translated() {
    let to = |destination, protocol| {
        let datagram = Datagram {
            to: CONSUMER.mac,
            from: CLIENT_MAC,
            ..Datagram::new(*CLIENT.ip(), destination, protocol, &[8, 0, 0, 0, 0, 0, 0, 0])
        };
        datagram.build()
    };
    let endpoint = *ENDPOINT_ADDRESS.ip();
    check([
        Case::new("GRE to an endpoint", CONSUMER, to(endpoint, 47)).dropped(DropReason::Protocol),
        Case::new("ICMP to the host", CONSUMER, to(HOST_ADDRESS, 1)),
        Case::new("GRE to nobody of ours", CONSUMER, to([10, 0, 0, 9].into(), 47))
            .dropped_unattributed(DropReason::NotForwarded),
    ]);
}

/// A number that `EndpointValue` may hold although no policy exists.
#[test]
fn a_mapping_without_a_policy_is_not_accepted() {
    let key: EndpointKey = stage::endpoint_key(*ENDPOINT_ADDRESS.ip(), ENDPOINT_ADDRESS.port(), 6);
    let stale = EndpointValue { endpoint: 9_999, server_port: Be16::new(8_080), pad: 0 };
    check([Case::client("endpoint number beyond the table", &syn())
        .before(move |gateway, _| gateway.hash(maps::ENDPOINTS).insert(key, stale, 0).unwrap())
        .vanishes()
        .after(has_no_session)]);
}

#[test]
fn a_full_index_refuses_and_undoes_the_count() {
    let capacity = crate::runner::Capacity { flows: 2, ..Default::default() };
    check([Case::client("index full", &syn())
        .capacity(capacity)
        .before(|gateway, _| {
            for port in 0..index::WAYS as u16 {
                let other = FlowKey { source_port: Be16::new(port), ..stage::flow(CLIENT) };
                gateway.enter_index(&other, 1);
            }
        })
        .answered(refusal_of(&syn()), DropReason::IndexFull)
        .after(|gateway| {
            has_no_session(gateway);
            assert!(Word(gateway.slot(u32::from(first_source_port())).word).is_free());
        })]);
}

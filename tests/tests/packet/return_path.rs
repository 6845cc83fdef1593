//! From the provider's VPC: answers of the session's backend, and nothing else.

use std::net::SocketAddrV4;

use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::NO_ENDPOINT;
use vpcep_common::tcp::State;
use vpcep_common::tcp::flags::{ACK, FIN, RST, SYN};
use vpcep_tests::packet::{Datagram, Segment};

use crate::icmp_errors::HOPS_EXCEEDED;
use crate::runner::{Gateway, Hook};
use crate::stage::{self, BACKEND, CLIENT, ENDPOINT, PROVIDER, SOURCE, STRANGER};
use crate::table::{
    Case, backend_data, backend_sends, check, client_sends, established, first_source_port, on_each_hook,
    refusal_of, syn,
};

fn open(gateway: &mut Gateway, hook: Hook) {
    assert_eq!(established(gateway, hook), first_source_port());
}

fn is_established(gateway: &Gateway) {
    assert_eq!(gateway.tcp_state(CLIENT), Some(State::Established));
    assert_eq!(gateway.connections(ENDPOINT).current, 1);
}

#[test]
fn a_handshake_and_data_go_both_ways() {
    on_each_hook(|gateway, hook| {
        let source_port = client_sends(gateway, hook, &syn());
        assert_eq!(gateway.tcp_state(CLIENT), Some(State::SynSent));
        let syn_ack = Segment {
            options: vec![2, 4, 5, 0xb4],
            acknowledgement: 0x1000_0001,
            ..stage::from_backend(source_port, SYN | ACK)
        };
        backend_sends(gateway, hook, &syn_ack);
        assert_eq!(gateway.tcp_state(CLIENT), Some(State::SynReceived));
        client_sends(gateway, hook, &stage::from_client(CLIENT, ACK));
        is_established(gateway);
        for len in [0, 1, 2, 3, 536, 1_460] {
            let request = Segment { payload: vec![0x5a; len], ..stage::from_client(CLIENT, ACK) };
            assert_eq!(client_sends(gateway, hook, &request), source_port);
            let response = Segment { payload: vec![0xa5; len], ..backend_data(source_port) };
            backend_sends(gateway, hook, &response);
        }
        is_established(gateway);
        let traffic = gateway.traffic(ENDPOINT);
        assert_eq!((traffic.packets_out, traffic.packets_in), (8, 7));
        let data = 1 + 2 + 3 + 536 + 1_460;
        assert_eq!((traffic.bytes_out, traffic.bytes_in), (60 + 40 + 6 * 40 + data, 44 + 6 * 40 + data));
        assert_eq!(gateway.drops(), []);
    });
}

#[test]
fn only_the_sessions_backend_may_answer() {
    let port = first_source_port();
    let from = |source| Segment { source, ..backend_data(port) };
    let other_host = SocketAddrV4::new([192, 168, 24, 11].into(), BACKEND.port());
    let other_port = SocketAddrV4::new(*BACKEND.ip(), 8_081);
    let case = |name: &str, link, segment: Segment| Case::new(name, link, segment.build()).before(open);
    check([
        case("backend of an equal VPC", STRANGER, backend_data(port)).dropped(DropReason::WrongVpc),
        case("consumer's VPC", stage::CONSUMER, backend_data(port)).dropped(DropReason::WrongVpc),
        case("another host", PROVIDER, from(other_host)).dropped(DropReason::WrongBackend),
        case("another port", PROVIDER, from(other_port)).dropped(DropReason::WrongBackend),
        case("a forged RST of an equal VPC", STRANGER, stage::from_backend(port, RST))
            .dropped(DropReason::WrongVpc)
            .after(is_established),
        case(
            "a forged RST of another port",
            PROVIDER,
            Segment { source: other_port, ..stage::from_backend(port, RST) },
        )
        .dropped(DropReason::WrongBackend)
        .after(is_established),
        case("hop limit runs out", PROVIDER, Segment { ttl: 1, ..backend_data(port) })
            .told(HOPS_EXCEEDED, DropReason::TtlExceeded),
    ]);
}

/// RFC 5382 REQ-4: no answer to an unsolicited SYN. Remains of a connection
/// that is gone here are told so.
#[test]
fn the_provider_cannot_open() {
    let silent = |name: &str, segment: Segment| {
        Case::backend(name, &segment).dropped_unattributed(DropReason::Unsolicited)
    };
    let told = |name: &str, segment: Segment| {
        let mut reset = refusal_of(&segment);
        reset.from = PROVIDER.mac;
        Case::backend(name, &segment)
            .sent(move |_| reset.build())
            .counts(NO_ENDPOINT, DropReason::Unsolicited)
    };
    let outside =
        Segment { destination: SocketAddrV4::new([198, 19, 200, 9].into(), 5_000), ..backend_data(1) };
    check([
        silent("SYN", stage::from_backend(5_000, SYN)),
        silent("SYN to a port below 1024", stage::from_backend(22, SYN)),
        silent("SYN-ACK", stage::from_backend(5_000, SYN | ACK)),
        silent("RST", stage::from_backend(5_000, RST)),
        silent("RST-ACK", stage::from_backend(5_000, RST | ACK)),
        silent("FIN without ACK", stage::from_backend(5_000, FIN)),
        told("data of a connection that is gone", backend_data(5_000)),
        told("FIN of a connection that is gone", stage::from_backend(5_000, FIN | ACK)),
        silent("of a shard that is not this gateway's", outside),
    ]);
}

#[test]
fn a_live_session_is_no_way_in_for_a_syn() {
    check([Case::backend(
        "SYN of the backend to a live source port",
        &stage::from_backend(first_source_port(), SYN),
    )
    .before(open)
    .dropped(DropReason::Unsolicited)
    .after(is_established)]);
}

#[test]
fn other_protocols_do_not_come_back() {
    let gre = Datagram {
        to: PROVIDER.mac,
        from: stage::BACKEND_MAC,
        ..Datagram::new(*BACKEND.ip(), SOURCE, 47, &[0x1f, 0x90, 0x13, 0x88, 0, 8, 0, 0])
    };
    check([
        Case::new("GRE to a source address", PROVIDER, gre.build())
            .dropped_unattributed(DropReason::Protocol),
        Case::new("ICMP to a source address", PROVIDER, Datagram { protocol: 1, ..gre.clone() }.build())
            .dropped_unattributed(DropReason::Protocol),
    ]);
}

#[test]
fn replies_go_where_the_clients_packets_come_from() {
    on_each_hook(|gateway, hook| {
        let source_port = established(gateway, hook);
        let router = [2, 7, 7, 7, 7, 7];
        let response = backend_data(source_port);
        let replies_to = |gateway: &Gateway, mac| {
            let outcome = gateway.run(hook, PROVIDER.ifindex, &response.build());
            let expected = Segment { to: mac, ..stage::to_client(&response, CLIENT) };
            assert_eq!(Segment::parse(&outcome.frame), Some(expected));
        };
        let moved = |flags| Segment { from: router, ..stage::from_client(CLIENT, flags) };
        client_sends(gateway, hook, &moved(ACK));
        replies_to(gateway, stage::CLIENT_MAC);
        // One packet diverts no running stream; a connection whose way is broken
        // falls silent first, and then not a reset but data tells the new one.
        let number = u32::from(source_port);
        gateway.age(number, 3);
        client_sends(gateway, hook, &moved(RST));
        replies_to(gateway, stage::CLIENT_MAC);
        gateway.age(number, 3);
        client_sends(gateway, hook, &moved(ACK));
        replies_to(gateway, router);
    });
}

#[test]
fn a_client_interface_that_is_gone_drops_replies() {
    check([Case::backend("attachment detached", &backend_data(first_source_port()))
        .before(|gateway, hook| {
            open(gateway, hook);
            gateway.set_attachment(stage::Link { ifindex: 0, ..stage::CONSUMER }, 0);
        })
        .dropped(DropReason::NoAttachment)]);
}

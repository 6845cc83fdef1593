//! ICMP: echo to an endpoint, and errors about packets of a session
//! (RFC 5508, RFC 5382 REQ-9, RFC 4787 REQ-12).

use std::net::{Ipv4Addr, SocketAddrV4};

use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::policy::{ACCEPTED, WHITELIST};
use vpcep_common::tcp::State;
use vpcep_tests::packet::{Datagram, Segment, checksum};

use crate::runner::{Gateway, Hook};
use crate::stage::{
    self, BACKEND, BACKEND_MAC, CLIENT, CLIENT_MAC, CONSUMER, ENDPOINT, ENDPOINT_ADDRESS, Link, PROVIDER,
    SOURCE, STRANGER,
};
use crate::table::{Case, backend_data, check, client_data, established, first_source_port};

/// IANA number of ICMP.
pub const ICMP: u8 = 1;
/// A router of the provider's network.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 24, 1);

/// An ICMP message with its checksum.
pub fn message(kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = [&[kind, code, 0, 0][..], &rest, body].concat();
    let check = checksum(&bytes);
    bytes[2..4].copy_from_slice(&check.to_be_bytes());
    bytes
}

pub fn ping(kind: u8) -> Datagram {
    let payload = message(kind, 0, [1, 2, 0, 7], b"as odd as it gets");
    Datagram {
        to: CONSUMER.mac,
        from: CLIENT_MAC,
        ..Datagram::new(*CLIENT.ip(), *ENDPOINT_ADDRESS.ip(), ICMP, &payload)
    }
}

/// An error about this packet, of which it has `bytes` behind the IP header.
pub fn error(kind: u8, code: u8, rest: [u8; 4], about: &Segment, bytes: usize) -> Vec<u8> {
    let inner = &about.build()[14..];
    let header_len = usize::from(inner[0] & 0xf) * 4;
    message(kind, code, rest, &inner[..(header_len + bytes).min(inner.len())])
}

/// What the backend's network says about what the client sent.
pub fn from_provider(link: Link, source: Ipv4Addr, payload: &[u8]) -> Datagram {
    Datagram { to: link.mac, from: BACKEND_MAC, ..Datagram::new(source, SOURCE, ICMP, payload) }
}

pub fn to_client(payload: &[u8]) -> Datagram {
    let datagram = Datagram::new(*ENDPOINT_ADDRESS.ip(), *CLIENT.ip(), ICMP, payload);
    Datagram { to: CLIENT_MAC, from: CONSUMER.mac, ttl: 63, ..datagram }
}

/// The client's segment as it left for the backend, with a hop less on the way.
pub fn sent_to_backend() -> Segment {
    Segment { ttl: 62, ..stage::to_backend(&client_data(), first_source_port()) }
}

/// The same as the client knows it.
pub fn sent_by_client() -> Segment {
    Segment { ttl: 62, ..client_data() }
}

pub fn open(gateway: &mut Gateway, hook: Hook) {
    let port = established(gateway, hook);
    gateway.age(port.into(), 500);
}

/// RFC 4787 REQ-12, RFC 5508 REQ-6: an error neither ends a session nor refreshes it.
pub fn is_as_it_was(gateway: &Gateway) {
    assert_eq!(gateway.tcp_state(CLIENT), Some(State::Established));
    assert_eq!(gateway.connections(ENDPOINT).current, 1);
    let slot = gateway.slot(u32::from(first_source_port()));
    let silent_for = stage::now().wrapping_sub(slot.last_seen);
    assert!(silent_for >= vpcep_common::session::ticks(499), "the error refreshed the session");
}

#[test]
fn rfc_5508_req_1_echo_to_an_endpoint_is_answered_to_its_users() {
    let answered = Datagram {
        to: CLIENT_MAC,
        from: CONSUMER.mac,
        payload: message(0, 0, [1, 2, 0, 7], b"as odd as it gets"),
        ..Datagram::new(*ENDPOINT_ADDRESS.ip(), *CLIENT.ip(), ICMP, &[])
    };
    let long = Datagram { options: vec![1, 1, 1, 0], ..ping(8) };
    let long_answer = Datagram { options: vec![1, 1, 1, 0], ..answered.clone() };
    check([
        Case::new("echo", CONSUMER, ping(8).build()).sent(move |_| answered.build()),
        Case::new("echo with IP options", CONSUMER, long.build()).sent(move |_| long_answer.build()),
        Case::new("to an endpoint that is not accepted", CONSUMER, ping(8).build())
            .before(|gateway, _| gateway.set_policy(0, 1, 10))
            .dropped(DropReason::NotAccepted),
        Case::new("not on the whitelist", CONSUMER, ping(8).build())
            .before(|gateway, _| gateway.set_policy(ACCEPTED | WHITELIST, 1, 10))
            .dropped(DropReason::NotWhitelisted),
        Case::new("an answer to nothing", CONSUMER, ping(0).build()).dropped(DropReason::Protocol),
        Case::new("a timestamp request", CONSUMER, ping(13).build()).dropped(DropReason::Protocol),
        Case::new("from a provider", PROVIDER, from_provider(PROVIDER, ROUTER, &ping(8).payload).build())
            .dropped_unattributed(DropReason::Protocol),
    ]);
}

#[test]
fn rfc_5508_req_4_errors_of_the_providers_network_reach_the_client() {
    let mtu = [0, 0, 0x05, 0x78];
    for (kind, code, rest) in [
        (3, 0, [0; 4]),
        (3, 1, [0; 4]),
        (3, 3, [0; 4]),
        (3, 4, mtu),
        (3, 13, [0; 4]),
        (11, 0, [0; 4]),
        (12, 0, [20, 0, 0, 0]),
    ] {
        for bytes in [8, 20, 24, 1000] {
            for source in [ROUTER, *BACKEND.ip()] {
                let came =
                    from_provider(PROVIDER, source, &error(kind, code, rest, &sent_to_backend(), bytes));
                let want = to_client(&error(kind, code, rest, &sent_by_client(), bytes)).build();
                check([Case::new(
                    format!("{kind}/{code} from {source}, {bytes} bytes"),
                    PROVIDER,
                    came.build(),
                )
                .before(open)
                .sent(move |_| want.clone())
                .after(is_as_it_was)]);
            }
        }
    }
}

#[test]
fn rfc_5508_req_5_errors_of_the_consumers_network_reach_the_backend() {
    let response = backend_data(first_source_port());
    let as_delivered = Segment { ttl: 62, ..stage::to_client(&response, CLIENT) };
    let as_sent = Segment { ttl: 62, ..response };
    let router = Ipv4Addr::new(10, 0, 0, 1);
    for bytes in [8, 1000] {
        let payload = error(3, 4, [0, 0, 5, 0], &as_delivered, bytes);
        let came = Datagram {
            to: CONSUMER.mac,
            from: CLIENT_MAC,
            ..Datagram::new(router, *ENDPOINT_ADDRESS.ip(), ICMP, &payload)
        };
        let want = Datagram {
            to: BACKEND_MAC,
            from: PROVIDER.mac,
            ttl: 63,
            ..Datagram::new(SOURCE, *BACKEND.ip(), ICMP, &error(3, 4, [0, 0, 5, 0], &as_sent, bytes))
        }
        .build();
        check([Case::new(format!("too big, {bytes} bytes"), CONSUMER, came.build())
            .before(open)
            .sent(move |_| want.clone())
            .after(is_as_it_was)]);
    }
}

#[test]
fn rfc_5508_req_3_errors_that_do_not_add_up_are_dropped() {
    let good = error(3, 1, [0; 4], &sent_to_backend(), 20);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let frame = from_provider(PROVIDER, ROUTER, &bad).build();
        // The type decides what is looked at.
        let reason = if at == 0 { DropReason::Protocol } else { DropReason::Malformed };
        check([Case::new(format!("byte {at}"), PROVIDER, frame)
            .before(open)
            .dropped_unattributed(reason)
            .after(is_as_it_was)]);
    }
    let mut inner = sent_to_backend().build()[14..].to_vec();
    inner[10] ^= 1;
    let bad_inner = message(3, 1, [0; 4], &inner);
    let short = error(3, 1, [0; 4], &sent_to_backend(), 7);
    check([
        Case::new("inner header", PROVIDER, from_provider(PROVIDER, ROUTER, &bad_inner).build())
            .before(open)
            .dropped_unattributed(DropReason::Malformed),
        Case::new("cut before 8 bytes", PROVIDER, from_provider(PROVIDER, ROUTER, &short).build())
            .before(open)
            .dropped_unattributed(DropReason::Malformed),
    ]);
}

#[test]
fn errors_about_nothing_of_ours_go_nowhere() {
    let about = |segment: &Segment| error(3, 1, [0; 4], segment, 20);
    let other_port = Segment { source: SocketAddrV4::new(SOURCE, 5_000), ..sent_to_backend() };
    let other_backend =
        Segment { destination: SocketAddrV4::new([192, 168, 24, 99].into(), 8080), ..sent_to_backend() };
    let other_address =
        Segment { source: SocketAddrV4::new([198, 19, 255, 1].into(), 5_000), ..sent_to_backend() };
    let never_sent = stage::to_client(&backend_data(1), SocketAddrV4::new(*CLIENT.ip(), 1));
    let from_client = Datagram {
        to: CONSUMER.mac,
        from: CLIENT_MAC,
        ..Datagram::new(*CLIENT.ip(), *ENDPOINT_ADDRESS.ip(), ICMP, &about(&never_sent))
    };
    check([
        Case::new("no session", PROVIDER, from_provider(PROVIDER, ROUTER, &about(&other_port)).build())
            .before(open)
            .dropped_unattributed(DropReason::Unsolicited),
        Case::new(
            "another address inside",
            PROVIDER,
            from_provider(PROVIDER, ROUTER, &about(&other_address)).build(),
        )
        .before(open)
        .dropped_unattributed(DropReason::Unsolicited),
        Case::new(
            "another backend",
            PROVIDER,
            from_provider(PROVIDER, ROUTER, &about(&other_backend)).build(),
        )
        .before(open)
        .dropped(DropReason::WrongBackend),
        Case::new(
            "another VPC",
            STRANGER,
            from_provider(STRANGER, ROUTER, &about(&sent_to_backend())).build(),
        )
        .before(open)
        .dropped(DropReason::WrongVpc),
        Case::new("the client, about what it never got", CONSUMER, from_client.build())
            .before(open)
            .dropped_unattributed(DropReason::NoSession),
        Case::new(
            "rejected meanwhile",
            PROVIDER,
            from_provider(PROVIDER, ROUTER, &about(&sent_to_backend())).build(),
        )
        .before(|gateway, hook| {
            open(gateway, hook);
            gateway.set_policy(0, 2, 10);
        })
        .dropped(DropReason::NotAccepted),
    ]);
}

//! UDP: who may open, what keeps a session, checksums, and DNS.

use std::net::SocketAddrV4;

use vpcep_common::be::Be16;
use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::EndpointValue;
use vpcep_common::maps;
use vpcep_common::session::{FlowKey, Word};
use vpcep_common::tcp::{IPPROTO_UDP, State};
use vpcep_tests::packet::{Datagram, checksum};

use crate::icmp::{ICMP, message};
use crate::icmp_errors::{PORT_UNREACHABLE, PROHIBITED, told_by};
use crate::runner::{Gateway, Hook, Verdict};
use crate::stage::{
    self, BACKEND, BACKEND_MAC, CLIENT, CLIENT_MAC, CONSUMER, ENDPOINT, ENDPOINT_ADDRESS, PROVIDER, SOURCE,
};
use crate::table::{Case, check, on_each_hook};

const DNS: u16 = 53;

/// What a datagram's checksum field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    Right,
    /// 0: the sender made none.
    None,
    /// That of the pseudo-header: the device was to make it.
    ToComplete,
}

/// A UDP datagram between two sockets.
pub fn udp(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8], sum: Sum) -> Datagram {
    let length = 8 + payload.len() as u16;
    let mut bytes = [from.port(), to.port(), length, 0].map(u16::to_be_bytes).concat();
    bytes.extend(payload);
    let mut pseudo = [from.ip().octets(), to.ip().octets()].concat();
    pseudo.extend([0, IPPROTO_UDP]);
    pseudo.extend(length.to_be_bytes());
    let check = match sum {
        Sum::None => 0,
        Sum::ToComplete => !checksum(&pseudo),
        Sum::Right => match checksum(&[pseudo, bytes.clone()].concat()) {
            0 => 0xffff,
            check => check,
        },
    };
    bytes[6..8].copy_from_slice(&check.to_be_bytes());
    Datagram::new(*from.ip(), *to.ip(), IPPROTO_UDP, &bytes)
}

/// A service on UDP at this port of the endpoint's address.
pub fn map_udp(gateway: &mut Gateway, port: u16) {
    let value = EndpointValue { endpoint: ENDPOINT, server_port: Be16::new(BACKEND.port()), pad: 0 };
    let key = stage::endpoint_key(*ENDPOINT_ADDRESS.ip(), port, IPPROTO_UDP);
    gateway.hash(maps::ENDPOINTS).insert(key, value, 0).unwrap();
}

pub fn endpoint(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(*ENDPOINT_ADDRESS.ip(), port)
}

pub fn from_client(port: u16, payload: &[u8], sum: Sum) -> Datagram {
    Datagram { to: CONSUMER.mac, from: CLIENT_MAC, ..udp(CLIENT, endpoint(port), payload, sum) }
}

pub fn flow(port: u16) -> FlowKey {
    FlowKey { destination_port: Be16::new(port), protocol: IPPROTO_UDP, ..stage::flow(CLIENT) }
}

pub fn word(gateway: &Gateway, port: u16) -> Option<Word> {
    gateway.slot_of(&flow(port)).map(|slot| Word(gateway.slot(slot).word))
}

pub fn source(gateway: &Gateway, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(SOURCE, gateway.slot_of(&flow(port)).expect("a session") as u16)
}

/// Sends a datagram of the client and expects it at the backend.
pub fn client_sends(gateway: &Gateway, hook: Hook, port: u16, payload: &[u8], sum: Sum) {
    let outcome = gateway.run(hook, CONSUMER.ifindex, &from_client(port, payload, sum).build());
    assert_eq!(outcome.verdict, Verdict::Redirect, "{hook:?}, {sum:?}: drops {:?}", gateway.drops());
    let expected = Datagram {
        to: BACKEND_MAC,
        from: PROVIDER.mac,
        ttl: 63,
        ..udp(source(gateway, port), BACKEND, payload, sum)
    };
    assert_eq!(Datagram::parse(&outcome.frame), Some(expected), "{hook:?}, {sum:?}");
}

/// Sends a datagram of the backend and expects it at the client.
pub fn backend_sends(gateway: &Gateway, hook: Hook, port: u16, payload: &[u8], sum: Sum) {
    let datagram = udp(BACKEND, source(gateway, port), payload, sum);
    let frame = Datagram { to: PROVIDER.mac, from: BACKEND_MAC, ..datagram }.build();
    let outcome = gateway.run(hook, PROVIDER.ifindex, &frame);
    assert_eq!(outcome.verdict, Verdict::Redirect, "{hook:?}, {sum:?}: drops {:?}", gateway.drops());
    let expected =
        Datagram { to: CLIENT_MAC, from: CONSUMER.mac, ttl: 63, ..udp(endpoint(port), CLIENT, payload, sum) };
    assert_eq!(Datagram::parse(&outcome.frame), Some(expected), "{hook:?}, {sum:?}");
}

#[test]
fn datagrams_go_both_ways_with_their_checksum_or_none() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, 123);
        // The payloads make the sum come out as every kind of number, 0 among them.
        for i in 0..400_u16 {
            let payload = [&[0xab; 3][..], &i.wrapping_mul(331).to_be_bytes()].concat();
            for sum in [Sum::Right, Sum::None] {
                client_sends(gateway, hook, 123, &payload, sum);
                backend_sends(gateway, hook, 123, &payload, sum);
            }
        }
        assert_eq!(gateway.connections(ENDPOINT).current, 1);
        assert_eq!(word(gateway, 123).map(Word::tcp), Some(State::Answered));
        assert_eq!(gateway.traffic(ENDPOINT).packets_in, 800);
    });
}

#[test]
fn xdp_leaves_checksums_to_be_completed_to_tc_for_the_whole_session() {
    check([Case::new("first of a client", CONSUMER, from_client(123, b"x", Sum::ToComplete).build())
        .only(Hook::Xdp)
        .before(|gateway, _| map_udp(gateway, 123))
        .after(|gateway| assert_eq!(word(gateway, 123), None))]);
}

#[test]
fn only_the_client_opens_and_only_mapped_ports() {
    let to_source = Datagram {
        to: PROVIDER.mac,
        from: BACKEND_MAC,
        ..udp(BACKEND, SocketAddrV4::new(SOURCE, 5_000), b"x", Sum::Right)
    };
    let short = {
        let mut datagram = from_client(123, b"1234", Sum::Right);
        datagram.payload[5] = 200;
        datagram
    };
    let tiny = Datagram { payload: vec![0; 7], ..from_client(123, b"", Sum::Right) };
    let whole = from_client(123, b"1234", Sum::Right);
    let padded =
        [Datagram { fragment: 0x2000, payload: Vec::new(), ..whole.clone() }.build(), whole.payload].concat();
    let map = |gateway: &mut Gateway, _| map_udp(gateway, 123);
    check([
        Case::new("port mapped for TCP only", CONSUMER, from_client(80, b"x", Sum::Right).build())
            .told(PORT_UNREACHABLE, DropReason::PortNotMapped),
        Case::new("from the provider", PROVIDER, to_source.build())
            .dropped_unattributed(DropReason::Unsolicited),
        Case::new("longer than its packet", CONSUMER, short.build())
            .before(map)
            .dropped_unattributed(DropReason::Malformed),
        Case::new("first fragment without a header, before padding that looks like one", CONSUMER, padded)
            .before(map)
            .dropped_unattributed(DropReason::Malformed),
        Case::new("shorter than a header", CONSUMER, tiny.build())
            .before(map)
            .dropped_unattributed(DropReason::Malformed),
        Case::new("not accepted", CONSUMER, from_client(123, b"x", Sum::Right).build())
            .before(|gateway, _| {
                map_udp(gateway, 123);
                gateway.set_policy(0, 2, 10);
            })
            .told(PROHIBITED, DropReason::NotAccepted),
    ]);
}

#[test]
fn udp_is_limited_and_idle_like_tcp() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, 123);
        gateway.set_policy(vpcep_common::endpoint::policy::ACCEPTED, 1, 1);
        client_sends(gateway, hook, 123, b"one", Sum::Right);
        let other = SocketAddrV4::new(*CLIENT.ip(), 7);
        let second =
            Datagram { to: CONSUMER.mac, from: CLIENT_MAC, ..udp(other, endpoint(123), b"two", Sum::Right) };
        let refused = gateway.run(hook, CONSUMER.ifindex, &second.build());
        assert_eq!(refused.frame, told_by(&CONSUMER, PROHIBITED, &second.build()));
        assert_eq!(gateway.drops(), [(ENDPOINT, "connection_limit", 1)]);

        let slot = gateway.slot_of(&flow(123)).unwrap();
        gateway.age(slot, stage::idle_secs(State::Unanswered) - 1);
        assert_eq!(gateway.reap(&[slot]), 0, "RFC 4787 REQ-5: two minutes at least");
        gateway.age(slot, stage::idle_secs(State::Unanswered) + 1);
        assert_eq!(gateway.reap(&[slot]), 1);
        assert_eq!(gateway.connections(ENDPOINT).current, 0);
        assert_eq!(gateway.run(hook, CONSUMER.ifindex, &second.build()).verdict, Verdict::Redirect);
    });
}

#[test]
fn a_dns_query_makes_room_with_its_answer() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, DNS);
        // As the C library asks: A and AAAA from one port.
        client_sends(gateway, hook, DNS, b"A?", Sum::Right);
        client_sends(gateway, hook, DNS, b"AAAA?", Sum::Right);
        assert_eq!(gateway.connections(ENDPOINT).current, 1);
        backend_sends(gateway, hook, DNS, b"A", Sum::Right);
        assert_eq!(gateway.connections(ENDPOINT).current, 0, "answered");
        backend_sends(gateway, hook, DNS, b"AAAA", Sum::Right);
        let before = source(gateway, DNS);
        client_sends(gateway, hook, DNS, b"another", Sum::Right);
        assert_eq!((gateway.connections(ENDPOINT).current, source(gateway, DNS)), (1, before));
        assert_eq!(gateway.connections(ENDPOINT).opened, 2);
    });
}

#[test]
fn a_reject_cuts_udp_and_an_accept_lets_it_go_on() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, 123);
        client_sends(gateway, hook, 123, b"one", Sum::Right);
        backend_sends(gateway, hook, 123, b"two", Sum::Right);
        let to_client = Datagram {
            to: PROVIDER.mac,
            from: BACKEND_MAC,
            // Long enough that a reset could be made of it, which the client would take for garbage.
            ..udp(BACKEND, source(gateway, 123), &[3; 40], Sum::Right)
        };
        let to_backend = from_client(123, b"four", Sum::Right);
        gateway.set_policy(0, 2, 10);
        for (link, datagram) in [(PROVIDER, to_client), (CONSUMER, to_backend)] {
            let told = gateway.run(hook, link.ifindex, &datagram.build());
            assert_eq!(told.verdict, Verdict::Redirect, "{:?}", gateway.drops());
            assert_eq!(told.frame, told_by(&link, PROHIBITED, &datagram.build()));
        }
        gateway.set_policy(vpcep_common::endpoint::policy::ACCEPTED, 3, 10);
        client_sends(gateway, hook, 123, b"five", Sum::Right);
        backend_sends(gateway, hook, 123, b"six", Sum::Right);
        assert_eq!(gateway.connections(ENDPOINT).current, 1);
    });
}

/// RFC 768: a checksum that comes out as 0 is sent as all ones, also inside of an ICMP error.
#[test]
fn a_checksum_inside_of_an_error_never_becomes_none() {
    const SYSLOG: u16 = 514;
    const CHECKSUM_AT: usize = 8 + 20 + 6;
    on_each_hook(|gateway, hook| {
        map_udp(gateway, SYSLOG);
        client_sends(gateway, hook, SYSLOG, b"anybody?", Sum::Right);
        let sent = udp(source(gateway, SYSLOG), BACKEND, b"anybody?", Sum::Right);
        let complaint = |check: u16| {
            let mut about = sent.build()[14..].to_vec();
            about[26..28].copy_from_slice(&check.to_be_bytes());
            let payload = message(3, 3, [0; 4], &about[..28]);
            let datagram = Datagram::new(*BACKEND.ip(), SOURCE, ICMP, &payload);
            let frame = Datagram { to: PROVIDER.mac, from: BACKEND_MAC, ..datagram }.build();
            let out = gateway.run(hook, PROVIDER.ifindex, &frame);
            assert_eq!(out.verdict, Verdict::Redirect, "{:?}", gateway.drops());
            let told = Datagram::parse(&out.frame).expect("a packet").payload;
            assert_eq!(checksum(&told), 0, "of the error itself");
            u16::from_be_bytes([told[CHECKSUM_AT], told[CHECKSUM_AT + 1]])
        };
        let (before, after) = (0x1234, u32::from(complaint(0x1234)));
        // The translation adds the same to each sum; this one it brings to 0.
        let to_zero = (before + 0xffff - after) % 0xffff;
        assert_eq!(complaint(to_zero as u16), 0xffff);
    });
}

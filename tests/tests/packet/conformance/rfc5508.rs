//! RFC 5508: ICMP.

use vpcep_common::counter::{Connections, DropReason};
use vpcep_common::endpoint::NO_ENDPOINT;
use vpcep_common::endpoint::policy::{ACCEPTED, ICMP as BY_ICMP, SILENT};
use vpcep_common::maps;
use vpcep_common::tcp::State;
use vpcep_tests::packet::{Datagram, Segment};

use super::{NTP, at_source, dropped, hairpin, is_silent_for, sent};
use crate::icmp::{
    ICMP, ROUTER, error, from_provider, message, ping, sent_by_client, sent_to_backend, to_client,
};
use crate::icmp_errors::{PROHIBITED, set_rate, told_by};
use crate::stage::{
    self, BACKEND, BACKEND_MAC, CLIENT, CLIENT_MAC, CONSUMER, ENDPOINT, ENDPOINT_ADDRESS, LIMIT, PROVIDER,
    SOURCE,
};
use crate::table::{
    backend_data, client_data, established, first_source_port, on_each_hook, refusal_of, syn,
};
use crate::udp::{Sum, from_client, map_udp};

/// An error of the provider's network, and what it must become for the client.
fn check_towards_client(
    gateway: &crate::runner::Gateway,
    hook: crate::runner::Hook,
    came: &[u8],
    want: &[u8],
) {
    let told = sent(gateway, hook, PROVIDER, &from_provider(PROVIDER, ROUTER, came).build());
    assert_eq!(Datagram::parse(&told), Some(to_client(want)));
}

/// Kept: echo gets its answer, for as long as the client likes to ask (REQ-2: a query's mapping lasts
/// a minute; there is none that could end). Not kept: queries do not get through to the backend; the
/// endpoint answers them.
#[test]
fn rfc5508_req1_req2_echo_is_answered_without_a_mapping() {
    on_each_hook(|gateway, hook| {
        for _ in 0..3 {
            let answer = Datagram::parse(&sent(gateway, hook, CONSUMER, &ping(8).build())).unwrap();
            assert_eq!((answer.source, answer.destination), (*ENDPOINT_ADDRESS.ip(), *CLIENT.ip()));
            assert_eq!(answer.payload, ping(0).payload);
        }
        assert_eq!(gateway.indexed(), 0);
    });
}

#[test]
fn rfc5508_req3_errors_are_taken_by_what_must_be_right_in_them() {
    on_each_hook(|gateway, hook| {
        established(gateway, hook);
        // (a) a wrong sum of the message, (b) of the header inside.
        let mut wrong = error(3, 1, [0; 4], &sent_to_backend(), 20);
        wrong[2] ^= 1;
        dropped(gateway, hook, PROVIDER, &from_provider(PROVIDER, ROUTER, &wrong).build());
        let mut inner = sent_to_backend().build()[14..].to_vec();
        inner[10] ^= 1;
        dropped(
            gateway,
            hook,
            PROVIDER,
            &from_provider(PROVIDER, ROUTER, &message(3, 1, [0; 4], &inner)).build(),
        );
        assert_eq!(gateway.drops(), [(NO_ENDPOINT, DropReason::Malformed.name(), 2)]);
        // (c) options inside are stepped over.
        let options = |segment: Segment| Segment { ip_options: vec![1; 12], ..segment };
        let came = error(3, 1, [0; 4], &options(sent_to_backend()), 20);
        check_towards_client(gateway, hook, &came, &error(3, 1, [0; 4], &options(sent_by_client()), 20));
        // (d) the sum of the segment inside may be wrong, and stays as wrong as it was.
        let off_by_one = |segment: Segment| {
            let mut inner = segment.build()[14..].to_vec();
            let check = u16::from_be_bytes([inner[36], inner[37]]);
            assert!(check < 0xfffe);
            inner[36..38].copy_from_slice(&(check + 1).to_be_bytes());
            message(3, 1, [0; 4], &inner)
        };
        check_towards_client(gateway, hook, &off_by_one(sent_to_backend()), &off_by_one(sent_by_client()));
    });
}

#[test]
fn rfc5508_req4_errors_from_outside_are_translated() {
    on_each_hook(|gateway, hook| {
        established(gateway, hook);
        for (kind, code) in [(3, 0), (3, 4), (3, 13), (11, 0), (11, 1), (12, 0)] {
            for bytes in [8, 1_000] {
                let rest = [0, 0, 5, 0x78];
                let came = error(kind, code, rest, &sent_to_backend(), bytes);
                check_towards_client(
                    gateway,
                    hook,
                    &came,
                    &error(kind, code, rest, &sent_by_client(), bytes),
                );
            }
        }
    });
}

#[test]
fn rfc5508_req5_errors_from_inside_are_translated() {
    on_each_hook(|gateway, hook| {
        let sent_by_backend = backend_data(established(gateway, hook));
        let delivered = stage::to_client(&sent_by_backend, CLIENT);
        let router = std::net::Ipv4Addr::new(10, 0, 0, 1);
        for (kind, code) in [(3, 1), (3, 4), (11, 0), (12, 0)] {
            for bytes in [8, 1_000] {
                let payload = error(kind, code, [0; 4], &delivered, bytes);
                let came = Datagram::new(router, *ENDPOINT_ADDRESS.ip(), ICMP, &payload);
                let came = Datagram { to: CONSUMER.mac, from: CLIENT_MAC, ..came };
                let known = Segment { ttl: delivered.ttl, ..sent_by_backend.clone() };
                let want =
                    Datagram::new(SOURCE, *BACKEND.ip(), ICMP, &error(kind, code, [0; 4], &known, bytes));
                let want = Datagram { to: BACKEND_MAC, from: PROVIDER.mac, ttl: 63, ..want };
                let told = sent(gateway, hook, CONSUMER, &came.build());
                assert_eq!(Datagram::parse(&told), Some(want), "{kind}/{code}");
            }
        }
    });
}

#[test]
fn rfc5508_req6_an_error_neither_ends_nor_refreshes() {
    on_each_hook(|gateway, hook| {
        let slot = u32::from(established(gateway, hook));
        gateway.age(slot, 500);
        check_towards_client(
            gateway,
            hook,
            &error(3, 3, [0; 4], &sent_to_backend(), 20),
            &error(3, 3, [0; 4], &sent_by_client(), 20),
        );
        assert!(is_silent_for(gateway, slot, 499));
        assert_eq!(gateway.tcp_state(CLIENT), Some(State::Established));
        assert_eq!(gateway.connections(ENDPOINT).current, 1);
    });
}

/// Kept and not kept as in RFC 4787 REQ-9.
#[test]
fn rfc5508_req7_errors_within_one_vpc_are_translated() {
    on_each_hook(|gateway, hook| {
        let (near, mac) = hairpin(gateway);
        sent(gateway, hook, CONSUMER, &syn().build());
        let port = first_source_port();
        let as_sent = Segment { source: at_source(port), destination: near, ..syn() };
        let came = Datagram::new(*near.ip(), SOURCE, ICMP, &error(3, 3, [0; 4], &as_sent, 8));
        let came = Datagram { to: CONSUMER.mac, from: mac, ..came };
        let told = sent(gateway, hook, CONSUMER, &came.build());
        assert_eq!(Datagram::parse(&told), Some(to_client(&error(3, 3, [0; 4], &syn(), 8))));
    });
}

/// A refused datagram is answered by 3/13, at a rate; a refused connection by a reset, unless its
/// endpoint is to tell by ICMP.
#[test]
fn rfc5508_req8_who_is_refused_is_told() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, NTP);
        let refused = |gateway: &crate::runner::Gateway, frame: &[u8]| {
            assert_eq!(sent(gateway, hook, CONSUMER, frame), told_by(&CONSUMER, PROHIBITED, frame));
        };
        gateway.set_policy(ACCEPTED | BY_ICMP, 1, 0);
        refused(gateway, &from_client(NTP, b"one too many", Sum::Right).build());
        refused(gateway, &syn().build());
        gateway.set_policy(ACCEPTED, 2, 0);
        let reset = sent(gateway, hook, CONSUMER, &syn().build());
        assert_eq!(Segment::parse(&reset), Some(refusal_of(&syn())));
        gateway.array(maps::CONNECTIONS).set(ENDPOINT, Connections::default(), 0).unwrap();
        set_rate(gateway, 1);
        refused(gateway, &from_client(NTP, b"the first of a second", Sum::Right).build());
        // However long it takes to get here, the second is not over.
        let paid = gateway.connections(ENDPOINT);
        let longer = Connections { errors_until: paid.errors_until + 60_000_000_000, ..paid };
        gateway.array(maps::CONNECTIONS).set(ENDPOINT, longer, 0).unwrap();
        dropped(gateway, hook, CONSUMER, &from_client(NTP, b"the next", Sum::Right).build());
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::ConnectionLimit.name(), 5)]);
    });
}

/// The policy switch: an endpoint set to silence answers nobody that it refuses.
#[test]
fn rfc5508_req9_an_endpoint_may_be_silent() {
    on_each_hook(|gateway, hook| {
        gateway.set_policy(ACCEPTED | SILENT, 1, LIMIT);
        dropped(gateway, hook, CONSUMER, &client_data().build());
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::NoSession.name(), 1)]);
    });
}

/// What must and should be supported is: unreachable, time exceeded, parameter problem, echo. The
/// others may be dropped (REQ-11), and are; redirects would be about routers of another network.
#[test]
fn rfc5508_req10_req11_messages_that_are_supported() {
    on_each_hook(|gateway, hook| {
        established(gateway, hook);
        for kind in [3, 11, 12] {
            let came = error(kind, 0, [0; 4], &sent_to_backend(), 8);
            check_towards_client(gateway, hook, &came, &error(kind, 0, [0; 4], &sent_by_client(), 8));
        }
        sent(gateway, hook, CONSUMER, &ping(8).build());
        assert_eq!(gateway.drops(), []);
        let others = [0, 4, 5, 9, 10, 13, 14, 15, 16, 17, 18];
        for kind in others {
            let frame =
                from_provider(PROVIDER, ROUTER, &error(kind, 0, [0; 4], &sent_to_backend(), 8)).build();
            dropped(gateway, hook, PROVIDER, &frame);
            dropped(gateway, hook, CONSUMER, &ping(kind).build());
        }
        let count = others.len() as u64;
        let protocol = DropReason::Protocol.name();
        assert_eq!(gateway.drops(), [(NO_ENDPOINT, protocol, count), (ENDPOINT, protocol, count)]);
    });
}

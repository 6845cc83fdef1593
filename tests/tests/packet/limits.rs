//! Limits of an endpoint: connections, exactly as many as allowed whatever happens; unfinished
//! handshakes; new connections a second; bandwidth.

use std::net::SocketAddrV4;

use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::policy::{ACCEPTED, SILENT};
use vpcep_common::maps;
use vpcep_common::meter::{byte_cost, connection_cost};
use vpcep_common::tcp::flags::{ACK, FIN, RST, SYN};
use vpcep_tests::packet::Segment;

use crate::runner::{Gateway, Hook, Verdict};
use crate::stage::{self, CLIENT, CONSUMER, ENDPOINT, PROVIDER};
use crate::table::{
    Case, assert_same_frame, check, client_sends, established, on_each_hook, refusal_of, syn,
};

const MOST: u32 = 3;

/// The SYN of another port of the client.
fn syn_from(port: u16) -> Segment {
    Segment { source: SocketAddrV4::new(*CLIENT.ip(), port), ..syn() }
}

fn is_refused(gateway: &Gateway, hook: Hook, segment: &Segment) {
    let outcome = gateway.run(hook, CONSUMER.ifindex, &segment.build());
    assert_eq!(outcome.verdict, Verdict::Redirect);
    assert_same_frame(&outcome.frame, &refusal_of(segment).build(), "refused");
}

#[test]
fn exactly_as_many_connections_as_allowed() {
    on_each_hook(|gateway, hook| {
        gateway.set_policy(ACCEPTED, 1, MOST);
        for port in 0..MOST as u16 {
            client_sends(gateway, hook, &syn_from(1_000 + port));
        }
        for port in 0..5 {
            is_refused(gateway, hook, &syn_from(2_000 + port));
        }
        let connections = gateway.connections(ENDPOINT);
        assert_eq!((connections.current, connections.peak, connections.opened), (3, 3, 3));
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::ConnectionLimit.name(), 5)]);
        // Those that are in stay in.
        client_sends(gateway, hook, &syn_from(1_000));
    });
}

#[test]
fn whatever_ends_a_connection_makes_room() {
    on_each_hook(|gateway, hook| {
        gateway.set_policy(ACCEPTED, 1, 1);
        let source_port = established(gateway, hook);
        is_refused(gateway, hook, &syn_from(1));
        client_sends(gateway, hook, &stage::from_client(CLIENT, FIN | ACK));
        gateway.run(hook, PROVIDER.ifindex, &stage::from_backend(source_port, FIN | ACK).build());
        client_sends(gateway, hook, &stage::from_client(CLIENT, ACK));
        assert_eq!(gateway.connections(ENDPOINT).current, 0);
        // Refused by the backend: makes room as well.
        let next = client_sends(gateway, hook, &syn_from(2));
        is_refused(gateway, hook, &syn_from(3));
        gateway.run(hook, PROVIDER.ifindex, &stage::from_backend(next, RST | ACK).build());
        client_sends(gateway, hook, &syn_from(3));
        let connections = gateway.connections(ENDPOINT);
        assert_eq!((connections.current, connections.peak, connections.opened), (1, 1, 3));
    });
}

#[test]
fn a_limit_may_change_while_connections_are_open() {
    on_each_hook(|gateway, hook| {
        for port in 1..=3 {
            client_sends(gateway, hook, &syn_from(port));
        }
        gateway.set_policy(ACCEPTED, 2, 2);
        is_refused(gateway, hook, &syn_from(4));
        gateway.set_policy(ACCEPTED, 3, 4);
        client_sends(gateway, hook, &syn_from(4));
        is_refused(gateway, hook, &syn_from(5));
        assert_eq!(gateway.connections(ENDPOINT).current, 4);
    });
}

#[test]
fn a_limit_of_zero_admits_nobody() {
    let limit = |flags| move |gateway: &mut Gateway, _| gateway.set_policy(flags, 1, 0);
    check([
        Case::client("reset", &stage::from_client(CLIENT, SYN))
            .before(limit(ACCEPTED))
            .answered(refusal_of(&stage::from_client(CLIENT, SYN)), DropReason::ConnectionLimit),
        Case::client("silence", &syn()).before(limit(ACCEPTED | SILENT)).dropped(DropReason::ConnectionLimit),
    ]);
}

/// A packet beyond these limits vanishes: whoever opens too many is to come again later, and a
/// forged sender is not answered.
fn vanishes(gateway: &Gateway, hook: Hook, segment: &Segment) {
    let outcome = gateway.run(hook, CONSUMER.ifindex, &segment.build());
    assert_eq!(outcome.verdict, Verdict::Drop, "{:?}", gateway.drops());
}

#[test]
fn unfinished_handshakes_have_a_limit_of_their_own() {
    on_each_hook(|gateway, hook| {
        gateway.change_policy(|policy| policy.half_open = 2);
        let source_port = client_sends(gateway, hook, &syn_from(1));
        client_sends(gateway, hook, &syn_from(2));
        vanishes(gateway, hook, &syn_from(3));
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::HalfOpenLimit.name(), 1)]);
        let counts = |gateway: &Gateway| {
            let connections = gateway.connections(ENDPOINT);
            (connections.current, connections.half_open)
        };
        assert_eq!(counts(gateway), (2, 2));
        client_sends(gateway, hook, &syn_from(2));
        assert_eq!(counts(gateway), (2, 2), "a retransmission is no other handshake");

        gateway.run(hook, PROVIDER.ifindex, &stage::from_backend(source_port, SYN | ACK).build());
        assert_eq!(counts(gateway), (2, 2), "the client's ACK is what finishes it");
        client_sends(gateway, hook, &Segment { flags: ACK, ..syn_from(1) });
        assert_eq!(counts(gateway), (2, 1));
        let refused_by_backend = client_sends(gateway, hook, &syn_from(3));
        gateway.run(hook, PROVIDER.ifindex, &stage::from_backend(refused_by_backend, RST | ACK).build());
        assert_eq!(counts(gateway), (2, 1), "a refused one makes room");
        let idle = u32::from(client_sends(gateway, hook, &syn_from(4)));
        assert_eq!(counts(gateway), (3, 2));
        gateway.age(idle, stage::idle_secs(vpcep_common::tcp::State::SynSent));
        assert_eq!(gateway.reap(&[idle]), 1);
        assert_eq!(counts(gateway), (2, 1), "an idle one makes room");
        gateway.change_policy(|policy| policy.half_open = 0);
        for port in 10..20 {
            client_sends(gateway, hook, &syn_from(port));
        }
        assert_eq!(counts(gateway), (12, 1), "without a limit nobody counts them");
    });
}

#[test]
fn a_connection_limit_that_refuses_leaves_no_half_open_one() {
    on_each_hook(|gateway, hook| {
        gateway.set_policy(ACCEPTED, 1, 1);
        gateway.change_policy(|policy| policy.half_open = 5);
        client_sends(gateway, hook, &syn_from(1));
        is_refused(gateway, hook, &syn_from(2));
        let connections = gateway.connections(ENDPOINT);
        assert_eq!((connections.current, connections.half_open), (1, 1));
    });
}

#[test]
fn handshakes_have_less_time_at_a_crowded_endpoint() {
    for (name, open, secs, freed) in [
        ("room enough", 2, stage::CROWDED_SECS + 2, 0),
        ("crowded, early", 3, stage::CROWDED_SECS - 2, 0),
        ("crowded, in time", 3, stage::CROWDED_SECS + 1, 1),
    ] {
        on_each_hook(|gateway, hook| {
            gateway.set_policy(ACCEPTED, 1, 4);
            let first = u32::from(client_sends(gateway, hook, &syn_from(1)));
            for port in 2..=open {
                client_sends(gateway, hook, &syn_from(port));
            }
            gateway.age(first, secs);
            assert_eq!(gateway.reap(&[first]), freed, "{name}");
        });
    }
}

#[test]
fn new_connections_come_at_a_rate() {
    on_each_hook(|gateway, hook| {
        gateway.change_policy(|policy| policy.connection_cost = connection_cost(5));
        // A second's worth at once, and the one that is on its way.
        for port in 1..=6 {
            client_sends(gateway, hook, &syn_from(port));
        }
        vanishes(gateway, hook, &syn_from(7));
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::ConnectionRate.name(), 1)]);
        assert_eq!(gateway.connections(ENDPOINT).current, 6);
        client_sends(gateway, hook, &Segment { flags: ACK, ..syn_from(1) });
        // As if what was opened were two seconds ago.
        let mut connections = gateway.connections(ENDPOINT);
        connections.opened_until -= 2_000_000_000;
        gateway.array(maps::CONNECTIONS).set(ENDPOINT, connections, 0).unwrap();
        client_sends(gateway, hook, &syn_from(7));
    });
}

#[test]
fn bandwidth_is_of_each_direction() {
    on_each_hook(|gateway, hook| {
        let source_port = established(gateway, hook);
        // 50 ms of a megabit are 6250 bytes.
        gateway.change_policy(|policy| policy.byte_cost = byte_cost(1));
        let mut segment = stage::from_client(CLIENT, ACK);
        segment.payload = vec![7; 1_200];
        let mut passed = 0;
        while gateway.run(hook, CONSUMER.ifindex, &segment.build()).verdict == Verdict::Redirect {
            passed += 1;
            assert!(passed < 20, "no limit is kept");
        }
        assert!((5..=7).contains(&passed), "{passed} packets of 1240 bytes");
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::Bandwidth.name(), 1)]);
        let back = stage::from_backend(source_port, ACK).build();
        assert_eq!(gateway.run(hook, PROVIDER.ifindex, &back).verdict, Verdict::Redirect);
    });
}

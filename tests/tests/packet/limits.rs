//! The connection limit: exactly as many as allowed, whatever happens.

use std::net::SocketAddrV4;

use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::policy::{ACCEPTED, SILENT};
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

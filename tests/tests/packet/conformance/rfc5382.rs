//! RFC 5382: TCP.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;

use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::policy::ACCEPTED;
use vpcep_common::endpoint::{NO_ENDPOINT, idle};
use vpcep_common::session::ticks;
use vpcep_common::snat::FIRST_PORT;
use vpcep_common::tcp::Side::{Backend, Client};
use vpcep_common::tcp::State;
use vpcep_common::tcp::flags::{ACK, RST, SYN};
use vpcep_tests::packet::{Datagram, Segment};

use super::{at_source, client_port, dropped, from_elsewhere, hairpin, is_silent_for, lasts, sent};
use crate::icmp::{ROUTER, error, from_provider, sent_by_client, sent_to_backend, to_client};
use crate::stage::{self, BACKEND, CLIENT, CONSUMER, ENDPOINT, ENDPOINT_ADDRESS, PROVIDER};
use crate::table::{
    backend_data, backend_sends, client_data, client_sends, established, first_source_port, on_each_hook,
    refusal_of, syn,
};
use crate::tcp_states::{CLOSED_BY_CLIENT, FIN_ACK, HANDSHAKE, SYN_ACK, converse};

/// Kept and not kept as in RFC 4787 REQ-1.
#[test]
fn rfc5382_req1_a_connection_keeps_its_mapping() {
    on_each_hook(|gateway, hook| {
        let port = client_sends(gateway, hook, &syn());
        assert_eq!(client_sends(gateway, hook, &syn()), port, "SYN retransmitted");
        backend_sends(gateway, hook, &stage::from_backend(port, SYN | ACK));
        assert_eq!(client_sends(gateway, hook, &client_data()), port);
    });
}

/// Kept: every sequence that a client may begin. Not kept: simultaneous open (a), since only the
/// consumer opens.
#[test]
fn rfc5382_req2_valid_sequences_pass() {
    on_each_hook(|gateway, hook| {
        converse(gateway, hook, &[(Client, SYN), (Client, SYN), (Backend, SYN_ACK), (Backend, SYN_ACK)]);
        converse(gateway, hook, &[(Client, ACK), (Client, FIN_ACK), (Backend, ACK)]);
        for _ in 0..3 {
            backend_sends(gateway, hook, &backend_data(first_source_port()));
        }
        converse(gateway, hook, &[(Client, ACK), (Client, FIN_ACK), (Backend, FIN_ACK), (Client, ACK)]);
        converse(gateway, hook, &[(Backend, FIN_ACK), (Client, ACK)]);
        // The five-tuple again, opening with data (RFC 7413), and ending with a reset.
        client_sends(
            gateway,
            hook,
            &Segment { payload: b"GET /get".to_vec(), ..stage::from_client(CLIENT, SYN) },
        );
        converse(gateway, hook, &[(Backend, SYN_ACK), (Client, ACK), (Backend, RST | ACK)]);
        converse(gateway, hook, HANDSHAKE);
        converse(gateway, hook, CLOSED_BY_CLIENT);
        assert_eq!(gateway.drops(), []);

        converse(gateway, hook, &[(Client, SYN)]);
        dropped(gateway, hook, PROVIDER, &stage::from_backend(first_source_port(), SYN).build());
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::Unsolicited.name(), 1)]);
        converse(gateway, hook, &[(Backend, SYN_ACK), (Client, ACK)]);
        assert_eq!(gateway.tcp_state(CLIENT), Some(State::Established));
    });
}

/// Address and port dependent, the most stringent.
#[test]
fn rfc5382_req3_only_who_was_addressed_may_answer() {
    on_each_hook(|gateway, hook| {
        let answer = backend_data(established(gateway, hook));
        let other_host = SocketAddrV4::new([192, 168, 24, 11].into(), BACKEND.port());
        let other_port = SocketAddrV4::new(*BACKEND.ip(), 9);
        for other in [other_host, other_port] {
            dropped(gateway, hook, PROVIDER, &from_elsewhere(&answer, other));
        }
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::WrongBackend.name(), 2)]);
        backend_sends(gateway, hook, &answer);
    });
}

/// More than the six seconds: for good.
#[test]
fn rfc5382_req4_an_unsolicited_syn_meets_silence() {
    on_each_hook(|gateway, hook| {
        dropped(gateway, hook, PROVIDER, &stage::from_backend(5_000, SYN).build());
        assert_eq!(gateway.drops(), [(NO_ENDPOINT, DropReason::Unsolicited.name(), 1)]);
    });
}

#[test]
fn rfc5382_req5_idle_connections_last_two_hours_and_four_minutes() {
    const ESTABLISHED_SECS: u32 = 2 * 3_600 + 4 * 60;
    const TRANSITORY_SECS: u32 = 4 * 60;
    on_each_hook(|gateway, hook| {
        let slot = u32::from(client_sends(gateway, hook, &syn()));
        lasts(gateway, slot, TRANSITORY_SECS);
        assert_eq!(u32::from(established(gateway, hook)), slot);
        lasts(gateway, slot, ESTABLISHED_SECS);
    });
}

/// Contradicted on purpose, where a provider chose so: its service's connections end after a time of
/// its own, as at load balancers of clouds. Both ends are told when they send next.
#[test]
fn rfc5382_req5_a_service_may_have_less_and_both_ends_are_told() {
    on_each_hook(|gateway, hook| {
        gateway.change_policy(|policy| policy.idle = idle::new(ticks(350), true));
        let port = established(gateway, hook);
        lasts(gateway, port.into(), 350);
        let reset = sent(gateway, hook, CONSUMER, &client_data().build());
        assert_eq!(Segment::parse(&reset), Some(refusal_of(&client_data())));
        let reset = sent(gateway, hook, PROVIDER, &backend_data(port).build());
        assert_eq!(Segment::parse(&reset), Some(refusal_of(&backend_data(port))));
    });
}

/// There are no application level gateways: what a payload says of addresses stays.
#[test]
fn rfc5382_req6_payloads_are_never_changed() {
    on_each_hook(|gateway, hook| {
        let port = established(gateway, hook);
        let command = b"PORT 10,0,0,182,156,64\r\n".to_vec();
        client_sends(gateway, hook, &Segment { payload: command, ..client_data() });
        let answer = b"227 Entering Passive Mode (192,168,24,10,31,144)\r\n".to_vec();
        backend_sends(gateway, hook, &Segment { payload: answer, ..backend_data(port) });
    });
}

#[test]
fn rfc5382_req7_no_two_sessions_share_a_port() {
    const FLOWS: u16 = 1_000;
    on_each_hook(|gateway, hook| {
        gateway.set_policy(ACCEPTED, 1, FLOWS.into());
        let open = |port| client_sends(gateway, hook, &stage::from_client(client_port(port), SYN));
        let ports: BTreeSet<_> = (1..=FLOWS).map(open).collect();
        assert_eq!(ports.len(), usize::from(FLOWS));
        assert!(ports.iter().all(|port| *port >= FIRST_PORT));
    });
}

/// Kept and not kept as in RFC 4787 REQ-9.
#[test]
fn rfc5382_req8_a_service_in_the_clients_own_vpc_is_reached() {
    on_each_hook(|gateway, hook| {
        let (near, mac) = hairpin(gateway);
        let frame = sent(gateway, hook, CONSUMER, &syn().build());
        let port = gateway.source_port(CLIENT).expect("a session");
        let want = Segment {
            to: mac,
            from: CONSUMER.mac,
            ttl: 63,
            source: at_source(port),
            destination: near,
            ..syn()
        };
        assert_eq!(Segment::parse(&frame), Some(want));
        let answer = Segment { to: CONSUMER.mac, source: near, ..stage::from_backend(port, SYN | ACK) };
        let back = Segment::parse(&sent(gateway, hook, CONSUMER, &answer.build()));
        assert_eq!(back, Some(stage::to_client(&answer, CLIENT)));
    });
}

/// And the error comes from the endpoint's address: nothing else of the provider's network is shown.
#[test]
fn rfc5382_req9_icmp_errors_reach_the_client_translated() {
    on_each_hook(|gateway, hook| {
        established(gateway, hook);
        for code in [0, 1, 3, 4, 13] {
            let came = from_provider(PROVIDER, ROUTER, &error(3, code, [0; 4], &sent_to_backend(), 8));
            let told = sent(gateway, hook, PROVIDER, &came.build());
            let want = to_client(&error(3, code, [0; 4], &sent_by_client(), 8));
            assert_eq!(want.source, *ENDPOINT_ADDRESS.ip());
            assert_eq!(Datagram::parse(&told), Some(want), "code {code}");
        }
    });
}

#[test]
fn rfc5382_req10_an_icmp_error_neither_ends_nor_refreshes() {
    on_each_hook(|gateway, hook| {
        let slot = u32::from(established(gateway, hook));
        gateway.age(slot, 500);
        for (kind, code) in [(3, 2), (3, 3), (3, 13), (11, 0), (12, 0)] {
            let error = error(kind, code, [0; 4], &sent_to_backend(), 20);
            sent(gateway, hook, PROVIDER, &from_provider(PROVIDER, *BACKEND.ip(), &error).build());
            assert!(is_silent_for(gateway, slot, 499), "{kind}/{code} refreshed the session");
            assert_eq!(gateway.tcp_state(CLIENT), Some(State::Established));
        }
    });
}

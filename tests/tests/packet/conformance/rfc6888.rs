//! RFC 6888: carrier-grade translation. A "subscriber" is an endpoint here.

use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::policy::ACCEPTED;
use vpcep_common::session::Use;
use vpcep_common::tcp::State;
use vpcep_common::tcp::flags::{RST, SYN};
use vpcep_tests::packet::Segment;

use super::{client_port, lasts, sent};
use crate::snat::{fill, probes, used};
use crate::stage::{self, CLIENT, CONSUMER, ENDPOINT, REST_SECS, idle_secs};
use crate::table::{client_data, client_sends, established, on_each_hook, refusal_of, syn};

fn syn_from(port: u16) -> Segment {
    stage::from_client(client_port(port), SYN)
}

/// The limit on ports is that on sessions (REQ-5), each of which has one port and one slot of memory.
#[test]
fn rfc6888_req4_req5_an_endpoint_has_so_many_ports_and_no_more() {
    const MOST: u16 = 3_000;
    on_each_hook(|gateway, hook| {
        gateway.set_policy(ACCEPTED, 1, MOST.into());
        for port in 1..=MOST {
            client_sends(gateway, hook, &syn_from(port));
        }
        let refused = syn_from(MOST + 1);
        let answer = sent(gateway, hook, CONSUMER, &refused.build());
        assert_eq!(Segment::parse(&answer), Some(refusal_of(&refused)));
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::ConnectionLimit.name(), 1)]);
        assert_eq!(gateway.indexed(), usize::from(MOST));
    });
}

/// Another flow does not get it before two minutes; the flow that had it may (RFC 4787 REQ-1).
#[test]
fn rfc6888_req8_a_port_rests_for_two_minutes() {
    assert_eq!(REST_SECS, 120);
    on_each_hook(|gateway, hook| {
        let wanted = probes(CLIENT, 32);
        // Somebody else had the port that the client would get.
        let mut other = used(Use::Free);
        let freed = |secs| stage::now().wrapping_sub(vpcep_common::session::ticks(secs));
        other.last_seen = freed(REST_SECS - 5);
        fill(gateway, &wanted[..1], other);
        assert_eq!(u32::from(client_sends(gateway, hook, &syn())), wanted[1], "at rest");
        client_sends(gateway, hook, &stage::from_client(CLIENT, RST));
        lasts(gateway, wanted[1], idle_secs(State::ResetByClient));
        other.last_seen = freed(REST_SECS);
        fill(gateway, &wanted[..1], other);
        assert_eq!(u32::from(client_sends(gateway, hook, &syn())), wanted[0], "rested");
    });
}

/// (A) the packet is dropped, (C) no other mapping goes to make room. (B) how the client is told is
/// `rfc5508_req8_who_is_refused_is_told`.
#[test]
fn rfc6888_req11_no_mapping_goes_to_make_room() {
    on_each_hook(|gateway, hook| {
        gateway.set_policy(ACCEPTED, 1, 1);
        let port = established(gateway, hook);
        let answer = sent(gateway, hook, CONSUMER, &syn_from(9).build());
        assert_eq!(Segment::parse(&answer), Some(refusal_of(&syn_from(9))));
        assert_eq!(client_sends(gateway, hook, &client_data()), port);
        assert_eq!(gateway.connections(ENDPOINT).current, 1);
    });
}

/// The order of ports depends on a key that nobody outside has; how evenly it spreads them is
/// `rfc7857_section9_source_ports_are_unpredictable`.
#[test]
fn rfc6888_req15_another_key_gives_other_ports() {
    on_each_hook(|gateway, hook| {
        let before: Vec<u16> = (1..=20).map(|port| client_sends(gateway, hook, &syn_from(port))).collect();
        let mut settings: vpcep_common::settings::Settings = gateway.entry(vpcep_common::maps::SETTINGS, 0);
        settings.hash_key = [1, 2];
        gateway.array(vpcep_common::maps::SETTINGS).set(0, settings, 0).unwrap();
        let after: Vec<u16> = (1..=20).map(|port| client_sends(gateway, hook, &syn_from(port))).collect();
        assert!(before.iter().zip(&after).filter(|(before, after)| before == after).count() < 2);
    });
}

//! Choosing a source port: which slots are taken, passed over, given back.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use vpcep_common::counter::DropReason;
use vpcep_common::maps;
use vpcep_common::session::{Slot, Use, Word};
use vpcep_common::snat::{FIRST_PORT, PAIRED_PROBES, PROBES, Probe, RANGE, Shard};
use vpcep_common::tcp::State;
use vpcep_common::tcp::flags::{ACK, RST, SYN};
use vpcep_tests::packet::Segment;

use crate::runner::{Capacity, Gateway, Hook, Verdict};
use crate::stage::{self, CLIENT, CONSUMER, ENDPOINT, LIMIT, PROVIDER, REST_SECS};
use crate::table::{Case, check, client_sends, is_skipped, on_each_hook, refusal_of, syn};

/// The slots that are tried for a client's flow.
pub fn probes(client: SocketAddrV4, shard_prefix_len: u8) -> Vec<u32> {
    let shard = Shard { base: RANGE, mask: (1 << (32 - shard_prefix_len)) - 1 };
    let probe = Probe::new(stage::HASH_KEY, &stage::flow(client), shard);
    (0..PROBES).map(|i| probe.slot(i)).collect()
}

/// Puts the same slot at these numbers.
pub fn fill(gateway: &mut Gateway, numbers: &[u32], slot: Slot) {
    for number in numbers {
        gateway.array(maps::SLOTS).set(*number, slot, 0).unwrap();
    }
}

pub fn used(usage: Use) -> Slot {
    let word = Word(0).claimed(ENDPOINT).live(State::Established, Word::COUNTED).with_use(usage);
    Slot { word: word.0, last_seen: stage::now(), ..Slot::default() }
}

/// A slot that some flow gave back so many seconds ago.
fn freed(secs: u32) -> Slot {
    Slot {
        word: used(Use::Live).word & !0xffff,
        last_seen: stage::now().wrapping_sub(vpcep_common::session::ticks(secs)),
        ..Slot::default()
    }
}

fn opened_at(probe: usize) -> impl Fn(&Gateway) {
    move |gateway| {
        let expected = probes(CLIENT, 32)[probe];
        assert_eq!(gateway.slot_of(&stage::flow(CLIENT)), Some(expected), "probe {probe}");
    }
}

fn translated(gateway: &Gateway) -> Vec<u8> {
    stage::to_backend(&syn(), gateway.source_port(CLIENT).unwrap()).build()
}

#[test]
fn slots_in_use_or_at_rest_are_passed_over() {
    let first = |slot: fn() -> Slot| {
        move |gateway: &mut Gateway, _: Hook| fill(gateway, &probes(CLIENT, 32)[..1], slot())
    };
    let case = |name: &str| Case::client(name, &syn()).sent(translated);
    check([
        case("live").before(first(|| used(Use::Live))).after(opened_at(1)),
        case("claimed by another CPU").before(first(|| used(Use::Claimed))).after(opened_at(1)),
        case("in the hands of the reaper").before(first(|| used(Use::Reaping))).after(opened_at(1)),
        case("freed just now by another flow").before(first(|| freed(0))).after(opened_at(1)),
        case("freed almost long enough ago").before(first(|| freed(REST_SECS - 2))).after(opened_at(1)),
        case("freed long enough ago").before(first(|| freed(REST_SECS))).after(opened_at(0)),
        case("freed just now by this very flow")
            .before(|gateway, _| {
                let flow = stage::flow(CLIENT);
                let own = Slot {
                    client: flow.source,
                    endpoint: flow.destination,
                    client_port: flow.source_port,
                    endpoint_port: flow.destination_port,
                    consumer_vpc: flow.vpc,
                    protocol: flow.protocol,
                    ..freed(0)
                };
                fill(gateway, &probes(CLIENT, 32)[..1], own);
            })
            .after(opened_at(0)),
        case("all probes but the last taken")
            .before(|gateway, _| fill(gateway, &probes(CLIENT, 32)[..15], used(Use::Live)))
            .after(opened_at(15)),
    ]);
}

#[test]
fn no_free_port_refuses_and_undoes_the_count() {
    let refused = |name: &str, slot: fn() -> Slot| {
        Case::client(name, &syn())
            .before(move |gateway, _| fill(gateway, &probes(CLIENT, 32), slot()))
            .answered(refusal_of(&syn()), DropReason::NoSourcePort)
            .after(|gateway| {
                let connections = gateway.connections(ENDPOINT);
                assert_eq!((connections.current, connections.opened), (0, 0));
                assert_eq!(gateway.source_port(CLIENT), None);
            })
    };
    check([refused("all probes live", || used(Use::Live)), refused("all probes at rest", || freed(1))]);
}

/// RFC 6888 REQ-8: a port rests after use, and the flow that had it may have it
/// back at once (RFC 4787 REQ-1).
#[test]
fn a_flow_that_comes_back_gets_its_port_back() {
    on_each_hook(|gateway, hook| {
        let source_port = client_sends(gateway, hook, &syn());
        gateway.run(hook, PROVIDER.ifindex, &stage::from_backend(source_port, RST | ACK).build());
        gateway.age(u32::from(source_port), stage::idle_secs(State::TimeWait));
        assert_eq!(gateway.reap(&[u32::from(source_port)]), 1);
        assert_eq!(gateway.source_port(CLIENT), None);
        assert_eq!(client_sends(gateway, hook, &syn()), source_port);
    });
}

/// RFC 4787 REQ-3, RFC 5382 REQ-7: no two live sessions share a source.
#[test]
fn no_port_is_given_out_twice() {
    const FLOWS: u16 = 2_000;
    on_each_hook(|gateway, hook| {
        gateway.set_policy(vpcep_common::endpoint::policy::ACCEPTED, 1, u32::from(FLOWS));
        let mut owners = BTreeMap::new();
        for port in 1..=FLOWS {
            let client = SocketAddrV4::new(*CLIENT.ip(), port);
            let source_port = client_sends(gateway, hook, &stage::from_client(client, SYN));
            assert!(source_port >= FIRST_PORT);
            assert_eq!(owners.insert(source_port, client), None, "source port {source_port} twice");
        }
        for (source_port, client) in owners {
            assert_eq!(gateway.slot(u32::from(source_port)).key(), stage::flow(client));
        }
        assert_eq!(gateway.connections(ENDPOINT).current, u64::from(FLOWS));
    });
}

/// RFC 4787 REQ-2: a client keeps one source address while that has room.
#[test]
fn a_client_keeps_its_source_address() {
    const PREFIX_LEN: u8 = 28;
    if is_skipped() {
        return;
    }
    for hook in Hook::BOTH {
        let capacity = Capacity { shard_prefix_len: PREFIX_LEN, ..Capacity::default() };
        let mut gateway = stage::gateway(&[hook], capacity).unwrap();
        gateway.set_policy(vpcep_common::endpoint::policy::ACCEPTED, 1, LIMIT);
        let mut sources = BTreeMap::<Ipv4Addr, u32>::new();
        for port in 1..=40 {
            let client = SocketAddrV4::new(*CLIENT.ip(), port);
            let outcome = gateway.run(hook, CONSUMER.ifindex, &stage::from_client(client, SYN).build());
            assert_eq!(outcome.verdict, Verdict::Redirect);
            let source = *Segment::parse(&outcome.frame).unwrap().source.ip();
            *sources.entry(source).or_default() += 1;
        }
        assert_eq!(sources.values().copied().collect::<Vec<_>>(), [40], "{hook:?}: {sources:?}");
        // With its own address crowded, another one does.
        let tried = probes(CLIENT, PREFIX_LEN);
        fill(&mut gateway, &tried[..PAIRED_PROBES as usize], used(Use::Live));
        let outcome = gateway.run(hook, CONSUMER.ifindex, &syn().build());
        let source = Segment::parse(&outcome.frame).unwrap().source;
        let expected = tried[PAIRED_PROBES as usize];
        let expected_address = Ipv4Addr::from(RANGE + (expected >> 16));
        assert_eq!(source, SocketAddrV4::new(expected_address, expected as u16), "{hook:?}");
    }
}

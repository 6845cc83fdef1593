//! Which member of a load balancer a connection goes to, and the answers that health
//! checks of members get.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use vpcep_common::attachment::{NextHop, mac_word};
use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::Backend;
use vpcep_common::limits::FIRST_PROBE_PORT;
use vpcep_common::maps;
use vpcep_common::ring::{Ring, Share, servers};
use vpcep_common::tcp::flags::{ACK, RST, SYN};
use vpcep_tests::packet::Segment;

use crate::runner::{Gateway, Hook, Verdict};
use crate::stage::{self, BACKEND, BACKEND_MAC, CLIENT, CONSUMER, ENDPOINT, NEXT_HOP, PROVIDER};
use crate::table::{Case, check, on_each_hook, refusal_of, syn};

/// Number of the load balancer's ring.
const RING: u16 = 3;

const MEMBERS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 24, 11), Ipv4Addr::new(192, 168, 24, 12)];

/// Two members in place of the one backend.
fn members() -> Vec<Share> {
    (0..2).map(|i| Share { backend: 5 + i, weight: 1, name: u64::from(i) + 1 }).collect()
}

fn balance(gateway: &mut Gateway, ring: Ring, order: u32) {
    for (member, address) in members().iter().zip(MEMBERS) {
        let backend =
            Backend { address: address.into(), vpc: PROVIDER.vpc, next_hop: NEXT_HOP, ..Backend::default() };
        gateway.array(maps::BACKENDS).set(u32::from(member.backend), backend, 0).unwrap();
    }
    gateway.array(maps::RINGS).set(u32::from(RING), ring, 0).unwrap();
    gateway.set_servers(servers::RING | order | u32::from(RING));
}

fn opens(gateway: &Gateway, hook: Hook, client: SocketAddrV4) -> Ipv4Addr {
    let frame = Segment { source: client, ..syn() }.build();
    let outcome = gateway.run(hook, CONSUMER.ifindex, &frame);
    assert_eq!(outcome.verdict, Verdict::Redirect, "{hook:?}: {client}, drops {:?}", gateway.drops());
    *Segment::parse(&outcome.frame).expect("a segment towards the member").destination.ip()
}

fn client(last: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), port)
}

#[test]
fn round_robin_takes_the_members_in_turn() {
    on_each_hook(|gateway, hook| {
        balance(gateway, Ring::round_robin([1; 16], &members()), 0);
        for round in 0..5 {
            for member in MEMBERS {
                let port = 1_000 + round * 2 + u16::from(member == MEMBERS[1]);
                assert_eq!(opens(gateway, hook, client(7, port)), member, "{hook:?}, round {round}");
            }
        }
        // Packets of a session are no turns.
        assert_eq!(opens(gateway, hook, client(7, 1_000)), MEMBERS[0]);
        assert_eq!(opens(gateway, hook, client(7, 2_000)), MEMBERS[0]);
    });
}

#[test]
fn a_packet_that_xdp_leaves_to_tc_takes_one_turn_and_not_two() {
    if crate::table::is_skipped() {
        return;
    }
    let mut gateway = stage::gateway(&Hook::BOTH, crate::runner::Capacity::default()).unwrap();
    // XDP cannot send there.
    gateway.set_attachment(PROVIDER, 0);
    balance(&mut gateway, Ring::round_robin([1; 16], &members()), 0);
    for round in 0..4u16 {
        let from = client(7, 1_000 + round);
        let frame = Segment { source: from, ..syn() }.build();
        assert_eq!(gateway.run(Hook::Xdp, CONSUMER.ifindex, &frame).verdict, Verdict::Pass);
        assert_eq!(opens(&gateway, Hook::Tc, from), MEMBERS[usize::from(round % 2)], "round {round}");
    }
}

#[test]
fn source_hash_keeps_a_client_at_its_member() {
    on_each_hook(|gateway, hook| {
        balance(gateway, Ring::source_hash([1; 16], &members()), servers::SOURCE_HASH);
        let mut shares: BTreeMap<Ipv4Addr, u32> = BTreeMap::new();
        for last in 1..=30 {
            let member = opens(gateway, hook, client(last, 1_000));
            for port in [1_001, 50_000] {
                assert_eq!(opens(gateway, hook, client(last, port)), member, "{hook:?}, client {last}");
            }
            *shares.entry(member).or_default() += 1;
        }
        // The key is fixed, so this is no matter of luck.
        assert!(shares.len() == 2 && shares.values().all(|count| *count > 7), "{shares:?}");
    });
}

#[test]
fn without_a_member_the_client_is_told() {
    let nowhere = |name: &str, servers: u32| {
        Case::client(name, &syn())
            .before(move |gateway, _| gateway.set_servers(servers))
            .answered(refusal_of(&syn()), DropReason::NoBackend)
    };
    check([
        nowhere("no backend", 0),
        nowhere("a ring that is not filled", servers::RING | u32::from(RING)),
        nowhere("a ring that cannot be", servers::RING | 0xffff),
        nowhere("a backend that cannot be", 0xffff),
    ]);
}

/// A new connection finds another member while the old one stays where it is.
#[test]
fn a_session_stays_with_a_member_that_gets_no_more() {
    on_each_hook(|gateway, hook| {
        balance(gateway, Ring::round_robin([1; 16], &members()), 0);
        assert_eq!(opens(gateway, hook, CLIENT), MEMBERS[0]);
        gateway.set_servers(u32::from(members()[1].backend));
        assert_eq!(opens(gateway, hook, client(7, 1)), MEMBERS[1]);
        assert_eq!(opens(gateway, hook, CLIENT), MEMBERS[0], "{hook:?}: the same SYN again");
    });
}

/// What a member answers to a health check.
fn answer(to_port: u16, flags: u8) -> Segment {
    Segment {
        to: PROVIDER.mac,
        from: BACKEND_MAC,
        ..Segment::new(BACKEND, SocketAddrV4::new(PROVIDER.gateway, to_port), flags)
    }
}

#[test]
fn answers_to_health_checks_are_for_vpcepd_alone() {
    // XDP is in front of where vpcepd reads, TC behind it.
    let tapped = |name: &str, segment: Segment| {
        let case = |hook| Case::new(name, PROVIDER, segment.build()).only(hook);
        [case(Hook::Xdp), case(Hook::Tc).vanishes()]
    };
    let refused = |name: &str, segment: Segment| {
        Case::new(name, PROVIDER, segment.build()).dropped_unattributed(DropReason::NotForwarded)
    };
    check(tapped("SYN-ACK", answer(FIRST_PROBE_PORT, SYN | ACK)));
    check(tapped("refusal, last port", answer(u16::MAX, RST | ACK)));
    let elsewhere = SocketAddrV4::new(Ipv4Addr::new(192, 168, 24, 99), FIRST_PROBE_PORT);
    check([
        refused("below the ports of health checks", answer(FIRST_PROBE_PORT - 1, SYN | ACK)),
        refused("another address", Segment { destination: elsewhere, ..answer(1, ACK) }),
    ]);
}

#[test]
fn a_member_that_nobody_knows_the_way_to_does_not_stop_the_others() {
    on_each_hook(|gateway, hook| {
        balance(gateway, Ring::round_robin([1; 16], &members()), 0);
        let other = NextHop {
            mac: mac_word(BACKEND_MAC),
            address: MEMBERS[1].into(),
            vpc: PROVIDER.vpc,
            attachment: PROVIDER.attachment,
            ..NextHop::default()
        };
        gateway.array(maps::NEXT_HOPS).set(2, other, 0).unwrap();
        let reached =
            Backend { address: MEMBERS[1].into(), vpc: PROVIDER.vpc, next_hop: 2, ..Backend::default() };
        gateway.array(maps::BACKENDS).set(u32::from(members()[1].backend), reached, 0).unwrap();
        gateway.set_backend_mac(None);
        let frame = Segment { source: client(7, 1), ..syn() }.build();
        assert_eq!(gateway.run(hook, CONSUMER.ifindex, &frame).verdict, Verdict::Drop);
        // The client tries again, and it is the other's turn.
        assert_eq!(opens(gateway, hook, client(7, 1)), MEMBERS[1]);
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::NeighbourUnresolved.name(), 1)]);
    });
}

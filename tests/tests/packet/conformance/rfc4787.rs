//! RFC 4787: UDP. "Inside" is the consumer's VPC, "outside" the provider's.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;

use vpcep_common::be::Be16;
use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::policy::ACCEPTED;
use vpcep_common::session::{FlowKey, Use};
use vpcep_common::snat::{FIRST_PORT, Shard};
use vpcep_common::tcp::{IPPROTO_UDP, State};
use vpcep_tests::packet::Datagram;

use super::{
    NTP, at_source, client_port, dropped, equal_endpoint, hairpin, is_silent_for, lasts, sent, state,
};
use crate::icmp::{ICMP, ROUTER, from_provider, message};
use crate::icmp_errors::{Error, told_by};
use crate::runner::{Capacity, Gateway, Hook, Verdict};
use crate::snat::{fill, used};
use crate::stage::{
    self, BACKEND, BACKEND_MAC, CLIENT, CLIENT_MAC, CONSUMER, ENDPOINT, ENDPOINT_ADDRESS, PROVIDER, STRANGER,
};
use crate::table::{is_skipped, on_each_hook};
use crate::udp::{Sum, backend_sends, client_sends, flow, from_client, map_udp, source, udp};

const SYSLOG: u16 = 514;

fn slot(gateway: &Gateway, port: u16) -> u32 {
    gateway.slot_of(&flow(port)).expect("a session")
}

/// A datagram of any client to the port that is mapped.
fn from(client: SocketAddrV4) -> Vec<u8> {
    let to = SocketAddrV4::new(*ENDPOINT_ADDRESS.ip(), NTP);
    Datagram { to: CONSUMER.mac, from: CLIENT_MAC, ..udp(client, to, b"time?", Sum::Right) }.build()
}

/// A datagram of the provider's VPC to a source port.
fn answer(from: SocketAddrV4, port: u16) -> Vec<u8> {
    Datagram { to: PROVIDER.mac, from: BACKEND_MAC, ..udp(from, at_source(port), b"noon", Sum::Right) }
        .build()
}

/// Source address and port that a frame has.
fn source_of(frame: &[u8]) -> SocketAddrV4 {
    let packet = Datagram::parse(frame).expect("a packet");
    SocketAddrV4::new(packet.source, u16::from_be_bytes([packet.payload[0], packet.payload[1]]))
}

/// Kept: a flow has one mapping for as long as it lasts, and gets it again if it comes back. Not
/// kept: two flows of one socket have a mapping each. Peers that meet each other through mappings are
/// what endpoint-independent ones are for; here each flow has one server, chosen by the operator.
#[test]
fn rfc4787_req1_a_flow_keeps_its_mapping() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, NTP);
        map_udp(gateway, SYSLOG);
        client_sends(gateway, hook, NTP, b"one", Sum::Right);
        let before = source(gateway, NTP);
        client_sends(gateway, hook, NTP, b"two", Sum::Right);
        assert_eq!(source(gateway, NTP), before);
        client_sends(gateway, hook, SYSLOG, b"three", Sum::Right);
        assert_ne!(source(gateway, SYSLOG), before);
        let number = slot(gateway, NTP);
        lasts(gateway, number, stage::idle_secs(State::Unanswered));
        client_sends(gateway, hook, NTP, b"four", Sum::Right);
        assert_eq!(source(gateway, NTP), before);
    });
}

#[test]
fn rfc4787_req2_flows_of_a_client_share_one_address() {
    if is_skipped() {
        return;
    }
    for hook in Hook::BOTH {
        let capacity = Capacity { shard_prefix_len: 28, ..Capacity::default() };
        let mut gateway = stage::gateway(&[hook], capacity).unwrap();
        map_udp(&mut gateway, NTP);
        let address = |client| *source_of(&sent(&gateway, hook, CONSUMER, &from(client))).ip();
        let of_one: BTreeSet<_> = (1..=40).map(|port| address(client_port(port))).collect();
        assert_eq!(of_one.len(), 1, "{hook:?}: {of_one:?}");
        let of_many: BTreeSet<_> =
            (1..=40).map(|host| address(SocketAddrV4::new([10, 0, 0, host].into(), 9))).collect();
        assert!(of_many.len() > 8, "{hook:?}: clients spread over the sixteen, got {of_many:?}");
    }
}

#[test]
fn rfc4787_req3_no_two_sessions_share_a_port() {
    const FLOWS: u16 = 1_000;
    on_each_hook(|gateway, hook| {
        map_udp(gateway, NTP);
        gateway.set_policy(ACCEPTED, 1, FLOWS.into());
        let port = |client| source_of(&sent(gateway, hook, CONSUMER, &from(client_port(client)))).port();
        let ports: BTreeSet<_> = (1..=FLOWS).map(port).collect();
        assert_eq!(ports.len(), usize::from(FLOWS));
        assert!(ports.iter().all(|port| *port >= FIRST_PORT));
    });
}

/// Five minutes once both have spoken, as recommended; two before that. Well-known ports may have
/// less (b), of which use is made for DNS.
#[test]
fn rfc4787_req5_mappings_last_at_least_two_minutes() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, NTP);
        client_sends(gateway, hook, NTP, b"time?", Sum::Right);
        let number = slot(gateway, NTP);
        lasts(gateway, number, 120);
        client_sends(gateway, hook, NTP, b"time?", Sum::Right);
        backend_sends(gateway, hook, NTP, b"noon", Sum::Right);
        lasts(gateway, number, 300);
    });
}

/// Inbound refresh (b) as well: a stream that only the backend keeps up goes on.
#[test]
fn rfc4787_req6_packets_of_both_sides_refresh() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, NTP);
        client_sends(gateway, hook, NTP, b"time?", Sum::Right);
        let number = slot(gateway, NTP);
        gateway.age(number, 100);
        client_sends(gateway, hook, NTP, b"time?", Sum::Right);
        assert!(!is_silent_for(gateway, number, 50), "outbound");
        gateway.age(number, 100);
        backend_sends(gateway, hook, NTP, b"noon", Sum::Right);
        assert!(!is_silent_for(gateway, number, 50), "inbound");
    });
}

/// The same five-tuple in two VPCs with equal addresses, to endpoints of equal addresses.
#[test]
fn rfc4787_req7_equal_addresses_never_meet() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, NTP);
        equal_endpoint(gateway, STRANGER, IPPROTO_UDP, NTP);
        let here = source_of(&sent(gateway, hook, CONSUMER, &from(CLIENT)));
        let there = source_of(&sent(gateway, hook, STRANGER, &from(CLIENT)));
        assert_ne!(here, there);
        for (port, link) in [(here.port(), CONSUMER), (there.port(), STRANGER)] {
            let frame = sent(gateway, hook, PROVIDER, &answer(BACKEND, port));
            assert_eq!(frame[6..12], link.mac, "the answer on {port} leaves by its own client's link");
        }
        // Nor does an equal backend of another VPC speak in either.
        dropped(gateway, hook, STRANGER, &answer(BACKEND, here.port()));
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::WrongVpc.name(), 1)]);
    });
}

/// Address and port dependent, the most stringent.
#[test]
fn rfc4787_req8_only_who_was_addressed_may_answer() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, NTP);
        client_sends(gateway, hook, NTP, b"time?", Sum::Right);
        let port = source(gateway, NTP).port();
        let other_host = SocketAddrV4::new([192, 168, 24, 11].into(), BACKEND.port());
        let other_port = SocketAddrV4::new(*BACKEND.ip(), 9);
        for other in [other_host, other_port] {
            dropped(gateway, hook, PROVIDER, &answer(other, port));
        }
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::WrongBackend.name(), 2)]);
        backend_sends(gateway, hook, NTP, b"noon", Sum::Right);
    });
}

/// Kept: an endpoint whose service is in the client's own VPC works, and the backend sees the external
/// address (a). Not kept: clients are not reached at their mappings; nobody opens towards a client.
#[test]
fn rfc4787_req9_a_service_in_the_clients_own_vpc_is_reached() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, NTP);
        let (near, mac) = hairpin(gateway);
        let frame = sent(gateway, hook, CONSUMER, &from(CLIENT));
        let seen = source_of(&frame);
        let want = Datagram { to: mac, from: CONSUMER.mac, ttl: 63, ..udp(seen, near, b"time?", Sum::Right) };
        assert_eq!(Datagram::parse(&frame), Some(want));
        assert_eq!(*seen.ip(), stage::SOURCE);
        let reply = Datagram { to: CONSUMER.mac, from: mac, ..udp(near, seen, b"noon", Sum::Right) };
        let back = Datagram::parse(&sent(gateway, hook, CONSUMER, &reply.build())).unwrap();
        assert_eq!((back.source, back.destination), (*ENDPOINT_ADDRESS.ip(), *CLIENT.ip()));
        dropped(gateway, hook, CONSUMER, &{
            let to_mapping = udp(SocketAddrV4::new([10, 0, 0, 7].into(), 7), seen, b"peer", Sum::Right);
            Datagram { to: CONSUMER.mac, from: CLIENT_MAC, ..to_mapping }.build()
        });
    });
}

/// There are no application level gateways: what a payload says of addresses stays.
#[test]
fn rfc4787_req10_payloads_are_never_changed() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, 5060);
        let invite = b"INVITE sip:bob@10.0.0.100 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.182:40000\r\n\r\n";
        client_sends(gateway, hook, 5060, invite, Sum::Right);
        backend_sends(gateway, hook, 5060, invite, Sum::Right);
    });
}

/// The same flow has the same mapping and filter, however many others there are: it takes the first
/// free one of an order that is its own.
#[test]
fn rfc4787_req11_behaviour_does_not_depend_on_load() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, NTP);
        let numbers: Vec<u32> = (u32::from(FIRST_PORT)..1 << 16).filter(|port| port % 10 != 0).collect();
        fill(gateway, &numbers, used(Use::Live));
        let shard = Shard { base: vpcep_common::snat::RANGE, mask: 0 };
        let order = |client: SocketAddrV4| {
            let key = FlowKey { source_port: Be16::new(client.port()), ..flow(NTP) };
            let probe = vpcep_common::snat::Probe::new(stage::HASH_KEY, &key, shard);
            (0..vpcep_common::snat::PROBES).map(move |i| probe.slot(i))
        };
        let mut late = 0;
        for client in (1..=30).map(client_port) {
            let Some(free) = order(client).find(|slot| slot % 10 == 0) else { continue };
            late += u32::from(order(client).next() != Some(free));
            let port = source_of(&sent(gateway, hook, CONSUMER, &from(client))).port();
            assert_eq!(u32::from(port), free, "{client}");
            sent(gateway, hook, PROVIDER, &answer(BACKEND, port));
            dropped(gateway, hook, PROVIDER, &answer(SocketAddrV4::new(*BACKEND.ip(), 9), port));
        }
        assert!(late > 10, "few had to look further: {late}");
    });
}

#[test]
fn rfc4787_req12_an_icmp_error_neither_ends_nor_refreshes() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, NTP);
        client_sends(gateway, hook, NTP, b"time?", Sum::Right);
        backend_sends(gateway, hook, NTP, b"noon", Sum::Right);
        let number = slot(gateway, NTP);
        gateway.age(number, 200);
        let about = udp(source(gateway, NTP), BACKEND, b"time?", Sum::Right).build();
        for (kind, code) in [(3, 3), (3, 1), (3, 4), (11, 0), (12, 0)] {
            let error = message(kind, code, [0; 4], &about[14..]);
            let frame = sent(gateway, hook, PROVIDER, &from_provider(PROVIDER, ROUTER, &error).build());
            let told = Datagram::parse(&frame).expect("a packet");
            assert_eq!((told.protocol, told.destination), (ICMP, *CLIENT.ip()));
            assert!(is_silent_for(gateway, number, 199), "{kind}/{code} refreshed the session");
            assert_eq!(state(gateway, number), State::Answered);
        }
    });
}

/// Kept: a datagram that must not be cut and is too big for its way out is answered by an error with
/// the size that fits (a). Not kept: one that may be cut is not; it is dropped and counted.
#[test]
fn rfc4787_req13_what_is_too_big_is_told_what_fits() {
    const MTU: u32 = 1_450;
    on_each_hook(|gateway, hook| {
        map_udp(gateway, NTP);
        gateway.set_mtu(PROVIDER, MTU);
        let of_size = |size: u32| from_client(NTP, &vec![7; size as usize - 28], Sum::Right);
        sent(gateway, hook, CONSUMER, &of_size(MTU).build());
        let too_big = of_size(MTU + 1);
        let outcome = gateway.run(hook, CONSUMER.ifindex, &too_big.build());
        // Sizes are judged at TC, which knows of merged packets.
        if hook == Hook::Xdp {
            assert_eq!(outcome.verdict, Verdict::Pass);
            return;
        }
        let error = told_by(&CONSUMER, Error(3, 4, MTU.to_be_bytes()), &too_big.build());
        assert_eq!(outcome.frame, error);
        dropped(gateway, hook, CONSUMER, &Datagram { fragment: 0, ..too_big }.build());
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::TooBig.name(), 2)]);
    });
}

/// Kept: fragments behind the first of their datagram are translated, in whatever order; those in
/// front of it hold no memory. Not kept: these are dropped, and so their datagram is lost.
#[test]
fn rfc4787_req14_fragments_behind_their_first_are_translated() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, NTP);
        let whole = from_client(NTP, &[7; 24], Sum::Right);
        let part = |id: u16, at: usize| Datagram {
            id,
            fragment: (at / 8) as u16 | if at < 24 { 0x2000 } else { 0 },
            payload: whole.payload[at..at + 8].to_vec(),
            ..whole.clone()
        };
        let mut too_early = 0;
        for (id, order) in (1..).zip([[0, 8, 16, 24], [0, 24, 16, 8], [8, 0, 24, 16], [24, 16, 8, 0]]) {
            let first = order.iter().position(|at| *at == 0).expect("each order has the first");
            for (place, at) in order.into_iter().enumerate() {
                let outcome = gateway.run(hook, CONSUMER.ifindex, &part(id, at).build());
                if place >= first {
                    let out = Datagram::parse(&outcome.frame).expect("a packet");
                    assert_eq!((out.source, out.id), (stage::SOURCE, id), "{order:?}, {at}");
                    assert_eq!(outcome.verdict, Verdict::Redirect, "{order:?}, {at}");
                } else {
                    too_early += 1;
                    // XDP leaves to TC what may be behind a first one that TC has seen.
                    let lost = if hook == Hook::Tc { Verdict::Drop } else { Verdict::Pass };
                    assert_eq!(outcome.verdict, lost, "{order:?}, {at}");
                }
            }
        }
        if hook == Hook::Tc {
            assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::Fragment.name(), too_early)]);
        }
        assert_eq!(gateway.connections(ENDPOINT).current, 1);
    });
}

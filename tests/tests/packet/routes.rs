//! Gateway-type endpoints: the destination is kept, the source translated.
//!
//! ```text
//!   100.125.0.0/16 ─▶ endpoint 2 ─▶ router of the provider's VPC
//!   100.125.7.0/24 ─▶ endpoint 2 ─▶ on the provider's link
//!   10.0.9.0/24 has a route table of its own, without routes
//! ```

use std::net::{Ipv4Addr, SocketAddrV4};

use vpcep_common::attachment::{NextHop, mac_word};
use vpcep_common::be::Be32;
use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::{Policy, policy};
use vpcep_common::maps;
use vpcep_common::route::{DEFAULT_TABLE, Route, RouteKey, SubnetKey, Wanted};
use vpcep_common::session::FlowKey;
use vpcep_common::tcp::flags::{ACK, SYN};
use vpcep_tests::packet::{Datagram, Mac, Segment, checksum};

use crate::icmp::{ICMP, error};
use crate::runner::{Gateway, Hook, Verdict};
use crate::stage::{self, CLIENT, CLIENT_MAC, CONSUMER, ENDPOINT, PROVIDER, SOURCE};
use crate::table::{Case, check, on_each_hook};

/// Number of the endpoint.
pub const NUMBER: u32 = 2;
const ROUTER_HOP: u16 = 5;
const ROUTER_MAC: Mac = [2, 2, 0, 0, 0, 1];
/// An object store behind the router.
pub const STORE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(100, 125, 0, 10), 443);
/// One on the link.
const NEAR: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(100, 125, 7, 10), 443);
/// A client whose subnet has a route table of its own.
const ELSEWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 9, 7), 40_000);

fn route(gateway: &mut Gateway, subnet: Be32, network: [u8; 4], prefix_len: u32, next_hop: u16) {
    let vpc = Be32::new(u32::from(CONSUMER.vpc));
    let key = RouteKey { vpc, subnet, destination: Be32::from_octets(network) };
    let attachment = PROVIDER.attachment;
    let value = Route { endpoint: NUMBER, vpc: PROVIDER.vpc, attachment, next_hop, pad: 0 };
    gateway.insert_prefix(maps::ROUTES, RouteKey::FIXED_BITS + prefix_len, key, value);
}

fn set_policy(gateway: &mut Gateway, flags: u64, limit: u32) {
    let policy = Policy {
        word: policy::word(flags, 1),
        limit,
        provider_vpc: PROVIDER.vpc,
        vpc: CONSUMER.vpc,
        id: [2; 16],
        ..Policy::default()
    };
    gateway.array(maps::POLICIES).set(NUMBER, policy, 0).unwrap();
}

pub fn lay(gateway: &mut Gateway) {
    set_policy(gateway, policy::ACCEPTED, 10);
    route(gateway, DEFAULT_TABLE, [100, 125, 0, 0], 16, ROUTER_HOP);
    route(gateway, DEFAULT_TABLE, [100, 125, 7, 0], 24, 0);
    let own = Be32::from_octets([10, 0, 9, 0]);
    let subnet = SubnetKey { vpc: Be32::new(u32::from(CONSUMER.vpc)), source: own };
    gateway.insert_prefix(maps::SUBNETS, SubnetKey::FIXED_BITS + 24, subnet, own);
    let router = NextHop {
        mac: mac_word(ROUTER_MAC),
        address: Ipv4Addr::new(192, 168, 24, 254).into(),
        vpc: PROVIDER.vpc,
        attachment: PROVIDER.attachment,
        ..NextHop::default()
    };
    gateway.array(maps::NEXT_HOPS).set(u32::from(ROUTER_HOP), router, 0).unwrap();
}

pub fn from_client(client: SocketAddrV4, to: SocketAddrV4, flags: u8) -> Segment {
    Segment { destination: to, ..stage::from_client(client, flags) }
}

fn flow(client: SocketAddrV4, to: SocketAddrV4) -> FlowKey {
    let mut flow = stage::flow(client);
    flow.destination = (*to.ip()).into();
    flow.destination_port = vpcep_common::be::Be16::new(to.port());
    flow
}

fn source_port(gateway: &Gateway) -> u16 {
    gateway.slot_of(&flow(CLIENT, STORE)).expect("the client has a session with the store") as u16
}

#[test]
fn the_destination_is_kept_there_and_back() {
    on_each_hook(|gateway, hook| {
        lay(gateway);
        let syn = from_client(CLIENT, STORE, SYN);
        let out = gateway.run(hook, CONSUMER.ifindex, &syn.build());
        let source = SocketAddrV4::new(SOURCE, source_port(gateway));
        let expected =
            Segment { to: ROUTER_MAC, from: PROVIDER.mac, ttl: syn.ttl - 1, source, ..syn.clone() };
        assert_eq!((out.verdict, out.frame), (Verdict::Redirect, expected.build()), "{:?}", gateway.drops());

        let mut answer = Segment::new(STORE, source, SYN | ACK);
        (answer.to, answer.from) = (PROVIDER.mac, ROUTER_MAC);
        let back = gateway.run(hook, PROVIDER.ifindex, &answer.build());
        let expected = Segment {
            to: CLIENT_MAC,
            from: CONSUMER.mac,
            ttl: answer.ttl - 1,
            destination: CLIENT,
            ..answer.clone()
        };
        assert_eq!((back.verdict, back.frame), (Verdict::Redirect, expected.build()));
        let traffic = gateway.traffic(NUMBER);
        assert_eq!((traffic.packets_out, traffic.packets_in), (1, 1));
        assert_eq!((gateway.connections(NUMBER).current, gateway.connections(ENDPOINT).current), (1, 0));
    });
}

/// RFC 5508 REQ-5: what the client's network says of a packet of the store gets to the store.
#[test]
fn errors_about_a_session_cross_to_the_destination() {
    on_each_hook(|gateway, hook| {
        lay(gateway);
        gateway.run(hook, CONSUMER.ifindex, &from_client(CLIENT, STORE, SYN).build());
        let source = SocketAddrV4::new(SOURCE, source_port(gateway));
        let answer = Segment { ttl: 62, ..Segment::new(STORE, CLIENT, SYN | ACK) };
        let complaint = |about: &Segment, from: Ipv4Addr| {
            Datagram::new(from, *STORE.ip(), ICMP, &error(3, 3, [0; 4], about, 8))
        };
        let datagram = Datagram { to: CONSUMER.mac, from: CLIENT_MAC, ..complaint(&answer, *CLIENT.ip()) };
        let out = gateway.run(hook, CONSUMER.ifindex, &datagram.build());
        let answer = Segment { destination: source, ..answer };
        let expected = Datagram { to: ROUTER_MAC, from: PROVIDER.mac, ttl: 63, ..complaint(&answer, SOURCE) };
        assert_eq!(out.verdict, Verdict::Redirect, "{:?}", gateway.drops());
        assert_eq!(Datagram::parse(&out.frame), Some(expected));
    });
}

#[test]
fn a_destination_that_is_led_to_answers_no_ping_here() {
    let mut ping = vec![8, 0, 0, 0, 0, 1, 0, 1];
    let sum = checksum(&ping);
    ping[2..4].copy_from_slice(&sum.to_be_bytes());
    let ping = Datagram::new(*CLIENT.ip(), *STORE.ip(), ICMP, &ping);
    check([Case::new("ping", CONSUMER, Datagram { to: CONSUMER.mac, from: CLIENT_MAC, ..ping }.build())
        .before(|gateway, _| lay(gateway))
        .vanishes()
        .counts(NUMBER, DropReason::Protocol)]);
}

#[test]
fn what_a_route_does_not_admit_is_refused() {
    let syn = || from_client(CLIENT, STORE, SYN);
    let refused = |name: &str, flags: u64, limit: u32, reason: DropReason| {
        let reply = Segment { to: CLIENT_MAC, from: CONSUMER.mac, ..crate::table::refusal_of(&syn()) };
        Case::client(name, &syn())
            .before(move |gateway, _| {
                lay(gateway);
                set_policy(gateway, flags, limit);
            })
            .sent(move |_| reply.build())
            .counts(NUMBER, reason)
    };
    check([
        refused("not accepted", 0, 10, DropReason::NotAccepted),
        refused("not listed", policy::ACCEPTED | policy::WHITELIST, 10, DropReason::NotWhitelisted),
        refused("at its limit", policy::ACCEPTED, 0, DropReason::ConnectionLimit),
    ]);
}

#[test]
fn a_subnet_has_the_routes_of_its_table_alone() {
    let unrouted = |name: &str, client, to| {
        Case::client(name, &from_client(client, to, SYN))
            .before(|gateway, _| lay(gateway))
            .dropped_unattributed(DropReason::NotForwarded)
    };
    check([
        unrouted("no table leads there", CLIENT, SocketAddrV4::new(Ipv4Addr::new(100, 126, 0, 1), 443)),
        unrouted("its table has no routes", ELSEWHERE, STORE),
        Case::client("its table leads there", &from_client(ELSEWHERE, STORE, SYN))
            .before(|gateway, _| {
                lay(gateway);
                route(gateway, Be32::from_octets([10, 0, 9, 0]), [100, 125, 0, 0], 17, ROUTER_HOP);
            })
            .sent(|gateway| {
                let number = gateway.slot_of(&flow(ELSEWHERE, STORE)).unwrap();
                let source = SocketAddrV4::new(SOURCE, number as u16);
                let syn = from_client(ELSEWHERE, STORE, SYN);
                Segment { to: ROUTER_MAC, from: PROVIDER.mac, ttl: syn.ttl - 1, source, ..syn }.build()
            }),
        // The same addresses in the provider's own VPC, which has no routes.
        Case::new("another VPC", PROVIDER, from_client(CLIENT, STORE, SYN).build())
            .before(|gateway, _| lay(gateway))
            .dropped_unattributed(DropReason::NotForwarded),
    ]);
}

#[test]
fn a_neighbour_on_the_link_is_asked_for_once_a_packet_is_for_it() {
    on_each_hook(|gateway, hook: Hook| {
        lay(gateway);
        let syn = from_client(CLIENT, NEAR, SYN).build();
        assert_eq!(gateway.run(hook, CONSUMER.ifindex, &syn).verdict, Verdict::Drop);
        let wanted: Vec<Wanted> = gateway.drain(maps::WANTED);
        let expected =
            Wanted { address: (*NEAR.ip()).into(), vpc: PROVIDER.vpc, attachment: PROVIDER.attachment };
        assert_eq!(wanted, [expected]);
        assert_eq!(gateway.drops(), [(NUMBER, DropReason::NeighbourUnresolved.name(), 1)]);
        assert_eq!(gateway.connections(NUMBER).current, 0);
    });
}

#[test]
fn a_full_queue_of_neighbours_forgets_the_oldest() {
    on_each_hook(|gateway, hook: Hook| {
        lay(gateway);
        for last in 0..40 {
            let to = SocketAddrV4::new(Ipv4Addr::new(100, 125, 7, last), 443);
            gateway.run(hook, CONSUMER.ifindex, &from_client(CLIENT, to, SYN).build());
        }
        let wanted: Vec<Wanted> = gateway.drain(maps::WANTED);
        let newest = wanted.last().map(|wanted| Ipv4Addr::from(wanted.address));
        assert_eq!(newest, Some(Ipv4Addr::new(100, 125, 7, 39)));
    });
}

//! The whitelist of client addresses.

use std::net::{Ipv4Addr, SocketAddrV4};

use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::policy::{ACCEPTED, SILENT, WHITELIST};
use vpcep_tests::packet::Segment;

use crate::runner::Gateway;
use crate::stage::{self, CLIENT, ENDPOINT, LIMIT};
use crate::table::{Case, check, refusal_of, syn};

const ANOTHER_ENDPOINT: u32 = 2;

/// A whitelist of these prefixes, switched on.
fn listed(endpoint: u32, prefixes: &'static [(Ipv4Addr, u32)]) -> impl Fn(&mut Gateway, crate::runner::Hook) {
    move |gateway, _| {
        gateway.set_policy(ACCEPTED | WHITELIST, 1, LIMIT);
        for (network, prefix_len) in prefixes {
            gateway.whitelist(endpoint, (*network).into(), *prefix_len, true);
        }
    }
}

fn translated(segment: Segment) -> impl Fn(&Gateway) -> Vec<u8> {
    move |gateway| stage::to_backend(&segment, gateway.source_port(segment.source).unwrap()).build()
}

#[test]
fn only_listed_clients_open_connections() {
    const SELF: &[(Ipv4Addr, u32)] = &[(Ipv4Addr::new(10, 0, 0, 182), 32)];
    const SUBNET: &[(Ipv4Addr, u32)] = &[(Ipv4Addr::new(10, 0, 0, 0), 24)];
    const UPPER_HALF: &[(Ipv4Addr, u32)] = &[(Ipv4Addr::new(10, 0, 0, 128), 25)];
    const LOWER_HALF: &[(Ipv4Addr, u32)] = &[(Ipv4Addr::new(10, 0, 0, 0), 25)];
    const NEIGHBOURS: &[(Ipv4Addr, u32)] =
        &[(Ipv4Addr::new(10, 0, 0, 181), 32), (Ipv4Addr::new(10, 0, 0, 183), 32)];
    const EVERYBODY: &[(Ipv4Addr, u32)] = &[(Ipv4Addr::UNSPECIFIED, 0)];
    let admitted = |name: &str, prefixes| {
        Case::client(name, &syn()).before(listed(ENDPOINT, prefixes)).sent(translated(syn()))
    };
    let refused = |name: &str, endpoint, prefixes| {
        Case::client(name, &syn())
            .before(listed(endpoint, prefixes))
            .answered(refusal_of(&syn()), DropReason::NotWhitelisted)
            .after(|gateway| assert_eq!(gateway.connections(ENDPOINT).current, 0))
    };
    check([
        admitted("the client itself", SELF),
        admitted("its subnet", SUBNET),
        admitted("its half of the subnet", UPPER_HALF),
        admitted("everybody", EVERYBODY),
        refused("nobody", ENDPOINT, &[]),
        refused("the other half of the subnet", ENDPOINT, LOWER_HALF),
        refused("its neighbours", ENDPOINT, NEIGHBOURS),
        refused("listed for another endpoint", ANOTHER_ENDPOINT, SELF),
        refused("everybody, for another endpoint", ANOTHER_ENDPOINT, EVERYBODY),
    ]);
}

#[test]
fn a_whitelist_that_is_off_admits_everybody() {
    check([Case::client("not listed", &syn())
        .before(|gateway, _| gateway.list_client([10, 0, 0, 7].into(), true))
        .sent(translated(syn()))]);
}

#[test]
fn a_silent_endpoint_says_nothing() {
    check([Case::client("miss", &syn())
        .before(|gateway, _| gateway.set_policy(ACCEPTED | WHITELIST | SILENT, 1, LIMIT))
        .dropped(DropReason::NotWhitelisted)]);
}

/// Office clients behind a router: their own addresses count.
#[test]
fn clients_beyond_a_router_are_listed_by_their_own_address() {
    const OFFICE: &[(Ipv4Addr, u32)] = &[(Ipv4Addr::new(172, 16, 0, 0), 12)];
    let from_office = Segment { source: SocketAddrV4::new([172, 20, 1, 1].into(), 50_000), ..syn() };
    check([
        Case::client("listed", &from_office.clone())
            .before(listed(ENDPOINT, OFFICE))
            .sent(translated(from_office)),
        Case::client("local client not listed", &syn())
            .before(listed(ENDPOINT, OFFICE))
            .answered(refusal_of(&syn()), DropReason::NotWhitelisted),
    ]);
}

#[test]
fn a_removed_entry_refuses_the_next_connection() {
    let again = Segment { source: SocketAddrV4::new(*CLIENT.ip(), 40_001), ..syn() };
    check([Case::client("taken off", &again.clone())
        .before(|gateway, hook| {
            gateway.list_client(*CLIENT.ip(), true);
            gateway.set_policy(ACCEPTED | WHITELIST, 1, LIMIT);
            crate::table::client_sends(gateway, hook, &syn());
            gateway.list_client(*CLIENT.ip(), false);
            gateway.set_policy(ACCEPTED | WHITELIST, 2, LIMIT);
        })
        .answered(refusal_of(&again), DropReason::NotWhitelisted)]);
}

//! What the RFCs on address translation ask for, one test for each requirement that applies to an
//! endpoint gateway, named after it. ARCHITECTURE.md, section "Conformance", is the table of them.
//!
//! A doc comment says what of a requirement is kept and what is not, where that is not all of it.
//! The odd cases of each step are in the table of that step.

mod rfc4787;
mod rfc5382;
mod rfc5508;
mod rfc6888;
mod rfc7857;

use std::net::SocketAddrV4;

use vpcep_common::be::Be16;
use vpcep_common::endpoint::{Backend, EndpointKey, EndpointValue, Policy, policy};
use vpcep_common::session::{Word, ticks};
use vpcep_common::tcp::State;
use vpcep_common::{attachment, maps};
use vpcep_tests::packet::{Mac, Segment};

use crate::runner::{Gateway, Hook, Outcome, Verdict};
use crate::stage::{self, CLIENT, CONSUMER, ENDPOINT, ENDPOINT_ADDRESS, Link, SOURCE};

/// A port of the endpoint that leads to the backend over UDP.
const NTP: u16 = 123;
/// Seconds that the clock of a test may be off.
const TOLERANCE_SECS: u32 = 5;

/// Runs a frame that must be sent on, and returns it.
fn sent(gateway: &Gateway, hook: Hook, link: Link, frame: &[u8]) -> Vec<u8> {
    let Outcome { verdict, frame } = gateway.run(hook, link.ifindex, frame);
    assert_eq!(verdict, Verdict::Redirect, "{hook:?}: drops {:?}", gateway.drops());
    frame
}

/// Runs a frame that must be dropped without an answer.
fn dropped(gateway: &Gateway, hook: Hook, link: Link, frame: &[u8]) {
    assert_eq!(gateway.run(hook, link.ifindex, frame).verdict, Verdict::Drop, "{hook:?}");
}

/// Lets a session be idle until just before its time, and until just after.
fn lasts(gateway: &mut Gateway, slot: u32, secs: u32) {
    // Loading takes longer than may pass between an age and a look at it.
    gateway.load_reaper().unwrap();
    gateway.age(slot, secs - TOLERANCE_SECS);
    assert_eq!(gateway.reap(&[slot]), 0, "ended before {secs} s");
    gateway.age(slot, secs + TOLERANCE_SECS);
    assert_eq!(gateway.reap(&[slot]), 1, "still there after {secs} s");
}

/// Whether a session has been silent for so long, at least.
fn is_silent_for(gateway: &Gateway, slot: u32, secs: u32) -> bool {
    stage::now().wrapping_sub(gateway.slot(slot).last_seen) >= ticks(secs)
}

fn state(gateway: &Gateway, slot: u32) -> State {
    Word(gateway.slot(slot).word).tcp()
}

/// Another port of the client.
fn client_port(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(*CLIENT.ip(), port)
}

/// Chi-square of how often each of 64 equal parts of the 16 bits is hit.
fn chi_square(values: impl Iterator<Item = u16>) -> f64 {
    let mut bins = [0_u32; 64];
    for value in values {
        bins[usize::from(value >> 10)] += 1;
    }
    let expected = f64::from(bins.iter().sum::<u32>()) / 64.0;
    bins.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum()
}

/// Moves the backend into the consumer's VPC, where the endpoint is as well; returns where it is.
fn hairpin(gateway: &mut Gateway) -> (SocketAddrV4, Mac) {
    let near = SocketAddrV4::new([10, 0, 0, 10].into(), stage::BACKEND.port());
    let backend = Backend {
        address: (*near.ip()).into(),
        vpc: CONSUMER.vpc,
        next_hop: stage::NEXT_HOP,
        ..Backend::default()
    };
    gateway.array(maps::BACKENDS).set(u32::from(stage::BACKEND_NUMBER), backend, 0).unwrap();
    let next_hop = attachment::NextHop {
        mac: attachment::mac_word(stage::BACKEND_MAC),
        address: (*near.ip()).into(),
        vpc: CONSUMER.vpc,
        attachment: CONSUMER.attachment,
        ..attachment::NextHop::default()
    };
    gateway.array(maps::NEXT_HOPS).set(u32::from(stage::NEXT_HOP), next_hop, 0).unwrap();
    gateway.change_policy(|policy| policy.provider_vpc = CONSUMER.vpc);
    (near, stage::BACKEND_MAC)
}

/// Gives another VPC an endpoint of its own, at the same address and to the same backend.
fn equal_endpoint(gateway: &mut Gateway, link: Link, protocol: u8, port: u16) {
    const OTHER: u32 = ENDPOINT + 1;
    let key = EndpointKey { vpc: link.vpc, ..stage::endpoint_key(*ENDPOINT_ADDRESS.ip(), port, protocol) };
    let mapped = EndpointValue { endpoint: OTHER, server_port: Be16::new(stage::BACKEND.port()), pad: 0 };
    gateway.hash(maps::ENDPOINTS).insert(key, mapped, 0).unwrap();
    let own: Policy = gateway.entry(maps::POLICIES, ENDPOINT);
    let other = Policy { word: policy::word(policy::ACCEPTED, 1), vpc: link.vpc, id: [2; 16], ..own };
    gateway.array(maps::POLICIES).set(OTHER, other, 0).unwrap();
}

/// A segment of the backend that answers on this source port, with another source.
fn from_elsewhere(segment: &Segment, source: SocketAddrV4) -> Vec<u8> {
    Segment { source, ..segment.clone() }.build()
}

/// A source port of the one address that backends see.
fn at_source(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(SOURCE, port)
}

//! What XDP leaves to the TC program on the same interface: packets whose way
//! out takes no redirected frames, and connections whose checksums the sender
//! left to be completed.

use vpcep_common::attachment::attachment_flags::{HAS_XDP, TAKES_XDP_FRAMES};
use vpcep_common::session::left_to_tc;
use vpcep_common::tcp::State;
use vpcep_common::tcp::flags::{ACK, SYN};
use vpcep_tests::packet::{ETHERNET_LEN, Segment};

use crate::runner::{Capacity, Gateway, Hook, Verdict};
use crate::stage::{self, CLIENT, CONSUMER, ENDPOINT, LIMIT, Link, PROVIDER};
use crate::table::{
    Case, backend_data, backend_sends, check, client_data, client_sends, established, first_source_port,
    is_skipped, syn,
};

const CHECKSUM: usize = ETHERNET_LEN + 20 + 16;

/// A frame whose TCP checksum covers the pseudo-header alone, as a sender with
/// tx offload leaves it.
fn incomplete(segment: &Segment) -> Vec<u8> {
    let mut frame = segment.build();
    let tcp_len = frame.len() - ETHERNET_LEN - 20;
    let pseudo_header =
        [&frame[ETHERNET_LEN + 12..ETHERNET_LEN + 20], &[0, 6], &(tcp_len as u16).to_be_bytes()].concat();
    let sum = !vpcep_tests::packet::checksum(&pseudo_header);
    frame[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn takes_no_frames(link: Link) -> impl Fn(&mut Gateway, Hook) {
    move |gateway, _| gateway.set_attachment(link, 0)
}

fn nothing_happened(gateway: &Gateway) {
    assert_eq!(gateway.source_port(CLIENT), None);
    assert_eq!(gateway.connections(ENDPOINT).current, 0);
}

#[test]
fn packets_are_left_where_the_way_out_takes_no_frames() {
    let open_then = |link: Link| {
        move |gateway: &mut Gateway, hook: Hook| {
            established(gateway, hook);
            gateway.set_attachment(link, 0);
        }
    };
    let port = first_source_port();
    let rejected = |gateway: &mut Gateway, _: Hook| {
        gateway.set_attachment(CONSUMER, 0);
        gateway.set_policy(0, 1, LIMIT);
    };
    check(
        [
            Case::client("SYN, towards the provider", &syn())
                .before(takes_no_frames(PROVIDER))
                .after(nothing_happened),
            Case::client("data, towards the provider", &client_data()).before(open_then(PROVIDER)),
            Case::backend("data, towards the client", &backend_data(port)).before(open_then(CONSUMER)),
            Case::client("refusal, back to the client", &syn()).before(rejected).after(nothing_happened),
            Case::client("reset for what has no session", &client_data()).before(takes_no_frames(CONSUMER)),
            Case::backend("reset for the provider", &backend_data(9)).before(takes_no_frames(PROVIDER)),
        ]
        .map(|case| case.only(Hook::Xdp)),
    );
}

#[test]
fn tc_sends_anywhere() {
    check([
        Case::client("SYN", &syn())
            .only(Hook::Tc)
            .before(takes_no_frames(PROVIDER))
            .sent(|gateway| stage::to_backend(&syn(), gateway.source_port(CLIENT).unwrap()).build()),
        Case::backend("data", &backend_data(first_source_port()))
            .only(Hook::Tc)
            .before(|gateway, hook| {
                established(gateway, hook);
                gateway.set_attachment(CONSUMER, 0);
            })
            .sent(|_| stage::to_client(&backend_data(first_source_port()), CLIENT).build()),
    ]);
}

#[test]
fn checksums_to_be_completed_are_left() {
    let syn_ack = stage::from_backend(first_source_port(), SYN | ACK);
    let mut flipped = syn().build();
    flipped[CHECKSUM] ^= 1;
    check(
        [
            Case::new("SYN", CONSUMER, incomplete(&syn())).after(nothing_happened),
            Case::new("SYN with a wrong checksum", CONSUMER, flipped).after(nothing_happened),
            Case::new("SYN-ACK", PROVIDER, incomplete(&syn_ack))
                .before(|gateway, hook| {
                    client_sends(gateway, hook, &syn());
                })
                .after(|gateway| assert_eq!(gateway.tcp_state(CLIENT), Some(State::SynSent))),
        ]
        .map(|case| case.only(Hook::Xdp)),
    );
}

/// One connection, whose packets XDP sees first and TC sees when XDP passes them.
#[test]
fn a_side_that_was_left_stays_left_for_the_whole_connection() {
    if is_skipped() {
        return;
    }
    let mut gateway = stage::gateway(&Hook::BOTH, Capacity::default()).unwrap();
    for link in [CONSUMER, PROVIDER] {
        gateway.set_attachment(link, TAKES_XDP_FRAMES | HAS_XDP);
    }
    let passes = |gateway: &Gateway, link: Link, frame: &[u8]| {
        let outcome = gateway.run(Hook::Xdp, link.ifindex, frame);
        assert_eq!((outcome.verdict, outcome.frame.as_slice()), (Verdict::Pass, frame));
    };

    passes(&gateway, CONSUMER, &incomplete(&syn()));
    let port = client_sends(&gateway, Hook::Tc, &syn());
    let is_left = |gateway: &Gateway| gateway.slot(u32::from(port)).left_to_tc;
    assert_eq!(is_left(&gateway), left_to_tc::CLIENT);

    // The backend completes its checksums: XDP keeps its packets.
    backend_sends(&gateway, Hook::Xdp, &stage::from_backend(port, SYN | ACK));
    passes(&gateway, CONSUMER, &incomplete(&stage::from_client(CLIENT, ACK)));
    client_sends(&gateway, Hook::Tc, &stage::from_client(CLIENT, ACK));
    passes(&gateway, CONSUMER, &incomplete(&client_data()));
    backend_sends(&gateway, Hook::Xdp, &backend_data(port));
    assert_eq!(is_left(&gateway), left_to_tc::CLIENT);
    assert_eq!(gateway.drops(), []);
}

#[test]
fn both_sides_may_be_left() {
    if is_skipped() {
        return;
    }
    let mut gateway = stage::gateway(&Hook::BOTH, Capacity::default()).unwrap();
    for link in [CONSUMER, PROVIDER] {
        gateway.set_attachment(link, TAKES_XDP_FRAMES | HAS_XDP);
    }
    let port = established(&gateway, Hook::Tc);
    let left = gateway.slot(u32::from(port)).left_to_tc;
    assert_eq!(left, left_to_tc::CLIENT | left_to_tc::BACKEND);
    for (link, frame) in [(CONSUMER, client_data().build()), (PROVIDER, backend_data(port).build())] {
        assert_eq!(gateway.run(Hook::Xdp, link.ifindex, &frame).verdict, Verdict::Pass);
    }
    client_sends(&gateway, Hook::Tc, &client_data());
    backend_sends(&gateway, Hook::Tc, &backend_data(port));
}

/// Without XDP in front, TC leaves no marks.
#[test]
fn tc_alone_marks_nothing() {
    if is_skipped() {
        return;
    }
    let gateway = stage::gateway(&[Hook::Tc], Capacity::default()).unwrap();
    let port = established(&gateway, Hook::Tc);
    assert_eq!(gateway.slot(u32::from(port)).left_to_tc, 0);
}

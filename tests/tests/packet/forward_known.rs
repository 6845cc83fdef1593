//! Packets of a session, from the client.

use vpcep_common::counter::DropReason;
use vpcep_common::session::ticks;
use vpcep_common::tcp::flags::{ACK, RST, SYN};
use vpcep_common::tcp::{Side, State};
use vpcep_tests::packet::Segment;

use crate::icmp_errors::HOPS_EXCEEDED;
use crate::runner::{Gateway, Hook};
use crate::stage::{self, BACKEND_MAC, CLIENT, CONSUMER, ENDPOINT, PROVIDER};
use crate::table::{
    Case, backend_sends, check, client_data, client_sends, established, first_source_port, on_each_hook,
};

fn open(gateway: &mut Gateway, hook: Hook) {
    established(gateway, hook);
}

fn is_open(gateway: &Gateway) {
    assert_eq!(gateway.connections(ENDPOINT).current, 1);
    assert_eq!(gateway.tcp_state(CLIENT), Some(State::Established));
}

#[test]
fn packets_of_a_session_are_translated_alike() {
    let translated =
        |segment: Segment| move |_: &Gateway| stage::to_backend(&segment, first_source_port()).build();
    let urgent = Segment { flags: 0x3f & !(RST | SYN | 1), ..client_data() };
    let low_ttl = Segment { ttl: 2, ..client_data() };
    let again = stage::from_client(CLIENT, SYN);
    check([
        Case::client("data", &client_data()).before(open).sent(translated(client_data())).after(is_open),
        Case::client("last but one hop", &low_ttl)
            .before(open)
            .sent(translated(low_ttl.clone()))
            .after(is_open),
        Case::client("urgent", &urgent).before(open).sent(translated(urgent.clone())).after(is_open),
        // The backend answers it by a challenge ACK (RFC 9293 section 3.10.7.4).
        Case::client("SYN in the middle", &again).before(open).sent(translated(again.clone())).after(is_open),
    ]);
}

#[test]
fn a_session_still_needs_its_way_out() {
    check([
        Case::client("hop limit runs out", &Segment { ttl: 1, ..client_data() })
            .before(open)
            .told(HOPS_EXCEEDED, DropReason::TtlExceeded)
            .after(is_open),
        Case::client("neighbour lost", &client_data())
            .before(|gateway, hook| {
                open(gateway, hook);
                gateway.set_backend_mac(None);
            })
            .dropped(DropReason::NeighbourUnresolved)
            .after(is_open),
        Case::client("provider's VPC detached", &client_data())
            .before(|gateway, hook| {
                open(gateway, hook);
                gateway.set_attachment(stage::Link { ifindex: 0, ..PROVIDER }, 0);
            })
            .dropped(DropReason::NoAttachment)
            .after(is_open),
    ]);
}

#[test]
fn a_backend_that_moved_is_followed() {
    let moved = [2, 8, 8, 8, 8, 8];
    check([Case::client("another MAC", &client_data())
        .before(move |gateway, hook| {
            open(gateway, hook);
            assert_ne!(moved, BACKEND_MAC);
            gateway.set_backend_mac(Some(moved));
        })
        .sent(move |_| {
            Segment { to: moved, ..stage::to_backend(&client_data(), first_source_port()) }.build()
        })]);
}

/// RFC 4787 REQ-6 and RFC 7857 section 2.4: traffic of either side keeps a
/// session alive, resets do not.
#[test]
fn what_keeps_a_session_alive() {
    const QUIET_SECS: u32 = 100;
    for (name, state, side, flags, is_kept) in [
        ("data of the client", State::Established, Side::Client, ACK, true),
        ("data of the backend", State::Established, Side::Backend, ACK, true),
        ("the client's retransmitted SYN", State::SynSent, Side::Client, SYN, true),
        ("another RST of the client", State::ResetByClient, Side::Client, RST, false),
        ("another RST of the backend", State::ResetByBackend, Side::Backend, RST, false),
        ("what the backend had under way", State::ResetByClient, Side::Backend, ACK, false),
        ("what the client had under way", State::ResetByBackend, Side::Client, ACK, false),
    ] {
        on_each_hook(|gateway, hook| {
            let source_port = established(gateway, hook);
            let number = u32::from(source_port);
            gateway.change_slot(number, |slot| {
                slot.word = vpcep_common::session::Word(slot.word).with_tcp(state).0;
            });
            gateway.age(number, QUIET_SECS);
            match side {
                Side::Client => _ = client_sends(gateway, hook, &stage::from_client(CLIENT, flags)),
                Side::Backend => backend_sends(gateway, hook, &stage::from_backend(source_port, flags)),
            }
            let idle = stage::now().wrapping_sub(gateway.slot(number).last_seen);
            assert_eq!(idle < ticks(QUIET_SECS / 2), is_kept, "{name} [{hook:?}]: idle for {idle} ticks");
        });
    }
}

/// RFC 4787 REQ-7: overlapping addresses in two VPCs never meet.
#[test]
fn equal_flows_of_two_vpcs_are_two_flows() {
    on_each_hook(|gateway, hook| {
        open(gateway, hook);
        let outcome = gateway.run(hook, PROVIDER.ifindex, &client_data().build());
        assert_eq!(outcome.verdict, crate::runner::Verdict::Drop);
        let outcome = gateway.run(hook, CONSUMER.ifindex, &client_data().build());
        assert_eq!(outcome.verdict, crate::runner::Verdict::Redirect);
    });
}

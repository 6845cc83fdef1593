//! A session whose endpoint no longer admits it: cut at the next packet of
//! either side, and both ends are told once.

use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::policy::{ACCEPTED, SILENT, WHITELIST};
use vpcep_common::session::Word;
use vpcep_common::tcp::State;
use vpcep_common::tcp::flags::RST;
use vpcep_tests::packet::Segment;

use crate::runner::{Gateway, Hook, Verdict};
use crate::stage::{self, CLIENT, CONSUMER, ENDPOINT, LIMIT, PROVIDER};
use crate::table::{
    Case, assert_same_frame, backend_data, backend_sends, check, client_data, client_sends, established,
    first_source_port, on_each_hook, refusal_of, reset_onward,
};

/// An open session whose endpoint is then given other policy flags.
fn open_then(flags: u64) -> impl Fn(&mut Gateway, Hook) {
    move |gateway, hook| {
        established(gateway, hook);
        gateway.set_policy(flags, 2, LIMIT);
    }
}

fn reset_to_backend() -> Segment {
    refusal_of(&backend_data(first_source_port()))
}

fn reset_to_client() -> Segment {
    reset_onward(&stage::to_client(&backend_data(first_source_port()), CLIENT))
}

/// Still counted until the reaper frees it, which is soon: see `reaper`.
fn is_cut(gateway: &Gateway) {
    assert_eq!(gateway.tcp_state(CLIENT), Some(State::ResetByBackend));
    assert!(Word(gateway.slot(u32::from(first_source_port())).word).is_told());
    assert_eq!(gateway.connections(ENDPOINT).current, 1);
}

#[test]
fn the_first_packet_after_a_reject_is_refused() {
    let backend = || Case::backend("", &backend_data(first_source_port()));
    let named = |name: &str, case: Case| case.named(name);
    check([
        Case::client("client's packet: reset to the client", &client_data())
            .before(open_then(0))
            .answered(refusal_of(&client_data()), DropReason::NotAccepted)
            .after(is_cut),
        named("backend's packet: becomes a reset to the client", backend())
            .before(open_then(0))
            .answered(reset_to_client(), DropReason::NotAccepted)
            .after(is_cut),
        Case::client("client's packet, silent endpoint", &client_data())
            .before(open_then(SILENT))
            .dropped(DropReason::NotAccepted)
            .after(is_cut),
        named("backend's packet, silent endpoint", backend())
            .before(open_then(SILENT))
            .dropped(DropReason::NotAccepted)
            .after(is_cut),
        Case::client("client's own reset is not answered", &stage::from_client(CLIENT, RST))
            .before(open_then(0))
            .dropped(DropReason::NotAccepted),
        Case::backend("nor is the backend's", &stage::from_backend(first_source_port(), RST))
            .before(open_then(0))
            .dropped(DropReason::NotAccepted),
        Case::client("client taken off the whitelist", &client_data())
            .before(open_then(ACCEPTED | WHITELIST))
            .answered(refusal_of(&client_data()), DropReason::NotWhitelisted)
            .after(is_cut),
        named("the same, noticed on the way back", backend())
            .before(open_then(ACCEPTED | WHITELIST))
            .answered(reset_to_client(), DropReason::NotWhitelisted)
            .after(is_cut),
    ]);
}

#[test]
fn both_ends_are_told() {
    // Whoever speaks: the frames in order, and what each becomes.
    type Exchange = (u32, fn() -> Segment, fn() -> Segment);
    const CLIENT_SPEAKS: Exchange = (CONSUMER.ifindex, client_data, || refusal_of(&client_data()));
    const BACKEND_FIRST: Exchange = (PROVIDER.ifindex, || backend_data(first_source_port()), reset_to_client);
    const BACKEND_NEXT: Exchange = (PROVIDER.ifindex, || backend_data(first_source_port()), reset_to_backend);
    for (name, exchanges) in [
        ("backend goes on sending", [BACKEND_FIRST, BACKEND_NEXT, BACKEND_NEXT]),
        ("client, then backend", [CLIENT_SPEAKS, BACKEND_NEXT, CLIENT_SPEAKS]),
        ("backend, then client", [BACKEND_FIRST, CLIENT_SPEAKS, BACKEND_NEXT]),
    ] {
        on_each_hook(|gateway, hook| {
            open_then(0)(gateway, hook);
            for (i, (ifindex, sent, becomes)) in exchanges.iter().enumerate() {
                let label = format!("{name}, packet {i} [{hook:?}]");
                let outcome = gateway.run(hook, *ifindex, &sent().build());
                assert_eq!(outcome.verdict, Verdict::Redirect, "{label}");
                assert_same_frame(&outcome.frame, &becomes().build(), &label);
            }
            assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::NotAccepted.name(), 3)], "{name}");
            is_cut(gateway);
        });
    }
}

#[test]
fn a_change_that_still_admits_the_client_is_not_noticed() {
    on_each_hook(|gateway, hook| {
        let source_port = established(gateway, hook);
        gateway.list_client(*CLIENT.ip(), true);
        for (generation, flags) in [(2, ACCEPTED), (3, ACCEPTED | WHITELIST), (4, ACCEPTED | SILENT)] {
            gateway.set_policy(flags, generation, LIMIT);
            client_sends(gateway, hook, &client_data());
            backend_sends(gateway, hook, &backend_data(source_port));
            assert_eq!(gateway.slot(u32::from(source_port)).generation, generation);
        }
        assert_eq!(gateway.drops(), []);
    });
}

/// A limit that was lowered cuts nobody.
#[test]
fn a_lower_limit_leaves_sessions_alone() {
    on_each_hook(|gateway, hook| {
        let source_port = established(gateway, hook);
        gateway.set_policy(ACCEPTED, 2, 0);
        client_sends(gateway, hook, &client_data());
        backend_sends(gateway, hook, &backend_data(source_port));
    });
}

#[test]
fn a_client_that_says_nothing_between_reject_and_accept_goes_on() {
    on_each_hook(|gateway, hook| {
        let source_port = established(gateway, hook);
        gateway.set_policy(0, 2, LIMIT);
        gateway.set_policy(ACCEPTED, 3, LIMIT);
        client_sends(gateway, hook, &client_data());
        backend_sends(gateway, hook, &backend_data(source_port));
        assert_eq!(gateway.tcp_state(CLIENT), Some(State::Established));
    });
}

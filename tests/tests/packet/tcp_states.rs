//! TCP conversations, and the state and count they lead to. Every packet on the
//! way is checked to be translated right. The table of single steps is in
//! `vpcep_common::tcp`; RFC 7857 section 2, RFC 5382 REQ-2.

use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::policy;
use vpcep_common::session::Word;
use vpcep_common::tcp::Side::{Backend, Client};
use vpcep_common::tcp::flags::{ACK, FIN, RST, SYN};
use vpcep_common::tcp::{Side, State};

use crate::runner::{Gateway, Hook, Verdict};
use crate::stage::{self, CLIENT, ENDPOINT, LIMIT, PROVIDER};
use crate::table::{
    Case, backend_sends, check, client_sends, first_source_port, on_each_hook, refusal_of, syn,
};

pub type Steps = &'static [(Side, u8)];

pub const FIN_ACK: u8 = FIN | ACK;
pub const SYN_ACK: u8 = SYN | ACK;
pub const HANDSHAKE: Steps = &[(Client, SYN), (Backend, SYN_ACK), (Client, ACK)];
pub const CLOSED_BY_CLIENT: Steps = &[(Client, FIN_ACK), (Backend, ACK), (Backend, FIN_ACK), (Client, ACK)];

/// Has both sides say what the steps say.
pub fn converse(gateway: &Gateway, hook: Hook, steps: Steps) {
    for (side, flags) in steps {
        match side {
            Client => _ = client_sends(gateway, hook, &stage::from_client(CLIENT, *flags)),
            Backend => backend_sends(gateway, hook, &stage::from_backend(first_source_port(), *flags)),
        }
    }
}

/// Conversations after the handshake: name, steps, state, connections counted.
const CONVERSATIONS: [(&str, Steps, State, u64); 19] = [
    ("nothing more", &[], State::Established, 1),
    ("client closes", &[(Client, FIN_ACK)], State::FinClient, 1),
    ("half-closed: the backend still sends", &[(Client, FIN_ACK), (Backend, ACK)], State::FinClient, 1),
    ("FIN retransmitted", &[(Client, FIN_ACK), (Client, FIN_ACK)], State::FinClient, 1),
    ("both close, the backend last", &[(Client, FIN_ACK), (Backend, FIN_ACK)], State::LastFinBackend, 1),
    ("closed by the client", CLOSED_BY_CLIENT, State::TimeWait, 0),
    ("backend closes", &[(Backend, FIN_ACK)], State::FinBackend, 1),
    ("both close, the client last", &[(Backend, FIN_ACK), (Client, FIN_ACK)], State::LastFinClient, 1),
    (
        "closed by the backend",
        &[(Backend, FIN_ACK), (Client, ACK), (Client, FIN_ACK), (Backend, ACK)],
        State::TimeWait,
        0,
    ),
    (
        "last ACK sent twice",
        &[(Client, FIN_ACK), (Backend, FIN_ACK), (Client, ACK), (Client, ACK)],
        State::TimeWait,
        0,
    ),
    (
        "FIN retransmitted after the end",
        &[(Client, FIN_ACK), (Backend, FIN_ACK), (Client, ACK), (Backend, FIN_ACK)],
        State::TimeWait,
        0,
    ),
    ("client resets", &[(Client, RST)], State::ResetByClient, 1),
    ("backend resets", &[(Backend, RST | ACK)], State::ResetByBackend, 1),
    ("both reset", &[(Client, RST), (Backend, RST)], State::ResetByBackend, 1),
    ("forged reset: its alleged sender goes on", &[(Client, RST), (Client, ACK)], State::Established, 1),
    ("forged reset: the other side goes on", &[(Client, RST), (Backend, ACK)], State::ResetByClient, 1),
    ("forged reset of the backend", &[(Backend, RST), (Backend, ACK)], State::Established, 1),
    ("reset while closing", &[(Client, FIN_ACK), (Backend, RST)], State::ResetByBackend, 1),
    (
        "reset after the end",
        &[(Client, FIN_ACK), (Backend, FIN_ACK), (Client, ACK), (Client, RST)],
        State::TimeWait,
        0,
    ),
];

#[test]
fn conversations_lead_to_their_state_and_count() {
    for (name, steps, state, counted) in CONVERSATIONS {
        on_each_hook(|gateway, hook| {
            converse(gateway, hook, HANDSHAKE);
            converse(gateway, hook, steps);
            assert_eq!(gateway.tcp_state(CLIENT), Some(state), "{name} [{hook:?}]");
            assert_eq!(gateway.connections(ENDPOINT).current, counted, "{name} [{hook:?}]");
            assert_eq!(gateway.drops(), [], "{name} [{hook:?}]");
        });
    }
}

#[test]
fn a_handshake_may_go_wrong() {
    const TABLE: [(&str, Steps, State, u64); 6] = [
        ("no answer", &[(Client, SYN)], State::SynSent, 1),
        ("backend refuses", &[(Client, SYN), (Backend, RST | ACK)], State::TimeWait, 0),
        ("backend answers", &[(Client, SYN), (Backend, SYN_ACK)], State::SynReceived, 1),
        (
            "SYN-ACK retransmitted",
            &[(Client, SYN), (Backend, SYN_ACK), (Backend, SYN_ACK)],
            State::SynReceived,
            1,
        ),
        ("client gives up", &[(Client, SYN), (Client, RST)], State::ResetByClient, 1),
        (
            "client resets the answer",
            &[(Client, SYN), (Backend, SYN_ACK), (Client, RST)],
            State::ResetByClient,
            1,
        ),
    ];
    for (name, steps, state, counted) in TABLE {
        on_each_hook(|gateway, hook| {
            converse(gateway, hook, steps);
            assert_eq!(gateway.tcp_state(CLIENT), Some(state), "{name} [{hook:?}]");
            assert_eq!(gateway.connections(ENDPOINT).current, counted, "{name} [{hook:?}]");
        });
    }
}

/// RFC 9293 section 3.6.1: a new incarnation may reuse the five-tuple.
#[test]
fn a_syn_on_a_connection_that_is_over_recycles_its_slot() {
    const OVER: [(&str, Steps); 5] = [
        ("closed", CLOSED_BY_CLIENT),
        ("both FINs seen", &[(Client, FIN_ACK), (Backend, FIN_ACK)]),
        ("both FINs seen, the other way", &[(Backend, FIN_ACK), (Client, FIN_ACK)]),
        ("reset by the client", &[(Client, RST)]),
        ("reset by the backend", &[(Backend, RST)]),
    ];
    for (name, steps) in OVER {
        on_each_hook(|gateway, hook| {
            converse(gateway, hook, HANDSHAKE);
            converse(gateway, hook, steps);
            let before = Word(gateway.slot(u32::from(first_source_port())).word);
            let source_port = client_sends(gateway, hook, &syn());
            assert_eq!(source_port, first_source_port(), "{name} [{hook:?}]");
            let after = Word(gateway.slot(u32::from(source_port)).word);
            assert!(after.is_live() && after.is_counted());
            assert_eq!(after.tcp(), State::SynSent);
            assert_ne!(before.0 >> 40, after.0 >> 40, "{name}: another incarnation");
            let connections = gateway.connections(ENDPOINT);
            assert_eq!((connections.current, connections.opened), (1, 2), "{name} [{hook:?}]");
            converse(gateway, hook, &[(Backend, SYN_ACK), (Client, ACK)]);
            assert_eq!(gateway.tcp_state(CLIENT), Some(State::Established));
        });
    }
}

/// The policy is asked again (a reused port must not slip past it), and a
/// refusal leaves nothing behind.
#[test]
fn a_recycled_slot_passes_the_policy_again() {
    let closed = |gateway: &mut Gateway, hook| {
        converse(gateway, hook, HANDSHAKE);
        converse(gateway, hook, CLOSED_BY_CLIENT);
    };
    check([
        Case::client("endpoint rejected meanwhile", &syn())
            .before(move |gateway, hook| {
                closed(gateway, hook);
                gateway.set_policy(0, 2, LIMIT);
            })
            .answered(refusal_of(&syn()), DropReason::NotAccepted)
            .after(|gateway| assert_eq!(gateway.connections(ENDPOINT).current, 0)),
        Case::client("limit used up meanwhile", &syn())
            .before(move |gateway, hook| {
                closed(gateway, hook);
                gateway.set_policy(vpcep_common::endpoint::policy::ACCEPTED, 2, 0);
            })
            .answered(refusal_of(&syn()), DropReason::ConnectionLimit)
            .after(|gateway| {
                assert_eq!(gateway.connections(ENDPOINT).current, 0);
                assert_eq!(gateway.source_port(CLIENT), None);
                assert!(Word(gateway.slot(u32::from(first_source_port())).word).is_free());
            }),
    ]);
}

/// The consumer alone opens. What the backend sends to open, or to answer an
/// opening that is over, must not pass: a session that is over is not counted,
/// and a connection over it would be one without limit, or one the provider made.
#[test]
fn the_backend_opens_nothing_on_what_is_over() {
    const OVER: [(&str, Steps); 3] = [
        ("refused", &[(Client, SYN), (Backend, RST | ACK)]),
        ("still opening", &[(Client, SYN)]),
        ("reset", &[(Client, SYN), (Backend, SYN_ACK), (Client, RST)]),
    ];
    for (name, steps) in OVER {
        for (what, flags) in [("SYN", SYN), ("SYN-ACK", SYN_ACK)] {
            if (name, what) == ("still opening", "SYN-ACK") {
                continue; // The one answer there may be.
            }
            on_each_hook(|gateway, hook| {
                converse(gateway, hook, steps);
                let before = gateway.tcp_state(CLIENT);
                let opening = stage::from_backend(first_source_port(), flags);
                let outcome = gateway.run(hook, PROVIDER.ifindex, &opening.build());
                assert_eq!(outcome.verdict, Verdict::Drop, "{what} on one {name} [{hook:?}]");
                assert_eq!(gateway.tcp_state(CLIENT), before, "{what} on one {name} [{hook:?}]");
            });
        }
    }
}

#[test]
fn a_session_that_is_not_counted_stays_over_through_reject_and_accept() {
    on_each_hook(|gateway, hook| {
        converse(gateway, hook, &[(Client, SYN), (Backend, RST | ACK)]);
        gateway.set_policy(0, 2, stage::LIMIT);
        let data = stage::from_backend(first_source_port(), ACK);
        gateway.run(hook, PROVIDER.ifindex, &data.build());
        gateway.set_policy(policy::ACCEPTED, 3, stage::LIMIT);
        gateway.run(hook, PROVIDER.ifindex, &data.build());
        assert_eq!(gateway.tcp_state(CLIENT), Some(State::TimeWait), "[{hook:?}]");
        assert_eq!(gateway.connections(ENDPOINT).current, 0, "[{hook:?}]");
    });
}

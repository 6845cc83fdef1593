//! The end of sessions: what is idle goes, whole, and nothing else does.

use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::policy::{ACCEPTED, WHITELIST};
use vpcep_common::endpoint::{NO_ENDPOINT, idle};
use vpcep_common::limits::REAP_BATCH;
use vpcep_common::maps;
use vpcep_common::session::{Slot, Use, Word, ticks};
use vpcep_common::tcp::State;
use vpcep_common::tcp::flags::{ACK, SYN};
use vpcep_tests::packet::Segment;

use crate::runner::{Gateway, Hook};
use crate::stage::{self, CLIENT, ENDPOINT, LIMIT, idle_secs};
use crate::table::{
    Case, backend_data, check, client_data, client_sends, established, first_source_port, on_each_hook,
    refusal_of, syn,
};

/// Room for the tick that an age is rounded up to, and the one it may be read in.
const TOLERANCE_SECS: u32 = 2;

fn slot_number() -> u32 {
    u32::from(first_source_port())
}

/// Puts the client's session into a state, as whoever brought it there would.
fn bring_into(gateway: &mut Gateway, state: State) {
    gateway.change_slot(slot_number(), |slot| slot.word = Word(slot.word).with_tcp(state).0);
    if state == State::TimeWait {
        let mut connections = gateway.connections(ENDPOINT);
        connections.current -= 1;
        gateway.array(maps::CONNECTIONS).set(ENDPOINT, connections, 0).unwrap();
    }
}

fn is_gone(gateway: &Gateway, label: &str) {
    assert_eq!(gateway.source_port(CLIENT), None, "{label}: index entry");
    assert_eq!(gateway.connections(ENDPOINT).current, 0, "{label}: count");
    let slot = gateway.slot(slot_number());
    let word = Word(slot.word);
    assert!(word.is_free() && !word.is_counted(), "{label}: slot {word:?}");
    assert_eq!(word.endpoint(), ENDPOINT, "{label}: whose it was stays");
    assert!(stage::now().wrapping_sub(slot.last_seen) < ticks(5), "{label}: rests from now on");
}

fn is_there(gateway: &Gateway, counted: u64, label: &str) {
    assert_eq!(gateway.source_port(CLIENT), Some(first_source_port()), "{label}: index entry");
    assert_eq!(gateway.connections(ENDPOINT).current, counted, "{label}: count");
    assert!(Word(gateway.slot(slot_number()).word).is_live(), "{label}: slot");
}

#[test]
fn each_state_has_its_time() {
    for state in State::ALL.into_iter().filter(|state| *state != State::None) {
        on_each_hook(|gateway, hook| {
            let label = format!("{state:?}");
            client_sends(gateway, hook, &syn());
            bring_into(gateway, state);
            gateway.age(slot_number(), idle_secs(state) - TOLERANCE_SECS);
            assert_eq!(gateway.reap(&[slot_number()]), 0, "{label}: a little early");
            is_there(gateway, u64::from(state != State::TimeWait), &label);
            gateway.age(slot_number(), idle_secs(state));
            assert_eq!(gateway.reap(&[slot_number()]), 1, "{label}: in time");
            is_gone(gateway, &label);
            assert_eq!(gateway.reap(&[slot_number()]), 0, "{label}: a second time");
            is_gone(gateway, &label);
        });
    }
}

#[test]
fn sessions_of_an_endpoint_that_is_not_accepted_go_as_fast_as_reset_ones() {
    let short = idle_secs(State::ResetByBackend);
    for (name, flags, secs, freed) in [
        ("accepted", ACCEPTED, short, 0),
        ("whitelist only", ACCEPTED | WHITELIST, short, 0),
        ("not accepted, early", 0, short - TOLERANCE_SECS, 0),
        ("not accepted, in time", 0, short, 1),
    ] {
        on_each_hook(|gateway, hook| {
            established(gateway, hook);
            gateway.set_policy(flags, 2, LIMIT);
            gateway.age(slot_number(), secs);
            assert_eq!(gateway.reap(&[slot_number()]), freed, "{name}");
        });
    }
}

#[test]
fn an_endpoint_may_have_a_time_of_its_own_for_what_both_sides_use() {
    const OWN_SECS: u32 = 350;
    for (state, secs) in [
        (State::Established, OWN_SECS),
        (State::Answered, OWN_SECS),
        (State::FinClient, idle_secs(State::FinClient)),
        (State::Unanswered, idle_secs(State::Unanswered)),
    ] {
        on_each_hook(|gateway, hook| {
            client_sends(gateway, hook, &syn());
            bring_into(gateway, state);
            // The session is there already when the time changes.
            gateway.change_policy(|policy| policy.idle = idle::new(ticks(OWN_SECS), true));
            gateway.age(slot_number(), secs - TOLERANCE_SECS);
            assert_eq!(gateway.reap(&[slot_number()]), 0, "{state:?}: a little early");
            gateway.age(slot_number(), secs);
            assert_eq!(gateway.reap(&[slot_number()]), 1, "{state:?}: in time");
            is_gone(gateway, &format!("{state:?}"));
        });
    }
}

/// The coarse clock of another CPU may be a little ahead of the reaper's.
#[test]
fn a_packet_from_the_future_is_not_idleness() {
    on_each_hook(|gateway, hook| {
        established(gateway, hook);
        gateway.change_slot(slot_number(), |slot| slot.last_seen = stage::now() + 3);
        assert_eq!(gateway.reap(&[slot_number()]), 0);
        is_there(gateway, 1, "future");
    });
}

#[test]
fn slots_that_hold_no_session_are_left_alone() {
    on_each_hook(|gateway, _| {
        for usage in [Use::Free, Use::Claimed, Use::Reaping] {
            let slot = Slot { word: Word(0).claimed(ENDPOINT).with_use(usage).0, ..Slot::default() };
            gateway.array(maps::SLOTS).set(slot_number(), slot, 0).unwrap();
            assert_eq!(gateway.reap(&[slot_number()]), 0, "{usage:?}");
            assert_eq!(gateway.slot(slot_number()), slot, "{usage:?}");
        }
        assert_eq!(gateway.reap(&[u32::MAX, 1 << 16]), 0, "numbers beyond the table");
    });
}

#[test]
fn an_index_entry_of_another_slot_stays() {
    on_each_hook(|gateway, hook| {
        established(gateway, hook);
        let elsewhere = slot_number() ^ 1;
        gateway.leave_index(&stage::flow(CLIENT));
        gateway.enter_index(&stage::flow(CLIENT), elsewhere);
        gateway.age(slot_number(), idle_secs(State::Established));
        assert_eq!(gateway.reap(&[slot_number()]), 1);
        assert_eq!(gateway.slot_of(&stage::flow(CLIENT)), Some(elsewhere));
    });
}

#[test]
fn one_run_frees_a_whole_batch() {
    on_each_hook(|gateway, hook| {
        let slots: Vec<u32> = (0..REAP_BATCH as u16)
            .map(|i| {
                let client = std::net::SocketAddrV4::new(*CLIENT.ip(), 1_000 + i);
                let slot = u32::from(client_sends(gateway, hook, &stage::from_client(client, SYN)));
                gateway.age(slot, idle_secs(State::SynSent));
                slot
            })
            .collect();
        assert_eq!(gateway.connections(ENDPOINT).current, u64::from(REAP_BATCH));
        assert_eq!(gateway.reap(&slots), REAP_BATCH);
        assert_eq!(gateway.connections(ENDPOINT).current, 0);
        assert_eq!(gateway.indexed(), 0);
    });
}

/// The list keeps what earlier runs left in it; only the first `count` are meant.
#[test]
fn only_what_is_listed_is_considered() {
    on_each_hook(|gateway, hook| {
        established(gateway, hook);
        gateway.age(slot_number(), idle_secs(State::Established));
        gateway.array(maps::REAP_LIST).set(1, u64::from(slot_number()), 0).unwrap();
        assert_eq!(gateway.reap(&[0]), 0);
        is_there(gateway, 1, "beyond the count");
    });
}

/// Calico's issue 9372: users want to be told, not left to wait. What an end sends after
/// the end is answered by a reset at its own place in the sequence; an empty ACK is what
/// vpcepd gets out of each of them.
#[test]
fn what_either_end_sends_after_the_end_is_reset() {
    let reaped = |gateway: &mut Gateway, hook: Hook| {
        established(gateway, hook);
        gateway.age(slot_number(), idle_secs(State::Established));
        assert_eq!(gateway.reap(&[slot_number()]), 1);
    };
    let port = first_source_port();
    let client_ack = Segment { acknowledgement: 0x2000_0001, ..stage::from_client(CLIENT, ACK) };
    let backend_ack = Segment { acknowledgement: 0x1000_0001, ..stage::from_backend(port, ACK) };
    for (name, segment) in [("client's data", client_data()), ("client's ACK", client_ack)] {
        check([Case::client(name, &segment)
            .before(reaped)
            .answered(refusal_of(&segment), DropReason::NoSession)]);
    }
    for (name, segment) in [("backend's data", backend_data(port)), ("backend's ACK", backend_ack)] {
        check([Case::backend(name, &segment)
            .before(reaped)
            .sent(move |_| refusal_of(&segment).build())
            .counts(NO_ENDPOINT, DropReason::Unsolicited)]);
    }
}

//! What is reported of sessions: once, with the right fields, to those who listen.

use std::net::SocketAddrV4;

use vpcep_common::be::Be16;
use vpcep_common::counter::DropReason;
use vpcep_common::event::{Budget, End, Event, Kind};
use vpcep_common::maps;
use vpcep_common::session::{TICK_SHIFT, ticks};
use vpcep_common::settings::{Settings, settings_flags};
use vpcep_common::tcp::State;
use vpcep_common::tcp::flags::{ACK, FIN, RST, SYN};
use vpcep_common::volume::Volume;
use vpcep_tests::packet::Segment;

use crate::runner::{Gateway, Hook};
use crate::stage::{self, BACKEND, CLIENT, CONSUMER, ENDPOINT, ENDPOINT_ADDRESS, LIMIT, PROVIDER, idle_secs};
use crate::table::{
    backend_data, backend_sends, client_data, client_sends, established, first_source_port, on_each_hook, syn,
};

/// More than any test makes.
const RATE: u32 = 1_000;

/// Bytes of Ethernet, which are not counted.
const ETHERNET: usize = 14;

fn slot() -> u32 {
    u32::from(first_source_port())
}

/// From now on events are reported, so many in a window; bytes are known of sessions
/// opened since `since`.
fn listen(gateway: &mut Gateway, rate: u32, since: u32) {
    let known: Settings = gateway.entry(maps::SETTINGS, 0);
    let settings = Settings {
        flags: known.flags | settings_flags::EVENTS,
        event_rate: rate,
        events_since: since,
        ..known
    };
    gateway.array(maps::SETTINGS).set(0, settings, 0).unwrap();
}

fn ip_bytes(segment: &Segment) -> u32 {
    (segment.build().len() - ETHERNET) as u32
}

/// What is always said of the client's session.
fn of_session(kind: Kind) -> Event {
    Event {
        kind: kind as u8,
        endpoint: ENDPOINT,
        slot: slot(),
        client: (*CLIENT.ip()).into(),
        client_port: Be16::new(CLIENT.port()),
        address: (*ENDPOINT_ADDRESS.ip()).into(),
        port: Be16::new(ENDPOINT_ADDRESS.port()),
        backend: (*BACKEND.ip()).into(),
        backend_port: Be16::new(BACKEND.port()),
        vpc: CONSUMER.vpc,
        provider_vpc: PROVIDER.vpc,
        protocol: 6,
        ..Event::default()
    }
}

/// Takes the one event there is, after a look at its times.
fn the_event(gateway: &mut Gateway) -> Event {
    let events = gateway.events();
    let [event] = events.as_slice() else { panic!("expected one event: {events:?}") };
    let tick = (event.time_ns >> TICK_SHIFT) as u32;
    assert!(stage::now().wrapping_sub(tick) < ticks(5), "{event:?} was reported just now");
    Event { time_ns: 0, ..*event }
}

#[test]
fn an_opening_is_one_event_and_its_packets_are_none() {
    on_each_hook(|gateway, hook| {
        listen(gateway, RATE, 0);
        client_sends(gateway, hook, &syn());
        let event = the_event(gateway);
        let created = gateway.slot(slot()).created;
        assert_eq!(event, Event { created, last_seen: created, ..of_session(Kind::Opened) });
        client_sends(gateway, hook, &syn());
        backend_sends(gateway, hook, &stage::from_backend(first_source_port(), SYN | ACK));
        client_sends(gateway, hook, &stage::from_client(CLIENT, ACK));
        assert_eq!(gateway.events(), []);
    });
}

#[test]
fn what_is_reaped_is_reported_with_its_end_and_its_bytes() {
    on_each_hook(|gateway, hook| {
        listen(gateway, RATE, 0);
        let source_port = established(gateway, hook);
        client_sends(gateway, hook, &client_data());
        backend_sends(gateway, hook, &backend_data(source_port));
        let out = [&syn(), &stage::from_client(CLIENT, ACK), &client_data()].map(ip_bytes).iter().sum();
        let back =
            ip_bytes(&stage::from_backend(source_port, SYN | ACK)) + ip_bytes(&backend_data(source_port));
        assert_eq!(gateway.events().len(), 1, "the opening");
        gateway.age(slot(), idle_secs(State::Established));
        let before = gateway.slot(slot());
        assert_eq!(gateway.reap(&[slot()]), 1);
        let expected = Event {
            reason: End::Idle as u8,
            created: before.created,
            last_seen: before.last_seen,
            bytes_out: Volume(out),
            bytes_in: Volume(back),
            ..of_session(Kind::Closed)
        };
        assert_eq!(the_event(gateway), expected);
        assert_eq!(gateway.reap(&[slot()]), 0);
        assert_eq!(gateway.events(), [], "it is over once");
    });
}

type Story = fn(&mut Gateway, Hook);

#[test]
fn each_end_has_its_reason() {
    let stories: [(&str, Story, End); 6] = [
        ("closed by both", close, End::Closed),
        (
            "refused",
            |gateway, hook| {
                client_sends(gateway, hook, &syn());
                backend_sends(gateway, hook, &stage::from_backend(first_source_port(), RST | ACK));
            },
            End::RefusedByBackend,
        ),
        (
            "reset by the client",
            |gateway, hook| {
                established(gateway, hook);
                client_sends(gateway, hook, &stage::from_client(CLIENT, RST));
            },
            End::ResetByClient,
        ),
        (
            "reset by the backend",
            |gateway, hook| {
                let source_port = established(gateway, hook);
                backend_sends(gateway, hook, &stage::from_backend(source_port, RST));
            },
            End::ResetByBackend,
        ),
        (
            "cut off",
            |gateway, hook| {
                established(gateway, hook);
                gateway.set_policy(0, 2, LIMIT);
                gateway.run(hook, CONSUMER.ifindex, &client_data().build());
            },
            End::CutOff,
        ),
        (
            "cut off in silence",
            |gateway, hook| {
                established(gateway, hook);
                gateway.set_policy(0, 2, LIMIT);
            },
            End::CutOff,
        ),
    ];
    for (name, story, end) in stories {
        on_each_hook(|gateway, hook| {
            listen(gateway, RATE, 0);
            story(gateway, hook);
            gateway.events();
            gateway.age(slot(), idle_secs(State::Established));
            assert_eq!(gateway.reap(&[slot()]), 1, "{name}");
            assert_eq!(End::from_number(the_event(gateway).reason), Some(end), "{name}");
        });
    }
}

/// Both sides close, in order.
fn close(gateway: &mut Gateway, hook: Hook) {
    let source_port = established(gateway, hook);
    client_sends(gateway, hook, &stage::from_client(CLIENT, FIN | ACK));
    backend_sends(gateway, hook, &stage::from_backend(source_port, FIN | ACK));
    client_sends(gateway, hook, &stage::from_client(CLIENT, ACK));
}

#[test]
fn a_connection_that_takes_a_slot_over_is_a_closing_and_an_opening() {
    on_each_hook(|gateway, hook| {
        listen(gateway, RATE, 0);
        close(gateway, hook);
        gateway.events();
        client_sends(gateway, hook, &syn());
        let kinds: Vec<_> = gateway.events().iter().map(|event| (event.kind, event.reason)).collect();
        assert_eq!(kinds, [(Kind::Closed as u8, End::Closed as u8), (Kind::Opened as u8, 0)]);
        assert_eq!(gateway.slot(slot()).bytes_out, Volume(ip_bytes(&syn())), "the new one's alone");
    });
}

#[test]
fn a_refusal_says_who_wanted_what_and_why_not() {
    let strange_port = SocketAddrV4::new(*ENDPOINT_ADDRESS.ip(), 81);
    let strange_host = SocketAddrV4::new([10, 0, 0, 99].into(), 80);
    for (to, endpoint, reason) in
        [(strange_port, ENDPOINT, DropReason::PortNotMapped), (strange_host, 0, DropReason::NotForwarded)]
    {
        on_each_hook(|gateway, hook| {
            listen(gateway, RATE, 0);
            let segment = Segment { destination: to, ..syn() };
            gateway.run(hook, CONSUMER.ifindex, &segment.build());
            let expected = Event {
                slot: 0,
                endpoint,
                backend: Default::default(),
                backend_port: Default::default(),
                provider_vpc: 0,
                address: (*to.ip()).into(),
                port: Be16::new(to.port()),
                reason: reason as u8,
                ..of_session(Kind::Refused)
            };
            assert_eq!(the_event(gateway), expected, "{reason:?}");
        });
    }
}

#[test]
fn a_packet_of_the_backend_that_cuts_off_is_a_refusal() {
    on_each_hook(|gateway, hook| {
        let source_port = established(gateway, hook);
        gateway.set_policy(0, 2, LIMIT);
        listen(gateway, RATE, 0);
        gateway.run(hook, PROVIDER.ifindex, &backend_data(source_port).build());
        let event = the_event(gateway);
        assert_eq!((event.kind, event.reason), (Kind::Refused as u8, DropReason::NotAccepted as u8));
        assert_eq!((event.client, event.vpc), ((*BACKEND.ip()).into(), PROVIDER.vpc));
    });
}

#[test]
fn to_nobody_nothing_is_reported_and_nothing_counted() {
    on_each_hook(|gateway, hook| {
        established(gateway, hook);
        gateway.run(hook, CONSUMER.ifindex, &Segment { destination: CLIENT, ..syn() }.build());
        assert_eq!(gateway.slot(slot()).bytes_out, Volume::default());
        gateway.age(slot(), idle_secs(State::Established));
        assert_eq!(gateway.reap(&[slot()]), 1);
        assert_eq!(gateway.events(), []);
        assert!(Kind::ALL.iter().all(|kind| gateway.budget(*kind) == Budget::default()));
    });
}

#[test]
fn bytes_of_a_session_that_was_open_before_are_not_known() {
    on_each_hook(|gateway, hook| {
        established(gateway, hook);
        listen(gateway, RATE, stage::now() + 1);
        client_sends(gateway, hook, &client_data());
        gateway.age(slot(), idle_secs(State::Established));
        assert_eq!(gateway.reap(&[slot()]), 1);
        let event = the_event(gateway);
        assert_eq!((event.bytes_out, event.bytes_in), (Volume::UNKNOWN, Volume::UNKNOWN));
    });
}

/// Kinds have budgets of their own: refusals cost no opening its event.
#[test]
fn what_is_beyond_the_rate_is_counted() {
    on_each_hook(|gateway, hook| {
        listen(gateway, 3, 0);
        let nowhere = Segment { destination: CLIENT, ..syn() };
        for _ in 0..20 {
            gateway.run(hook, CONSUMER.ifindex, &nowhere.build());
        }
        client_sends(gateway, hook, &syn());
        let kinds: Vec<_> = gateway.events().iter().map(|event| event.kind).collect();
        let held_back = gateway.budget(Kind::Refused).held_back;
        let refused = kinds.iter().filter(|kind| **kind == Kind::Refused as u8).count() as u64;
        assert_eq!(refused + held_back, 20, "{kinds:?}");
        // A window may have ended in between.
        assert!((3..=6).contains(&refused), "{refused} reported");
        assert_eq!(kinds.last(), Some(&(Kind::Opened as u8)));
    });
}

#[test]
fn refusals_leave_half_of_the_ring_to_sessions_and_what_is_lost_is_counted() {
    on_each_hook(|gateway, hook| {
        listen(gateway, RATE, 0);
        let nowhere = Segment { destination: CLIENT, ..syn() };
        for _ in 0..100 {
            gateway.run(hook, CONSUMER.ifindex, &nowhere.build());
        }
        let lost = gateway.budget(Kind::Refused).lost;
        for port in 1..=20 {
            let client = SocketAddrV4::new(*CLIENT.ip(), port);
            client_sends(gateway, hook, &stage::from_client(client, SYN));
        }
        assert_eq!(gateway.budget(Kind::Opened).lost, 0, "there is room left");
        for port in 21..=80 {
            let client = SocketAddrV4::new(*CLIENT.ip(), port);
            client_sends(gateway, hook, &stage::from_client(client, SYN));
        }
        let events = gateway.events();
        let of = |kind: Kind| events.iter().filter(|event| event.kind == kind as u8).count() as u64;
        assert!(lost > 0 && of(Kind::Refused) + lost == 100, "{} and {lost} lost", of(Kind::Refused));
        let lost = gateway.budget(Kind::Opened).lost;
        assert!(lost > 0 && of(Kind::Opened) + lost == 80, "{} and {lost} lost", of(Kind::Opened));
        assert_eq!(gateway.connections(ENDPOINT).current, 80, "sessions do not depend on the ring");
    });
}

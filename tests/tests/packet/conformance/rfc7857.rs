//! RFC 7857: updates to the other three.

use std::net::SocketAddrV4;

use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::policy::ACCEPTED;
use vpcep_common::session::Word;
use vpcep_common::tcp::flags::{ACK, FIN, RST, SYN};
use vpcep_common::tcp::{Side, State};
use vpcep_tests::packet::{Datagram, Segment};

use super::{NTP, chi_square, client_port, is_silent_for, lasts, sent, state};
use crate::icmp::{ROUTER, error, from_provider, sent_to_backend};
use crate::runner::{Capacity, Hook};
use crate::stage::{self, CLIENT, CONSUMER, ENDPOINT, PROVIDER};
use crate::table::{
    backend_data, backend_sends, client_data, client_sends, established, first_source_port, is_skipped,
    on_each_hook, syn,
};
use crate::udp::{Sum, from_client, map_udp};

/// Each state with each packet that says nothing of opening, through the programs. What the next
/// state must be is `vpcep_common::tcp`'s, whose own table is the RFC's.
#[test]
fn rfc7857_section2_tcp_is_tracked() {
    on_each_hook(|gateway, hook| {
        let slot = u32::from(established(gateway, hook));
        let tracked = State::ALL.into_iter().filter(|state| {
            !matches!(state, State::None | State::TimeWait)
                && !state.is_unanswered()
                && *state != State::Answered
        });
        for before in tracked {
            for side in [Side::Client, Side::Backend] {
                for flags in [ACK, FIN | ACK, RST, RST | ACK] {
                    let next = before.step(side, flags);
                    // Over, and so out of the count, which the test does not put back.
                    if next == State::TimeWait {
                        continue;
                    }
                    gateway.change_slot(slot, |slot| slot.word = Word(slot.word).with_tcp(before).0);
                    match side {
                        Side::Client => _ = client_sends(gateway, hook, &stage::from_client(CLIENT, flags)),
                        Side::Backend => {
                            backend_sends(gateway, hook, &stage::from_backend(slot as u16, flags));
                        }
                    }
                    assert_eq!(state(gateway, slot), next, "{before:?}, {side:?} sends {flags:#x}");
                }
            }
        }
    });
}

/// Opening and closing have times of their own; the stage has them differ.
#[test]
fn rfc7857_section2_1_opening_and_closing_have_times_of_their_own() {
    on_each_hook(|gateway, hook| {
        let slot = u32::from(client_sends(gateway, hook, &syn()));
        lasts(gateway, slot, stage::idle_secs(State::SynSent));
        established(gateway, hook);
        client_sends(gateway, hook, &stage::from_client(CLIENT, FIN | ACK));
        lasts(gateway, slot, stage::idle_secs(State::FinClient));
        assert_ne!(stage::idle_secs(State::SynSent), stage::idle_secs(State::FinClient));
    });
}

/// Kept: a reset is translated, ends nothing at once, and is undone by data. Not kept: the session
/// stays for less than four minutes after it (ARCHITECTURE.md, "Timeouts").
#[test]
fn rfc7857_section2_2_a_reset_frees_nothing_at_once() {
    on_each_hook(|gateway, hook| {
        let port = established(gateway, hook);
        let forged = Segment { sequence: 0xdead_beef, ..stage::from_backend(port, RST) };
        backend_sends(gateway, hook, &forged);
        assert_eq!(gateway.source_port(CLIENT), Some(port));
        assert_eq!(gateway.connections(ENDPOINT).current, 1);
        backend_sends(gateway, hook, &backend_data(port));
        assert_eq!(gateway.tcp_state(CLIENT), Some(State::Established));
        client_sends(gateway, hook, &stage::from_client(CLIENT, RST));
        lasts(gateway, port.into(), stage::idle_secs(State::ResetByClient));
    });
}

#[test]
fn rfc7857_section4_pairing_knows_no_protocols() {
    if is_skipped() {
        return;
    }
    for hook in Hook::BOTH {
        let capacity = Capacity { shard_prefix_len: 28, ..Capacity::default() };
        let mut gateway = stage::gateway(&[hook], capacity).unwrap();
        map_udp(&mut gateway, NTP);
        let source = |frame: &[u8]| Datagram::parse(&sent(&gateway, hook, CONSUMER, frame)).unwrap().source;
        let of_tcp = source(&syn().build());
        assert_eq!(of_tcp, source(&from_client(NTP, b"time?", Sum::Right).build()), "{hook:?}");
    }
}

#[test]
fn rfc7857_section7_1_resets_and_errors_do_not_refresh() {
    on_each_hook(|gateway, hook| {
        let port = established(gateway, hook);
        gateway.age(port.into(), 500);
        let error = error(3, 1, [0; 4], &sent_to_backend(), 8);
        sent(gateway, hook, PROVIDER, &from_provider(PROVIDER, ROUTER, &error).build());
        assert!(is_silent_for(gateway, port.into(), 499), "an error");
        // The first reset starts the short time; no other starts it again.
        backend_sends(gateway, hook, &stage::from_backend(port, RST));
        gateway.age(port.into(), 15);
        backend_sends(gateway, hook, &stage::from_backend(port, RST));
        client_sends(gateway, hook, &client_data());
        assert!(is_silent_for(gateway, port.into(), 14), "a reset, and what was under way");
        assert_eq!(gateway.drops(), []);
    });
}

/// Ports, and the distance from one to the next, are spread evenly: chi-square with 63 degrees of
/// freedom is above 132 once in a million times. The key of the stage is fixed, so it is the same
/// each time.
#[test]
fn rfc7857_section9_source_ports_are_unpredictable() {
    const FLOWS: u16 = 6_400;
    const ONCE_IN_A_MILLION: f64 = 132.0;
    if is_skipped() {
        return;
    }
    for hook in Hook::BOTH {
        let capacity = Capacity { flows: 16_384, ..Capacity::default() };
        let mut gateway = stage::gateway(&[hook], capacity).unwrap();
        gateway.set_policy(ACCEPTED, 1, FLOWS.into());
        let open = |port| client_sends(&gateway, hook, &stage::from_client(client_port(port), SYN));
        let ports: Vec<u16> = (1..=FLOWS).map(open).collect();
        // To 16 bits: the lowest 1024 are never used.
        let spread = |port: u16| (u32::from(port - 1_024) * 65_536 / 64_512) as u16;
        let alone = chi_square(ports.iter().map(|port| spread(*port)));
        let apart = chi_square(ports.windows(2).map(|pair| spread(pair[1]).wrapping_sub(spread(pair[0]))));
        assert!(alone < ONCE_IN_A_MILLION && apart < ONCE_IN_A_MILLION, "{hook:?}: {alone:.0}, {apart:.0}");
    }
}

/// Kept: the identification that the sender chose, and "don't fragment", pass as they are. Not kept:
/// nothing makes identifications of clients that now share an address differ; RFC 6864 asks for that
/// in datagrams that may be fragmented.
#[test]
fn rfc7857_section10_ip_identification_is_kept() {
    on_each_hook(|gateway, hook| {
        established(gateway, hook);
        for id in [0, 1, 0x1234, u16::MAX] {
            client_sends(gateway, hook, &Segment { id, ..client_data() });
            backend_sends(gateway, hook, &Segment { id, ..backend_data(first_source_port()) });
        }
        let may_be_fragmented = Datagram { fragment: 0, ..client_data().datagram() };
        let out = Datagram::parse(&sent(gateway, hook, CONSUMER, &may_be_fragmented.build())).unwrap();
        assert_eq!((out.id, out.fragment), (may_be_fragmented.id, 0));
    });
}

/// TCP and UDP have sessions of their own also where all else of the five-tuple is equal.
#[test]
fn rfc7857_section5_section6_protocols_are_apart() {
    on_each_hook(|gateway, hook| {
        map_udp(gateway, stage::ENDPOINT_ADDRESS.port());
        let tcp = client_sends(gateway, hook, &syn());
        let out = sent(gateway, hook, CONSUMER, &from_client(80, b"x", Sum::Right).build());
        let udp = Datagram::parse(&out).unwrap().payload;
        assert_ne!(u16::from_be_bytes([udp[0], udp[1]]), tcp);
        // What comes back to a mapping of the other protocol is nobody's.
        let to = SocketAddrV4::new(stage::SOURCE, tcp);
        let stray = crate::udp::udp(stage::BACKEND, to, b"x", Sum::Right);
        let stray = Datagram { to: PROVIDER.mac, from: stage::BACKEND_MAC, ..stray };
        super::dropped(gateway, hook, PROVIDER, &stray.build());
        assert_eq!(gateway.drops(), [(ENDPOINT, DropReason::WrongBackend.name(), 1)]);
    });
}

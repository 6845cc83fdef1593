//! Fragments of datagrams: in order they are carried, in both directions; anything else is dropped
//! and counted (RFC 4787 REQ-14).

use vpcep_common::counter::DropReason;
use vpcep_common::fragment::{FragmentKey, LIFETIME_SECS, Ports};
use vpcep_common::maps;
use vpcep_common::session::ticks;
use vpcep_tests::packet::Datagram;

use crate::runner::{Gateway, Hook, Verdict};
use crate::stage::{
    self, BACKEND, BACKEND_MAC, CLIENT, CLIENT_MAC, CONSUMER, ENDPOINT, HOST_ADDRESS, Link, PROVIDER,
};
use crate::table::{Case, check, on_each_hook};
use crate::udp::{self, Sum, endpoint, map_udp};

/// A port of the endpoint that datagrams are for.
const PORT: u16 = 514;
/// Flag and unit of the header's field (RFC 791 section 3.1).
const MORE: u16 = 0x2000;
const UNIT: usize = 8;

/// Cuts a datagram up after these many bytes of its payload each, multiples of [`UNIT`].
fn cut(datagram: &Datagram, id: u16, places: &[usize]) -> Vec<Datagram> {
    let ends = places.iter().copied().chain([datagram.payload.len()]);
    let starts = [0].into_iter().chain(places.iter().copied());
    starts
        .zip(ends)
        .map(|(start, end)| Datagram {
            id,
            fragment: (start / UNIT) as u16 | if end < datagram.payload.len() { MORE } else { 0 },
            payload: datagram.payload[start..end].to_vec(),
            ..datagram.clone()
        })
        .collect()
}

fn from_client() -> Datagram {
    let payload: Vec<u8> = (0..4_000).map(|i| i as u8).collect();
    udp::from_client(PORT, &payload, Sum::Right)
}

/// Sends fragments of the same datagram, and expects them at the other side as those of this one.
fn go(gateway: &Gateway, hook: Hook, from: Link, sent: &[Datagram], expected: &[Datagram]) {
    for (number, (sent, expected)) in sent.iter().zip(expected).enumerate() {
        let outcome = gateway.run(hook, from.ifindex, &sent.build());
        assert_eq!(outcome.verdict, Verdict::Redirect, "fragment {number}, drops {:?}", gateway.drops());
        assert_eq!(Datagram::parse(&outcome.frame).as_ref(), Some(expected), "fragment {number}");
    }
}

fn mapped(gateway: &mut Gateway, _hook: Hook) {
    map_udp(gateway, PORT);
}

#[test]
fn fragments_in_order_go_both_ways() {
    const PLACES: [usize; 3] = [1_480, 1_488, 2_968];
    on_each_hook(|gateway, hook| {
        mapped(gateway, hook);
        let request = from_client();
        let sent = cut(&request, 7, &PLACES);
        // The first opens the session, whose port the expected ones have.
        gateway.run(hook, CONSUMER.ifindex, &sent[0].build());
        let source = udp::source(gateway, PORT);
        let translated = Datagram {
            to: BACKEND_MAC,
            from: PROVIDER.mac,
            ttl: 63,
            ..udp::udp(source, BACKEND, &request.payload[8..], Sum::Right)
        };
        go(gateway, hook, CONSUMER, &sent, &cut(&translated, 7, &PLACES));

        let payload = vec![0xa5; 3_333];
        let answer = Datagram {
            to: PROVIDER.mac,
            from: BACKEND_MAC,
            ..udp::udp(BACKEND, source, &payload, Sum::None)
        };
        let translated = Datagram {
            to: CLIENT_MAC,
            from: CONSUMER.mac,
            ttl: 63,
            ..udp::udp(endpoint(PORT), CLIENT, &payload, Sum::None)
        };
        go(gateway, hook, PROVIDER, &cut(&answer, 9, &PLACES), &cut(&translated, 9, &PLACES));
        assert_eq!(gateway.drops(), []);
        assert_eq!(gateway.connections(ENDPOINT).current, 1);
    });
}

/// What comes before the first fragment, or long after it, and what is of another datagram. At XDP it
/// goes on to TC, which may have seen the first one.
#[test]
fn fragments_without_their_first_are_dropped() {
    let parts = cut(&from_client(), 7, &[1_480, 2_960]);
    let first = parts[0].build();
    let behind_first = move |gateway: &mut Gateway, hook: Hook| {
        mapped(gateway, hook);
        gateway.run(hook, CONSUMER.ifindex, &first);
    };
    let long_behind = {
        let behind_first = behind_first.clone();
        move |gateway: &mut Gateway, hook: Hook| {
            behind_first(gateway, hook);
            let mut fragments = gateway.hash::<FragmentKey, Ports>(maps::FRAGMENTS);
            let (key, ports) = fragments.iter().next().expect("a first fragment was seen").unwrap();
            let seen = stage::now().wrapping_sub(ticks(LIFETIME_SECS) + 4);
            fragments.insert(key, Ports { seen, ..ports }, 0).unwrap();
        }
    };
    let last = parts[2].clone();
    for hook in Hook::BOTH {
        let case = |name: &str, part: &Datagram| {
            let case = Case::new(name, CONSUMER, part.build()).only(hook);
            if hook == Hook::Tc { case.dropped(DropReason::Fragment) } else { case }
        };
        check([
            case("of another datagram", &Datagram { id: 8, ..last.clone() }).before(behind_first.clone()),
            case("of another client", &Datagram { source: [10, 0, 0, 9].into(), ..last.clone() })
                .before(behind_first.clone()),
            case("before the first", &last).before(mapped),
            case("long behind it", &last).before(long_behind.clone()),
        ]);
    }
    let to_host = Datagram { destination: HOST_ADDRESS, ..last };
    check([Case::new("to the host: for its stack", CONSUMER, to_host.build())]);
}

//! The client's address at the server: the PROXY protocol's header and the TCP option, and what
//! becomes of them when packets are lost, forged or out of order.

use vpcep_common::client_address::{HEADER_LEN, Tlvs, pending};
use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::policy::{ACCEPTED, PROXY, TOA};
use vpcep_common::maps;
use vpcep_common::tcp::flags::{ACK, FIN, RST, SYN};
use vpcep_tests::packet::{PSH, Segment};

use crate::icmp_errors::Error;
use crate::runner::{Gateway, Hook, Verdict};
use crate::stage::{self, BACKEND, CLIENT, CONSUMER, ENDPOINT, ENDPOINT_ADDRESS, LIMIT, PROVIDER};
use crate::table::{
    Case, assert_same_frame, backend_sends, check, client_sends, first_source_port, on_each_hook, syn,
};

/// Number of the client's SYN, as `stage::from_client` has it.
const INITIAL: u32 = 0x1000_0000;
/// Number of the client's first byte.
const FIRST: u32 = INITIAL + 1;
/// Number of the header's first byte.
const HEADER: u32 = FIRST - HEADER_LEN;
/// A time stamp as Linux sends it (RFC 7323, appendix A).
const TIME_STAMP: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 7];

fn tlvs() -> Tlvs {
    Tlvs(core::array::from_fn(|i| 0x0101_0101 * (i as u32 + 1)))
}

/// The header that the client's connection gets, written from the protocol's section 2.2.
fn header() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    header.extend((HEADER_LEN as u16 - 16).to_be_bytes());
    header.extend(CLIENT.ip().octets());
    header.extend(ENDPOINT_ADDRESS.ip().octets());
    header.extend(CLIENT.port().to_be_bytes());
    header.extend(ENDPOINT_ADDRESS.port().to_be_bytes());
    header.extend(tlvs().0.iter().flat_map(|word| word.to_ne_bytes()));
    assert_eq!(header.len(), HEADER_LEN as usize);
    header
}

/// The option that the client's connection gets.
fn option() -> Vec<u8> {
    let mut option = vec![254, 8];
    option.extend(CLIENT.port().to_be_bytes());
    option.extend(CLIENT.ip().octets());
    option
}

/// Has the endpoint tell its server by these means, and opens a session up to the SYN-ACK.
fn asked(gateway: &mut Gateway, hook: Hook, means: u64) -> u16 {
    gateway.set_policy(ACCEPTED | means, 1, LIMIT);
    gateway.array(maps::TLVS).set(ENDPOINT, tlvs(), 0).unwrap();
    let is_renumbered = means & PROXY != 0;
    let back = if is_renumbered { HEADER_LEN } else { 0 };
    let source_port = client_becomes(gateway, hook, &syn(), |to| to.sequence -= back);
    let syn_ack = Segment {
        acknowledgement: FIRST - back,
        options: vec![2, 4, 5, 0xb4],
        ..stage::from_backend(source_port, SYN | ACK)
    };
    backend_becomes(gateway, hook, &syn_ack, |to| {
        to.acknowledgement = FIRST;
        if means & TOA != 0 {
            to.options = vec![2, 4, 5, 0xb4 - 8];
        }
    });
    source_port
}

/// A segment of the client: flags, number, data.
fn client(flags: u8, sequence: u32, payload: &[u8]) -> Segment {
    Segment { sequence, acknowledgement: 9, payload: payload.to_vec(), ..stage::from_client(CLIENT, flags) }
}

/// A bare acknowledgement of the server, of what comes before this number.
fn acknowledges(source_port: u16, acknowledgement: u32) -> Segment {
    Segment { sequence: 7_000, acknowledgement, ..stage::from_backend(source_port, ACK) }
}

/// Sends a segment of the client and expects it at the server, changed by more than its addresses.
fn client_becomes(gateway: &Gateway, hook: Hook, segment: &Segment, change: impl Fn(&mut Segment)) -> u16 {
    let outcome = gateway.run(hook, CONSUMER.ifindex, &segment.build());
    let source_port = gateway.source_port(CLIENT).expect("the client has a session");
    let mut expected = stage::to_backend(segment, source_port);
    change(&mut expected);
    assert_eq!(outcome.verdict, Verdict::Redirect, "drops {:?}", gateway.drops());
    assert_same_frame(&outcome.frame, &expected.build(), "towards the backend");
    source_port
}

/// Likewise, a segment of the server.
fn backend_becomes(gateway: &Gateway, hook: Hook, segment: &Segment, change: impl Fn(&mut Segment)) {
    let outcome = gateway.run(hook, PROVIDER.ifindex, &segment.build());
    let mut expected = stage::to_client(segment, CLIENT);
    change(&mut expected);
    assert_eq!(outcome.verdict, Verdict::Redirect, "drops {:?}", gateway.drops());
    assert_same_frame(&outcome.frame, &expected.build(), "towards the client");
}

fn gets_header(to: &mut Segment) {
    to.sequence = HEADER;
    to.payload = header();
}

fn gets_option(to: &mut Segment) {
    to.options = [option(), to.options.clone()].concat();
}

#[test]
fn a_proxy_header_rides_on_the_last_of_the_handshake() {
    on_each_hook(|gateway, hook| {
        let source_port = asked(gateway, hook, PROXY);
        let slot = gateway.slot_of(&stage::flow(CLIENT)).unwrap();
        client_becomes(gateway, hook, &client(ACK, FIRST, b""), gets_header);
        // What is behind keeps its number, whether the header is acknowledged yet or not.
        client_sends(gateway, hook, &client(ACK | PSH, FIRST, b"GET /"));
        assert_eq!(gateway.slot(slot).pending, pending::PROXY);
        backend_sends(gateway, hook, &acknowledges(source_port, FIRST + 5));
        assert_eq!(gateway.slot(slot).pending, 0, "the header has arrived");
        let age = stage::now().wrapping_sub(gateway.slot(slot).created);
        assert!(age <= 8, "opened {age} ticks ago");
        for segment in [
            client(ACK, FIRST + 5, b""),
            client(ACK, INITIAL, b""),
            client(ACK, FIRST, b"GET /"),
            client(ACK | FIN, FIRST + 5, b""),
        ] {
            client_sends(gateway, hook, &segment);
        }
        backend_sends(gateway, hook, &acknowledges(source_port, FIRST + 6));
        assert_eq!(gateway.drops(), []);
    });
}

#[test]
fn a_proxy_header_comes_behind_whatever_options_there_are() {
    on_each_hook(|gateway, hook| {
        asked(gateway, hook, PROXY);
        for options in [vec![], TIME_STAMP.to_vec(), vec![1; 40]] {
            client_becomes(gateway, hook, &Segment { options, ..client(ACK, FIRST, b"") }, gets_header);
        }
        let with_ip_options = Segment { ip_options: vec![1; 40], ..client(ACK, FIRST, b"") };
        client_becomes(gateway, hook, &with_ip_options, gets_header);
        let with_both = Segment { options: vec![1; 40], ..with_ip_options };
        client_becomes(gateway, hook, &with_both, gets_header);
    });
}

/// Short frames are padded to 60 bytes on the wire.
#[test]
fn a_proxy_header_takes_the_place_of_padding() {
    on_each_hook(|gateway, hook| {
        let source_port = asked(gateway, hook, PROXY);
        let segment = client(ACK, FIRST, b"");
        let mut frame = segment.build();
        frame.resize(60, 0xee);
        let outcome = gateway.run(hook, CONSUMER.ifindex, &frame);
        let mut expected = stage::to_backend(&segment, source_port);
        gets_header(&mut expected);
        assert_same_frame(&outcome.frame, &expected.build(), "towards the backend");
    });
}

/// The acknowledgement with the header is lost, and data comes first: the server acknowledges
/// nothing of it, and the client is asked for another acknowledgement.
#[test]
fn a_lost_header_is_sent_again() {
    on_each_hook(|gateway, hook| {
        let source_port = asked(gateway, hook, PROXY);
        client_becomes(gateway, hook, &client(ACK, FIRST, b""), gets_header);
        client_sends(gateway, hook, &client(ACK | PSH, FIRST, b"GET /"));
        backend_becomes(gateway, hook, &acknowledges(source_port, HEADER), |to| {
            to.sequence -= 1;
            to.acknowledgement = FIRST;
        });
        client_becomes(gateway, hook, &client(ACK, FIRST + 5, b""), gets_header);
        backend_sends(gateway, hook, &acknowledges(source_port, FIRST + 5));
        client_sends(gateway, hook, &client(ACK, FIRST + 5, b""));
    });
}

/// A server that has seen nothing of the client but its SYN says so again.
#[test]
fn a_repeated_syn_ack_gets_the_header_again() {
    on_each_hook(|gateway, hook| {
        let source_port = asked(gateway, hook, PROXY);
        client_becomes(gateway, hook, &client(ACK, FIRST, b""), gets_header);
        let again = Segment { acknowledgement: HEADER, ..stage::from_backend(source_port, SYN | ACK) };
        backend_becomes(gateway, hook, &again, |to| to.acknowledgement = FIRST);
        client_becomes(gateway, hook, &client(ACK, FIRST, b""), gets_header);
    });
}

#[test]
fn a_client_that_begins_anew_is_renumbered_anew() {
    on_each_hook(|gateway, hook| {
        gateway.set_policy(ACCEPTED | PROXY, 1, LIMIT);
        gateway.array(maps::TLVS).set(ENDPOINT, tlvs(), 0).unwrap();
        for initial in [INITIAL, 5, u32::MAX] {
            let syn = client(SYN, initial, b"");
            client_becomes(gateway, hook, &syn, |to| to.sequence = initial.wrapping_sub(HEADER_LEN));
        }
        let source_port = gateway.source_port(CLIENT).unwrap();
        let header = 0_u32.wrapping_sub(HEADER_LEN);
        let syn_ack = Segment { acknowledgement: header, ..stage::from_backend(source_port, SYN | ACK) };
        backend_becomes(gateway, hook, &syn_ack, |to| to.acknowledgement = 0);
        client_becomes(gateway, hook, &client(ACK, 0, b""), |to| {
            gets_header(to);
            to.sequence = header;
        });
    });
}

#[test]
fn resets_reach_who_waits_for_the_header() {
    on_each_hook(|gateway, hook| {
        let source_port = asked(gateway, hook, PROXY);
        client_becomes(gateway, hook, &client(RST, FIRST, b""), |to| to.sequence = HEADER);
        let reset = Segment { acknowledgement: HEADER, ..stage::from_backend(source_port, RST | ACK) };
        backend_becomes(gateway, hook, &reset, |to| to.acknowledgement = FIRST);
    });
}

/// Nobody but the gateway writes where the header is.
#[test]
fn a_header_cannot_be_forged() {
    let case = |name: &str, segment: Segment| {
        Case::client(name, &segment)
            .before(|gateway, hook| {
                asked(gateway, hook, PROXY);
            })
            .dropped(DropReason::Malformed)
    };
    let with_data = Segment { payload: header(), ..syn() };
    check([
        case("data at the header's place", client(ACK, HEADER, &header())),
        case("data that begins there", client(ACK, FIRST - 1, b"xGET /")),
        case("an end there", client(ACK | FIN, HEADER, b"")),
        case("a SYN with data", with_data.clone()),
        Case::client("an opening with data", &with_data)
            .before(|gateway, _| gateway.set_policy(ACCEPTED | PROXY, 1, LIMIT))
            .only(Hook::Tc)
            .dropped(DropReason::Malformed),
    ]);
}

#[test]
fn the_option_comes_first_in_whatever_completes_the_handshake() {
    on_each_hook(|gateway, hook| {
        let source_port = asked(gateway, hook, TOA);
        for options in [vec![], TIME_STAMP.to_vec(), vec![1; 32]] {
            for len in [0, 1, 2, 3, 31, 255, 256, 257, 536, 1_440] {
                let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
                let segment = Segment { options: options.clone(), ..client(ACK, FIRST, &payload) };
                client_becomes(gateway, hook, &segment, gets_option);
            }
        }
        client_becomes(gateway, hook, &client(ACK | FIN, FIRST, b"bye"), gets_option);
        // A reset of the server is no answer; anything else is.
        client_sends(gateway, hook, &client(RST, FIRST, b""));
        backend_sends(gateway, hook, &acknowledges(source_port, FIRST));
        client_sends(gateway, hook, &client(ACK, FIRST, b"GET /"));
        assert_eq!(gateway.drops(), []);
    });
}

/// As long as a frame in a test run may be; more than a page is not offered.
#[test]
fn the_option_fits_into_a_long_frame() {
    on_each_hook(|gateway, hook| {
        asked(gateway, hook, TOA);
        let payload: Vec<u8> = (0..3_000).map(|i| (i % 251) as u8).collect();
        client_becomes(gateway, hook, &client(ACK, FIRST, &payload), gets_option);
    });
}

#[test]
fn the_option_counts_where_a_packet_may_be_too_big() {
    const NARROW: u32 = 1_400;
    let with_data = |len| client(ACK, FIRST, &vec![7; len]);
    let open = |gateway: &mut Gateway, hook| {
        asked(gateway, hook, TOA);
        gateway.set_mtu(PROVIDER, NARROW);
    };
    let too_big = Error(3, 4, (NARROW - 8).to_be_bytes());
    check([
        Case::client("at TC", &with_data(1_353))
            .before(open)
            .only(Hook::Tc)
            .told(too_big, DropReason::TooBig),
        Case::client("at XDP, which leaves it to TC", &with_data(1_353)).before(open).only(Hook::Xdp),
    ]);
    on_each_hook(|gateway, hook| {
        open(gateway, hook);
        client_becomes(gateway, hook, &with_data(1_352), gets_option);
    });
}

#[test]
fn what_cannot_take_the_option_goes_without_it_behind_one_that_did() {
    let full = Segment { options: vec![1; 36], ..client(ACK, FIRST, b"") };
    let with_ip_options = Segment { ip_options: vec![1; 4], ..client(ACK, FIRST, b"") };
    let forged = Segment { options: option(), ..client(ACK, FIRST, b"") };
    let behind_nothing = |name: &str, segment: &Segment| {
        Case::client(name, segment)
            .before(|gateway, hook| {
                asked(gateway, hook, TOA);
            })
            .dropped(DropReason::NoRoom)
    };
    let behind_one = |gateway: &mut Gateway, hook: Hook| {
        asked(gateway, hook, TOA);
        client_becomes(gateway, hook, &client(ACK, FIRST, b""), gets_option);
    };
    let as_it_is = |name: &str, segment: &Segment| {
        let expected = stage::to_backend(segment, first_source_port()).build();
        Case::client(name, segment).before(behind_one).sent(move |_| expected.clone())
    };
    check([
        behind_nothing("options are full", &full),
        behind_nothing("with IP options", &with_ip_options),
        behind_nothing("with an option of its own", &forged),
        as_it_is("options are full, later", &full),
        as_it_is("with IP options, later", &with_ip_options),
        Case::client("with an option of its own, later", &forged)
            .before(behind_one)
            .dropped(DropReason::NoRoom),
    ]);
}

#[test]
fn both_go_together() {
    on_each_hook(|gateway, hook| {
        let source_port = asked(gateway, hook, TOA | PROXY);
        for options in [vec![], TIME_STAMP.to_vec()] {
            client_becomes(gateway, hook, &Segment { options, ..client(ACK, FIRST, b"") }, |to| {
                gets_option(to);
                gets_header(to);
            });
        }
        client_becomes(gateway, hook, &client(ACK | PSH, FIRST, b"GET /"), gets_option);
        backend_sends(gateway, hook, &acknowledges(source_port, FIRST + 5));
        client_sends(gateway, hook, &client(ACK, FIRST + 5, b""));
    });
}

/// Datagrams of the same endpoint are left as they are, and so are connections of another.
#[test]
fn who_did_not_ask_is_told_nothing() {
    on_each_hook(|gateway, hook| {
        client_sends(gateway, hook, &syn());
        gateway.set_policy(ACCEPTED | TOA | PROXY, 2, LIMIT);
        let source_port = gateway.source_port(CLIENT).unwrap();
        backend_sends(
            gateway,
            hook,
            &Segment { source: BACKEND, ..stage::from_backend(source_port, SYN | ACK) },
        );
        client_sends(gateway, hook, &client(ACK, FIRST, b""));
    });
}

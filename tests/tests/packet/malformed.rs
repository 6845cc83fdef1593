//! Packets that contradict themselves are dropped, never forwarded, and those
//! that merely look unusual go through.

use std::net::SocketAddrV4;

use vpcep_common::counter::DropReason;
use vpcep_tests::packet::{Datagram, ETHERNET_LEN, Segment};

use crate::runner::{Gateway, Hook, Verdict};
use crate::stage::{self, CLIENT, CONSUMER, ENDPOINT, HOST_ADDRESS, PROVIDER, SOURCE};
use crate::table::{Case, check, client_data, established, first_source_port, on_each_hook, syn};

const VERSION_AND_LENGTH: usize = ETHERNET_LEN;
const TOTAL_LENGTH: usize = ETHERNET_LEN + 2;
const DATA_OFFSET: usize = ETHERNET_LEN + 20 + 12;

/// A bare SYN with bytes replaced.
fn patched(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = Segment { options: Vec::new(), ..syn() }.build();
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    frame
}

#[test]
fn truncated_frames_are_dropped_at_every_length() {
    on_each_hook(|gateway, hook| {
        established(gateway, hook);
        let frame = client_data().build();
        // The kernel refuses to run TC on less than an IP header.
        let shortest = ETHERNET_LEN + if hook == Hook::Tc { 20 } else { 1 };
        for len in shortest..frame.len() {
            let outcome = gateway.run(hook, CONSUMER.ifindex, &frame[..len]);
            assert_eq!(outcome.verdict, Verdict::Drop, "{len} of {} bytes", frame.len());
        }
        let dropped = (frame.len() - shortest) as u64;
        assert_eq!(gateway.drops(), [(0, DropReason::Malformed.name(), dropped)]);
        assert_eq!(gateway.connections(ENDPOINT).current, 1);
    });
}

#[test]
fn lengths_must_agree() {
    let malformed = |name: &str, frame: Vec<u8>| {
        Case::new(name, CONSUMER, frame).dropped_unattributed(DropReason::Malformed)
    };
    let total = |len: u16| patched(TOTAL_LENGTH, &len.to_be_bytes());
    check([
        malformed("version 6 under the type of version 4", patched(VERSION_AND_LENGTH, &[0x65])),
        malformed("header that does not add up", patched(ETHERNET_LEN + 10, &[0x12, 0x34])),
        malformed("version 0", patched(VERSION_AND_LENGTH, &[0x05])),
        malformed("header of 0 bytes", patched(VERSION_AND_LENGTH, &[0x40])),
        malformed("header of 16 bytes", patched(VERSION_AND_LENGTH, &[0x44])),
        malformed("header longer than the packet", patched(VERSION_AND_LENGTH, &[0x4f])),
        malformed("packet longer than the frame", total(41)),
        malformed("packet as long as can be", total(u16::MAX)),
        malformed("packet shorter than its header", total(19)),
        malformed("packet of 0 bytes", total(0)),
        malformed("no room for TCP", total(39)),
        malformed("only an IP header", total(20)),
        malformed("TCP header of 0 bytes", patched(DATA_OFFSET, &[0x00])),
        malformed("TCP header of 16 bytes", patched(DATA_OFFSET, &[0x40])),
        malformed("TCP header longer than the segment", patched(DATA_OFFSET, &[0x60])),
        malformed("TCP header of 60 bytes in a segment of 20", patched(DATA_OFFSET, &[0xf0])),
    ]);
}

/// The same on the way back, where a wrong length would be the provider's.
#[test]
fn the_return_path_parses_no_less() {
    let mut frame = Segment { options: Vec::new(), ..stage::from_backend(first_source_port(), 0x10) }.build();
    frame[DATA_OFFSET] = 0x40;
    check([Case::new("TCP header of 16 bytes", PROVIDER, frame)
        .before(|gateway, hook| {
            established(gateway, hook);
        })
        .dropped_unattributed(DropReason::Malformed)]);
}

#[test]
fn ip_options_go_through_at_every_length() {
    check((1..=10).map(|words| {
        let segment = Segment { ip_options: vec![1; words * 4], ..syn() };
        Case::client(format!("header of {} bytes", 20 + words * 4), &segment.clone())
            .sent(move |gateway| stage::to_backend(&segment, gateway.source_port(CLIENT).unwrap()).build())
    }));
}

#[test]
fn tcp_options_and_payload_go_through_untouched() {
    let translated = |segment: Segment| {
        move |gateway: &Gateway| stage::to_backend(&segment, gateway.source_port(CLIENT).unwrap()).build()
    };
    check((0..=10).flat_map(|words| {
        let options = Segment { options: vec![1; words * 4], ..syn() };
        // An odd payload leaves half a checksum word; a SYN with data is TCP Fast Open.
        let with_data = Segment { payload: vec![0xab; words * 7 + 1], ..options.clone() };
        let both = Segment { ip_options: vec![1; 40], ..with_data.clone() };
        let name = format!("TCP header of {} bytes and data of {}", 20 + words * 4, words * 7 + 1);
        // XDP leaves to TC what it cannot judge the checksum of: more than the
        // longest header, or half a word at the end.
        let segment_len = 20 + words * 4 + words * 7 + 1;
        let is_judged = segment_len <= 60 && segment_len.is_multiple_of(4);
        let at_xdp = |case: Case, frame: Segment| if is_judged { case.sent(translated(frame)) } else { case };
        [
            Case::client(format!("TCP header of {} bytes", 20 + words * 4), &options)
                .sent(translated(options.clone())),
            at_xdp(Case::client(&name, &with_data).only(Hook::Xdp), with_data.clone()),
            Case::client(&name, &with_data).only(Hook::Tc).sent(translated(with_data.clone())),
            Case::client("and all IP options", &both).only(Hook::Tc).sent(translated(both.clone())),
        ]
    }));
}

/// Ethernet pads what is shorter than 60 bytes; the padding is no part of the packet.
#[test]
fn padding_is_carried_along() {
    let bare = Segment { options: Vec::new(), ..syn() };
    let padded = |segment: &Segment| [segment.build(), vec![0; 6]].concat();
    let frame = padded(&bare);
    check([Case::new("60-byte frame", CONSUMER, frame)
        .sent(move |gateway| padded(&stage::to_backend(&bare, gateway.source_port(CLIENT).unwrap())))
        .after(|gateway| assert_eq!(gateway.traffic(ENDPOINT).bytes_out, 40, "IP bytes, no padding"))]);
}

#[test]
fn ecn_and_dscp_are_kept() {
    let segment = Segment { tos: 0xb9, id: 0xfedc, ..syn() };
    check([Case::client("tos", &segment.clone())
        .sent(move |gateway| stage::to_backend(&segment, gateway.source_port(CLIENT).unwrap()).build())]);
}

#[test]
fn fragments_are_dropped() {
    let fragment = |segment: Segment, fragment: u16| Datagram { fragment, ..segment.datagram() }.build();
    let to_host = Segment { destination: SocketAddrV4::new(HOST_ADDRESS, 22), ..syn() };
    let to_source = stage::from_backend(first_source_port(), 0x10);
    check([
        Case::new("first", CONSUMER, fragment(syn(), 0x2000)).dropped(DropReason::Fragment),
        Case::new("middle", CONSUMER, fragment(syn(), 0x2001)).dropped(DropReason::Fragment),
        Case::new("last", CONSUMER, fragment(syn(), 0x0100)).dropped(DropReason::Fragment),
        Case::new("to the host: for its stack", CONSUMER, fragment(to_host, 0x2000)),
        Case::new("from a backend", PROVIDER, fragment(to_source, 0x2000))
            .dropped_unattributed(DropReason::Fragment),
        Case::new("reserved bit is no fragment", CONSUMER, fragment(syn(), 0x8000)).sent(|gateway| {
            let source_port = gateway.source_port(CLIENT).unwrap();
            Datagram { fragment: 0x8000, ..stage::to_backend(&syn(), source_port).datagram() }.build()
        }),
    ]);
}

/// Land attack and the like: addresses of ours as the source.
#[test]
fn a_source_of_ours_opens_nothing() {
    let from_source = Segment { source: SocketAddrV4::new(SOURCE, 5_000), ..syn() };
    check([
        Case::client("source address that backends see", &from_source).dropped(DropReason::ReservedSource)
    ]);
}

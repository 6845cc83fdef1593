//! ICMP errors that the gateway makes itself: about what is refused, out of hops or too big
//! (RFC 792, RFC 1812 section 4.3.2, RFC 5508 REQ-8, RFC 1191).

use std::net::{Ipv4Addr, SocketAddrV4};

use aya::programs::TestRunOptions;
use vpcep_common::counter::{Connections, DropReason};
use vpcep_common::endpoint::policy::{ACCEPTED, ICMP as BY_ICMP, SILENT, WHITELIST};
use vpcep_common::maps;
use vpcep_common::meter::connection_cost;
use vpcep_common::settings::Settings;
use vpcep_common::tcp::flags::{ACK, RST, SYN};
use vpcep_tests::packet::{Datagram, Segment, TCP, checksum};

use crate::icmp::{ICMP, message};
use crate::routes;
use crate::runner::{Gateway, Hook, Outcome, Verdict};
use crate::stage::{
    self, BACKEND_MAC, CLIENT, CLIENT_MAC, CONSUMER, ENDPOINT, ENDPOINT_ADDRESS, Link, PROVIDER,
};
use crate::table::{
    Case, assert_same_frame, backend_data, check, client_data, client_sends, established, first_source_port,
    on_each_hook, refusal_of, reset_onward, syn,
};
use crate::udp::{self, Sum, map_udp};

/// Type, code, and what follows the checksum.
#[derive(Clone, Copy, Debug)]
pub struct Error(pub u8, pub u8, pub [u8; 4]);

/// The hop limit ran out on the way.
pub const HOPS_EXCEEDED: Error = Error(11, 0, [0; 4]);
/// Nobody is at the port.
pub const PORT_UNREACHABLE: Error = Error(3, 3, [0; 4]);
/// Communication administratively prohibited.
pub const PROHIBITED: Error = Error(3, 13, [0; 4]);

const NARROW: u32 = 1_400;
/// Too big for a way out with that MTU.
const TOO_BIG: Error = Error(3, 4, [0, 0, 0x05, 0x78]);
const NTP: u16 = 123;

/// The error that whoever sent this frame on a link gets.
pub fn told_by(link: &Link, Error(kind, code, rest): Error, about: &[u8]) -> Vec<u8> {
    let packet = Datagram::parse(about).expect("the frame is IPv4");
    let is_to_endpoint = link.vpc == CONSUMER.vpc && packet.destination == *ENDPOINT_ADDRESS.ip();
    let source = if is_to_endpoint { packet.destination } else { link.gateway };
    let kept = 20 + packet.options.len() + if packet.protocol == TCP { 20 } else { 8 };
    let payload = message(kind, code, rest, &about[14..14 + kept]);
    Datagram {
        to: packet.from,
        from: link.mac,
        tos: 0xc0,
        id: 0,
        ..Datagram::new(source, packet.source, ICMP, &payload)
    }
    .build()
}

fn ntp() -> Datagram {
    udp::from_client(NTP, b"what time is it", Sum::Right)
}

fn map_ntp(gateway: &mut Gateway, _: Hook) {
    map_udp(gateway, NTP);
}

fn with_policy(flags: u64, limit: u32) -> impl Fn(&mut Gateway, Hook) {
    move |gateway, _| {
        map_udp(gateway, NTP);
        gateway.set_policy(flags, 2, limit);
    }
}

#[test]
fn rfc_5508_req_8_a_refused_datagram_is_prohibited() {
    let case = |name| Case::new(name, CONSUMER, ntp().build());
    let with_options = Datagram { options: vec![1; 40], ..ntp() };
    check([
        case("port not mapped").told(PORT_UNREACHABLE, DropReason::PortNotMapped),
        case("not accepted").before(with_policy(0, 9)).told(PROHIBITED, DropReason::NotAccepted),
        case("not on the whitelist")
            .before(with_policy(ACCEPTED | WHITELIST, 9))
            .told(PROHIBITED, DropReason::NotWhitelisted),
        case("too many").before(with_policy(ACCEPTED, 0)).told(PROHIBITED, DropReason::ConnectionLimit),
        case("no backend")
            .before(|gateway, hook| {
                map_ntp(gateway, hook);
                gateway.set_servers(0);
            })
            .told(PROHIBITED, DropReason::NoBackend),
        case("chosen for TCP too").before(with_policy(BY_ICMP, 9)).told(PROHIBITED, DropReason::NotAccepted),
        case("silence").before(with_policy(SILENT, 9)).dropped(DropReason::NotAccepted),
        Case::new("IP options", CONSUMER, with_options.build())
            .before(with_policy(0, 9))
            .told(PROHIBITED, DropReason::NotAccepted),
    ]);
}

#[test]
fn tcp_is_told_so_where_the_operator_chose_it() {
    let refused = Segment { acknowledgement: 7, ..stage::from_client(CLIENT, ACK) };
    let other_port = SocketAddrV4::new(*ENDPOINT_ADDRESS.ip(), 81);
    let unmapped = Segment { destination: other_port, ..syn() };
    let case = |name: &str, segment: &Segment| Case::client(name, segment).before(with_policy(BY_ICMP, 9));
    check([
        case("opening", &syn()).told(PROHIBITED, DropReason::NotAccepted),
        case("opening, to another port", &unmapped).told(PORT_UNREACHABLE, DropReason::PortNotMapped),
        case("opening, with IP options", &Segment { ip_options: vec![1; 40], ..syn() })
            .told(PROHIBITED, DropReason::NotAccepted),
        // No error ends what is there.
        case("in the middle of no connection", &refused)
            .answered(refusal_of(&refused), DropReason::NoSession),
        case("a reset", &stage::from_client(CLIENT, RST)).dropped(DropReason::NoSession),
    ]);
    on_each_hook(|gateway, hook| {
        let port = established(gateway, hook);
        gateway.set_policy(BY_ICMP, 2, 9);
        let response = backend_data(port);
        let cut = gateway.run(hook, PROVIDER.ifindex, &response.build());
        let reset = reset_onward(&stage::to_client(&response, CLIENT));
        assert_same_frame(&cut.frame, &reset.build(), "a connection that is cut off");
    });
}

#[test]
fn whoever_sent_too_few_hops_is_told_from_an_address_it_knows() {
    let port = first_source_port();
    let last_hop = |datagram: Datagram| Datagram { ttl: 1, ..datagram }.build();
    let to_store = Segment { ttl: 1, ..routes::from_client(CLIENT, routes::STORE, SYN) };
    let to_store = to_store.build();
    let told = told_by(&CONSUMER, HOPS_EXCEEDED, &to_store);
    check([
        Case::new("a datagram that would open", CONSUMER, last_hop(ntp()))
            .before(map_ntp)
            .told(HOPS_EXCEEDED, DropReason::TtlExceeded),
        Case::new("also where refusals are silent", CONSUMER, last_hop(ntp()))
            .before(with_policy(ACCEPTED | SILENT, 9))
            .told(HOPS_EXCEEDED, DropReason::TtlExceeded),
        Case::client("in a connection", &Segment { ttl: 0, ..client_data() })
            .before(|gateway, hook| {
                established(gateway, hook);
            })
            .told(HOPS_EXCEEDED, DropReason::TtlExceeded),
        Case::backend("the backend", &Segment { ttl: 1, ..backend_data(port) })
            .before(|gateway, hook| {
                established(gateway, hook);
            })
            .told(HOPS_EXCEEDED, DropReason::TtlExceeded),
        Case::new("through a gateway-type endpoint", CONSUMER, to_store)
            .before(|gateway, _| routes::lay(gateway))
            .sent(move |_| told.clone())
            .counts(routes::NUMBER, DropReason::TtlExceeded),
    ]);
}

/// Data that makes a packet of this many IP bytes.
fn of_size(segment: Segment, size: usize) -> Segment {
    Segment { payload: vec![7; size - 40], ..segment }
}

#[test]
fn rfc_1191_what_is_too_big_is_told_the_size_that_fits() {
    let open_narrow = |link: Link| {
        move |gateway: &mut Gateway, hook| {
            established(gateway, hook);
            gateway.set_mtu(link, NARROW);
        }
    };
    let port = first_source_port();
    let data = |size| of_size(client_data(), size);
    let response = of_size(backend_data(port), 1_401);
    let may_be_cut = Datagram { fragment: 0, ..data(1_401).datagram() };
    let large_query = udp::from_client(NTP, &[1; 1_373], Sum::Right);
    let cases = [
        Case::client("the client's", &data(1_401))
            .before(open_narrow(PROVIDER))
            .told(TOO_BIG, DropReason::TooBig),
        Case::backend("the backend's", &response)
            .before(open_narrow(CONSUMER))
            .told(TOO_BIG, DropReason::TooBig),
        Case::new("one that may be cut", CONSUMER, may_be_cut.build())
            .before(open_narrow(PROVIDER))
            .dropped(DropReason::TooBig),
        Case::new("a datagram that would open", CONSUMER, large_query.build())
            .before(|gateway, hook| {
                map_ntp(gateway, hook);
                gateway.set_mtu(PROVIDER, NARROW);
            })
            .told(TOO_BIG, DropReason::TooBig)
            .after(|gateway| assert_eq!(gateway.slot_of(&udp::flow(NTP)), None, "it opened a session")),
    ];
    // XDP leaves them to TC, which knows of segments.
    check(cases.map(|case| case.only(Hook::Tc)));
    check([Case::client("at XDP", &data(1_401)).before(open_narrow(PROVIDER)).only(Hook::Xdp)]);
    on_each_hook(|gateway, hook| {
        open_narrow(PROVIDER)(gateway, hook);
        client_sends(gateway, hook, &data(1_400));
    });
}

/// Runs a frame at TC as one that is still to be cut into segments with this much payload.
fn run_merged(gateway: &Gateway, link: Link, frame: &[u8], payload: u32) -> Outcome {
    /// Of `gso_size` in `struct __sk_buff`.
    const GSO_SIZE_AT: usize = 176;
    let mut context = Hook::Tc.context(link.ifindex, frame.len());
    context[GSO_SIZE_AT..GSO_SIZE_AT + 4].copy_from_slice(&payload.to_ne_bytes());
    let mut out = vec![0; frame.len() + 64];
    let options = TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut out),
        ctx_in: Some(&context),
        ..TestRunOptions::new()
    };
    let (code, len, _) = gateway.test_run(Hook::Tc, options).unwrap();
    out.truncate(len);
    Outcome { verdict: Hook::Tc.verdict(code).unwrap(), frame: out }
}

#[test]
fn merged_packets_are_judged_by_their_segments() {
    on_each_hook(|gateway, hook| {
        if hook == Hook::Xdp {
            return;
        }
        established(gateway, hook);
        gateway.set_mtu(PROVIDER, NARROW);
        // 12 bytes of TCP options in each.
        let merged = Segment { options: vec![1; 12], ..of_size(client_data(), 3_000) };
        let frame = merged.build();
        let fits = run_merged(gateway, CONSUMER, &frame, NARROW - 20 - 20 - 12);
        let passed = stage::to_backend(&merged, first_source_port());
        assert_eq!(fits.verdict, Verdict::Redirect, "{:?}", gateway.drops());
        assert_eq!(fits.frame, passed.build());
        let too_big = run_merged(gateway, CONSUMER, &frame, NARROW - 20 - 20 - 12 + 1);
        assert_eq!(too_big.frame, told_by(&CONSUMER, TOO_BIG, &frame));
        assert_eq!(gateway.drops(), [(ENDPOINT, "too_big", 1)]);
    });
}

/// A checksum that the sender's device was to complete: whether it is completed on the way back,
/// over what is then the end of the error, or not, the error adds up.
#[test]
fn an_error_adds_up_whoever_completes_the_checksum_inside() {
    const INNER: usize = 8 + 20;
    let of_udp = udp::from_client(NTP, b"what time is it", Sum::ToComplete);
    let mut of_tcp = syn().datagram();
    let mut pseudo = [of_tcp.source.octets(), of_tcp.destination.octets()].concat();
    pseudo.extend([0, TCP]);
    pseudo.extend((of_tcp.payload.len() as u16).to_be_bytes());
    of_tcp.payload[16..18].copy_from_slice(&(!checksum(&pseudo)).to_be_bytes());
    on_each_hook(|gateway, hook| {
        gateway.set_policy(BY_ICMP, 2, 9);
        for (name, about, check_at) in [("UDP", &of_udp, 6), ("TCP", &of_tcp, 16)] {
            let out = gateway.run(hook, CONSUMER.ifindex, &about.build());
            assert_eq!(out.verdict, Verdict::Redirect, "{name}: {:?}", gateway.drops());
            let mut told = Datagram::parse(&out.frame).unwrap().payload;
            assert_eq!(checksum(&told), 0, "{name}: not completed");
            let completed = checksum(&told[INNER..]);
            told[INNER + check_at..][..2].copy_from_slice(&completed.to_be_bytes());
            assert_eq!(checksum(&told), 0, "{name}: completed");
            let untouched = &about.build()[14..][..20 + check_at];
            assert_eq!(&told[8..INNER + check_at], untouched, "{name}: the rest");
        }
    });
}

#[test]
fn rfc_1122_some_packets_are_never_answered() {
    let from = |source: [u8; 4]| {
        let source = SocketAddrV4::new(source.into(), CLIENT.port());
        let to = udp::endpoint(NTP);
        Datagram { to: CONSUMER.mac, from: CLIENT_MAC, ..udp::udp(source, to, b"x", Sum::Right) }
    };
    let silent = |name: &str, datagram: Datagram| {
        Case::new(name, CONSUMER, datagram.build()).dropped(DropReason::PortNotMapped)
    };
    let fragment = |offset: u16| Datagram { fragment: offset, ..ntp() };
    let port = first_source_port();
    let about = stage::to_backend(&client_data(), port).build();
    let router = Ipv4Addr::new(192, 168, 24, 1);
    let payload = message(3, 1, [0; 4], &about[14..]);
    let error = Datagram::new(router, stage::SOURCE, ICMP, &payload);
    let error = Datagram { to: PROVIDER.mac, from: BACKEND_MAC, ttl: 1, ..error };
    check([
        silent("to all on the link", Datagram { to: [0xff; 6], ..ntp() }),
        silent("to a group on the link", Datagram { to: [1, 0, 0x5e, 0, 0, 1], ..ntp() }),
        silent("from a group on the link", Datagram { from: [3, 0, 0, 0, 0, 1], ..ntp() }),
        silent("from this network", from([0, 0, 0, 0])),
        silent("from a loopback", from([127, 0, 0, 1])),
        silent("from a group", from([224, 0, 0, 1])),
        silent("from all", from([255, 255, 255, 255])),
        silent("first fragment", fragment(0x2000)),
        Case::new("later fragment", CONSUMER, Datagram { ttl: 1, ..fragment(0x2001) }.build())
            .before(move |gateway, hook| {
                map_ntp(gateway, hook);
                let sent = gateway.run(hook, CONSUMER.ifindex, &fragment(0x2000).build());
                assert_eq!(sent.verdict, Verdict::Redirect, "{:?}", gateway.drops());
            })
            .dropped(DropReason::TtlExceeded),
        Case::new("fragment of nothing known", CONSUMER, fragment(1).build())
            .only(Hook::Tc)
            .dropped(DropReason::Fragment),
        Case::new("an ICMP error that ran out of hops", PROVIDER, error.build())
            .before(|gateway, hook| {
                established(gateway, hook);
            })
            .dropped(DropReason::TtlExceeded),
    ]);
}

/// How many errors in a second there may be.
pub fn set_rate(gateway: &mut Gateway, per_second: u32) {
    let known: Settings = gateway.entry(maps::SETTINGS, 0);
    let settings = Settings { error_cost: connection_cost(per_second), ..known };
    gateway.array(maps::SETTINGS).set(0, settings, 0).unwrap();
}

#[test]
fn rfc_1812_errors_have_a_rate_for_each_endpoint() {
    on_each_hook(|gateway, hook| {
        let send = |gateway: &Gateway| gateway.run(hook, CONSUMER.ifindex, &ntp().build()).verdict;
        set_rate(gateway, 1);
        assert_eq!(send(gateway), Verdict::Redirect, "the first");
        assert_eq!(send(gateway), Verdict::Drop, "beyond the rate");
        let paid: Connections = gateway.entry(maps::CONNECTIONS, ENDPOINT);
        let later = Connections { errors_until: paid.errors_until - 1_000_000_000, ..paid };
        gateway.array(maps::CONNECTIONS).set(ENDPOINT, later, 0).unwrap();
        assert_eq!(send(gateway), Verdict::Redirect, "a second later");
        // Another endpoint has a rate of its own.
        routes::lay(gateway);
        let other = Segment { ttl: 1, ..routes::from_client(CLIENT, routes::STORE, SYN) };
        assert_eq!(gateway.run(hook, CONSUMER.ifindex, &other.build()).verdict, Verdict::Redirect);
        assert_eq!(gateway.drops(), [(ENDPOINT, "port_not_mapped", 3), (routes::NUMBER, "ttl_exceeded", 1)]);
        set_rate(gateway, 0);
        gateway.array(maps::CONNECTIONS).set(ENDPOINT, Connections::default(), 0).unwrap();
        assert_eq!(send(gateway), Verdict::Drop, "switched off");
    });
}

#[test]
fn xdp_leaves_an_answer_to_tc_where_it_cannot_send_one() {
    check([Case::new("refused datagram", CONSUMER, ntp().build())
        .only(Hook::Xdp)
        .before(|gateway, _| gateway.set_attachment(CONSUMER, 0))]);
}

use std::sync::Arc;

use super::super::desired::{DesiredLimits, DesiredPort, DesiredRoute};
use super::super::tables::{Action, plan};
use super::*;
use crate::model::{Cidr, ClientAddress, Idle, IdleTimeout, ProxyProfile, TcpProxy};

const MAX: u32 = 64;

fn attachment(vpc: u16, third: u8) -> DesiredAttachment {
    DesiredAttachment {
        vpc,
        interface: format!("vpc{vpc}"),
        vlan: None,
        address: Ipv4Addr::new(10, 0, third, 1),
        prefix_len: 24,
        next_hop: None,
        mode: super::super::desired::AttachMode::Auto,
    }
}

fn server(address: Ipv4Addr) -> DesiredBackend {
    DesiredBackend { address, port: None, weight: 1, takes_connections: true }
}

/// A backend resource of these members.
fn servers(id: u128, members: &[u8]) -> Arc<Servers> {
    let members = members.iter().map(|last| server(Ipv4Addr::new(10, 0, 2, *last))).collect();
    Arc::new(Servers { id: BackendId::from_u128(id), algorithm: Algorithm::RoundRobin, members })
}

fn endpoint(last: u8) -> DesiredEndpoint {
    DesiredEndpoint {
        vpc: 1,
        address: Some(Ipv4Addr::new(10, 0, 1, last)),
        routes: vec![],
        accepted: true,
        ports: vec![DesiredPort { protocol: 6, client_port: 80, server_port: 8080 }],
        provider_vpc: 2,
        servers: Some(servers(1, &[10])),
        whitelist: None,
        limits: DesiredLimits { connections: 3000, half_open: 0, connection_rate: 0, bandwidth: 0 },
        refusal: Refusal::Reset,
        idle: Idle::default(),
        client_address: ClientAddress::default(),
        marker: 7,
    }
}

fn id(n: u128) -> EndpointId {
    EndpointId::from_u128(n)
}

/// Two VPCs and endpoints with these ids.
fn desired(endpoints: impl IntoIterator<Item = u128>) -> Desired {
    let attachments =
        [(1, attachment(1, 1)), (2, attachment(2, 2))].map(|(n, a)| (AttachmentId::from_u128(n), a));
    Desired {
        version: 1,
        attachments: attachments.into(),
        endpoints: endpoints.into_iter().map(|n| (id(n), endpoint((n as u8).wrapping_add(100)))).collect(),
        routed_subnets: BTreeSet::new(),
    }
}

fn attached() -> BTreeMap<AttachmentId, Attached> {
    [1, 2]
        .map(|n| {
            let attached = Attached {
                ifindex: n as u32 + 10,
                mac: [2, 0, 0, 0, 0, n as u8],
                flags: 0,
                mtu: 1500,
                host_addresses: vec![],
            };
            (AttachmentId::from_u128(n), attached)
        })
        .into()
}

/// One pass; checks that a second one has nothing to do.
fn pass(tables: &mut Tables, desired: &Desired, busy: &Busy) -> Vec<Action> {
    let compiled = compile(desired, tables, &attached(), busy, MAX);
    assert!(compiled.failed.is_empty(), "{:?}", compiled.failed);
    let actions = plan(tables, &compiled.target);
    for action in &actions {
        tables.apply(action);
    }
    assert_eq!(*tables, compiled.target);
    let again = compile(desired, tables, &attached(), busy, MAX);
    assert_eq!(plan(tables, &again.target), [], "a second pass plans nothing");
    actions
}

fn number_of(tables: &Tables, endpoint: u128) -> Option<u32> {
    let wanted = id(endpoint).as_u128().to_be_bytes();
    tables.policies.iter().find(|(_, p)| p.id == wanted).map(|(number, _)| *number)
}

#[test]
fn what_a_crash_left_behind_is_removed() {
    let mut tables = Tables::default();
    pass(&mut tables, &desired([1, 2, 3]), &Busy::default());
    pass(&mut tables, &desired([]), &Busy::default());
    let mut empty = Tables::default();
    pass(&mut empty, &desired([]), &Busy::default());
    assert_eq!(tables, empty);
}

#[test]
fn numbers_stay_with_their_owner() {
    let mut tables = Tables::default();
    pass(&mut tables, &desired([5, 6, 7]), &Busy::default());
    let before: Vec<_> = [5, 6, 7].map(|e| number_of(&tables, e)).into();
    pass(&mut tables, &desired([1, 5, 6, 7]), &Busy::default());
    let after: Vec<_> = [5, 6, 7].map(|e| number_of(&tables, e)).into();
    assert_eq!(before, after);
}

#[test]
fn a_number_that_sessions_name_is_given_to_nobody() {
    let mut tables = Tables::default();
    pass(&mut tables, &desired([1]), &Busy::default());
    let number = number_of(&tables, 1).expect("the endpoint has a number");
    let busy = Busy { endpoints: [number].into(), ..Busy::default() };
    pass(&mut tables, &desired([2]), &busy);
    assert_ne!(number_of(&tables, 2), Some(number));
    assert_eq!(tables.policies[&number].word & policy::ACCEPTED, 0, "nothing passes the old one");
    pass(&mut tables, &desired([2]), &Busy::default());
    assert!(!tables.policies.contains_key(&number), "the number is free once no session names it");
}

#[test]
fn the_generation_rises_exactly_when_the_policy_changes() {
    type Change = fn(&mut DesiredEndpoint);
    let cases: [(&str, Change, bool); 10] = [
        ("nothing", |_| {}, false),
        ("limit", |e| e.limits.connections = 7, false),
        ("port added", |e| e.ports.push(DesiredPort { protocol: 6, client_port: 81, server_port: 1 }), false),
        ("idle connections", |e| e.idle.reset = false, false),
        ("form of headers", |e| e.client_address.profile = ProxyProfile::Azure, false),
        ("rejected", |e| e.accepted = false, true),
        ("silence", |e| e.refusal = Refusal::Silent, true),
        ("ICMP errors", |e| e.refusal = Refusal::Icmp, true),
        ("whitelist on", |e| e.whitelist = Some(vec!["10.0.1.0/24".parse().unwrap()]), true),
        ("empty whitelist on", |e| e.whitelist = Some(vec![]), true),
    ];
    for (name, change, rises) in cases {
        let mut tables = Tables::default();
        let mut wanted = desired([1]);
        pass(&mut tables, &wanted, &Busy::default());
        let before = tables.policies[&1];
        change(wanted.endpoints.get_mut(&id(1)).unwrap());
        pass(&mut tables, &wanted, &Busy::default());
        let risen = policy::generation(tables.policies[&1].word) != policy::generation(before.word);
        assert_eq!(risen, rises, "{name}");
    }
}

#[test]
fn a_policy_says_what_becomes_of_idle_connections() {
    for (secs, reset, refusal, resets) in [
        (0, true, Refusal::Reset, true),
        (350, true, Refusal::Reset, true),
        (350, false, Refusal::Reset, false),
        (350, true, Refusal::Silent, false),
    ] {
        let (mut tables, mut wanted) = (Tables::default(), desired([1]));
        let endpoint = wanted.endpoints.get_mut(&id(1)).unwrap();
        endpoint.idle = Idle { timeout: IdleTimeout::from_secs(secs.into()).unwrap(), reset };
        endpoint.refusal = refusal;
        pass(&mut tables, &wanted, &Busy::default());
        let found = tables.policies[&1].idle;
        assert_eq!((idle::ticks(found), idle::resets(found)), (ticks(secs), resets), "{secs} {refusal:?}");
    }
}

#[test]
fn a_policy_says_how_servers_learn_of_clients() {
    let (mut tables, mut wanted) = (Tables::default(), desired([1]));
    for (means, flags) in [
        (TcpProxy::Close, 0),
        (TcpProxy::Toa, policy::TOA),
        (TcpProxy::Proxy, policy::PROXY),
        (TcpProxy::Both, policy::TOA | policy::PROXY),
    ] {
        wanted.endpoints.get_mut(&id(1)).unwrap().client_address.means = means;
        pass(&mut tables, &wanted, &Busy::default());
        assert_eq!(tables.policies[&1].word & (policy::TOA | policy::PROXY), flags, "{means:?}");
        assert_eq!(tables.tlvs.keys().collect::<Vec<_>>(), [&1], "{means:?}: headers name it at any time");
    }
    pass(&mut tables, &desired([]), &Busy::default());
    assert!(tables.tlvs.is_empty());
}

/// A session checked again under the new generation must not meet the old
/// whitelist, so entries go before the word changes; when the whitelist is
/// switched off, the other way round.
#[test]
fn a_policy_changes_after_what_makes_it_stricter() {
    let with = |entries: &[&str]| {
        let mut wanted = desired([1]);
        let list: Vec<Cidr> = entries.iter().map(|e| e.parse().unwrap()).collect();
        wanted.endpoints.get_mut(&id(1)).unwrap().whitelist = Some(list);
        wanted
    };
    let order = |actions: &[Action]| -> Vec<&'static str> {
        let name = |action: &Action| match action {
            Action::AddAcl(_) => Some("add"),
            Action::RemoveAcl(_) => Some("remove"),
            Action::SetPolicy(..) => Some("policy"),
            _ => None,
        };
        actions.iter().filter_map(name).collect()
    };
    let mut tables = Tables::default();
    pass(&mut tables, &with(&["10.0.1.0/25"]), &Busy::default());
    let changed = pass(&mut tables, &with(&["10.0.1.128/25"]), &Busy::default());
    assert_eq!(order(&changed), ["add", "remove", "policy"]);
    let off = pass(&mut tables, &desired([1]), &Busy::default());
    assert_eq!(order(&off), ["policy", "remove"]);
}

#[test]
fn a_vpc_attached_anew_keeps_the_numbers_its_sessions_name() {
    let mut tables = Tables::default();
    let mut wanted = desired([1]);
    pass(&mut tables, &wanted, &Busy::default());
    let before = (tables.attachments.clone(), tables.next_hops.clone());
    let busy = Busy { attachments: [1, 2].into(), next_hops: [1].into(), ..Busy::default() };
    let detached = std::mem::take(&mut wanted.attachments);
    pass(&mut tables, &wanted, &busy);
    assert!(tables.attachments.values().all(|a| a.ifindex == 0), "switched off");
    // Under other ids, as delete and create make them.
    let again = detached.into_values().zip([21, 22]).map(|(a, n)| (AttachmentId::from_u128(n), a));
    wanted.attachments = again.collect();
    let attached = attached().into_values().zip([21, 22]).map(|(a, n)| (AttachmentId::from_u128(n), a));
    let target = compile(&wanted, &tables, &attached.collect(), &busy, MAX).target;
    let ways = |attachments: &BTreeMap<u32, Attachment>| -> Vec<_> {
        attachments.iter().map(|(number, a)| (*number, a.vpc, a.ifindex)).collect()
    };
    assert_eq!(ways(&target.attachments), ways(&before.0));
    assert_eq!(target.next_hops, before.1);
}

#[test]
fn endpoints_beyond_the_capacity_fail_alone() {
    let wanted = desired(1..=200);
    let compiled = compile(&wanted, &Tables::default(), &attached(), &Busy::default(), MAX);
    assert_eq!(compiled.target.policies.len() as u32, MAX - 1);
    assert_eq!(compiled.failed.len() as u32, 200 - (MAX - 1));
    let reason = compiled.failed.values().next().expect("one failed");
    assert!(reason.contains("max_endpoints"), "{reason}");
}

#[test]
fn a_backend_off_the_link_is_reached_through_the_router() {
    let mut wanted = desired([1]);
    let far = Ipv4Addr::new(172, 16, 0, 9);
    let servers = wanted.endpoints.get_mut(&id(1)).unwrap().servers.as_mut().unwrap();
    Arc::make_mut(servers).members[0].address = far;
    let hop = |wanted: &Desired| {
        let compiled = compile(wanted, &Tables::default(), &attached(), &Busy::default(), MAX);
        compiled.target.next_hops.values().next().copied().expect("a next hop")
    };
    assert_eq!(hop(&wanted).address, far, "without a router as if on-link");
    let router = Ipv4Addr::new(10, 0, 2, 254);
    wanted.attachments.get_mut(&AttachmentId::from_u128(2)).unwrap().next_hop = Some(router);
    assert_eq!(hop(&wanted).address, router);
}

#[test]
fn ten_thousand_endpoints_compile_and_plan_fast_enough_to_be_one_pass() {
    let mut wanted = desired([]);
    for n in 0..10_000u32 {
        let mut e = endpoint(0);
        e.address = Some(Ipv4Addr::from(0x0a01_0000 + n));
        let members = vec![server(Ipv4Addr::from(0x0a02_0000 + n % 500))];
        let pool = BackendId::from_u128((n % 500).into());
        e.servers = Some(Arc::new(Servers { id: pool, algorithm: Algorithm::RoundRobin, members }));
        wanted.endpoints.insert(id(u128::from(n)), e);
    }
    let compiled = compile(&wanted, &Tables::default(), &attached(), &Busy::default(), 16_384);
    assert_eq!(compiled.target.policies.len(), 10_000);
    assert_eq!(compiled.target.backends.len(), 500, "equal backends are shared");
}

#[test]
fn routes_go_through_the_router_but_for_what_is_on_the_link() {
    let router = Ipv4Addr::new(10, 0, 2, 254);
    let cases: [(_, _, &[_]); 5] = [
        ("100.125.0.0/16", Some(router), &["100.125.0.0/16 by the router"]),
        ("10.0.2.0/25", Some(router), &["10.0.2.0/25"]),
        ("10.0.2.0/24", Some(router), &["10.0.2.0/24"]),
        ("10.0.0.0/8", Some(router), &["10.0.0.0/8 by the router", "10.0.2.0/24"]),
        // Nobody to ask for the way: as if all of it were on the link.
        ("10.0.0.0/8", None, &["10.0.0.0/8", "10.0.2.0/24"]),
    ];
    for (destination, next_hop, expected) in cases {
        let mut desired = desired([1]);
        desired.attachments.get_mut(&AttachmentId::from_u128(2)).unwrap().next_hop = next_hop;
        let gateway = desired.endpoints.get_mut(&id(1)).unwrap();
        (gateway.address, gateway.ports, gateway.servers) = (None, vec![], None);
        gateway.routes = vec![DesiredRoute { subnet: None, destination: destination.parse().unwrap() }];
        let mut tables = Tables::default();
        pass(&mut tables, &desired, &Busy::default());
        let routes = tables.routes.iter().map(|((key, len), route)| {
            assert_eq!((key.vpc.get(), key.subnet, route.vpc), (1, DEFAULT_TABLE, 2), "{destination}");
            assert_eq!(Some(route.endpoint), number_of(&tables, 1), "{destination}");
            assert_eq!(u32::from(route.attachment), 2, "{destination}");
            if let Some(hop) = tables.next_hops.get(&route.next_hop) {
                assert_eq!(Some(hop.address), next_hop, "{destination}");
            }
            let by = if route.next_hop != 0 { " by the router" } else { "" };
            format!("{}/{len}{by}", Ipv4Addr::from(key.destination))
        });
        assert_eq!(routes.collect::<Vec<_>>(), expected, "{destination} by {next_hop:?}");
        pass(&mut tables, &Desired { endpoints: BTreeMap::new(), ..desired }, &Busy::default());
        assert!(tables.routes.is_empty(), "{destination}");
    }
}

#[test]
fn a_subnet_with_a_table_of_its_own_has_its_own_routes() {
    let subnet: Cidr = "10.0.1.128/25".parse().unwrap();
    let mut desired = desired([1]);
    desired.routed_subnets.insert((1, subnet));
    let gateway = desired.endpoints.get_mut(&id(1)).unwrap();
    gateway.address = None;
    gateway.routes =
        vec![DesiredRoute { subnet: Some(subnet), destination: "100.125.0.0/16".parse().unwrap() }];
    let mut tables = Tables::default();
    pass(&mut tables, &desired, &Busy::default());
    let source = Be32::from(subnet.network());
    assert_eq!(tables.subnets, [(SubnetKey { vpc: Be32::new(1), source }, 25)].into());
    assert_eq!(tables.routes.keys().map(|(key, _)| key.subnet).collect::<Vec<_>>(), [source]);
}

/// Where an endpoint's connections go, by address.
fn goes_to(tables: &Tables, endpoint: u128) -> BTreeMap<Ipv4Addr, usize> {
    let to = tables.policies[&number_of(tables, endpoint).unwrap()].servers;
    let number = servers::number(to) as u16;
    let positions = match to {
        0 => vec![],
        to if to & servers::RING == 0 => vec![number],
        _ => {
            let ring = &tables.rings[&number];
            ring.backends[..ring.len as usize].to_vec()
        }
    };
    let mut counts = BTreeMap::new();
    for position in positions {
        *counts.entry(tables.backends[&position].address.into()).or_default() += 1;
    }
    counts
}

#[test]
fn endpoints_of_one_load_balancer_share_its_ring() {
    let mut tables = Tables::default();
    let mut wanted = desired([1, 2, 3]);
    let pool = servers(7, &[10, 11]);
    for number in [1, 2] {
        wanted.endpoints.get_mut(&id(number)).unwrap().servers = Some(Arc::clone(&pool));
    }
    pass(&mut tables, &wanted, &Busy::default());
    assert_eq!(tables.rings.len(), 1, "one server needs no ring");
    let both = goes_to(&tables, 1);
    assert_eq!(both.keys().map(|address| address.octets()[3]).collect::<Vec<_>>(), [10, 11]);
    assert_eq!(both.values().next(), both.values().last());
    assert_eq!(goes_to(&tables, 2), both);
    assert_eq!(goes_to(&tables, 3).len(), 1);
}

#[test]
fn a_member_that_takes_no_connections_is_left_out_and_stays_reachable() {
    let mut tables = Tables::default();
    let mut wanted = desired([1]);
    let mut take = |tables: &mut Tables, taking: [bool; 3]| {
        let mut pool = Servers::clone(&servers(7, &[10, 11, 12]));
        for (member, takes) in pool.members.iter_mut().zip(taking) {
            member.takes_connections = takes;
        }
        wanted.endpoints.get_mut(&id(1)).unwrap().servers = Some(Arc::new(pool));
        pass(tables, &wanted, &Busy::default());
        assert_eq!(tables.next_hops.len(), 3, "all are asked for by ARP, for health checks");
        goes_to(tables, 1).into_keys().map(|address| address.octets()[3]).collect::<Vec<_>>()
    };
    assert_eq!(take(&mut tables, [true; 3]), [10, 11, 12]);
    let generation = tables.policies[&1].word;
    assert_eq!(take(&mut tables, [true, false, true]), [10, 12]);
    assert_eq!(take(&mut tables, [false, true, false]), [11]);
    assert!(tables.rings.is_empty());
    assert_eq!(take(&mut tables, [false; 3]), [0_u8; 0]);
    assert_eq!(take(&mut tables, [true, true, false]), [10, 11]);
    assert_eq!(tables.policies[&1].word, generation, "sessions are not checked again for it");
}

/// A packet must find what the policy it reads leads to.
#[test]
fn a_ring_is_there_before_the_policy_that_leads_to_it_and_goes_after() {
    let mut tables = Tables::default();
    let mut wanted = desired([1]);
    let order = |actions: &[Action]| -> Vec<&'static str> {
        let name = |action: &Action| match action {
            Action::SetBackend(..) => Some("backend"),
            Action::SetRing(_, Some(_)) => Some("ring"),
            Action::SetRing(_, None) => Some("ring gone"),
            Action::SetPolicy(..) => Some("policy"),
            _ => None,
        };
        actions.iter().filter_map(name).collect()
    };
    pass(&mut tables, &wanted, &Busy::default());
    let lone = wanted.endpoints.get_mut(&id(1)).unwrap().servers.replace(servers(7, &[11, 12]));
    let several = pass(&mut tables, &wanted, &Busy::default());
    assert_eq!(order(&several), ["backend", "backend", "ring", "policy", "backend"]);
    wanted.endpoints.get_mut(&id(1)).unwrap().servers = lone;
    let one = pass(&mut tables, &wanted, &Busy::default());
    assert_eq!(order(&one), ["backend", "policy", "ring gone", "backend", "backend"]);
}

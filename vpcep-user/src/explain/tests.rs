//! Every way a client can be stopped is named.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use vpcep_common::event::Kind;

use super::*;
use crate::datapath::events::{Happening, Unreported};
use crate::datapath::{DatapathStatus, EndpointStats, MapStatus, Neighbour, SessionInfo, Way};
use crate::model::connection::Connection;
use crate::model::*;
use crate::reconcile::desired::{AttachMode, Desired, Refusal, Report};

/// A data plane that answers what a case wants.
struct Plane {
    connections: Option<u64>,
    neighbours: BTreeMap<Ipv4Addr, Neighbour>,
    drops: BTreeMap<String, u64>,
    sessions: Vec<SessionInfo>,
    status: DatapathStatus,
}

impl Datapath for Plane {
    fn reconcile(&self, desired: &Desired) -> Result<Report, DatapathError> {
        Ok(Report { version: desired.version, ..Report::default() })
    }
    fn endpoint_stats(&self, _: EndpointId) -> Result<Option<EndpointStats>, DatapathError> {
        let drops = self.drops.clone();
        Ok(self.connections.map(|connections| EndpointStats {
            connections,
            drops,
            ..EndpointStats::default()
        }))
    }
    fn unattributed_drops(&self) -> Result<BTreeMap<String, u64>, DatapathError> {
        Ok(BTreeMap::new())
    }
    fn sessions(
        &self,
        endpoints: Option<&BTreeSet<EndpointId>>,
        limit: usize,
    ) -> Result<(Vec<SessionInfo>, u64), DatapathError> {
        assert_eq!(endpoints, Some(&BTreeSet::from([EndpointId::from_u128(1)])), "no other's are read");
        assert!(self.sessions.len() <= limit);
        Ok((self.sessions.clone(), self.sessions.len() as u64))
    }
    fn neighbour(&self, vpc: u16, address: Ipv4Addr) -> Result<Neighbour, DatapathError> {
        assert_eq!(vpc, 2, "the provider's network is asked about");
        Ok(self.neighbours.get(&address).copied().unwrap_or(Neighbour::Unknown))
    }
    fn way(&self, _: u16, _: Ipv4Addr) -> Result<Option<Way>, DatapathError> {
        Ok(None)
    }
    fn report_events(&self, _: bool) -> Result<(), DatapathError> {
        Ok(())
    }
    fn take_events(&self, _: usize) -> Vec<Happening> {
        Vec::new()
    }
    fn unreported_events(&self) -> Result<[Unreported; Kind::ALL.len()], DatapathError> {
        Ok(Default::default())
    }
    fn status(&self) -> Result<DatapathStatus, DatapathError> {
        Ok(self.status.clone())
    }
}

fn check() -> HealthCheck {
    let text = HealthCheckText {
        protocol: "tcp".into(),
        unhealthy_threshold: Some(1),
        ..HealthCheckText::default()
    };
    text.try_into().unwrap()
}

/// These servers fail their checks.
fn fail_checks(facts: &mut Facts, servers: &[Ipv4Addr]) {
    let down = MemberHealth::unknown(Timestamp::ZERO).after(
        Err("refused a connection to port 8080".into()),
        &check(),
        Timestamp::ZERO,
    );
    let of = |address: &Ipv4Addr| {
        ((BackendId::from_u128(1), MemberName { address: *address, port: None }), down.clone())
    };
    facts.health = servers.iter().map(of).collect::<BTreeMap<_, _>>().into();
}

const SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 20), Ipv4Addr::new(172, 16, 0, 20)];
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const RESOLVED: Neighbour = Neighbour::Resolved { mac: [2; 6] };

fn vpc(number: u16) -> Vpc {
    Vpc {
        id: VpcId::from_u128(number.into()),
        project: ProjectId::OPERATOR,
        name: Name::new("name", "net").unwrap(),
        cidr: "10.0.0.0/24".parse().unwrap(),
        number,
        description: Description::default(),
        created_at: Timestamp::ZERO,
        updated_at: Timestamp::ZERO,
    }
}

fn attached(vpc: &Vpc) -> Attached {
    let attachment = Attachment {
        id: AttachmentId::from_u128(1),
        vpc: vpc.id,
        interface: "eth0".parse().unwrap(),
        vlan: None,
        address: "10.0.0.1/24".parse().unwrap(),
        mode: AttachMode::Auto,
        next_hop: Some(ROUTER),
        created_at: Timestamp::ZERO,
    };
    Some((attachment, Some(AttachmentState::Active { hook: "tcx".into() })))
}

fn service(provider: &Vpc) -> Service {
    let port = |number| Port::new("port", number).unwrap();
    let mapping = PortMapping { protocol: Protocol::Tcp, client_port: port(80), server_port: port(8080) };
    Service {
        id: ServiceId::from_u128(1),
        project: ProjectId::OPERATOR,
        name: None,
        vpc: provider.id,
        kind: ServiceKind::Interface {
            backend: BackendId::from_u128(1),
            server_kind: BackendKind::Lb,
            ports: PortMappings::new(vec![mapping]).unwrap(),
        },
        approval_enabled: true,
        is_public: false,
        enable_policy: false,
        idle: Idle::default(),
        client_address: ClientAddress::default(),
        permissions: vec![],
        tags: Tags::default(),
        description: Description::default(),
        status: ServiceStatus::Available,
        created_at: Timestamp::ZERO,
        updated_at: Timestamp::ZERO,
    }
}

fn endpoint(consumer: &Vpc) -> Endpoint {
    Endpoint {
        id: EndpointId::from_u128(1),
        project: ProjectId::OPERATOR,
        service: ServiceId::from_u128(1),
        vpc: consumer.id,
        kind: EndpointKind::Interface {
            subnet: SubnetId::from_u128(1),
            address: Ipv4Addr::new(10, 0, 0, 9),
            has_name: false,
        },
        marker: 1,
        whitelist: Whitelist::new(true, vec!["10.0.0.0/25".parse().unwrap()]).unwrap(),
        refusal: Refusal::Reset,
        policy: Policy::default(),
        tags: Tags::default(),
        description: Description::default(),
        connection_description: Description::default(),
        connection: Connection {
            state: ConnectionState::Accepted,
            since: Timestamp::ZERO,
            accepted_once: true,
        },
        created_at: Timestamp::ZERO,
        updated_at: Timestamp::ZERO,
    }
}

/// Everything as it should be: the servers are one on link and one behind the router.
fn healthy() -> (Facts, Plane) {
    let (consumer, provider) = (vpc(1), vpc(2));
    let members = SERVERS.map(|address| Member::new(address, None, 1).unwrap()).to_vec();
    let facts = Facts {
        question: Question {
            vpc: consumer.id,
            client: Ipv4Addr::new(10, 0, 0, 7),
            address: Ipv4Addr::new(10, 0, 0, 9),
            port: Port::new("port", 80).unwrap(),
            protocol: Protocol::Tcp,
        },
        attachment: attached(&consumer),
        endpoint: Some(endpoint(&consumer)),
        service: Some(service(&provider)),
        provider_attachment: attached(&provider),
        backend: Some(Backend {
            id: BackendId::from_u128(1),
            vpc: provider.id,
            project: ProjectId::OPERATOR,
            name: Name::new("name", "lb").unwrap(),
            kind: BackendKind::Lb,
            address: Ipv4Addr::new(10, 0, 0, 19),
            members,
            algorithm: Algorithm::default(),
            health_check: Some(check()),
            created_at: Timestamp::ZERO,
            updated_at: Timestamp::ZERO,
        }),
        provider: Some(provider),
        vpc: Some(consumer),
        is_operator: false,
        revision: 7,
        passes: Passes { covered: 7, ..Passes::default() },
        health: Health::default(),
        shows_provider: false,
        connection_limit: 10,
    };
    let neighbours = BTreeMap::from([(SERVERS[0], RESOLVED), (ROUTER, RESOLVED)]);
    let status = DatapathStatus { sessions: 3, session_slots: 100, ..DatapathStatus::default() };
    let sessions = vec![session(SERVERS[0], "established", 9, 0), session(SERVERS[1], "closing", 9, 4)];
    (facts, Plane { connections: Some(3), neighbours, drops: BTreeMap::new(), sessions, status })
}

fn session(server: Ipv4Addr, state: &str, age_secs: u64, idle_secs: u64) -> SessionInfo {
    SessionInfo {
        endpoint: EndpointId::from_u128(1),
        protocol: 6,
        client: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 7), 40000),
        destination: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 9), 80),
        source: SocketAddrV4::new(Ipv4Addr::new(198, 19, 128, 1), 40000),
        backend: SocketAddrV4::new(server, 8080),
        state: state.into(),
        age_secs,
        idle_secs,
    }
}

fn step<'a>(explanation: &'a Explanation, name: &str) -> &'a Step {
    explanation.steps.iter().find(|step| step.name == name).unwrap()
}

fn set_state(facts: &mut Facts, state: ConnectionState) {
    facts.endpoint.as_mut().unwrap().connection.state = state;
}

#[test]
fn a_gateway_endpoint_leads_to_the_destination_itself() {
    let (mut facts, mut plane) = healthy();
    let prefixes = Prefixes::new(vec!["100.125.0.0/16".parse().unwrap()]).unwrap();
    facts.service.as_mut().unwrap().kind = ServiceKind::Gateway { prefixes };
    facts.endpoint.as_mut().unwrap().kind =
        EndpointKind::Gateway { route_tables: vec![RouteTableId::from_u128(1)] };
    facts.backend = None;
    facts.question.address = Ipv4Addr::new(100, 125, 0, 9);
    let forwarded = explain(&facts, &plane).unwrap();
    assert_eq!((forwarded.verdict, forwarded.stopped_by), (Verdict::Forwarded, None), "{forwarded:?}");
    assert_eq!(step(&forwarded, "neighbour").detail, "1 of 1 servers answer ARP", "its router's");
    plane.neighbours.insert(ROUTER, Neighbour::Unresolved);
    let stopped = explain(&facts, &plane).unwrap();
    assert_eq!((stopped.verdict, stopped.stopped_by), (Verdict::Refused, Some("neighbour")));
    plane.neighbours.remove(&ROUTER);
    let not_yet = explain(&facts, &plane).unwrap();
    assert_eq!(not_yet.verdict, Verdict::Forwarded, "{}", not_yet.summary);
}

#[test]
fn a_healthy_way_is_forwarded_and_every_step_is_ok() {
    let (facts, plane) = healthy();
    let explanation = explain(&facts, &plane).unwrap();
    assert_eq!((explanation.verdict, explanation.stopped_by), (Verdict::Forwarded, None));
    assert_eq!(explanation.summary, "10.0.0.7 to 10.0.0.9 TCP 80 is forwarded");
    let names: Vec<_> = explanation.steps.iter().map(|step| (step.name, step.status)).collect();
    let order = ["reconcile", "vpc", "attachment", "endpoint", "state", "whitelist", "limit", "sessions"];
    let order = order.into_iter().chain(["provider-attachment", "members", "neighbour", "backend", "drops"]);
    assert_eq!(names, order.map(|name| (name, Status::Ok)).collect::<Vec<_>>());
}

#[test]
fn the_first_step_that_stops_is_named() {
    type Break = fn(&mut Facts, &mut Plane);
    let failed = || Some(AttachmentState::Failed { reason: "no such interface".into() });
    let cases: &[(&str, Break, Option<&str>, &str)] = &[
        ("another's vpc", |f, _| f.vpc = None, Some("vpc"), "does not exist"),
        ("no attachment", |f, _| f.attachment = None, Some("attachment"), "not attached"),
        ("no endpoint", |f, _| f.endpoint = None, Some("endpoint"), "no endpoint's address"),
        (
            "another port",
            |f, _| f.question.port = Port::new("port", 81).unwrap(),
            Some("endpoint"),
            "but TCP 80",
        ),
        ("service gone", |f, _| f.service = None, Some("endpoint"), "has been deleted"),
        ("waiting", |f, _| set_state(f, ConnectionState::PendingAcceptance), Some("state"), "to accept it"),
        ("rejected", |f, _| set_state(f, ConnectionState::Rejected), Some("state"), "has rejected"),
        ("going", |f, _| set_state(f, ConnectionState::Deleting), Some("state"), "being deleted"),
        (
            "another client",
            |f, _| f.question.client = Ipv4Addr::new(10, 0, 0, 200),
            Some("whitelist"),
            "does not admit 10.0.0.200",
        ),
        ("full", |_, p| p.connections = Some(10), Some("limit"), "10 of 10"),
        (
            "no provider attachment",
            |f, _| f.provider_attachment = None,
            Some("provider-attachment"),
            "not attached",
        ),
        (
            "members down",
            |f, _| fail_checks(f, &SERVERS),
            Some("members"),
            "all 2 members are down or draining (down; down)",
        ),
        (
            "a member down and the other drained",
            |f, _| {
                fail_checks(f, &SERVERS[..1]);
                f.shows_provider = true;
                let members = &mut f.backend.as_mut().unwrap().members;
                members[1] = members[1].draining(true);
            },
            Some("members"),
            "(10.0.0.20:0 down, last error: refused a connection to port 8080; 172.16.0.20:0 draining)",
        ),
        (
            "servers down",
            |_, p| {
                p.neighbours =
                    BTreeMap::from([(SERVERS[0], Neighbour::Unresolved), (ROUTER, Neighbour::Unresolved)])
            },
            Some("neighbour"),
            "none of 2 servers answers ARP",
        ),
        ("no slot left", |_, p| p.status.sessions = 100, Some("sessions"), "no room for another session"),
        (
            "no index entry left",
            |_, p| {
                p.status.sessions = 4;
                p.status.maps.insert("INDEX".into(), MapStatus { capacity: 1, bytes: 0 });
            },
            Some("sessions"),
            "no room for another session",
        ),
        (
            "the only server gone stale",
            |f, p| {
                let stale = Neighbour::Stale { mac: [2; 6], since_secs: 95 };
                p.neighbours = BTreeMap::from([(SERVERS[0], stale)]);
                f.backend.as_mut().unwrap().members.truncate(1);
            },
            Some("neighbour"),
            "has not answered ARP for 95 s",
        ),
        (
            "servers without a service",
            |_, p| p.sessions = SERVERS.map(|server| session(server, "syn-sent", 4, 1)).to_vec(),
            Some("backend"),
            "does not answer connection requests",
        ),
        (
            "waiting and full",
            |f, p| {
                set_state(f, ConnectionState::PendingAcceptance);
                p.connections = Some(10);
            },
            Some("state"),
            "to accept it",
        ),
    ];
    for (what, change, stopped_by, part) in cases {
        let (mut facts, mut plane) = healthy();
        change(&mut facts, &mut plane);
        let explanation = explain(&facts, &plane).unwrap();
        assert_eq!((explanation.verdict, explanation.stopped_by), (Verdict::Refused, *stopped_by), "{what}");
        assert!(explanation.summary.contains(part), "{what}: {}", explanation.summary);
    }
    let (mut facts, plane) = healthy();
    facts.attachment.as_mut().unwrap().1 = failed();
    assert_eq!(explain(&facts, &plane).unwrap().stopped_by, Some("attachment"));
}

#[test]
fn a_member_that_is_out_stops_nobody_and_is_told() {
    let (mut facts, plane) = healthy();
    fail_checks(&mut facts, &SERVERS[1..]);
    let explanation = explain(&facts, &plane).unwrap();
    assert_eq!(explanation.verdict, Verdict::Forwarded);
    let found = step(&explanation, "members");
    assert_eq!(
        (found.status, found.detail.as_str()),
        (Status::Warn, "1 of 2 members get new connections (down)")
    );
}

#[test]
fn what_cannot_be_told_is_said_so() {
    type Break = fn(&mut Facts, &mut Plane);
    let cases: &[(&str, Break)] = &[
        ("attachment not tried", |f, _| f.attachment.as_mut().unwrap().1 = None),
        ("not in the data plane", |_, p| p.connections = None),
        ("nobody asked", |_, p| p.neighbours.clear()),
        ("creating", |f, _| set_state(f, ConnectionState::Creating)),
        ("changes under way", |f, _| f.passes.covered = 6),
        ("changes refused", |f, _| f.passes.last_error = Some("lost".into())),
        ("resets, whosever they are", |_, p| {
            p.sessions = SERVERS.map(|server| session(server, "reset", 2, 2)).to_vec()
        }),
    ];
    for (what, change) in cases {
        let (mut facts, mut plane) = healthy();
        change(&mut facts, &mut plane);
        let explanation = explain(&facts, &plane).unwrap();
        assert_eq!((explanation.verdict, explanation.stopped_by), (Verdict::Unknown, None), "{what}");
    }
}

#[test]
fn the_newest_sessions_that_tell_something_speak_for_a_server() {
    use Status::{Ok, Stop, Unknown, Warn};
    /// Server, state, age and idle time.
    type Seen<'a> = (Ipv4Addr, &'a str, u64, u64);
    let [a, b] = SERVERS;
    // Newest first.
    let cases: &[(&str, &[Seen<'_>], Status, &str)] = &[
        ("nothing", &[], Ok, "no connection of late"),
        ("too early to tell", &[(a, "syn-sent", 3, 3), (b, "syn-sent", 1, 1)], Ok, "no connection of late"),
        ("came back", &[(a, "established", 1, 0), (a, "syn-sent", 60, 30)], Ok, "1 of 2 servers answer"),
        (
            "went down",
            &[
                (a, "syn-sent", 1, 1),
                (a, "syn-sent", 5, 2),
                (b, "syn-sent", 6, 3),
                (a, "established", 60, 9),
                (b, "established", 60, 9),
            ],
            Stop,
            "the backend does not answer connection requests (10.0.0.20:8080, 172.16.0.20:8080)",
        ),
        (
            "one of two",
            &[(a, "syn-sent", 5, 2), (b, "syn-received", 1, 1)],
            Warn,
            "1 of 2 servers do not answer connection requests (10.0.0.20:8080)",
        ),
        ("one seen", &[(a, "syn-sent", 5, 2)], Warn, "1 of 2 servers do not"),
        ("reset late", &[(a, "reset", 9, 1)], Ok, "1 of 2 servers answer"),
        ("one resets", &[(a, "reset", 9, 8)], Warn, "1 of 2 servers were reset at once (10.0.0.20:8080)"),
        ("both reset", &[(a, "reset", 9, 8), (b, "reset", 9, 9)], Unknown, "if nothing listens there"),
        ("no server any more", &[(Ipv4Addr::LOCALHOST, "syn-sent", 5, 2)], Ok, "no connection of late"),
    ];
    for (what, sessions, status, part) in cases {
        let (mut facts, mut plane) = healthy();
        facts.shows_provider = true;
        plane.sessions =
            sessions.iter().map(|(server, state, age, idle)| session(*server, state, *age, *idle)).collect();
        let explanation = explain(&facts, &plane).unwrap();
        let found = step(&explanation, "backend");
        assert_eq!(found.status, *status, "{what}: {}", found.detail);
        assert!(found.detail.contains(part), "{what}: {}", found.detail);
    }
    let (facts, mut plane) = healthy();
    plane.sessions = SERVERS.map(|server| session(server, "syn-sent", 9, 9)).to_vec();
    for session in &mut plane.sessions {
        session.destination.set_port(81);
    }
    assert_eq!(step(&explain(&facts, &plane).unwrap(), "backend").status, Ok, "another port's");
}

#[test]
fn the_host_is_described_to_the_operator_alone() {
    type Break = fn(&mut Facts);
    let cases: &[(&str, Break, &str, &str)] = &[
        ("reconcile", |f| f.passes.last_error = Some("map full".into()), "map full", "ask the operator"),
        ("attachment", |_| (), "eth0 (tcx)", "this vpc is attached"),
        (
            "attachment",
            |f| {
                let reason = "eth0 has a program".into();
                f.attachment.as_mut().unwrap().1 = Some(AttachmentState::Failed { reason });
            },
            "eth0 has a program",
            "ask the operator",
        ),
        (
            "state",
            |f| {
                let reason = "map full".into();
                set_state(f, ConnectionState::Failed(Failure::DataPlane { reason }));
            },
            "map full",
            "ask the operator",
        ),
        ("sessions", |_| (), "3 of 100 are in use", "room for sessions"),
    ];
    for (name, change, host, everyone) in cases {
        for is_operator in [true, false] {
            let (mut facts, plane) = healthy();
            change(&mut facts);
            facts.is_operator = is_operator;
            let explanation = explain(&facts, &plane).unwrap();
            let detail = &step(&explanation, name).detail;
            assert_eq!(detail.contains(host), is_operator, "{name}: {detail}");
            assert!(is_operator || detail.contains(everyone), "{name}: {detail}");
        }
    }
}

#[test]
fn a_silent_server_is_a_warning_and_addresses_are_for_their_owner() {
    let (mut facts, mut plane) = healthy();
    plane.neighbours.insert(SERVERS[0], Neighbour::Unresolved);
    for (shows_provider, detail) in
        [(false, "1 of 2 servers do not answer ARP"), (true, "1 of 2 servers do not answer ARP (10.0.0.20)")]
    {
        facts.shows_provider = shows_provider;
        let explanation = explain(&facts, &plane).unwrap();
        assert_eq!(explanation.verdict, Verdict::Forwarded);
        let found = step(&explanation, "neighbour");
        assert_eq!((found.status, found.detail.as_str()), (Status::Warn, detail));
    }
}

/// They once were a warning, which never went away.
#[test]
fn past_drops_are_told_and_decide_nothing() {
    let (facts, mut plane) = healthy();
    plane.drops = BTreeMap::from([("index_full".into(), 2), ("not_whitelisted".into(), 4)]);
    let explanation = explain(&facts, &plane).unwrap();
    assert_eq!(explanation.verdict, Verdict::Forwarded);
    for (name, detail) in [
        (
            "sessions",
            "the gateway host has room for sessions; dropped for want of it since the endpoint was made: \
             index_full 2",
        ),
        ("drops", "packets dropped since the endpoint was made: index_full 2, not_whitelisted 4"),
    ] {
        let found = step(&explanation, name);
        assert_eq!((found.status, found.detail.as_str()), (Status::Ok, detail));
    }
}

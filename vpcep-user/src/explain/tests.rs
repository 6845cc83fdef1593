//! Every way a client can be stopped is named.

use std::collections::BTreeMap;

use super::*;
use crate::datapath::{DatapathStatus, EndpointStats, SessionInfo};
use crate::model::connection::Connection;
use crate::model::*;
use crate::reconcile::desired::{AttachMode, Desired, Refusal, Report};

/// A data plane that answers what a case wants.
struct Plane {
    connections: Option<u64>,
    neighbours: BTreeMap<Ipv4Addr, Neighbour>,
    drops: BTreeMap<String, u64>,
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
    fn sessions(&self, _: Option<EndpointId>, _: usize) -> Result<(Vec<SessionInfo>, u64), DatapathError> {
        Ok((vec![], 0))
    }
    fn neighbour(&self, vpc: u16, address: Ipv4Addr) -> Result<Neighbour, DatapathError> {
        assert_eq!(vpc, 2, "the provider's network is asked about");
        Ok(self.neighbours.get(&address).copied().unwrap_or(Neighbour::Unknown))
    }
    fn status(&self) -> Result<DatapathStatus, DatapathError> {
        Ok(DatapathStatus::default())
    }
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
        created_at: Timestamp::ZERO,
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
        backend: BackendId::from_u128(1),
        server_kind: BackendKind::Lb,
        ports: PortMappings::new(vec![mapping]).unwrap(),
        approval_enabled: true,
        permissions: vec![],
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
        subnet: SubnetId::from_u128(1),
        address: Ipv4Addr::new(10, 0, 0, 9),
        marker: 1,
        whitelist: Whitelist::new(true, vec!["10.0.0.0/25".parse().unwrap()]).unwrap(),
        refusal: Refusal::Reset,
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
            created_at: Timestamp::ZERO,
        }),
        provider: Some(provider),
        vpc: Some(consumer),
        shows_provider: false,
        connection_limit: 10,
    };
    let neighbours = BTreeMap::from([(SERVERS[0], RESOLVED), (ROUTER, RESOLVED)]);
    (facts, Plane { connections: Some(3), neighbours, drops: BTreeMap::new() })
}

fn set_state(facts: &mut Facts, state: ConnectionState) {
    facts.endpoint.as_mut().unwrap().connection.state = state;
}

#[test]
fn a_healthy_way_is_forwarded_and_every_step_is_ok() {
    let (facts, plane) = healthy();
    let explanation = explain(&facts, &plane).unwrap();
    assert_eq!((explanation.verdict, explanation.stopped_by), (Verdict::Forwarded, None));
    assert_eq!(explanation.summary, "10.0.0.7 to 10.0.0.9 TCP 80 is forwarded");
    let names: Vec<_> = explanation.steps.iter().map(|step| (step.name, step.status)).collect();
    let order = ["vpc", "attachment", "endpoint", "state", "whitelist", "limit"];
    let order = order.into_iter().chain(["provider-attachment", "neighbour", "drops"]);
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
            "servers down",
            |_, p| {
                p.neighbours =
                    BTreeMap::from([(SERVERS[0], Neighbour::Unresolved), (ROUTER, Neighbour::Unresolved)])
            },
            Some("neighbour"),
            "none of 2 servers answers ARP",
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
fn what_cannot_be_told_is_said_so() {
    type Break = fn(&mut Facts, &mut Plane);
    let cases: &[(&str, Break)] = &[
        ("attachment not tried", |f, _| f.attachment.as_mut().unwrap().1 = None),
        ("not in the data plane", |_, p| p.connections = None),
        ("nobody asked", |_, p| p.neighbours.clear()),
        ("creating", |f, _| set_state(f, ConnectionState::Creating)),
    ];
    for (what, change) in cases {
        let (mut facts, mut plane) = healthy();
        change(&mut facts, &mut plane);
        let explanation = explain(&facts, &plane).unwrap();
        assert_eq!((explanation.verdict, explanation.stopped_by), (Verdict::Unknown, None), "{what}");
    }
}

#[test]
fn a_silent_server_and_drops_are_warnings_and_addresses_are_for_their_owner() {
    let (mut facts, mut plane) = healthy();
    plane.neighbours.insert(SERVERS[0], Neighbour::Unresolved);
    plane.drops.insert("not_whitelisted".into(), 4);
    for (shows_provider, detail) in
        [(false, "1 of 2 servers do not answer ARP"), (true, "1 of 2 servers do not answer ARP (10.0.0.20)")]
    {
        facts.shows_provider = shows_provider;
        let explanation = explain(&facts, &plane).unwrap();
        assert_eq!(explanation.verdict, Verdict::Forwarded);
        let step = |name| explanation.steps.iter().find(|step| step.name == name).unwrap();
        assert_eq!((step("neighbour").status, step("neighbour").detail.as_str()), (Status::Warn, detail));
        assert_eq!(step("drops").detail, "the endpoint has dropped packets: not_whitelisted 4");
    }
}

//! Who is checked, and what has to be there before a check starts.

use super::*;
use crate::controller::{Scope, backends, networks, services};
use crate::model::*;
use crate::store::EmbeddedStore;

const ALL: Scope = Scope::Every;

fn port(number: i64) -> Port {
    Port::new("port", number).unwrap()
}

fn check(port: Option<i64>) -> HealthCheck {
    HealthCheckText { protocol: "tcp".into(), port, ..HealthCheckText::default() }.try_into().unwrap()
}

fn watched(port: Option<u16>) -> Watched {
    let target = Target { vpc: 1, address: Ipv4Addr::new(10, 0, 0, 4), port, check: check(None) };
    let health = MemberHealth::unknown(Timestamp::ZERO);
    Watched { target, health, due: Instant::now(), waiting: None, is_running: false }
}

#[test]
fn a_check_asks_at_its_own_port_or_the_members_or_the_services() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(dir.path()).unwrap());
    let controller = Controller::load(store, "r".parse().unwrap(), None).unwrap();
    let new = networks::NewVpc {
        name: None,
        cidr: "10.0.0.0/16".parse().unwrap(),
        description: Description::default(),
    };
    let vpc = controller.write(|tx| networks::create_vpc(tx, ALL, new)).unwrap().value;
    let member = |last, own| Member::new([10, 0, 0, last].into(), own, 1).unwrap();
    let new = |health_check| backends::NewBackend {
        vpc: vpc.id,
        name: Name::new("name", "lb").unwrap(),
        kind: BackendKind::Lb,
        address: [10, 0, 0, 3].into(),
        members: vec![member(4, None), member(5, Some(port(81)))],
        algorithm: Algorithm::default(),
        health_check,
    };
    let make =
        |health_check| controller.write(|tx| backends::create(tx, ALL, new(health_check))).unwrap().value;
    let ports = |backend: &Backend| {
        let targets = controller.read(targets);
        let of_backend = targets.into_iter().filter(|((id, _), _)| *id == backend.id);
        of_backend.map(|(_, target)| target.port).collect::<Vec<_>>()
    };
    assert_eq!(ports(&make(None)), [], "not asked for");
    assert_eq!(ports(&make(Some(check(Some(90))))), [Some(90), Some(90)]);
    let backend = make(Some(check(None)));
    assert_eq!(ports(&backend), [None, Some(81)], "without a service nothing says where");
    let mapping =
        |protocol, server| PortMapping { protocol, client_port: port(server), server_port: port(server) };
    let mappings =
        vec![mapping(Protocol::Udp, 53), mapping(Protocol::Tcp, 8080), mapping(Protocol::Tcp, 443)];
    let new = services::NewService {
        vpc: vpc.id,
        kind: ServiceKind::Interface {
            backend: backend.id,
            server_kind: BackendKind::Lb,
            ports: PortMappings::new(mappings).unwrap(),
        },
        name: None,
        approval_enabled: false,
        is_public: false,
        enable_policy: false,
        idle: Idle::default(),
        client_address: ClientAddress::default(),
        tags: Tags::default(),
        description: Description::default(),
    };
    controller.write(|tx| services::create(tx, ALL, new)).unwrap();
    assert_eq!(ports(&backend), [Some(8080), Some(81)], "the first that is TCP");
}

/// A data plane with one way, on which the neighbour has this MAC.
struct Ways(Option<Option<[u8; 6]>>);

impl Ways {
    fn start(&self, watched: &mut Watched, now: Instant) -> Start {
        let way = self.0.map(|mac| Way { ifindex: 1, vlan: 0, source: Ipv4Addr::new(10, 0, 0, 1), mac });
        watched.prepare(|_, _| Ok(way), now)
    }
}

#[test]
fn what_is_not_the_members_fault_is_not_held_against_it() {
    let now = Instant::now();
    for (name, ways, port, part) in [
        ("no port", Ways(Some(Some([2; 6]))), None, "at which TCP port"),
        ("no way", Ways(None), Some(80), "no endpoint leads there yet"),
    ] {
        match ways.start(&mut watched(port), now) {
            Start::Cannot(reason) => assert!(reason.contains(part), "{name}: {reason}"),
            _ => panic!("{name}: a check starts"),
        }
    }
}

#[test]
fn a_neighbour_has_the_time_of_a_check_to_answer_arp() {
    let start = Instant::now();
    let mut watched = watched(Some(80));
    let silent = Ways(Some(None));
    assert!(matches!(silent.start(&mut watched, start), Start::Wait(_)));
    assert!(matches!(silent.start(&mut watched, start + Duration::from_millis(2_900)), Start::Wait(_)));
    assert!(matches!(silent.start(&mut watched, start + Duration::from_secs(3)), Start::Fail(_)));
    watched.waiting = None;
    assert!(matches!(silent.start(&mut watched, start), Start::Wait(_)));
    let answering = Ways(Some(Some([2; 6])));
    assert!(matches!(answering.start(&mut watched, start), Start::Go(_, [2, 2, 2, 2, 2, 2], 80)));
}

//! Gateway services, their endpoints and what those cannot be asked; policies.

use super::*;
use crate::controller::route_tables::{self, NewRouteTable};
use crate::model::{EndpointKind, PolicyEffect, PolicyStatement, Prefixes, RouteTable, RouteTableId};
use crate::reconcile::desired::{DesiredEndpoint, DesiredRoute};

fn prefixes(texts: &[&str]) -> Prefixes {
    Prefixes::new(texts.iter().map(|text| text.parse().unwrap()).collect()).unwrap()
}

fn policy() -> Policy {
    let statement = PolicyStatement {
        effect: PolicyEffect::Allow,
        actions: vec!["obs:*".into()],
        resources: vec!["*".into()],
        condition: None,
        sid: None,
    };
    Policy::new(vec![statement], None).unwrap()
}

impl Bench {
    fn new_gateway(&self, networks: &[&str]) -> services::NewService {
        services::NewService {
            vpc: self.service.vpc,
            kind: ServiceKind::Gateway { prefixes: prefixes(networks) },
            name: None,
            approval_enabled: true,
            is_public: true,
            enable_policy: true,
            idle: Idle::default(),
            client_address: ClientAddress::default(),
            tags: Tags::default(),
            description: Description::default(),
        }
    }

    fn gateway(&self, networks: &[&str]) -> Service {
        let new = self.new_gateway(networks);
        let service = self.controller.write(|tx| services::create(tx, ALL, new)).unwrap().value;
        self.pass();
        service
    }

    fn new_gateway_endpoint(&self, service: &Service) -> endpoints::NewEndpoint {
        endpoints::NewEndpoint { service: service.id, subnet: None, ..self.new_endpoint() }
    }

    fn connect(&self, new: endpoints::NewEndpoint) -> Result<Endpoint, ControlError> {
        self.controller.write(|tx| endpoints::create(tx, ALL, new)).map(|written| written.value)
    }

    fn table(&self, vpc: VpcId) -> RouteTable {
        let new = NewRouteTable { vpc, name: None, subnets: [].into(), description: Description::default() };
        self.controller.write(|tx| route_tables::create(tx, ALL, new)).unwrap().value
    }

    fn default_table(&self, vpc: VpcId) -> RouteTableId {
        self.controller.read(|state| route_tables::default_of(state, vpc).unwrap().id)
    }
}

/// The routes of an endpoint, each as `SUBNET DESTINATION`.
fn routes(endpoint: &DesiredEndpoint) -> Vec<String> {
    let text = |route: &DesiredRoute| {
        let from = route.subnet.map_or_else(|| "default".into(), |subnet| subnet.to_string());
        format!("{from} {}", route.destination)
    };
    endpoint.routes.iter().map(text).collect()
}

#[test]
fn a_gateway_endpoint_leads_where_its_route_tables_say() {
    let bench = Bench::new();
    let service = bench.gateway(&["100.125.0.0/16"]);
    let endpoint = bench.connect(bench.new_gateway_endpoint(&service)).unwrap();
    assert_eq!(endpoint.route_tables(), [bench.default_table(endpoint.vpc)]);
    assert_eq!((endpoint.address(), bench.status(&endpoint)), (None, Some("pendingAcceptance")));
    let act =
        |action| bench.controller.write(|tx| connections::act(tx, ALL, service.id, endpoint.id, action));
    act(connections::Action::Receive).unwrap();
    let desired = bench.controller.desired();
    assert_eq!(routes(&desired.endpoints[&endpoint.id]), ["default 100.125.0.0/16"]);
    assert!(desired.routed_subnets.is_empty());
    assert_eq!(bench.status(&endpoint), Some("creating"));
    bench.pass();
    assert_eq!(bench.status(&endpoint), Some("accepted"));
    let known = bench.controller.read(|state| state.endpoints.get(endpoint.id).cloned()).unwrap();
    assert_eq!(known.shown_address(), None);
    let custom = bench.table(endpoint.vpc);
    let subnets = [bench.subnet.id].into();
    let associate = |tx: &mut Tx<'_>| route_tables::associate(tx, ALL, custom.id, &subnets, &[].into());
    bench.controller.write(associate).unwrap();
    let desired = bench.controller.desired();
    assert_eq!(routes(&desired.endpoints[&endpoint.id]), ["default 100.125.0.0/16"]);
    assert_eq!(
        desired.routed_subnets.iter().map(|(_, subnet)| *subnet).collect::<Vec<_>>(),
        [bench.subnet.cidr]
    );
    let bind = [endpoint.route_tables()[0], custom.id];
    bench.controller.write(|tx| endpoints::set_route_tables(tx, ALL, endpoint.id, &bind)).unwrap();
    let desired = bench.controller.desired();
    let expected = ["default 100.125.0.0/16", "10.0.0.0/24 100.125.0.0/16"];
    assert_eq!(routes(&desired.endpoints[&endpoint.id]), expected);
    act(connections::Action::Reject).unwrap();
    assert_eq!(bench.status(&endpoint), Some("rejected"));
    bench.controller.write(|tx| endpoints::delete(tx, ALL, endpoint.id)).unwrap();
    bench.pass();
    assert_eq!(bench.status(&endpoint), None);
    bench.controller.write(|tx| services::delete(tx, ALL, service.id)).unwrap();
}

#[test]
fn everyone_may_connect_to_a_public_service() {
    let bench = Bench::new();
    let service = bench.gateway(&["100.125.0.0/16"]);
    let (owner, stranger) = (crate::model::DomainId::OPERATOR, crate::model::DomainId::random());
    assert!(service.admits(owner, stranger));
    let hide = services::ServiceChange { is_public: Some(false), ..services::ServiceChange::default() };
    let service = bench.controller.write(|tx| services::update(tx, ALL, service.id, hide)).unwrap().value;
    assert!(!service.admits(owner, stranger));
}

/// What an endpoint is asked for, and what is wrong with it.
type Case<'a> = (&'a str, endpoints::NewEndpoint, fn(&ControlError) -> bool);

#[test]
fn an_endpoint_is_what_its_service_is() {
    let bench = Bench::new();
    let service = bench.gateway(&["100.125.0.0/16"]);
    let foreign = bench.table(Bench::vpc_on(&bench.controller).id).id;
    let new = |f: fn(&mut endpoints::NewEndpoint), gateway: bool| {
        let mut new = if gateway { bench.new_gateway_endpoint(&service) } else { bench.new_endpoint() };
        f(&mut new);
        new
    };
    let wrong_kind = |error: &ControlError| matches!(error, ControlError::WrongKind { .. });
    let tables = vec![bench.default_table(bench.subnet.vpc)];
    let cases: [Case; 8] = [
        ("address", new(|new| new.address = "10.0.0.7".parse().ok(), true), wrong_kind),
        ("subnet", endpoints::NewEndpoint { subnet: Some(bench.subnet.id), ..new(|_| (), true) }, wrong_kind),
        ("tables", endpoints::NewEndpoint { route_tables: tables, ..new(|_| (), false) }, wrong_kind),
        ("no subnet", new(|new| new.subnet = None, false), |e| matches!(e, ControlError::SubnetMissing)),
        (
            "no table of the vpc",
            endpoints::NewEndpoint { route_tables: vec![foreign], ..new(|_| (), true) },
            |e| matches!(e, ControlError::NoSuchRouteTable { .. }),
        ),
        ("no such table", new(|new| new.route_tables = vec![RouteTableId::random()], true), |e| {
            matches!(e, ControlError::NoSuchRouteTable { .. })
        }),
        (
            "too many",
            new(|new| new.route_tables = (0..65).map(|_| RouteTableId::random()).collect(), true),
            |e| matches!(e, ControlError::TooMany { field: "routetables", count: 65, limit: 64 }),
        ),
        ("policy", new(|new| new.policy = policy(), false), |e| matches!(e, ControlError::NoPolicy { .. })),
    ];
    for (what, new, expected) in cases {
        let error = bench.connect(new).unwrap_err();
        assert!(expected(&error), "{what}: {error}");
    }
}

#[test]
fn a_route_table_has_one_way_to_a_network() {
    let bench = Bench::new();
    let (first, second) =
        (bench.gateway(&["100.125.0.0/16"]), bench.gateway(&["100.125.7.0/24", "100.126.0.0/16"]));
    let other = bench.gateway(&["100.127.0.0/16"]);
    let vpc = bench.subnet.vpc;
    let (default, custom) = (bench.default_table(vpc), bench.table(vpc).id);
    let endpoint = bench.connect(bench.new_gateway_endpoint(&first)).unwrap();
    let clash = bench.connect(bench.new_gateway_endpoint(&second)).unwrap_err();
    assert!(matches!(clash, ControlError::RouteTableInUse { .. }), "{clash}");
    bench.connect(bench.new_gateway_endpoint(&other)).unwrap();
    let new =
        endpoints::NewEndpoint { route_tables: vec![custom, custom], ..bench.new_gateway_endpoint(&second) };
    let apart = bench.connect(new).unwrap();
    assert_eq!(apart.route_tables(), [custom], "each table once");

    let bind = |id, tables: &[RouteTableId]| {
        bench
            .controller
            .write(|tx| endpoints::set_route_tables(tx, ALL, id, tables))
            .map(|written| written.value)
    };
    let bound = bind(endpoint.id, &[default, custom]).unwrap();
    assert_eq!(bound.endpoint.route_tables(), [default]);
    assert!(matches!(bound.failed[..], [(id, ControlError::RouteTableInUse { .. })] if id == custom));
    let before = bench.controller.desired().version;
    assert!(matches!(bind(endpoint.id, &[custom]), Err(ControlError::RouteTableInUse { .. })));
    assert!(matches!(bind(endpoint.id, &[]), Err(ControlError::NoRouteTables)));
    let interface = bench.endpoint().value.id;
    assert!(matches!(bind(interface, &[default]), Err(ControlError::WrongKind { .. })));
    bench.controller.write(|tx| endpoints::delete(tx, ALL, interface)).unwrap();
    assert_eq!(bench.controller.desired().version, before + 2, "what was refused has changed nothing");

    bench.controller.write(|tx| endpoints::delete(tx, ALL, apart.id)).unwrap();
    let bound = bind(endpoint.id, &[custom]).unwrap();
    assert_eq!(
        (bound.endpoint.route_tables(), bound.failed.len()),
        (&[custom][..], 0),
        "the way is free again"
    );
    bench.connect(bench.new_gateway_endpoint(&second)).unwrap();
}

#[test]
fn a_service_changes_only_what_its_type_has() {
    let bench = Bench::new();
    let gateway = bench.gateway(&["100.125.0.0/16"]);
    let ServiceKind::Interface { backend, ports, .. } = bench.service.kind.clone() else { unreachable!() };
    let networks = Some(prefixes(&["100.126.0.0/16"]));
    let none = services::ServiceChange::default;
    let update =
        |id, change| bench.controller.write(|tx| services::update(tx, ALL, id, change)).map(|w| w.value);
    for (field, id, change) in [
        ("ports", gateway.id, services::ServiceChange { ports: Some(ports), ..none() }),
        ("port_id", gateway.id, services::ServiceChange { backend: Some(backend), ..none() }),
        ("prefixes", bench.service.id, services::ServiceChange { prefixes: networks.clone(), ..none() }),
    ] {
        match update(id, change) {
            Err(ControlError::WrongKind { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    let changed = update(gateway.id, services::ServiceChange { prefixes: networks, ..none() }).unwrap();
    assert_eq!(changed.kind.prefixes(), prefixes(&["100.126.0.0/16"]).as_slice());
}

#[test]
fn networks_of_a_service_are_ones_that_hosts_have_and_nobody_leads_elsewhere() {
    let bench = Bench::new();
    for reserved in ["198.19.128.0/24", "127.0.0.0/8", "224.0.0.0/8", "0.0.0.0/0"] {
        let new = bench.new_gateway(&[reserved]);
        let refused = bench.controller.write(|tx| services::create(tx, ALL, new));
        assert!(matches!(refused, Err(ControlError::Overlap { .. })), "{reserved}");
    }
    let (first, second) = (bench.gateway(&["100.125.0.0/16"]), bench.gateway(&["100.126.0.0/16"]));
    for service in [&first, &second] {
        bench.connect(bench.new_gateway_endpoint(service)).unwrap();
    }
    let grow = services::ServiceChange {
        prefixes: Some(prefixes(&["100.126.0.0/16", "100.125.3.0/24"])),
        ..services::ServiceChange::default()
    };
    let refused = bench.controller.write(|tx| services::update(tx, ALL, second.id, grow));
    assert!(matches!(refused, Err(ControlError::RouteTableInUse { .. })), "{refused:?}");
}

#[test]
fn policies_are_where_the_service_takes_them() {
    let bench = Bench::new();
    let service = bench.gateway(&["100.125.0.0/16"]);
    let new = endpoints::NewEndpoint { policy: policy(), ..bench.new_gateway_endpoint(&service) };
    let endpoint = bench.connect(new).unwrap();
    assert_eq!(endpoint.policy, policy());
    let set =
        |id, policy| bench.controller.write(|tx| endpoints::set_policy(tx, ALL, id, policy)).map(|w| w.value);
    assert!(set(endpoint.id, Policy::default()).unwrap().policy.is_empty());
    let without = bench.endpoint().value.id;
    assert!(matches!(set(without, policy()), Err(ControlError::NoPolicy { .. })));
    assert!(matches!(set(without, Policy::default()), Err(ControlError::NoPolicy { .. })));
}

#[test]
fn names_are_of_accepted_endpoints_of_the_vpc() {
    let bench = Bench::new();
    let named = bench.connect(endpoints::NewEndpoint { has_name: true, ..bench.new_endpoint() }).unwrap();
    bench.endpoint();
    let vpc = bench.subnet.vpc;
    let hosts = || bench.controller.read(|state| endpoints::hosts(state, ALL, vpc)).unwrap();
    assert_eq!(hosts(), [], "not accepted yet");
    bench.pass();
    let name = format!("vpcep-{}.r.vpcep.internal", named.id);
    assert_eq!(hosts(), [(name, named.address().unwrap())]);
    let service = bench.gateway(&["100.125.0.0/16"]);
    let gateway = endpoints::NewEndpoint { has_name: true, ..bench.new_gateway_endpoint(&service) };
    let gateway = bench.connect(gateway).unwrap();
    assert!(matches!(gateway.kind, EndpointKind::Gateway { .. }) && !gateway.has_name());
    let stranger = Scope::Project(ProjectId::random());
    assert!(bench.controller.read(|state| endpoints::hosts(state, stranger, vpc).is_err()));
}

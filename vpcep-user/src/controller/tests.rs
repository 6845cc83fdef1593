//! Rules that a caller of the API cannot easily bring about.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::model::{
    Algorithm, Backend, BackendKind, ClientAddress, Description, DnsServers, Endpoint, Idle, Name, Policy,
    Port, PortMapping, PortMappings, ProjectId, Protocol, Service, ServiceKind, Subnet, Tags, Vpc, VpcId,
    Whitelist,
};
use crate::reconcile::desired::AttachMode;
use crate::store::record::Numbers;
use crate::store::{EmbeddedStore, Record, Write};

mod balancing;
mod gateway;
mod networking;
mod tagging;

/// A controller with a service and a place for endpoints, and no reconcile loop.
struct Bench {
    controller: Controller,
    service: Service,
    subnet: Subnet,
    store: Arc<dyn Store>,
    _dir: tempfile::TempDir,
}

const ALL: Scope = Scope::Every;

fn name() -> Name {
    Name::new("name", "x").unwrap()
}

fn new_vpc(cidr: &str) -> networks::NewVpc {
    networks::NewVpc { name: Some(name()), cidr: cidr.parse().unwrap(), description: Description::default() }
}

fn new_subnet(vpc: VpcId, cidr: &str) -> networks::NewSubnet {
    networks::NewSubnet {
        vpc,
        name: name(),
        cidr: cidr.parse().unwrap(),
        gateway: None,
        dhcp_enabled: true,
        dns: DnsServers::default(),
        availability_zone: None,
        description: Description::default(),
    }
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(dir.path()).unwrap());
        let controller = Controller::load(Arc::clone(&store), "r".parse().unwrap(), None).unwrap();
        let vpc = Self::vpc_on(&controller);
        let new = new_subnet(vpc.id, "10.0.0.0/24");
        let subnet = controller.write(|tx| networks::create_subnet(tx, ALL, new)).unwrap().value;
        let backend = backends::NewBackend {
            vpc: vpc.id,
            name: name(),
            kind: BackendKind::Vm,
            address: "10.0.0.9".parse().unwrap(),
            members: vec![],
            algorithm: Algorithm::default(),
            health_check: None,
        };
        let backend: Backend = controller.write(|tx| backends::create(tx, ALL, backend)).unwrap().value;
        let port = |number| Port::new("port", number).unwrap();
        let mapping = PortMapping { protocol: Protocol::Tcp, client_port: port(80), server_port: port(80) };
        let new = services::NewService {
            vpc: vpc.id,
            kind: ServiceKind::Interface {
                backend: backend.id,
                server_kind: BackendKind::Vm,
                ports: PortMappings::new(vec![mapping]).unwrap(),
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
        let service = controller.write(|tx| services::create(tx, ALL, new)).unwrap().value;
        let bench = Self { controller, service, subnet, store, _dir: dir };
        bench.pass();
        bench
    }

    fn vpc_on(controller: &Controller) -> Vpc {
        controller.write(|tx| networks::create_vpc(tx, ALL, new_vpc("10.0.0.0/16"))).unwrap().value
    }

    fn new_endpoint(&self) -> endpoints::NewEndpoint {
        endpoints::NewEndpoint {
            service: self.service.id,
            vpc: self.subnet.vpc,
            subnet: Some(self.subnet.id),
            address: None,
            has_name: false,
            route_tables: vec![],
            whitelist: Whitelist::default(),
            policy: Policy::default(),
            tags: Tags::default(),
            description: Description::default(),
        }
    }

    fn endpoint(&self) -> Written<Endpoint> {
        self.controller.write(|tx| endpoints::create(tx, ALL, self.new_endpoint())).unwrap()
    }

    fn status(&self, endpoint: &Endpoint) -> Option<&'static str> {
        self.controller.read(|state| state.endpoints.get(endpoint.id).map(|e| e.connection.state.as_str()))
    }

    fn report(&self, version: Revision) {
        self.controller.report(&Report { version, ..Report::default() }).unwrap();
    }

    fn pass(&self) {
        self.report(self.controller.desired().version);
    }
}

#[test]
fn a_report_says_nothing_about_what_changed_after_its_pass_began() {
    let bench = Bench::new();
    let before = bench.controller.desired().version;
    let endpoint = bench.endpoint();
    bench.report(before);
    assert_eq!(bench.status(&endpoint.value), Some("creating"));
    bench.report(endpoint.version);
    assert_eq!(bench.status(&endpoint.value), Some("accepted"));

    let covered = bench.controller.desired().version;
    bench.controller.write(|tx| endpoints::delete(tx, ALL, endpoint.value.id)).unwrap();
    assert!(bench.controller.desired().endpoints.is_empty(), "a deleted endpoint leaves at once");
    bench.report(covered);
    assert_eq!(bench.status(&endpoint.value), Some("deleting"));
    bench.pass();
    assert_eq!(bench.status(&endpoint.value), None);
}

/// Every note made the endpoint newer than the pass that would have let it go.
#[test]
fn a_provider_cannot_keep_an_endpoint_that_is_being_deleted() {
    let bench = Bench::new();
    let endpoint = bench.endpoint().value;
    bench.controller.write(|tx| endpoints::delete(tx, ALL, endpoint.id)).unwrap();
    let covered = bench.controller.desired().version;
    let note = vec![(endpoint.id, "stay".parse().unwrap())];
    let refused =
        bench.controller.write(|tx| connections::describe(tx, ALL, bench.service.id, note)).unwrap_err();
    assert!(matches!(refused, ControlError::Connection { .. }), "{refused}");
    bench.report(covered);
    assert_eq!(bench.status(&endpoint), None);
}

#[test]
fn a_pass_without_news_commits_nothing() {
    let bench = Bench::new();
    bench.endpoint();
    bench.pass();
    let revision = bench.controller.desired().version;
    bench.pass();
    assert_eq!(bench.controller.desired().version, revision);
}

#[test]
fn addresses_skip_what_is_taken_and_return_when_an_endpoint_is_gone() {
    let bench = Bench::new();
    let (first, second) = (bench.endpoint().value, bench.endpoint().value);
    assert_eq!(first.address().unwrap().to_string(), "10.0.0.253", "the last host is often the router");
    assert_eq!(second.address().unwrap().to_string(), "10.0.0.252");
    bench.controller.write(|tx| endpoints::delete(tx, ALL, first.id)).unwrap();
    assert_eq!(bench.endpoint().value.address().unwrap().to_string(), "10.0.0.251", "taken until it is gone");
    bench.pass();
    assert_eq!(bench.endpoint().value.address().unwrap().to_string(), "10.0.0.253");
}

#[test]
fn addresses_end_before_those_of_routers_servers_and_the_gateway() {
    let bench = Bench::new();
    let vpc = bench.subnet.vpc;
    let new = new_subnet(vpc, "10.0.9.0/29");
    let small = bench.controller.write(|tx| networks::create_subnet(tx, ALL, new)).unwrap().value;
    let attachment = attachments::NewAttachment {
        vpc,
        interface: "eth0".parse().unwrap(),
        vlan: None,
        address: "10.0.9.5/24".parse().unwrap(),
        mode: AttachMode::Auto,
        next_hop: Some("10.0.9.4".parse().unwrap()),
    };
    bench.controller.write(|tx| attachments::create(tx, attachment)).unwrap();
    let bench = Bench { subnet: small, ..bench };
    let addresses = [bench.endpoint().value.address(), bench.endpoint().value.address()];
    assert_eq!(addresses.map(|address| address.unwrap().to_string()), ["10.0.9.3", "10.0.9.2"]);
    let full = bench.controller.write(|tx| endpoints::create(tx, ALL, bench.new_endpoint()));
    assert!(matches!(full, Err(ControlError::SubnetFull { .. })), "{full:?}");
    for end in ["10.0.9.1", "10.0.9.6"] {
        let asked = endpoints::NewEndpoint { address: end.parse().ok(), ..bench.new_endpoint() };
        bench.controller.write(|tx| endpoints::create(tx, ALL, asked)).unwrap();
    }
}

#[test]
fn the_index_kept_through_changes_is_the_one_made_at_a_start() {
    let bench = Bench::new();
    let endpoints = [bench.endpoint().value, bench.endpoint().value, bench.endpoint().value];
    bench.pass();
    bench.controller.write(|tx| endpoints::delete(tx, ALL, endpoints[1].id)).unwrap();
    bench.pass();
    let again = Controller::load(Arc::clone(&bench.store), "r".parse().unwrap(), None).unwrap();
    again.read(|loaded| {
        bench.controller.read(|kept| assert_eq!(kept.index, loaded.index));
        assert_eq!(loaded.endpoints_of(bench.service.id).count(), 2);
        assert_eq!(loaded.index.endpoints.visible(Scope::Project(ProjectId::OPERATOR)).len(), 2);
        assert!(!loaded.index.has_marker(endpoints[1].marker));
    });
}

/// A store that can be told to fail once, and then refuses until it is opened
/// again.
struct FailingStore {
    store: EmbeddedStore,
    fails: AtomicBool,
    full: AtomicBool,
}

impl Store for FailingStore {
    fn get(&self, key: &str) -> Result<Option<Record>, StoreError> {
        self.store.get(key)
    }
    fn list(&self, prefix: &str) -> Result<(Vec<Record>, Revision), StoreError> {
        self.store.list(prefix)
    }
    fn commit(&self, writes: &[Write]) -> Result<Revision, StoreError> {
        if self.fails.load(Ordering::Relaxed) {
            // The worst there is: the write is on disk, and the answer says it is not.
            if !self.full.load(Ordering::Relaxed) {
                self.store.commit(writes)?;
            }
            let source = Box::new(redb::Error::PreviousIo);
            return Err(StoreError::Database { action: "write", source });
        }
        self.store.commit(writes)
    }
    fn reopen(&self) -> Result<(), StoreError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(StoreError::Closed);
        }
        self.fails.store(false, Ordering::Relaxed);
        self.store.reopen()
    }
    fn kind(&self) -> &'static str {
        "failing"
    }
}

#[test]
fn a_store_that_failed_is_opened_again_by_the_next_write_and_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(FailingStore {
        store: EmbeddedStore::open(dir.path()).unwrap(),
        fails: AtomicBool::new(false),
        full: AtomicBool::new(false),
    });
    let controller = Controller::load(store.clone(), "r".parse().unwrap(), None).unwrap();
    let make = || controller.write(|tx| networks::create_vpc(tx, ALL, new_vpc("10.0.0.0/16")));
    assert_eq!(controller.store_error(), None);
    for (full, vpcs) in [(false, 2), (true, 3)] {
        store.fails.store(true, Ordering::Relaxed);
        store.full.store(full, Ordering::Relaxed);
        let failed = make().unwrap_err();
        assert!(
            matches!(&failed, ControlError::Store(error) if matches!(**error, StoreError::Database { .. })),
            "{failed}"
        );
        assert!(controller.store_error().unwrap().starts_with("cannot write the database"));
        if full {
            assert!(make().is_err(), "still no room");
            store.full.store(false, Ordering::Relaxed);
        }
        let numbers = make().unwrap().value.number;
        assert_eq!(controller.store_error(), None);
        assert_eq!(controller.read(|state| state.vpcs.len()), vpcs, "the last one has number {numbers}");
    }
}

#[test]
fn the_first_start_decides_the_region() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(dir.path()).unwrap());
    let load = |region: &str| Controller::load(Arc::clone(&store), region.parse().unwrap(), None).map(drop);
    load("eu-de").unwrap();
    load("eu-de").unwrap();
    let refused = load("eu-nl").unwrap_err().to_string();
    assert!(
        refused.starts_with(
            "cannot load the state: it is of region \"eu-de\" and the configuration says \"eu-nl\""
        ),
        "{refused}"
    );
    load("eu-de").unwrap();
}

#[test]
fn numbers_rise_and_wrap_only_to_free_ones() {
    let bench = Bench::new();
    let vpc = || Bench::vpc_on(&bench.controller);
    let (two, three) = (vpc(), vpc());
    assert_eq!((two.number, three.number), (2, 3));
    bench.controller.write(|tx| networks::delete_vpc(tx, ALL, two.id)).unwrap();
    assert_eq!(vpc().number, 4, "a free number is not taken again at once");
    let last = Numbers { next_vpc: u16::MAX, next_marker: u32::MAX };
    bench
        .controller
        .write(|tx| {
            tx.put(&last);
            Ok(())
        })
        .unwrap();
    assert_eq!((vpc().number, vpc().number), (u16::MAX, 2));
    assert_eq!((bench.endpoint().value.marker, bench.endpoint().value.marker), (u32::MAX, 1));
}

#[test]
fn a_refused_operation_changes_nothing() {
    let bench = Bench::new();
    let before = bench.controller.desired().version;
    let refused = bench.controller.write(|tx| {
        networks::create_vpc(tx, ALL, new_vpc("10.0.0.0/8"))?;
        networks::delete_vpc(tx, ALL, bench.subnet.vpc)
    });
    assert!(matches!(refused, Err(ControlError::InUse { .. })));
    assert_eq!(bench.controller.desired().version, before);
    assert_eq!(bench.controller.read(|state| state.vpcs.len()), 1);
}

#[test]
fn a_write_by_somebody_else_is_a_conflict_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(dir.path()).unwrap());
    let load = || Controller::load(Arc::clone(&store), "r".parse().unwrap(), None).unwrap();
    let (one, other) = (load(), load());
    Bench::vpc_on(&one);
    let conflict = other.write(|tx| networks::create_vpc(tx, ALL, new_vpc("10.0.0.0/16")));
    assert!(
        matches!(&conflict, Err(ControlError::Store(error)) if matches!(**error, StoreError::Conflict { .. })),
        "{conflict:?}"
    );
    assert!(other.read(|state| state.vpcs.is_empty()));
    assert_eq!(load().read(|state| state.vpcs.len()), 1);
}

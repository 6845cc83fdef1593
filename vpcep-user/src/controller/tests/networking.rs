//! VPCs, subnets, route tables and ports.

use std::collections::BTreeSet;

use super::*;
use crate::audit::{Query, Retention};
use crate::controller::backends::NewPort;
use crate::controller::route_tables::{self, NewRouteTable};
use crate::model::{RouteTable, RouteTableId, SubnetId};
use crate::store::record::Stored;

impl Bench {
    fn subnet_on(&self, cidr: &str) -> SubnetId {
        let new = new_subnet(self.subnet.vpc, cidr);
        self.controller.write(|tx| networks::create_subnet(tx, ALL, new)).unwrap().value.id
    }

    fn subnets_of(&self, table: RouteTableId) -> BTreeSet<SubnetId> {
        self.controller.read(|state| route_tables::subnets(state, state.route_tables.get(table).unwrap()))
    }

    fn port(&self, kind: BackendKind, address: Option<&str>) -> Result<Backend, ControlError> {
        let address = address.map(|text| text.parse().unwrap());
        let new = NewPort { subnet: self.subnet.id, name: None, kind, address };
        self.controller.write(|tx| backends::create_port(tx, ALL, new)).map(|written| written.value)
    }
}

#[test]
fn vpcs_of_an_older_database_get_their_default_route_table_once() {
    let bench = Bench::new();
    let tables: Vec<_> = bench.controller.read(|state| state.route_tables.iter().map(|t| t.id).collect());
    let [table] = tables[..] else { panic!("a vpc has one table: {tables:?}") };
    let remove = Write { key: RouteTable::key(table), expected: Some(1), value: None };
    let version = bench.store.get(&remove.key).unwrap().unwrap().version;
    bench.store.commit(&[Write { expected: Some(version), ..remove }]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let audit = || AuditLog::open(dir.path(), Retention { max_bytes: 1 << 20, files: 1 }).unwrap();
    let load = || Controller::load(Arc::clone(&bench.store), "r".parse().unwrap(), Some(audit())).unwrap();
    let made = load().read(|state| route_tables::default_of(state, bench.subnet.vpc).cloned()).unwrap();
    assert!(made.is_default && made.id != table);
    let again = load().read(|state| state.route_tables.iter().map(|t| t.id).collect::<Vec<_>>());
    assert_eq!(again, [made.id]);
    let records = audit().find(&Query { limit: 9, ..Query::default() }).unwrap().records;
    let [record] = &records[..] else { panic!("one line: {records:?}") };
    assert_eq!((&record.author, record.unrecorded), (&Author::vpcepd(), None));
    assert_eq!((&*record.changes[0].kind, &record.changes[0].id), ("route table", &made.id.to_string()));
}

#[test]
fn a_subnet_has_one_route_table_at_all_times() {
    let bench = Bench::new();
    let vpc = bench.subnet.vpc;
    let (one, two) = (bench.subnet.id, bench.subnet_on("10.0.1.0/24"));
    let default = bench.controller.read(|state| route_tables::default_of(state, vpc).unwrap().id);
    let make = |subnets: &[SubnetId]| {
        let subnets = subnets.iter().copied().collect();
        let new = NewRouteTable { vpc, name: None, subnets, description: Description::default() };
        bench.controller.write(|tx| route_tables::create(tx, ALL, new)).map(|written| written.value.id)
    };
    let (a, b) = (make(&[one]).unwrap(), make(&[two]).unwrap());
    let state = || [default, a, b].map(|table| bench.subnets_of(table).into_iter().collect::<Vec<_>>());
    assert_eq!(state(), [vec![], vec![one], vec![two]]);
    let associate = |table, gains: &[SubnetId], loses: &[SubnetId]| {
        let (gains, loses) = (gains.iter().copied().collect(), loses.iter().copied().collect());
        bench.controller.write(|tx| route_tables::associate(tx, ALL, table, &gains, &loses))
    };
    associate(a, &[two], &[one]).unwrap();
    assert_eq!(state(), [vec![one], vec![two], vec![]]);
    associate(a, &[two], &[one]).unwrap();
    assert_eq!(state(), [vec![one], vec![two], vec![]], "the same again changes nothing");
    associate(default, &[two], &[]).unwrap();
    assert_eq!(state()[1..], [vec![], vec![]]);
    assert!(matches!(associate(default, &[], &[two]), Err(ControlError::DefaultRouteTable { .. })));
    let elsewhere = make(&[SubnetId::random()]);
    assert!(matches!(elsewhere, Err(ControlError::SubnetElsewhere { .. })), "{elsewhere:?}");

    associate(a, &[two], &[]).unwrap();
    let delete = |table| bench.controller.write(|tx| route_tables::delete(tx, ALL, table));
    assert!(matches!(delete(a), Err(ControlError::InUse { .. })), "it has a subnet");
    assert!(matches!(delete(default), Err(ControlError::DefaultRouteTable { .. })));
    bench.controller.write(|tx| networks::delete_subnet(tx, ALL, two)).unwrap();
    delete(a).unwrap();
}

#[test]
fn a_vpc_goes_with_its_default_table_and_not_with_others() {
    let bench = Bench::new();
    let vpc = Bench::vpc_on(&bench.controller).id;
    let new = NewRouteTable { vpc, name: None, subnets: [].into(), description: Description::default() };
    let table = bench.controller.write(|tx| route_tables::create(tx, ALL, new)).unwrap().value.id;
    let delete = || bench.controller.write(|tx| networks::delete_vpc(tx, ALL, vpc));
    assert!(delete().unwrap_err().to_string().contains("1 route tables"));
    bench.controller.write(|tx| route_tables::delete(tx, ALL, table)).unwrap();
    delete().unwrap();
    assert!(bench.controller.read(|state| state.route_tables.iter().all(|table| table.vpc != vpc)));
}

#[test]
fn a_subnet_stays_clear_of_its_router_its_ports_and_its_endpoints() {
    let bench = Bench::new();
    let new = networks::NewSubnet {
        gateway: "10.0.9.5".parse().ok(),
        ..new_subnet(bench.subnet.vpc, "10.0.9.0/29")
    };
    let subnet = bench.controller.write(|tx| networks::create_subnet(tx, ALL, new)).unwrap().value;
    let bench = Bench { subnet, ..bench };
    let endpoint = bench.endpoint().value;
    assert_eq!(endpoint.address(), "10.0.9.4".parse().ok(), "below the router");
    let port = bench.port(BackendKind::Vm, None).unwrap();
    assert_eq!((port.address.to_string().as_str(), port.vpc), ("10.0.9.3", bench.subnet.vpc));
    assert_eq!(port.name.as_str(), format!("port-{}", &port.id.to_string()[..8]));
    assert_eq!(bench.endpoint().value.address(), "10.0.9.2".parse().ok());
    assert!(matches!(bench.port(BackendKind::Vip, None), Err(ControlError::SubnetFull { .. })));
    for taken in ["10.0.9.2", "10.0.9.3", "10.0.9.5"] {
        let refused = bench.port(BackendKind::Vm, Some(taken));
        assert!(matches!(refused, Err(ControlError::AddressInUse { .. })), "{taken}: {refused:?}");
    }
    let outside = bench.port(BackendKind::Vm, Some("10.0.8.1"));
    assert!(matches!(outside, Err(ControlError::OutsideSubnet { field: "ip_address", .. })), "{outside:?}");
    assert_eq!(bench.port(BackendKind::Vip, Some("10.0.9.6")).unwrap().kind, BackendKind::Vip);
    let elsewhere = networks::NewSubnet {
        gateway: "10.0.9.1".parse().ok(),
        ..new_subnet(bench.subnet.vpc, "10.0.10.0/24")
    };
    let refused = bench.controller.write(|tx| networks::create_subnet(tx, ALL, elsewhere));
    assert!(matches!(refused, Err(ControlError::AddressOutside { field: "gateway_ip", .. })), "{refused:?}");
}

#[test]
fn names_and_notes_change_and_nothing_else() {
    let bench = Bench::new();
    let (vpc, name) = (bench.subnet.vpc, Name::new("name", "new").ok());
    let note: Option<Description> = "note".parse().ok();
    let before = bench.controller.read(|state| state.vpcs.get(vpc).cloned()).unwrap();
    let changed =
        bench.controller.write(|tx| networks::update_vpc(tx, ALL, vpc, name.clone(), None)).unwrap().value;
    assert_eq!(changed, Vpc { name: name.clone().unwrap(), updated_at: changed.updated_at, ..before });
    let change = networks::SubnetChange { description: note.clone(), ..networks::SubnetChange::default() };
    let id = bench.subnet.id;
    let subnet = bench.controller.write(|tx| networks::update_subnet(tx, ALL, id, change)).unwrap().value;
    let expected =
        Subnet { description: note.unwrap(), updated_at: subnet.updated_at, ..bench.subnet.clone() };
    assert_eq!(subnet, expected);
}

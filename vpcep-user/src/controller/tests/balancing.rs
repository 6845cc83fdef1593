//! Load balancers: where connections go, and what may change.

use std::collections::BTreeMap;

use super::*;
use crate::controller::backends::{BackendChange, MemberChange};
use crate::controller::health::Health;
use crate::model::{HealthCheck, HealthCheckText, Member, MemberHealth};

fn member(last: u8, port: i64) -> Member {
    Member::new([10, 0, 0, last].into(), Port::new("port", port).ok(), 3).unwrap()
}

fn check() -> HealthCheck {
    let text = HealthCheckText { protocol: "tcp".into(), unhealthy_threshold: Some(1), ..Default::default() };
    text.try_into().unwrap()
}

/// A load balancer with these members, served by the service of the bench.
fn balancer(bench: &Bench, members: Vec<Member>, health_check: Option<HealthCheck>) -> Backend {
    let new = backends::NewBackend {
        vpc: bench.subnet.vpc,
        name: name(),
        kind: BackendKind::Lb,
        address: "10.0.0.3".parse().unwrap(),
        members,
        algorithm: Algorithm::SourceHash,
        health_check,
    };
    bench.controller.write(|tx| backends::create(tx, ALL, new)).unwrap().value
}

fn down(backend: &Backend, member: Member) -> Health {
    let health =
        MemberHealth::unknown(Timestamp::ZERO).after(Err("refused".into()), &check(), Timestamp::ZERO);
    BTreeMap::from([((backend.id, member.name()), health)]).into()
}

/// Addresses and ports of a backend that get new connections.
fn taking(backend: &Backend, health: &Health) -> Vec<(String, Option<u16>)> {
    let taking = servers(backend, health).into_iter().filter(|server| server.takes_connections);
    taking.map(|server| (server.address.to_string(), server.port)).collect()
}

#[test]
fn load_balancers_lead_to_their_members_and_lone_ones_to_themselves() {
    let bench = Bench::new();
    let lone = balancer(&bench, vec![], None);
    assert_eq!(taking(&lone, &Health::default()), [("10.0.0.3".into(), None)]);
    let (plain, other) = (member(4, 0), member(4, 81));
    let several = balancer(&bench, vec![plain, other], Some(check()));
    let both = [("10.0.0.4".to_owned(), None), ("10.0.0.4".to_owned(), Some(81))];
    assert_eq!(taking(&several, &Health::default()), both, "used until the checks can tell");
    assert_eq!(taking(&several, &down(&several, plain)), both[1..]);
    let unchecked = Backend { health_check: None, ..several.clone() };
    assert_eq!(taking(&unchecked, &down(&several, plain)), both, "what old checks said does not matter");
    let drained = Backend { members: vec![plain, other.draining(true)], ..several };
    assert_eq!(taking(&drained, &Health::default()), both[..1]);
    assert_eq!(taking(&drained, &down(&drained, plain)), []);
}

#[test]
fn members_come_change_and_go_and_the_last_one_stays() {
    let bench = Bench::new();
    let backend = balancer(&bench, vec![member(4, 80)], None);
    let (id, added) = (backend.id, member(5, 0));
    let add = |member| bench.controller.write(|tx| backends::add_member(tx, ALL, id, member));
    let both = add(added).unwrap().value;
    assert_eq!(both.members, [member(4, 80), added]);
    assert!(both.updated_at > backend.updated_at);
    assert!(add(added).is_err(), "listed twice");
    assert!(add(Member::new([10, 9, 9, 9].into(), None, 1).unwrap()).is_err(), "not in the VPC");
    let change =
        |name, change| bench.controller.write(|tx| backends::update_member(tx, ALL, id, name, change));
    let changed = MemberChange { weight: Some(7), is_draining: Some(true) };
    let now = change(added.name(), changed).unwrap().value.members[1];
    assert_eq!((now.weight(), now.is_draining), (7, true));
    let now =
        change(added.name(), MemberChange { weight: Some(8), is_draining: None }).unwrap().value.members[1];
    assert_eq!((now.weight(), now.is_draining), (8, true), "what is not named stays");
    assert!(change(member(6, 0).name(), changed).is_err(), "no such member");
    let wrong = MemberChange { weight: Some(0), ..changed };
    assert!(change(added.name(), wrong).is_err(), "no such weight");
    let remove = |name| bench.controller.write(|tx| backends::remove_member(tx, ALL, id, name));
    assert_eq!(remove(member(4, 80).name()).unwrap().value.members.len(), 1);
    let error = remove(added.name()).unwrap_err().to_string();
    assert!(error.contains("10.0.0.5:0 is the last member"), "{error}");
}

#[test]
fn only_what_has_members_is_checked_or_balanced() {
    let bench = Bench::new();
    let update = |id, change| bench.controller.write(|tx| backends::update(tx, ALL, id, change));
    let checked = || BackendChange { health_check: Some(Some(check())), ..BackendChange::default() };
    let lone = balancer(&bench, vec![], None);
    let error = update(lone.id, checked()).unwrap_err().to_string();
    assert!(error.starts_with("bad health_check:"), "{error}");
    let hashed = BackendChange { algorithm: Some(Algorithm::SourceHash), ..BackendChange::default() };
    let lone_server = bench.service.kind.backend().unwrap();
    let error = update(lone_server, hashed).unwrap_err().to_string();
    assert_eq!(error, "bad algorithm: a VM has none, only an LB does");
    let several = balancer(&bench, vec![member(4, 80)], None);
    assert_eq!(update(several.id, checked()).unwrap().value.health_check, Some(check()));
    let kept = update(several.id, BackendChange::default()).unwrap().value;
    assert_eq!((kept.health_check, kept.algorithm), (Some(check()), Algorithm::SourceHash));
    let ended = BackendChange { health_check: Some(None), ..BackendChange::default() };
    assert_eq!(update(several.id, ended).unwrap().value.health_check, None);
}

#[test]
fn watchers_are_told_when_members_go_down_and_not_of_every_check() {
    let bench = Bench::new();
    let one = member(4, 80);
    let backend = balancer(&bench, vec![one], Some(check()));
    let watch = bench.controller.watch_health();
    let checking = MemberHealth::unknown(Timestamp::ZERO);
    bench.controller.note_health(BTreeMap::from([((backend.id, one.name()), checking)]).into());
    assert!(!watch.has_changed().unwrap());
    bench.controller.note_health(down(&backend, one));
    assert!(watch.has_changed().unwrap());
    assert_eq!(bench.controller.health().counts(), (1, 1));
}

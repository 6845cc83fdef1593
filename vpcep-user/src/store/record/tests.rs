//! Every object comes back as it was stored, and nothing else is taken.

use std::net::Ipv4Addr;

use super::*;
use crate::model::connection::{Connection, Failure, State};
use crate::model::*;
use crate::reconcile::desired::{AttachMode, Refusal};

fn kept<T: Stored + PartialEq + std::fmt::Debug>(object: T) {
    let record = Record { key: T::key(object.id()), version: 1, value: encode(&object) };
    assert_eq!(decode::<T>(&record).unwrap(), object);
}

fn vpc() -> Vpc {
    Vpc {
        id: VpcId::from_u128(1),
        project: ProjectId::OPERATOR,
        name: Name::new("name", "blue").unwrap(),
        cidr: "10.0.0.0/24".parse().unwrap(),
        number: 7,
        created_at: Timestamp::from_micros(1_700_000_000_000_001),
    }
}

fn endpoint(state: State) -> Endpoint {
    Endpoint {
        id: EndpointId::from_u128(2),
        project: ProjectId::random(),
        service: ServiceId::from_u128(3),
        vpc: VpcId::from_u128(1),
        subnet: SubnetId::from_u128(4),
        address: Ipv4Addr::new(10, 0, 0, 9),
        marker: 77,
        whitelist: Whitelist::new(true, vec!["10.0.0.0/28".parse().unwrap(), "10.0.0.3".parse().unwrap()])
            .unwrap(),
        refusal: Refusal::Silent,
        description: "mine".parse().unwrap(),
        connection_description: "theirs".parse().unwrap(),
        connection: Connection { state, since: Timestamp::from_micros(9), accepted_once: true },
        created_at: Timestamp::from_micros(1),
        updated_at: Timestamp::from_micros(2),
    }
}

#[test]
fn networks_and_owners_come_back_as_they_were_stored() {
    kept(vpc());
    kept(Home { region: "eu-de".parse().unwrap() });
    kept(Subnet {
        id: SubnetId::from_u128(1),
        vpc: VpcId::from_u128(1),
        project: ProjectId::OPERATOR,
        name: Name::new("name", "a").unwrap(),
        cidr: "10.0.0.0/28".parse().unwrap(),
        created_at: Timestamp::ZERO,
    });
    for mode in [AttachMode::Auto, AttachMode::Xdp, AttachMode::XdpGeneric, AttachMode::Tc] {
        kept(Attachment {
            id: AttachmentId::from_u128(1),
            vpc: VpcId::from_u128(1),
            interface: "eth0".parse().unwrap(),
            vlan: VlanId::new(12).ok(),
            address: "10.0.0.1/24".parse().unwrap(),
            mode,
            next_hop: Some(Ipv4Addr::new(10, 0, 0, 2)),
            created_at: Timestamp::ZERO,
        });
    }
    let member = Member::new(Ipv4Addr::new(10, 0, 0, 4), Port::new("port", 80).ok(), 3).unwrap();
    kept(Backend {
        id: BackendId::from_u128(1),
        vpc: VpcId::from_u128(1),
        project: ProjectId::OPERATOR,
        name: Name::new("name", "lb").unwrap(),
        kind: BackendKind::Lb,
        address: Ipv4Addr::new(10, 0, 0, 3),
        members: vec![member],
        created_at: Timestamp::ZERO,
    });
    kept(Account {
        domain: DomainId::random(),
        project: ProjectId::random(),
        name: Name::new("name", "a").unwrap(),
        created_at: Timestamp::ZERO,
    });
    kept(QuotaRecord { project: None, change: QuotaChange { services: Some(1), ..QuotaChange::default() } });
    kept(Numbers { next_vpc: 3, next_marker: 4 });
}

#[test]
fn users_and_their_proofs_come_back_as_they_were_stored() {
    let id = UserId::random();
    for (role, password) in
        [(Role::Operator, None), (Role::Member, Some("$argon2id$x")), (Role::Reader, None)]
    {
        kept(User {
            id,
            domain: DomainId::OPERATOR,
            name: Name::new("name", "ann").unwrap(),
            role,
            password: password.map(|text| PasswordHash::from_phc(text.into()).unwrap()),
            created_at: Timestamp::from_micros(3),
        });
    }
    kept(AccessKey {
        access: "0123456789ABCDEFGHIJ".parse().unwrap(),
        user: id,
        secret: Sealed::from_bytes(vec![1, 2, 255]),
        description: "laptop".parse().unwrap(),
        created_at: Timestamp::ZERO,
    });
    kept(Token {
        hash: TokenHash::of("t"),
        user: id,
        issued_at: Timestamp::from_micros(1),
        expires_at: Timestamp::from_micros(2),
    });
}

#[test]
fn services_come_back_as_they_were_stored() {
    let mapping = PortMapping {
        protocol: Protocol::Tcp,
        client_port: Port::new("client_port", 80).unwrap(),
        server_port: Port::new("server_port", 8080).unwrap(),
    };
    for status in [ServiceStatus::Creating, ServiceStatus::Available, ServiceStatus::Deleting] {
        kept(Service {
            id: ServiceId::from_u128(3),
            project: ProjectId::OPERATOR,
            name: "web".parse().ok(),
            vpc: VpcId::from_u128(1),
            backend: BackendId::from_u128(1),
            server_kind: BackendKind::Vm,
            ports: PortMappings::new(vec![mapping]).unwrap(),
            approval_enabled: true,
            permissions: vec![PermissionEntry {
                id: PermissionId::from_u128(1),
                permission: "*".parse().unwrap(),
                description: Description::default(),
                created_at: Timestamp::ZERO,
            }],
            description: Description::default(),
            status,
            created_at: Timestamp::ZERO,
            updated_at: Timestamp::ZERO,
        });
    }
}

#[test]
fn endpoints_come_back_in_every_state() {
    let name = FullName::new(&"r".parse().unwrap(), None, ServiceId::from_u128(3));
    for state in [
        State::PendingAcceptance,
        State::Creating,
        State::Accepted,
        State::Rejected,
        State::Failed(Failure::DataPlane { reason: "full".into() }),
        State::Failed(Failure::ServiceDeleted { service: name }),
        State::Deleting,
    ] {
        kept(endpoint(state));
    }
}

#[test]
fn records_that_were_not_written_here_are_refused() {
    let good = String::from_utf8(encode(&vpc())).unwrap();
    for (what, value) in [
        ("cut short", good[..good.len() / 2].to_owned()),
        ("another schema", good.replace("\"schema\":1", "\"schema\":2")),
        ("an unknown field", good.replace("\"number\"", "\"colour\":1,\"number\"")),
        ("a value that cannot exist", good.replace("10.0.0.0/24", "10.0.0.1/24")),
    ] {
        assert_ne!(value, good);
        let record = Record { key: "vpcs/x".into(), version: 1, value: value.into_bytes() };
        let error = decode::<Vpc>(&record).unwrap_err().to_string();
        assert!(error.starts_with("cannot read record vpcs/x"), "{what}: {error}");
    }
}

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
        description: "mine".parse().unwrap(),
        created_at: Timestamp::from_micros(1_700_000_000_000_001),
        updated_at: Timestamp::from_micros(1_700_000_000_000_002),
    }
}

fn tags() -> Tags {
    Tags::new(vec![Tag::new("team", "a").unwrap(), Tag::new("empty", "").unwrap()]).unwrap()
}

fn policy() -> Policy {
    let json = |text: &str| serde_json::from_str(text).unwrap();
    let statement = PolicyStatement {
        effect: PolicyEffect::Deny,
        actions: vec!["obs:*".into()],
        resources: vec!["*".into()],
        condition: Some(json(r#"{"Bool":{"g:Secure":["false"]}}"#)),
        sid: Some("one".into()),
    };
    Policy::new(vec![statement], Some(json(r#"{"Version":"5.0"}"#))).unwrap()
}

fn endpoint(state: State) -> Endpoint {
    Endpoint {
        id: EndpointId::from_u128(2),
        project: ProjectId::random(),
        service: ServiceId::from_u128(3),
        vpc: VpcId::from_u128(1),
        kind: EndpointKind::Interface {
            subnet: SubnetId::from_u128(4),
            address: Ipv4Addr::new(10, 0, 0, 9),
            has_name: true,
        },
        marker: 77,
        whitelist: Whitelist::new(true, vec!["10.0.0.0/28".parse().unwrap(), "10.0.0.3".parse().unwrap()])
            .unwrap(),
        refusal: Refusal::Silent,
        policy: policy(),
        tags: tags(),
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
        gateway: Some(Ipv4Addr::new(10, 0, 0, 1)),
        dhcp_enabled: false,
        dns: DnsServers::new(vec![Ipv4Addr::new(9, 9, 9, 9)]).unwrap(),
        availability_zone: Name::new("availability_zone", "eu-de-01").ok(),
        description: "front".parse().unwrap(),
        created_at: Timestamp::ZERO,
        updated_at: Timestamp::from_micros(1),
    });
    kept(RouteTable {
        subnets: [SubnetId::from_u128(1), SubnetId::from_u128(2)].into(),
        ..RouteTable::default_of(VpcId::from_u128(1), ProjectId::OPERATOR, Timestamp::ZERO)
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
    let check = HealthCheckText { protocol: "http".into(), port: Some(8080), ..HealthCheckText::default() };
    kept(Backend {
        id: BackendId::from_u128(1),
        vpc: VpcId::from_u128(1),
        project: ProjectId::OPERATOR,
        name: Name::new("name", "lb").unwrap(),
        kind: BackendKind::Lb,
        address: Ipv4Addr::new(10, 0, 0, 3),
        members: vec![member, member.draining(true)],
        algorithm: Algorithm::SourceHash,
        health_check: Some(check.try_into().unwrap()),
        created_at: Timestamp::ZERO,
        updated_at: Timestamp::from_micros(1),
    });
    kept(Account {
        domain: DomainId::random(),
        project: ProjectId::random(),
        name: Name::new("name", "a").unwrap(),
        created_at: Timestamp::ZERO,
    });
    let change = QuotaChange {
        services: Some(1),
        backends: Some(0),
        half_open: Some(2),
        connection_rate: Some(3),
        bandwidth: Some(4),
        ..QuotaChange::default()
    };
    kept(QuotaRecord { project: None, change });
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

fn service(kind: ServiceKind, status: ServiceStatus) -> Service {
    Service {
        id: ServiceId::from_u128(3),
        project: ProjectId::OPERATOR,
        name: "web".parse().ok(),
        vpc: VpcId::from_u128(1),
        kind,
        approval_enabled: true,
        is_public: true,
        enable_policy: true,
        idle: Idle { timeout: IdleTimeout::from_secs(350).unwrap(), reset: false },
        client_address: ClientAddress { means: TcpProxy::Both, profile: ProxyProfile::Gcp },
        permissions: vec![PermissionEntry {
            id: PermissionId::from_u128(1),
            permission: "*".parse().unwrap(),
            description: Description::default(),
            created_at: Timestamp::ZERO,
        }],
        tags: tags(),
        description: Description::default(),
        status,
        created_at: Timestamp::ZERO,
        updated_at: Timestamp::ZERO,
    }
}

fn interface() -> ServiceKind {
    let mapping = PortMapping {
        protocol: Protocol::Tcp,
        client_port: Port::new("client_port", 80).unwrap(),
        server_port: Port::new("server_port", 8080).unwrap(),
    };
    let ports = PortMappings::new(vec![mapping]).unwrap();
    ServiceKind::Interface { backend: BackendId::from_u128(1), server_kind: BackendKind::Vm, ports }
}

#[test]
fn services_come_back_as_they_were_stored() {
    let prefixes = vec!["100.125.0.0/16".parse().unwrap(), "100.126.0.0/16".parse().unwrap()];
    let gateway = ServiceKind::Gateway { prefixes: Prefixes::new(prefixes).unwrap() };
    for kind in [interface(), gateway] {
        for status in [ServiceStatus::Creating, ServiceStatus::Available, ServiceStatus::Deleting] {
            kept(service(kind.clone(), status));
        }
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
    let route_tables = vec![RouteTableId::from_u128(2), RouteTableId::from_u128(1)];
    kept(Endpoint { kind: EndpointKind::Gateway { route_tables }, ..endpoint(State::Accepted) });
}

/// Records as version 0.1.0 wrote them, and what they mean.
#[test]
fn records_of_version_0_1_0_lose_nothing() {
    fn read<T: Stored>(json: &str) -> T {
        let record = Record { key: format!("{}x", T::PREFIX), version: 1, value: json.into() };
        decode(&record).unwrap()
    }
    let at = Timestamp::from_micros(5);
    let old = read::<Vpc>(
        r#"{"schema":1,"object":{"id":"00000000-0000-0000-0000-000000000001",
        "project":"00000000000000000000000000000000","name":"blue","cidr":"10.0.0.0/24","number":7,"created_at":5}}"#,
    );
    let expected = Vpc { description: Description::default(), created_at: at, updated_at: at, ..vpc() };
    assert_eq!(old, expected);

    let old = read::<Subnet>(
        r#"{"schema":1,"object":{"id":"00000000-0000-0000-0000-000000000004",
        "vpc":"00000000-0000-0000-0000-000000000001","project":"00000000000000000000000000000000",
        "name":"front","cidr":"10.0.0.0/28","created_at":5}}"#,
    );
    assert_eq!((old.cidr.to_string().as_str(), old.updated_at, old.gateway), ("10.0.0.0/28", at, None));
    assert!(old.dhcp_enabled && old.dns == DnsServers::default() && old.availability_zone.is_none());

    let old = read::<Service>(
        r#"{"schema":1,"object":{"id":"00000000-0000-0000-0000-000000000003",
        "project":"00000000000000000000000000000000","name":"web","vpc":"00000000-0000-0000-0000-000000000001",
        "backend":"00000000-0000-0000-0000-000000000001","server_kind":"VM",
        "ports":[{"protocol":"TCP","client_port":80,"server_port":8080}],"approval_enabled":true,
        "permissions":[{"id":"00000000-0000-0000-0000-000000000001","permission":"*","description":"","created_at":0}],
        "description":"","status":"available","created_at":0,"updated_at":0}}"#,
    );
    let expected = Service {
        is_public: false,
        enable_policy: false,
        idle: Idle::default(),
        client_address: ClientAddress::default(),
        tags: Tags::default(),
        ..service(interface(), ServiceStatus::Available)
    };
    assert_eq!(old, expected);

    let old = read::<Endpoint>(
        r#"{"schema":1,"object":{"id":"00000000-0000-0000-0000-000000000002",
        "project":"00000000000000000000000000000000","service":"00000000-0000-0000-0000-000000000003",
        "vpc":"00000000-0000-0000-0000-000000000001","subnet":"00000000-0000-0000-0000-000000000004",
        "address":"10.0.0.9","marker":77,"whitelist_enabled":true,"whitelist":["10.0.0.0/28","10.0.0.3"],
        "refusal":"silent","description":"mine","connection_description":"theirs",
        "connection":{"state":"accepted","since":9,"accepted_once":true},"created_at":1,"updated_at":2}}"#,
    );
    let (subnet, address) = (SubnetId::from_u128(4), Ipv4Addr::new(10, 0, 0, 9));
    let expected = Endpoint {
        project: ProjectId::OPERATOR,
        kind: EndpointKind::Interface { subnet, address, has_name: false },
        policy: Policy::default(),
        tags: Tags::default(),
        ..endpoint(State::Accepted)
    };
    assert_eq!(old, expected);

    let old = read::<QuotaRecord>(
        r#"{"schema":1,"object":{"project":null,"services":3,"endpoints":null,"connections":9}}"#,
    );
    let change = QuotaChange { services: Some(3), connections: Some(9), ..QuotaChange::default() };
    assert_eq!(old, QuotaRecord { project: None, change });
}

#[test]
fn a_record_is_of_one_kind() {
    let good = String::from_utf8(encode(&service(interface(), ServiceStatus::Available))).unwrap();
    for (what, value) in [
        ("both", good.replace("\"prefixes\":[]", "\"prefixes\":[\"100.125.0.0/16\"]")),
        ("neither", good.replace("\"backend\":\"00000000-0000-0000-0000-000000000001\"", "\"backend\":null")),
    ] {
        assert_ne!(value, good, "{what}");
        let record = Record { key: "services/x".into(), version: 1, value: value.into_bytes() };
        assert!(decode::<Service>(&record).is_err(), "{what}");
    }
}

#[test]
fn records_that_were_not_written_here_are_refused() {
    let good = String::from_utf8(encode(&vpc())).unwrap();
    for (what, value) in [
        ("cut short", good[..good.len() / 2].to_owned()),
        ("another schema", good.replace("\"schema\":2", "\"schema\":3")),
        ("an unknown field", good.replace("\"number\"", "\"colour\":1,\"number\"")),
        ("a value that cannot exist", good.replace("10.0.0.0/24", "10.0.0.1/24")),
    ] {
        assert_ne!(value, good);
        let record = Record { key: "vpcs/x".into(), version: 1, value: value.into_bytes() };
        let error = decode::<Vpc>(&record).unwrap_err().to_string();
        assert!(error.starts_with("cannot read record vpcs/x"), "{what}: {error}");
    }
}

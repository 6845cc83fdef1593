//! The product's scenarios, as far as the control plane carries them.

use crate::reconcile::desired::DesiredLimits;
use serde_json::{Value, json};

use super::{ENDPOINTS, SERVICES, World, id};

#[tokio::test]
async fn within_one_account_an_endpoint_comes_up_by_itself_or_after_acceptance() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;

    let open = me.service(false).await;
    let created = me.endpoint(&open, &vpc, &subnet).await;
    assert_eq!(created["status"], "creating");
    assert_eq!(created.get("ip"), None, "the address is not shown before the acceptance");
    me.settle().await;
    let shown = me.show_endpoint(&id(&created)).await;
    assert_eq!((&shown["status"], &shown["ip"]), (&json!("accepted"), &json!("10.0.0.253")));
    assert_eq!(shown["endpoint_service_name"], format!("eu.web.{open}"));

    let approving = me.service(true).await;
    let waiting = me.endpoint(&approving, &vpc, &subnet).await;
    assert_eq!(waiting["status"], "pendingAcceptance");
    me.settle().await;
    let desired = &world.datapath.desired().endpoints[&id(&waiting).parse().unwrap()];
    assert!(!desired.accepted, "a waiting endpoint has its address but carries nothing");
    assert_eq!(me.act(&approving, "receive", &id(&waiting)).await, "accepted");
    assert_eq!(me.show_endpoint(&id(&waiting)).await["ip"], "10.0.0.252");
}

#[tokio::test]
async fn between_accounts_the_whitelist_admits_and_the_provider_decides() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (a, b) = (world.account("a").await, world.account("b").await);
    // The consumer's range equals the provider's.
    let vpc = a.vpc("192.168.24.0/24").await;
    let subnet = a.subnet(&vpc, "192.168.24.0/24").await;
    let service = b.service(true).await;
    let body = json!({"endpoint_service_id": service, "vpc_id": vpc, "subnet_id": subnet});
    assert_eq!(a.refused("POST", ENDPOINTS, body).await, (400, "2012".into()));

    let permission = format!("iam:domain::{}", a.domain);
    let path = format!("{SERVICES}/{service}/permissions/action");
    let added = b.ok("POST", &path, json!({"permissions": [permission], "action": "add"})).await;
    assert_eq!(added, json!({"permissions": [permission], "permission_type": "domainId"}));
    let endpoint = id(&a.endpoint(&service, &vpc, &subnet).await);
    assert_eq!(a.show_endpoint(&endpoint).await["status"], "pendingAcceptance");

    assert_eq!(b.act(&service, "receive", &endpoint).await, "accepted");
    let address = a.show_endpoint(&endpoint).await["ip"].clone();
    assert_eq!(
        b.get(&format!("{SERVICES}?id={service}")).await["endpoint_services"][0]["connection_count"],
        1
    );
    b.ok("POST", &path, json!({"permissions": [permission], "action": "remove"})).await;
    assert_eq!(a.show_endpoint(&endpoint).await["status"], "accepted", "existing endpoints stay");

    assert_eq!(b.act(&service, "reject", &endpoint).await, "rejected");
    let key = endpoint.parse().unwrap();
    assert!(!world.datapath.desired().endpoints[&key].accepted, "cut before the provider has the answer");
    assert_eq!(a.show_endpoint(&endpoint).await["ip"], address, "the address stays");
    assert_eq!(b.act(&service, "receive", &endpoint).await, "accepted");
    assert_eq!(a.show_endpoint(&endpoint).await["ip"], address, "and comes back");
}

#[tokio::test]
async fn how_servers_learn_of_clients_reaches_the_data_plane_before_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let service = me.service(false).await;
    let endpoint = id(&me.endpoint(&service, &vpc, &subnet).await);
    me.settle().await;
    let path = format!("{SERVICES}/{service}");
    for (change, means, profile) in [
        (json!({}), "close", "own"),
        (json!({"tcp_proxy": "toa_open"}), "toa_open", "own"),
        (json!({"proxy_profile": "gcp"}), "toa_open", "gcp"),
        (json!({"tcp_proxy": "open", "proxy_profile": null}), "open", "gcp"),
        (json!({"tcp_proxy": "close", "proxy_profile": "own"}), "close", "own"),
    ] {
        let answer = me.ok("PUT", &path, change.clone()).await;
        let wanted = &world.datapath.desired().endpoints[&endpoint.parse().unwrap()];
        let found = wanted.client_address;
        assert_eq!((found.means.as_str(), found.profile.as_str()), (means, profile), "{change}");
        assert_eq!((&answer["tcp_proxy"], &answer["proxy_profile"]), (&json!(means), &json!(profile)));
        assert_ne!(wanted.marker, 0);
    }
}

#[tokio::test]
async fn what_becomes_of_idle_connections_reaches_the_data_plane_before_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let service = me.service(false).await;
    let endpoint = id(&me.endpoint(&service, &vpc, &subnet).await);
    me.settle().await;
    let path = format!("{SERVICES}/{service}");
    for (change, timeout, reset) in [
        (json!({}), 0, true),
        (json!({"idle_timeout": 350}), 350, true),
        (json!({"idle_reset": false}), 350, false),
        (json!({"description": "d"}), 350, false),
        (json!({"idle_timeout": 0, "idle_reset": null}), 0, false),
    ] {
        let answer = me.ok("PUT", &path, change.clone()).await;
        let idle = world.datapath.desired().endpoints[&endpoint.parse().unwrap()].idle;
        assert_eq!((idle.timeout_secs(), idle.reset), (timeout, reset), "{change}");
        assert_eq!((&answer["idle_timeout"], &answer["idle_reset"]), (&json!(timeout), &json!(reset)));
    }
}

#[tokio::test]
async fn a_deleted_endpoint_is_cut_at_once_and_then_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let service = me.service(false).await;
    let endpoint = id(&me.endpoint(&service, &vpc, &subnet).await);
    me.settle().await;
    let path = format!("{ENDPOINTS}/{endpoint}");
    assert_eq!(
        me.refused("DELETE", &format!("{SERVICES}/{service}"), Value::Null).await,
        (400, "3006".into())
    );
    me.ok("DELETE", &path, Value::Null).await;
    assert!(world.datapath.desired().endpoints.is_empty());
    assert_eq!(me.refused("GET", &path, Value::Null).await, (404, "2006".into()));
    me.ok("DELETE", &format!("{SERVICES}/{service}"), Value::Null).await;
    me.settle().await;
    let path = format!("{SERVICES}/{service}");
    assert_eq!(me.refused("GET", &path, Value::Null).await, (404, "0005".into()));
}

#[tokio::test]
async fn endpoints_of_a_deleted_service_fail_and_stay_readable() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let service = me.service(true).await;
    let endpoint = id(&me.endpoint(&service, &vpc, &subnet).await);
    me.ok("DELETE", &format!("{SERVICES}/{service}"), Value::Null).await;
    me.settle().await;
    let shown = me.show_endpoint(&endpoint).await;
    assert_eq!(shown["status"], "failed");
    assert_eq!(shown["error"][0]["error_code"], "EndPoint.2003");
    assert_eq!(shown["endpoint_service_name"], format!("eu.web.{service}"));
    me.ok("DELETE", &format!("{ENDPOINTS}/{endpoint}"), Value::Null).await;
    me.settle().await;
    assert_eq!(me.get(ENDPOINTS).await["total_count"], 0);
}

#[tokio::test]
async fn an_endpoint_the_data_plane_cannot_take_fails_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let service = me.service(true).await;
    let endpoint = id(&me.endpoint(&service, &vpc, &subnet).await);
    world.datapath.fail_endpoint(endpoint.parse().unwrap(), Some("table full"));
    assert_eq!(me.act(&service, "receive", &endpoint).await, "failed");
    let shown = me.show_endpoint(&endpoint).await;
    assert_eq!(shown["error"][0]["error_code"], "EndPoint.0001");
    let message = shown["error"][0]["error_message"].as_str().unwrap();
    assert!(!message.contains("table full"), "what is the host's own business: {message}");
    world.datapath.fail_endpoint(endpoint.parse().unwrap(), None);
    assert_eq!(me.act(&service, "receive", &endpoint).await, "accepted");
}

#[tokio::test]
async fn a_change_the_data_plane_does_not_take_in_time_is_kept_and_not_called_done() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let service = me.service(false).await;
    let endpoint = id(&me.endpoint(&service, &vpc, &subnet).await);
    me.settle().await;
    world.datapath.lose(true);
    let reject = json!({"action": "reject", "endpoints": [endpoint]});
    let act_path = format!("{SERVICES}/{service}/connections/action");
    let endpoint_path = format!("{ENDPOINTS}/{endpoint}");
    let calls = [
        ("POST", act_path.clone(), reject.clone()),
        // It is rejected already, but still not cut.
        ("POST", act_path, reject),
        ("DELETE", endpoint_path.clone(), Value::Null),
    ];
    for (method, path, body) in calls {
        let (status, answer) = me.call(method, &path, body).await;
        assert_eq!((status, &answer["error_code"]), (500, &json!("EndPoint.0001")), "{method} {path}");
        let message = answer["error_msg"].as_str().unwrap();
        assert!(message.starts_with("stored, but not applied to the data plane yet: "), "{message}");
    }
    assert_eq!(me.show_endpoint(&endpoint).await["status"], "deleting");
    world.datapath.lose(false);
    me.settle().await;
    assert_eq!(me.refused("GET", &endpoint_path, Value::Null).await, (404, "2006".into()));
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_restart_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let service = me.service(false).await;
    world.datapath.lose(true);
    let endpoint = me.endpoint(&service, &vpc, &subnet).await;
    let (token, project) = (me.token.clone().unwrap(), me.project.clone());
    drop(me);
    world.close().await;

    let world = World::open(dir.path());
    let me = super::Client { project, ..world.stranger(Some(&token)) };
    me.settle().await;
    let shown = me.show_endpoint(&id(&endpoint)).await;
    assert_eq!(shown["status"], "accepted", "the transient state was resumed");
    assert_eq!(shown["marker_id"], endpoint["marker_id"]);
    let next = me.endpoint(&service, &vpc, &subnet).await;
    assert_eq!(next["marker_id"].as_u64(), endpoint["marker_id"].as_u64().map(|marker| marker + 1));
}

#[tokio::test]
async fn whitelist_and_refusal_reach_the_data_plane_before_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let service = me.service(false).await;
    let endpoint = id(&me.endpoint(&service, &vpc, &subnet).await);
    let desired = || world.datapath.desired().endpoints[&endpoint.parse().unwrap()].clone();
    let change = json!({"whitelist": ["10.0.0.128/25", "172.16.0.9"], "enable_whitelist": true});
    let answer = me.ok("PUT", &format!("{ENDPOINTS}/{endpoint}"), change).await;
    assert_eq!(answer["whitelist"], json!(["10.0.0.128/25", "172.16.0.9"]));
    let prefixes = ["10.0.0.128/25".parse().unwrap(), "172.16.0.9/32".parse().unwrap()];
    assert_eq!(desired().whitelist.as_deref(), Some(&prefixes[..]));
    me.ok("PUT", &format!("{ENDPOINTS}/{endpoint}"), json!({"whitelist": []})).await;
    assert_eq!(desired().whitelist, Some(vec![]), "an empty list that is enforced admits nobody");
    let path = format!("/operator/v1/endpoints/{endpoint}");
    world.operator().ok("PUT", &path, json!({"refusal": "icmp"})).await;
    assert_eq!(desired().refusal, crate::reconcile::desired::Refusal::Icmp);
    world.operator().ok("PUT", &path, json!({"refusal": "silent"})).await;
    assert_eq!(desired().refusal, crate::reconcile::desired::Refusal::Silent);
}

#[tokio::test]
async fn limits_the_operator_sets_are_shown_and_reach_the_data_plane() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let service = me.service(false).await;
    let operator = world.operator();
    operator.ok("PUT", "/operator/v1/quotas", json!({"quotas": {"connection": 9, "endpoint": 7}})).await;
    let own = json!({"project_id": me.project, "quotas": {"endpoint": 1}});
    let answer = operator.ok("PUT", "/operator/v1/quotas", own).await;
    let quotas = |answer: &Value| {
        answer["quotas"]["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["quota"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(quotas(&answer), [20, 1, 9, 50, 200, 500, 0, 0, 0]);
    let rates = json!({"quotas": {"half_open": 4, "connection_rate": 5, "bandwidth": 3072}});
    let answer = operator.ok("PUT", "/operator/v1/quotas", rates).await;
    assert_eq!(quotas(&answer)[6..], [4, 5, 3072]);
    let endpoint = id(&me.endpoint(&service, &vpc, &subnet).await);
    me.settle().await;
    let limits = DesiredLimits { connections: 9, half_open: 4, connection_rate: 5, bandwidth: 3072 };
    assert_eq!(world.datapath.desired().endpoints[&endpoint.parse().unwrap()].limits, limits);
    let shown = me.get("/v1/{p}/quotas").await;
    assert_eq!(
        shown["quotas"]["resources"],
        json!([
            {"type": "endpoint_service", "used": 1, "quota": 20},
            {"type": "endpoint", "used": 1, "quota": 1},
        ])
    );
    let connections = me.get("/v1/{p}/quotas?type=connection").await;
    assert_eq!(quotas(&connections), [9]);
    let body = json!({"endpoint_service_id": service, "vpc_id": vpc, "subnet_id": subnet});
    assert_eq!(me.refused("POST", ENDPOINTS, body).await, (400, "1018".into()));
}

#[tokio::test]
async fn what_networks_are_made_of_is_limited_per_project() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, me, other) = (world.operator(), world.account("me").await, world.account("other").await);
    let default = me.vpc("10.0.0.0/24").await;
    let network = me.subnet(&default, "10.0.0.0/28").await;
    let vpc = |_| json!({"vpc": {"cidr": "10.0.0.0/24"}});
    let subnet =
        |n| json!({"subnet": {"name": "s", "vpc_id": default, "cidr": format!("10.0.0.{}/28", 16 * n)}});
    let backend =
        |_| json!({"backend": {"name": "b", "vpc_id": default, "type": "VM", "address": "10.0.0.9"}});
    let port = |_| json!({"port": {"network_id": network}});
    // What is limited, the default, where one is made, its nth body, and how many there are before.
    type Body<'a> = &'a dyn Fn(u32) -> Value;
    let cases: [(&str, u32, &str, Body<'_>, u32); 4] = [
        ("vpc", 50, "vpcs", &vpc, 1),
        ("subnet", 200, "subnets", &subnet, 1),
        ("port", 500, "backends", &backend, 0),
        ("port", 2, "ports", &port, 2),
    ];
    for (kind, default, plural, body, before) in cases {
        let path = format!("/v1/{{p}}/{plural}");
        let shown = format!("/v1/{{p}}/quotas?type={kind}");
        let row = |used: u32, quota: u32| json!([{"type": kind, "used": used, "quota": quota}]);
        assert_eq!(me.get(&shown).await["quotas"]["resources"], row(before, default), "{plural}");
        for (limit, number) in [(before + 1, 1), (before + 2, 2)] {
            let own = json!({"project_id": me.project, "quotas": {kind: limit}});
            operator.ok("PUT", "/operator/v1/quotas", own).await;
            me.ok("POST", &path, body(number)).await;
            let refused = me.refused("POST", &path, body(3)).await;
            assert_eq!(refused, (400, "1018".into()), "{plural} beyond {limit}");
            assert_eq!(me.get(&shown).await["quotas"]["resources"], row(limit, limit), "{plural}");
        }
    }
    other.vpc("10.0.0.0/24").await;
}

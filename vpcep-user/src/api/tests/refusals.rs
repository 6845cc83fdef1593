//! Every refusal has its code.

use serde_json::{Value, json};

use super::{Client, ENDPOINTS, SERVICES, World, id, service_body};

const NOBODY: &str = "5d1c6a0e-3c2f-4b7e-9a55-0f6f5a1b2c3d";

/// Takes what would succeed, changes it, and expects a code.
async fn expect(client: &Client, method: &str, path: &str, body: &Value, cases: &[(Value, &str)]) {
    for (change, code) in cases {
        let mut changed = body.clone();
        for (key, value) in change.as_object().unwrap() {
            changed[key] = value.clone();
        }
        let (_, found) = client.refused(method, path, changed).await;
        assert_eq!(&found, code, "{method} {path} with {change}");
    }
}

#[tokio::test]
async fn bad_services_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (me, other) = (world.account("me").await, world.account("other").await);
    let vpc = me.vpc("192.168.24.0/24").await;
    let backend = me.backend(&vpc, "192.168.24.10").await;
    let elsewhere = me.vpc("192.168.24.0/24").await;
    let theirs = other.vpc("192.168.24.0/24").await;
    let their_backend = other.backend(&theirs, "192.168.24.10").await;
    let body = service_body(&vpc, &backend, true);
    let port = |client: i64, server: i64| json!({"client_port": client, "server_port": server});
    let many: Vec<_> = (1..=201).map(|p| port(p, p)).collect();
    expect(
        &me,
        "POST",
        SERVICES,
        &body,
        &[
            (json!({"port_id": null}), "3003"),
            (json!({"port_id": "x"}), "3003"),
            (json!({"port_id": NOBODY}), "3008"),
            (json!({"port_id": their_backend}), "3008"),
            (json!({"vpc_id": null}), "2011"),
            (json!({"vpc_id": ""}), "2011"),
            (json!({"vpc_id": "x"}), "0020"),
            (json!({"vpc_id": NOBODY}), "2001"),
            (json!({"vpc_id": theirs}), "2001"),
            (json!({"vpc_id": elsewhere}), "3042"),
            (json!({"server_type": null}), "3021"),
            (json!({"server_type": "POD"}), "3021"),
            (json!({"server_type": "LB"}), "3021"),
            (json!({"service_name": "no spaces"}), "1003"),
            (json!({"service_name": "seventeen-letters"}), "1003"),
            (json!({"ports": null}), "2028"),
            (json!({"ports": []}), "2028"),
            (json!({"ports": [{"server_port": 1}]}), "2028"),
            (json!({"ports": [port(0, 1)]}), "3043"),
            (json!({"ports": [port(1, 65536)]}), "3043"),
            (json!({"ports": [port(1, 1), port(1, 2)]}), "3004"),
            (json!({"ports": many}), "3074"),
            (json!({"ports": [{"client_port": 1, "server_port": 1, "protocol": "SCTP"}]}), "3075"),
            (json!({"ports": "80"}), "0002"),
            (json!({"description": "<b>"}), "0002"),
            (json!({"service_type": "gateway"}), "0002"),
            (json!({"tcp_proxy": "ajar"}), "0002"),
            (json!({"tcp_proxy": "proxy_vni"}), "0002"),
            (json!({"tcp_proxy": true}), "0002"),
            (json!({"proxy_profile": "ibm"}), "0002"),
            (json!({"idle_timeout": 9}), "0002"),
            (json!({"idle_timeout": -1}), "0002"),
            (json!({"idle_timeout": "350"}), "0002"),
            (json!({"idle_reset": "on"}), "0002"),
            (json!({"ip_version": "ipv6"}), "0002"),
            (json!({"snat_network_id": NOBODY}), "0002"),
            (json!({"tags": [{"key": ""}]}), "3066"),
        ],
    )
    .await;
    // What means the default is taken, in any case.
    let mut with_defaults = body.clone();
    for (key, value) in
        [("tcp_proxy", json!("close")), ("tags", json!([])), ("service_type", json!("interface"))]
    {
        with_defaults[key] = value;
    }
    with_defaults["server_type"] = json!("vm");
    with_defaults["colour"] = json!("unknown fields are ignored");
    let service = me.ok("POST", SERVICES, with_defaults).await;
    expect(&me, "POST", SERVICES, &body, &[(json!({}), "3044")]).await;
    let path = format!("{SERVICES}/{}", id(&service));
    me.settle().await;
    let mut second = body.clone();
    second["ports"] = json!([port(80, 8081)]);
    me.ok("POST", SERVICES, second).await;
    let else_backend = me.backend(&elsewhere, "192.168.24.10").await;
    expect(
        &me,
        "PUT",
        &path,
        &json!({}),
        &[
            (json!({"ports": [port(90, 8081)]}), "3044"),
            (json!({"ports": []}), "2028"),
            (json!({"port_id": else_backend}), "3042"),
            (json!({"port_id": NOBODY}), "3008"),
            (json!({"idle_timeout": 360_001}), "0002"),
            (json!({"tcp_proxy": "ajar"}), "0002"),
            (json!({"proxy_profile": ""}), "0002"),
            (json!({"service_name": ""}), "1003"),
        ],
    )
    .await;
    let answer = me.ok("PUT", &path, json!({"ports": [port(90, 8080)], "approval_enabled": false})).await;
    assert_eq!(answer["ports"], json!([{"client_port": 90, "server_port": 8080, "protocol": "TCP"}]));
    assert_eq!(me.refused("GET", &format!("{SERVICES}/web"), Value::Null).await, (404, "0005".into()));
    let describe = format!("{SERVICES}/describe");
    assert_eq!(me.refused("GET", &describe, Value::Null).await, (400, "2002".into()));
}

#[tokio::test]
async fn bad_endpoints_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/29").await;
    let elsewhere = me.vpc("10.0.0.0/24").await;
    let service = me.service(true).await;
    me.backend(&vpc, "10.0.0.3").await;
    let attachment =
        json!({"vpc_id": vpc, "interface": "eth0", "address": "10.0.0.1/24", "next_hop": "10.0.0.2"});
    world.operator().ok("POST", "/operator/v1/attachments", attachment).await;
    let body = json!({"endpoint_service_id": service, "vpc_id": vpc, "subnet_id": subnet});
    let long: Vec<_> = (0..201).map(|n| format!("10.1.{n}.0/24")).collect();
    expect(
        &me,
        "POST",
        ENDPOINTS,
        &body,
        &[
            (json!({"endpoint_service_id": null}), "2029"),
            (json!({"endpoint_service_id": ""}), "2029"),
            (json!({"endpoint_service_id": "x"}), "3062"),
            (json!({"endpoint_service_id": NOBODY}), "2003"),
            (json!({"vpc_id": null}), "2011"),
            (json!({"vpc_id": ""}), "2011"),
            (json!({"vpc_id": "x"}), "0020"),
            (json!({"vpc_id": NOBODY}), "2001"),
            (json!({"vpc_id": elsewhere}), "2037"),
            (json!({"subnet_id": null}), "2010"),
            (json!({"subnet_id": "x"}), "0023"),
            (json!({"subnet_id": NOBODY}), "4004"),
            (json!({"port_ip": "x"}), "2041"),
            (json!({"port_ip": "10.0.0.9"}), "2043"),
            (json!({"port_ip": "10.0.0.0"}), "2043"),
            (json!({"port_ip": "10.0.0.7"}), "2043"),
            (json!({"port_ip": "10.0.0.1"}), "2042"),
            (json!({"port_ip": "10.0.0.2"}), "2042"),
            (json!({"port_ip": "10.0.0.3"}), "2042"),
            (json!({"whitelist": ["10.0.0.1/24"]}), "2044"),
            (json!({"whitelist": long}), "2045"),
            (json!({"specification_name": "large"}), "0015"),
            (json!({"enable_dns": "yes"}), "2033"),
            (json!({"tags": [{"key": ""}]}), "3066"),
            (json!({"routetables": [NOBODY]}), "1019"),
            (json!({"subnet_id": ""}), "2010"),
            (json!({"ip_version": "dualstack"}), "0002"),
            (json!({"policy_statement": [{"Effect": "Allow"}]}), "2048"),
            (json!({"enable_whitelist": "yes"}), "0002"),
        ],
    )
    .await;
    let mut chosen = body.clone();
    chosen["port_ip"] = json!("10.0.0.6");
    let endpoint = id(&me.ok("POST", ENDPOINTS, chosen.clone()).await);
    assert_eq!(me.refused("POST", ENDPOINTS, chosen).await.1, "2042");
    for _ in 0..2 {
        me.ok("POST", ENDPOINTS, body.clone()).await;
    }
    assert_eq!(me.refused("POST", ENDPOINTS, body.clone()).await.1, "2042", "the subnet is full");
    let path = format!("{ENDPOINTS}/{endpoint}");
    expect(&me, "PUT", &path, &json!({}), &[(json!({"whitelist": ["x"]}), "2044")]).await;
    me.ok("DELETE", &format!("{SERVICES}/{service}"), Value::Null).await;
    let (_, code) = me.refused("POST", ENDPOINTS, body).await;
    assert!(["2004", "2003"].contains(&code.as_str()), "{code}: deleting, or gone already");
}

#[tokio::test]
async fn bad_actions_on_connections_and_permissions_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let (service, another) = (me.service(true).await, me.service(true).await);
    let endpoint = id(&me.endpoint(&service, &vpc, &subnet).await);
    let foreign = id(&me.endpoint(&another, &vpc, &subnet).await);
    let connections = format!("{SERVICES}/{service}/connections");
    let body = json!({"action": "receive", "endpoints": [endpoint]});
    expect(
        &me,
        "POST",
        &format!("{connections}/action"),
        &body,
        &[
            (json!({"action": "accept"}), "3035"),
            (json!({"action": null}), "2002"),
            (json!({"endpoints": []}), "2031"),
            (json!({"endpoints": [endpoint, foreign]}), "2031"),
            (json!({"endpoints": [foreign]}), "2013"),
            (json!({"endpoints": [NOBODY]}), "2013"),
            (json!({"endpoints": ["x"]}), "2017"),
        ],
    )
    .await;
    let permissions = format!("{SERVICES}/{service}/permissions");
    let body = json!({"action": "add", "permissions": ["*"]});
    let many: Vec<_> = (0..501).map(|n| format!("iam:domain::{n}")).collect();
    expect(
        &me,
        "POST",
        &format!("{permissions}/action"),
        &body,
        &[
            (json!({"action": "grant"}), "3035"),
            (json!({"permissions": []}), "3036"),
            (json!({"permissions": ["everyone"]}), "3002"),
            (json!({"permissions": many}), "3049"),
            (json!({"permissions": many, "action": "remove"}), "3049"),
        ],
    )
    .await;
    let ids: Vec<_> = (0..501).map(|_| json!({"id": NOBODY})).collect();
    let batch = format!("{permissions}/batch-delete");
    assert_eq!(me.refused("POST", &batch, json!({"permissions": ids})).await, (400, "3049".into()));
    let path = format!("{permissions}/{NOBODY}");
    let note = json!({"permission": {"description": "x"}});
    assert_eq!(me.refused("PUT", &path, note).await, (404, "0005".into()));
    for (path, query, code) in [
        (SERVICES, "limit=1001", "0006"),
        (SERVICES, "limit=-1", "0006"),
        (SERVICES, "offset=x", "0010"),
        (SERVICES, "offset=4294967296", "0010"),
        (SERVICES, "sort_key=name", "0017"),
        (SERVICES, "sort_dir=up", "0018"),
        (SERVICES, "status=accepted", "0019"),
        (ENDPOINTS, "status=available", "0019"),
        (ENDPOINTS, "vpc_id=x", "0020"),
        (connections.as_str(), "marker_id=x", "0021"),
        (permissions.as_str(), "limit=501", "0006"),
        (connections.as_str(), "marker_id=4294967296", "0021"),
        (connections.as_str(), "marker_id=0", "0021"),
        ("/v1/{p}/stats", "endpoint_id=x", "2017"),
        ("/v1/{p}/quotas", "type=disk", "0002"),
    ] {
        let found = me.refused("GET", &format!("{path}?{query}"), Value::Null).await;
        assert_eq!(found, (400, code.into()), "{path}?{query}");
    }
}

#[tokio::test]
async fn bad_networks_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/16").await;
    me.subnet(&vpc, "10.0.1.0/24").await;
    for (cidr, what) in [
        ("10.0.0.1/24", "host bits are set"),
        ("x", "expected an IPv4 network"),
        ("198.19.0.0/16", "198.19.128.0/17"),
        ("0.0.0.0/0", "198.19.128.0/17"),
        ("0.1.0.0/16", "0.0.0.0/8"),
        ("126.0.0.0/7", "127.0.0.0/8"),
        ("169.254.1.0/24", "169.254.0.0/16"),
        ("224.0.0.0/24", "224.0.0.0/4"),
        ("255.255.255.0/24", "240.0.0.0/4"),
    ] {
        let body = json!({"vpc": {"name": "v", "cidr": cidr}});
        let (_, answer) = me.call("POST", "/v1/{p}/vpcs", body).await;
        assert_eq!(answer["error_code"], "EndPoint.3009", "{cidr}: {answer}");
        assert!(answer["error_msg"].as_str().unwrap().contains(what), "{cidr}: {answer}");
    }
    for (cidr, code) in [("10.1.0.0/24", "3009"), ("10.0.1.128/25", "3009"), ("10.0.0.0/8", "3009")] {
        let body = json!({"subnet": {"name": "s", "cidr": cidr, "vpc_id": vpc}});
        assert_eq!(me.refused("POST", "/v1/{p}/subnets", body).await, (400, code.into()), "{cidr}");
    }
    let body = json!({"name": "b", "vpc_id": vpc, "type": "VM", "address": "10.0.2.1"});
    for (change, code) in [
        (json!({"address": "10.1.0.1"}), "3010"),
        (json!({"address": "x"}), "3010"),
        (json!({"type": "POD"}), "3021"),
        (json!({"members": [{"address": "10.0.2.2"}]}), "0002"),
        (json!({"name": ""}), "0002"),
    ] {
        let mut backend = body.clone();
        backend.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let found = me.refused("POST", "/v1/{p}/backends", json!({"backend": backend})).await;
        assert_eq!(found, (400, code.into()), "{change}");
    }
}

#[tokio::test]
async fn bad_attachments_are_refused_and_what_is_in_use_stays_unless_forced() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/16").await;
    let subnet = me.subnet(&vpc, "10.0.1.0/24").await;
    let backend = me.backend(&vpc, "10.0.2.1").await;
    let service = id(&me.ok("POST", SERVICES, service_body(&vpc, &backend, false)).await);
    let endpoint = id(&me.endpoint(&service, &vpc, &subnet).await);
    let operator = world.operator();
    let attach = json!({"vpc_id": vpc, "interface": "eth0", "address": "10.0.3.1/24"});
    expect(
        &operator,
        "POST",
        "/operator/v1/attachments",
        &attach,
        &[
            (json!({"vlan": 4095}), "0002"),
            (json!({"interface": "a/b"}), "0002"),
            (json!({"mode": "dpdk"}), "0002"),
            (json!({"address": "10.0.3.0/24"}), "3010"),
            (json!({"address": "10.1.0.1/24"}), "3010"),
            (json!({"address": "10.0.2.1/24"}), "2042"),
            (json!({"next_hop": "10.0.4.1"}), "3010"),
            (json!({"address": "10.0.3.1/15"}), "3009"),
            (json!({"address": "10.0.1.1/24", "next_hop": "10.0.1.253"}), "2042"),
            (json!({"vpc_id": NOBODY}), "2001"),
        ],
    )
    .await;
    let attachment = id(&operator.ok("POST", "/operator/v1/attachments", attach.clone()).await);
    assert_eq!(operator.refused("POST", "/operator/v1/attachments", attach).await, (409, "0002".into()));
    me.settle().await;
    for path in [
        format!("/v1/-/vpcs/{vpc}"),
        format!("/v1/-/subnets/{subnet}"),
        format!("/v1/-/backends/{backend}"),
        format!("/operator/v1/attachments/{attachment}"),
    ] {
        assert_eq!(operator.refused("DELETE", &path, Value::Null).await, (409, "3006".into()), "{path}");
    }
    let forced = |word| format!("/operator/v1/attachments/{attachment}?force={word}");
    let (_, answer) = operator.call("DELETE", &forced("false"), Value::Null).await;
    assert!(answer["error_msg"].as_str().unwrap().contains("--force"), "{answer}");
    assert_eq!(operator.refused("DELETE", &forced("yes"), Value::Null).await, (400, "0002".into()));
    operator.ok("DELETE", &forced("true"), Value::Null).await;
    assert!(world.datapath.desired().attachments.is_empty(), "the answer waits for the pass");
    assert_eq!(me.show_endpoint(&endpoint).await["status"], "accepted", "endpoints stay");
    let path = format!("/operator/v1/endpoints/{endpoint}");
    assert_eq!(operator.refused("PUT", &path, json!({"refusal": "x"})).await, (400, "0002".into()));
}

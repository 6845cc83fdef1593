//! Gateway services and endpoints, public services, names and policies.

use serde_json::{Value, json};

use super::{Client, ENDPOINTS, SERVICES, World, id, with};

/// A public gateway service that takes policies, of the operator's.
pub async fn gateway(operator: &Client, prefix: &str) -> Value {
    let vpc = operator.vpc("172.16.0.0/16").await;
    let body = json!({
        "vpc_id": vpc, "service_type": "gateway", "service_name": "obs", "prefixes": [prefix],
        "public": true, "enable_policy": true, "approval_enabled": false,
    });
    operator.ok("POST", SERVICES, body).await
}

#[tokio::test]
async fn everyone_finds_and_uses_a_public_gateway_service() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, me) = (world.operator(), world.account("me").await);
    let service = gateway(&operator, "100.125.0.0/16").await;
    assert_eq!(service["prefixes"], json!(["100.125.0.0/16"]));
    assert_eq!(
        (&service["port_id"], &service["server_type"], &service["ports"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    me.service(true).await;
    let offers = me.get(&format!("{SERVICES}/public?endpoint_service_name=EU.OBS")).await;
    let offer = json!({
        "id": service["id"], "owner": "operator", "service_name": service["service_name"], "service_type": "gateway",
        "created_at": service["created_at"], "is_charge": false, "enable_policy": true,
    });
    assert_eq!(offers, json!({"endpoint_services": [offer], "total_count": 1}));
    assert_eq!(me.get(&format!("{SERVICES}/public")).await["total_count"], 1, "not what is offered to some");
    let described = me.get(&format!("{SERVICES}/describe?id={}", id(&service))).await;
    assert_eq!((&described["service_type"], &described["enable_policy"]), (&json!("gateway"), &json!(true)));

    let vpc = me.vpc("10.0.0.0/24").await;
    let body = json!({"endpoint_service_id": service["id"], "vpc_id": vpc, "enable_dns": true});
    let endpoint = me.ok("POST", ENDPOINTS, body).await;
    let default =
        me.get(&format!("/v1/{{p}}/routetables?vpc_id={vpc}")).await["routetables"][0]["id"].clone();
    assert_eq!((&endpoint["status"], &endpoint["routetables"]), (&json!("creating"), &json!([default])));
    me.settle().await;
    let endpoint = me.show_endpoint(&id(&endpoint)).await;
    assert_eq!((&endpoint["status"], &endpoint["service_type"]), (&json!("accepted"), &json!("gateway")));
    for absent in ["ip", "dns_names", "policy_statement", "policy_document", "error"] {
        assert!(endpoint.get(absent).is_none(), "{absent} in {endpoint}");
    }
    assert_eq!((&endpoint["enable_dns"], &endpoint["subnet_id"]), (&json!(false), &Value::Null));
    let asked = format!("/v1/{{p}}/explain?vpc_id={vpc}&client=10.0.0.7&address=100.125.3.4&port=443");
    let explained = me.get(&asked).await;
    let step = explained["steps"].as_array().unwrap().iter().find(|step| step["name"] == "endpoint").unwrap();
    assert_eq!(step["status"], "ok");
    assert_eq!(step["detail"], format!("endpoint {} leads there", endpoint["id"].as_str().unwrap()));
}

#[tokio::test]
async fn only_the_operator_offers_networks_and_offers_to_everyone() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, me) = (world.operator(), world.account("me").await);
    let service = gateway(&operator, "100.125.0.0/16").await;
    let vpc = me.vpc("172.16.0.0/16").await;
    let mine = me.service(true).await;
    let body = json!({"vpc_id": vpc, "service_type": "Gateway", "prefixes": ["100.126.0.0/16"]});
    assert_eq!(me.refused("POST", SERVICES, body.clone()).await, (400, "0002".into()));
    let interface = json!({"vpc_id": vpc, "port_id": vpc, "server_type": "VM", "ports": []});
    for field in ["public", "enable_policy"] {
        let refused = me.refused("POST", SERVICES, with(&interface, field, json!(true))).await;
        assert_eq!(refused, (400, "0002".into()), "{field}");
    }
    for (field, value) in [("public", json!(true)), ("prefixes", json!(["100.126.0.0/16"]))] {
        let refused = me.refused("PUT", &format!("{SERVICES}/{mine}"), json!({field: value})).await;
        assert_eq!(refused, (400, "0002".into()), "{field}");
    }
    let body = with(&body, "vpc_id", service["vpc_id"].clone());
    for (field, value, code) in [
        ("prefixes", Value::Null, "3017"),
        ("prefixes", json!([]), "3017"),
        ("prefixes", json!(["100.126.0.0/16", "100.126.1.0/24"]), "3017"),
        ("prefixes", json!(["100.126.0.1/16"]), "3009"),
        ("prefixes", json!(["198.19.200.0/24"]), "3009"),
        ("ports", json!([{"client_port": 1, "server_port": 1}]), "3057"),
        ("service_type", json!("interface"), "3057"),
        ("service_type", json!("other"), "0002"),
        ("vpc_id", Value::Null, "2011"),
        ("vpc_id", json!(""), "2011"),
    ] {
        let refused = operator.refused("POST", SERVICES, with(&body, field, value.clone())).await;
        assert_eq!(refused, (400, code.into()), "{field} {value}");
    }
    let path = format!("{SERVICES}/{}", id(&service));
    let ports = json!({"ports": [{"client_port": 1, "server_port": 1}]});
    assert_eq!(operator.refused("PUT", &path, ports).await, (400, "3057".into()));
    assert_eq!(operator.refused("PUT", &path, json!({"port_id": vpc})).await, (400, "3057".into()));
    let grown = operator
        .ok("PUT", &path, json!({"prefixes": ["100.125.0.0/16", "100.126.0.0/16"], "public": false}))
        .await;
    assert_eq!((grown["prefixes"].as_array().unwrap().len(), &grown["public"]), (2, &json!(false)));
    let body = json!({"endpoint_service_id": service["id"], "vpc_id": vpc});
    assert_eq!(me.refused("POST", ENDPOINTS, body).await, (400, "2012".into()), "not for everyone any more");
}

#[tokio::test]
async fn route_tables_lead_to_gateway_endpoints() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, me) = (world.operator(), world.account("me").await);
    let service = gateway(&operator, "100.125.0.0/16").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let body = json!({"routetable": {"name": "t", "vpc_id": vpc, "subnets": [{"id": subnet}]}});
    let table = me.ok("POST", "/v1/{p}/routetables", body).await["routetable"].clone();
    let new = json!({"endpoint_service_id": service["id"], "vpc_id": vpc});
    let nobody = "5d1c6a0e-3c2f-4b7e-9a55-0f6f5a1b2c3d";
    for (field, value, refused) in [
        ("routetables", json!(["x"]), (400, "1019")),
        ("routetables", json!([nobody]), (404, "4030")),
        ("subnet_id", json!(subnet), (400, "0023")),
        ("port_ip", json!("10.0.0.7"), (400, "2041")),
    ] {
        let found = me.refused("POST", ENDPOINTS, with(&new, field, value.clone())).await;
        assert_eq!(found, (refused.0, refused.1.into()), "{field} {value}");
    }
    let first = me.ok("POST", ENDPOINTS, with(&new, "routetables", json!([table["id"]]))).await;
    let second = me.ok("POST", ENDPOINTS, new.clone()).await;
    assert_eq!(me.refused("POST", ENDPOINTS, new).await, (400, "2039".into()), "the default table is taken");

    let bind = format!("{ENDPOINTS}/{}/routetables", id(&first));
    let taken = second["routetables"][0].clone();
    let answer = me.ok("PUT", &bind, json!({"routetables": [taken, table["id"], nobody]})).await;
    assert_eq!(answer["routetables"], json!([table["id"]]));
    let failed = answer["error"][0]["bind_failed"].as_array().unwrap();
    assert_eq!(
        failed.iter().map(|one| one["id"].clone()).collect::<Vec<_>>(),
        [taken.clone(), json!(nobody)]
    );
    assert_eq!(answer["error"][0]["unbind_failed"], json!([]));
    let whole = json!({"routetables": [table["id"]], "error": []});
    assert_eq!(me.ok("PUT", &bind, json!({"routetables": [table["id"]]})).await, whole);
    for (value, refused) in [
        (json!([]), (400, "2040")),
        (Value::Null, (400, "2040")),
        (json!(["x"]), (400, "1019")),
        (json!([nobody]), (404, "4030")),
        (json!([taken]), (400, "2039")),
    ] {
        let found = me.refused("PUT", &bind, json!({"routetables": value})).await;
        assert_eq!(found, (refused.0, refused.1.into()), "{value}");
    }
    let path = format!("/v1/{{p}}/routetables/{}", table["id"].as_str().unwrap());
    assert_eq!(me.refused("DELETE", &path, Value::Null).await, (409, "3006".into()), "in use by an endpoint");
    let mine = me.service(false).await;
    let interface = me.endpoint(&mine, &vpc, &subnet).await;
    let bind = format!("{ENDPOINTS}/{}/routetables", id(&interface));
    assert_eq!(me.refused("PUT", &bind, whole.clone()).await, (400, "1019".into()));
    let body =
        json!({"endpoint_service_id": mine, "vpc_id": vpc, "subnet_id": subnet, "routetables": [taken]});
    assert_eq!(me.refused("POST", ENDPOINTS, body).await, (400, "1019".into()));
    me.ok("DELETE", &format!("{ENDPOINTS}/{}", id(&first)), Value::Null).await;
    me.ok("POST", &format!("{path}/action"), json!({"routetable": {"subnets": {"disassociate": [subnet]}}}))
        .await;
    me.ok("DELETE", &path, Value::Null).await;
}

#[tokio::test]
async fn policies_are_kept_where_the_service_takes_them() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, me) = (world.operator(), world.account("me").await);
    let service = gateway(&operator, "100.125.0.0/16").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let statement = json!({"Effect": "Deny", "Action": ["obs:*"], "Resource": ["*"], "Sid": "one",
        "Condition": {"Bool": {"g:Secure": ["false"]}}});
    let document = json!({"Version": "5.0"});
    let body = json!({"endpoint_service_id": service["id"], "vpc_id": vpc, "policy_statement": [statement],
        "policy_document": document});
    let endpoint = me.ok("POST", ENDPOINTS, body).await;
    assert_eq!(
        (&endpoint["policy_statement"], &endpoint["policy_document"]),
        (&json!([statement]), &document)
    );
    let path = format!("{ENDPOINTS}/{}/policy", id(&endpoint));
    let changed = me.ok("PUT", &path, json!({"policy_document": {"Version": "6.0"}})).await;
    assert_eq!(
        (changed.get("policy_statement"), &changed["policy_document"]["Version"]),
        (None, &json!("6.0"))
    );
    let (status, reset) = me.call("DELETE", &path, Value::Null).await;
    assert_eq!(
        (status, reset["id"].clone(), reset.get("policy_document")),
        (200, endpoint["id"].clone(), None)
    );

    let bare = |field: &str| json!([with(&statement, field, Value::Null)]);
    for (statements, code) in [
        (json!([statement, 1]), "0002"),
        (json!(vec![&statement; 11]), "2048"),
        (bare("Effect"), "2048"),
        (bare("Action"), "2048"),
        (bare("Resource"), "2048"),
        (json!([with(&statement, "Effect", json!("allow"))]), "2048"),
        (Value::Null, "2049"),
    ] {
        let refused = me.refused("PUT", &path, json!({"policy_statement": statements})).await;
        assert_eq!(refused, (400, code.into()), "{statements}");
    }
    let mine = me.service(false).await;
    let plain = me.endpoint(&mine, &vpc, &subnet).await;
    let path = format!("{ENDPOINTS}/{}/policy", id(&plain));
    let body = json!({"policy_statement": [statement]});
    assert_eq!(me.refused("PUT", &path, body.clone()).await, (400, "2049".into()));
    assert_eq!(me.refused("DELETE", &path, Value::Null).await, (400, "2049".into()));
    let new = json!({"endpoint_service_id": mine, "vpc_id": vpc, "subnet_id": subnet, "policy_statement": [statement]});
    assert_eq!(me.refused("POST", ENDPOINTS, new).await, (400, "2049".into()));
    let stranger = world.account("other").await;
    assert_eq!(stranger.refused("PUT", &path, body).await, (404, "2006".into()));
}

/// What is stored lies deeper in its record than in the request: it could be written and not read
/// back, and vpcepd did not start again.
#[tokio::test]
async fn a_deep_policy_is_refused_and_the_database_opens_again() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, me) = (world.operator(), world.account("me").await);
    let service = gateway(&operator, "100.125.0.0/16").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let endpoint =
        me.ok("POST", ENDPOINTS, json!({"endpoint_service_id": service["id"], "vpc_id": vpc})).await;
    let path = format!("{ENDPOINTS}/{}/policy", id(&endpoint));
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!({"a": inner}));
    let (token, project) = (me.token.clone().unwrap(), me.project.clone());
    for depth in [33, 125, 126] {
        let refused = me.refused("PUT", &path, json!({"policy_document": nested(depth)})).await;
        assert_eq!(refused, (400, "2048".into()), "{depth}");
    }
    me.ok("PUT", &path, json!({"policy_document": nested(32)})).await;
    drop((operator, me));
    world.close().await;
    let world = World::open(dir.path());
    let me = Client { project, ..world.stranger(Some(&token)) };
    assert_eq!(me.show_endpoint(&id(&endpoint)).await["policy_document"], nested(32));
}

#[tokio::test]
async fn a_resolver_learns_the_names_of_accepted_endpoints() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (me, other) = (world.account("me").await, world.account("other").await);
    let service = me.service(true).await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let body =
        json!({"endpoint_service_id": service, "vpc_id": vpc, "subnet_id": subnet, "enable_dns": true});
    let endpoint = id(&me.ok("POST", ENDPOINTS, body).await);
    let hosts = format!("/v1/{{p}}/vpcs/{vpc}/hosts");
    assert_eq!(me.get(&hosts).await, json!({"hosts": []}));
    me.act(&service, "receive", &endpoint).await;
    let name = format!("vpcep-{endpoint}.eu.vpcep.internal");
    assert_eq!(me.get(&hosts).await, json!({"hosts": [{"name": name, "address": "10.0.0.253"}]}));
    let shown = me.show_endpoint(&endpoint).await;
    assert_eq!((&shown["enable_dns"], &shown["dns_names"]), (&json!(true), &json!([name])));
    me.act(&service, "reject", &endpoint).await;
    assert_eq!(me.get(&hosts).await, json!({"hosts": []}));
    assert_eq!(other.refused("GET", &hosts, Value::Null).await, (404, "0005".into()));
}

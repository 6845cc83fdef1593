//! Changes that change nothing.

use serde_json::{Value, json};

use super::gateway::gateway;
use super::{ENDPOINTS, SERVICES, World, id};

/// Each of them wrote to the store, moved `updated_at` and woke the reconcile loop.
#[tokio::test]
async fn the_same_change_again_commits_nothing_and_moves_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, me) = (world.operator(), world.account("me").await);
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let service = me.service(true).await;
    let endpoint = id(&me.endpoint(&service, &vpc, &subnet).await);
    let gateway = id(&gateway(&operator, "100.125.0.0/16").await);
    let new = json!({"endpoint_service_id": gateway, "vpc_id": vpc});
    let routed = me.ok("POST", ENDPOINTS, new).await;
    let table = json!({"routetable": {"vpc_id": vpc, "name": "t"}});
    let table = id(&me.ok("POST", "/v1/{p}/routetables", table).await["routetable"]);
    let permission = json!({"permissions": [{"permission": "*"}]});
    let path = format!("{SERVICES}/{service}/permissions");
    let permission =
        me.ok("POST", &format!("{path}/batch-create"), permission).await["permissions"][0].clone();
    let user = json!({"account": "me", "name": "ann"});
    let user = id(&operator.ok("POST", "/operator/v1/users", user).await);
    let statement = json!({"Effect": "Deny", "Action": ["obs:*"], "Resource": ["*"]});
    let of_gateway = format!("{ENDPOINTS}/{}", id(&routed));
    me.settle().await;
    for (method, path, body) in [
        ("PUT", format!("/v1/{{p}}/vpcs/{vpc}"), json!({"vpc": {"name": "w", "description": "d"}})),
        ("PUT", format!("/v1/{{p}}/vpcs/{vpc}"), json!({"vpc": {}})),
        (
            "PUT",
            format!("/v1/{{p}}/subnets/{subnet}"),
            json!({"subnet": {"name": "t", "dhcp_enable": false}}),
        ),
        (
            "PUT",
            format!("{SERVICES}/{service}"),
            json!({"service_name": "shop", "ports": [{"client_port": 81, "server_port": 81}]}),
        ),
        ("PUT", format!("{SERVICES}/{service}"), json!({"idle_timeout": 350, "idle_reset": false})),
        ("PUT", format!("{SERVICES}/{service}"), json!({})),
        (
            "PUT",
            format!("{SERVICES}/{service}/connections/description"),
            json!({"connections": [{"id": endpoint, "description": "d"}]}),
        ),
        ("PUT", format!("{path}/{}", id(&permission)), json!({"permission": {"description": "d"}})),
        ("POST", format!("{path}/action"), json!({"permissions": ["*"], "action": "add"})),
        (
            "POST",
            format!("/v1/{{p}}/endpoint/{endpoint}/tags/action"),
            json!({"action": "create", "tags": [{"key": "a", "value": "b"}]}),
        ),
        (
            "PUT",
            format!("{ENDPOINTS}/{endpoint}"),
            json!({"enable_whitelist": true, "whitelist": ["10.0.0.0/28"]}),
        ),
        ("PUT", format!("/operator/v1/endpoints/{endpoint}"), json!({"refusal": "silent"})),
        ("PUT", format!("{of_gateway}/policy"), json!({"policy_statement": [statement]})),
        ("PUT", format!("{of_gateway}/routetables"), json!({"routetables": [table]})),
        (
            "POST",
            format!("/v1/{{p}}/routetables/{table}/action"),
            json!({"routetable": {"subnets": {"associate": [subnet]}}}),
        ),
        ("PUT", format!("/operator/v1/users/{user}"), json!({"role": "reader"})),
        ("PUT", "/operator/v1/quotas".into(), json!({"project_id": me.project, "quotas": {"vpc": 9}})),
    ] {
        let (status, first) = operator.call(method, &path, body.clone()).await;
        assert!(status < 300, "{method} {path}: {first}");
        me.settle().await;
        let revision = || world.controller.read(|state| state.revision);
        let before = revision();
        let (status, second) = operator.call(method, &path, body).await;
        assert!(status < 300, "{method} {path}: {second}");
        assert_eq!(revision(), before, "{method} {path}");
        assert_eq!(times(&second), times(&first), "{method} {path}");
    }
}

/// Every time of change in an answer.
fn times(answer: &Value) -> Vec<String> {
    match answer {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match name.as_str() {
                "updated_at" => vec![value.to_string()],
                _ => times(value),
            })
            .collect(),
        Value::Array(rows) => rows.iter().flat_map(times).collect(),
        _ => Vec::new(),
    }
}

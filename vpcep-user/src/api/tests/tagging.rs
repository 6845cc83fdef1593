//! Tags as callers see them.

use serde_json::{Value, json};

use super::{Client, ENDPOINTS, SERVICES, World, id, service_body, with};

async fn found(client: &Client, kind: &str, body: Value) -> Value {
    client.ok("POST", &format!("/v1/{{p}}/{kind}/resource_instances/action"), body).await
}

#[tokio::test]
async fn resources_are_tagged_searched_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (me, other) = (world.account("me").await, world.account("other").await);
    let vpc = me.vpc("10.0.0.0/24").await;
    let (backend, subnet) = (me.backend(&vpc, "10.0.0.9").await, me.subnet(&vpc, "10.0.0.0/24").await);
    let tags = json!([{"key": "team", "value": "a"}, {"key": "empty"}]);
    let body = with(&service_body(&vpc, &backend, true), "tags", tags.clone());
    let service = me.ok("POST", SERVICES, body).await;
    let shown = json!([{"key": "team", "value": "a"}, {"key": "empty", "value": ""}]);
    assert_eq!(service["tags"], shown);
    let body =
        json!({"endpoint_service_id": service["id"], "vpc_id": vpc, "subnet_id": subnet, "tags": tags});
    let endpoint = me.ok("POST", ENDPOINTS, body).await;
    assert_eq!(endpoint["tags"], shown);

    let action = format!("/v1/{{p}}/endpoint/{}/tags/action", id(&endpoint));
    let change = |action: &str, tags: Value| json!({"action": action, "tags": tags});
    let (status, answer) =
        me.call("POST", &action, change("create", json!([{"key": "team", "value": "b"}]))).await;
    assert_eq!((status, answer), (204, Value::Null));
    me.call("POST", &action, change("delete", json!([{"key": "empty"}, {"key": "team", "value": "a"}])))
        .await;
    assert_eq!(me.show_endpoint(&id(&endpoint)).await["tags"], json!([{"key": "team", "value": "b"}]));
    let summary = json!({"tags": [{"key": "empty", "values": [""]}, {"key": "team", "values": ["a"]}]});
    assert_eq!(me.get("/v1/{p}/endpoint_service/tags").await, summary);
    assert_eq!(other.get("/v1/{p}/endpoint_service/tags").await, json!({"tags": []}));

    let team = |values: Value| json!([{"key": "team", "values": values}]);
    for (kind, body, count) in [
        ("endpoint", json!({}), 1),
        ("endpoint", json!({"tags": team(json!(["b"]))}), 1),
        ("endpoint", json!({"tags": team(json!(["a"]))}), 0),
        ("endpoint", json!({"tags_any": team(json!(["a", "b"]))}), 1),
        ("endpoint", json!({"not_tags": team(json!([]))}), 0),
        ("endpoint", json!({"not_tags_any": team(json!(["a"]))}), 1),
        ("endpoint", json!({"without_any_tag": true}), 0),
        ("endpoint", json!({"sys_tags": [{"key": "_sys_enterprise_project_id", "values": ["0"]}]}), 0),
        ("endpoint_service", json!({"matches": [{"key": "resource_name", "value": "EU.WEB"}]}), 1),
        ("endpoint_service", json!({"matches": [{"key": "resource_name", "value": "other"}]}), 0),
    ] {
        let answer = found(&me, kind, with(&body, "action", json!("count"))).await;
        assert_eq!(answer, json!({"total_count": count}), "{kind} {body}");
        let answer = found(&me, kind, with(&body, "action", json!("filter"))).await;
        assert_eq!(
            (&answer["total_count"], answer["resources"].as_array().unwrap().len()),
            (&json!(count), count)
        );
        assert_eq!(found(&other, kind, with(&body, "action", json!("count"))).await["total_count"], 0);
    }
    let page = json!({"action": "filter", "limit": "1", "offset": 1});
    let answer = found(&me, "endpoint", page).await;
    assert_eq!(answer, json!({"resources": [], "total_count": 1}));
    let row =
        &found(&me, "endpoint_service", json!({"action": "filter", "limit": "1000"})).await["resources"][0];
    let expected = json!({"resource_id": service["id"], "resource_name": service["service_name"], "tags": shown,
        "resource_detail": null});
    assert_eq!(*row, expected);
}

#[tokio::test]
async fn bad_tags_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (me, other) = (world.account("me").await, world.account("other").await);
    let service = me.service(true).await;
    let action = format!("/v1/{{p}}/endpoint_service/{service}/tags/action");
    let many: Vec<_> = (0..21).map(|i| json!({"key": format!("k{i}")})).collect();
    for (tags, code) in [
        (json!([{"key": ""}]), "3066"),
        (json!([{"value": "x"}]), "3066"),
        (json!([{"key": "a"}, {"key": "a"}]), "3067"),
        (json!([{"key": "a|b"}]), "3068"),
        (json!([{"key": "a", "value": "x "}]), "3068"),
        (json!(many), "3069"),
        (json!([{"key": "a".repeat(129)}]), "3072"),
        (json!([{"key": "a", "value": "b".repeat(256)}]), "3073"),
        (json!("a"), "0002"),
        (Value::Null, "2002"),
    ] {
        let refused = me.refused("POST", &action, json!({"action": "create", "tags": tags})).await;
        assert_eq!(refused, (400, code.into()), "{tags}");
    }
    let tag = json!([{"key": "a"}]);
    assert_eq!(
        me.refused("POST", &action, json!({"action": "update", "tags": tag})).await,
        (400, "0007".into())
    );
    let create = json!({"action": "create", "tags": tag});
    assert_eq!(other.refused("POST", &action, create.clone()).await, (404, "0005".into()));
    for (kind, id, refused) in [
        ("vpc", &service, (400, "3070")),
        ("endpoint", &service, (404, "2006")),
        ("endpoint", &"x".into(), (404, "2006")),
    ] {
        let path = format!("/v1/{{p}}/{kind}/{id}/tags/action");
        assert_eq!(me.refused("POST", &path, create.clone()).await, (refused.0, refused.1.into()), "{path}");
    }
    let search = "/v1/{p}/endpoint/resource_instances/action";
    for (body, code) in [
        (json!({"action": "list"}), "0007"),
        (json!({}), "2002"),
        (json!({"action": "filter", "limit": "0"}), "0006"),
        (json!({"action": "filter", "limit": 1001}), "0006"),
        (json!({"action": "filter", "offset": "-1"}), "0010"),
        (json!({"action": "filter", "offset": 4_294_967_296_u64}), "0010"),
        (json!({"action": "filter", "matches": [{"key": "name", "value": "x"}]}), "0002"),
        (json!({"action": "filter", "tags": [{"key": "a", "values": ["1", "1"]}]}), "3071"),
        (json!({"action": "filter", "tags": [{"key": "a"}, {"key": "a"}]}), "3067"),
        (json!({"action": "filter", "tags": many}), "3069"),
        (json!({"action": "filter", "tags_any": [{"values": []}]}), "3066"),
    ] {
        assert_eq!(me.refused("POST", search, body.clone()).await, (400, code.into()), "{body}");
    }
    assert_eq!(me.refused("GET", "/v1/{p}/vpc/tags", Value::Null).await, (400, "3070".into()));
}

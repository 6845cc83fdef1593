//! Who may see and do what.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::{Client, ENDPOINTS, SERVICES, World, id};

#[tokio::test]
async fn what_belongs_to_others_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (owner, other) = (world.account("owner").await, world.account("other").await);
    let vpc = owner.vpc("10.0.0.0/24").await;
    let subnet = owner.subnet(&vpc, "10.0.0.0/24").await;
    let backend = owner.backend(&vpc, "10.0.0.200").await;
    let service = owner.service(true).await;
    let endpoint = id(&owner.endpoint(&service, &vpc, &subnet).await);
    let receive = json!({"action": "receive", "endpoints": [endpoint]});
    for (method, path, body, code) in [
        ("GET", format!("/v1/{{p}}/vpcs/{vpc}"), Value::Null, "0005"),
        ("DELETE", format!("/v1/{{p}}/vpcs/{vpc}"), Value::Null, "0005"),
        ("GET", format!("/v1/{{p}}/subnets/{subnet}"), Value::Null, "0005"),
        ("DELETE", format!("/v1/{{p}}/backends/{backend}"), Value::Null, "0005"),
        ("GET", format!("{SERVICES}/{service}"), Value::Null, "0005"),
        ("PUT", format!("{SERVICES}/{service}"), json!({"approval_enabled": false}), "0005"),
        ("DELETE", format!("{SERVICES}/{service}"), Value::Null, "0005"),
        ("GET", format!("{SERVICES}/{service}/connections"), Value::Null, "0005"),
        ("POST", format!("{SERVICES}/{service}/connections/action"), receive, "0005"),
        ("GET", format!("{SERVICES}/{service}/permissions"), Value::Null, "0005"),
        ("GET", format!("{ENDPOINTS}/{endpoint}"), Value::Null, "2006"),
        ("PUT", format!("{ENDPOINTS}/{endpoint}"), json!({"whitelist": []}), "2006"),
        ("DELETE", format!("{ENDPOINTS}/{endpoint}"), Value::Null, "2006"),
        ("GET", format!("/v1/{{p}}/stats?endpoint_id={endpoint}"), Value::Null, "2006"),
        ("GET", format!("/v1/{{p}}/sessions?endpoint_id={endpoint}"), Value::Null, "2006"),
    ] {
        assert_eq!(other.refused(method, &path, body).await, (404, code.into()), "{method} {path}");
    }
    for (path, rows) in [
        (SERVICES, "endpoint_services"),
        (ENDPOINTS, "endpoints"),
        ("/v1/-/vpcs", "vpcs"),
        ("/v1/-/subnets", "subnets"),
        ("/v1/-/backends", "backends"),
        ("/v1/-/stats", "stats"),
        ("/v1/-/sessions", "sessions"),
    ] {
        assert_eq!(other.get(path).await[rows], json!([]), "{path}");
    }
}

#[tokio::test]
async fn tokens_open_their_own_project_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (a, b) = (world.account("a").await, world.account("b").await);
    let get = async |client: &super::Client, path: &str| client.refused("GET", path, Value::Null).await;
    let of_b = format!("/v1/{}/vpcs", b.project);
    assert_eq!(get(&world.stranger(None), &of_b).await, (401, "0003".into()));
    assert_eq!(get(&world.stranger(Some("nobody's")), &of_b).await, (401, "0003".into()));
    assert_eq!(get(&a, &of_b).await, (403, "0004".into()));
    assert_eq!(get(&a, "/v1/x/vpcs").await, (400, "0014".into()));
    assert_eq!(get(&a, "/operator/v1/status").await, (403, "0004".into()));
    assert_eq!(get(&world.stranger(None), "/operator/v1/accounts").await, (401, "0003".into()));
    // On the socket a token is still its account.
    let on_socket = super::Client { token: a.token.clone(), ..world.operator() };
    assert_eq!(get(&on_socket, "/operator/v1/status").await, (403, "0004".into()));
    assert_eq!(get(&on_socket, &of_b).await, (403, "0004".into()));
    assert_eq!(b.get(&of_b).await["total_count"], 0);
}

#[tokio::test]
async fn the_operator_sees_everything_and_makes_things_where_their_vpc_is() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let operator = world.operator();
    let vpc = me.vpc("10.0.0.0/24").await;
    let backend = operator.backend(&vpc, "10.0.0.9").await;
    assert_eq!(
        me.get(&format!("/v1/-/backends/{backend}")).await["backend"]["project_id"],
        me.project.as_str()
    );
    assert_eq!(operator.get(&format!("/v1/{}/vpcs", me.project)).await["total_count"], 1);
    let own = operator.vpc("10.0.0.0/24").await;
    let own = operator.get(&format!("/v1/-/vpcs/{own}")).await;
    assert_eq!(own["vpc"]["project_id"], "0".repeat(32));
    assert_eq!(operator.get("/v1/-/vpcs").await["total_count"], 2);
    let nowhere = format!("/v1/{}/vpcs", "f".repeat(32));
    assert_eq!(operator.refused("GET", &nowhere, Value::Null).await, (404, "0005".into()));
}

#[tokio::test]
async fn accounts_show_their_secrets_once_and_go_when_they_own_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let operator = world.operator();
    let made = operator.ok("POST", "/operator/v1/accounts", json!({"name": "acme"})).await;
    assert!(made["token"].is_string() && made["secret_key"].is_string());
    let shown = operator.get("/operator/v1/accounts/acme").await;
    assert_eq!((shown.get("token"), shown.get("secret_key")), (None, None));
    assert_eq!(shown["access_key"], made["access_key"]);
    let by_id = format!("/operator/v1/accounts/{}", made["domain_id"].as_str().unwrap());
    assert_eq!(operator.get(&by_id).await, shown);
    let again = operator.refused("POST", "/operator/v1/accounts", json!({"name": "acme"})).await;
    assert_eq!(again, (409, "0002".into()));

    let me = super::Client {
        project: made["project_id"].as_str().unwrap().into(),
        ..world.stranger(made["token"].as_str())
    };
    let vpc = me.vpc("10.0.0.0/24").await;
    assert_eq!(operator.refused("DELETE", &by_id, Value::Null).await, (409, "3006".into()));
    me.ok("DELETE", &format!("/v1/{{p}}/vpcs/{vpc}"), Value::Null).await;
    operator.ok("DELETE", &by_id, Value::Null).await;
    assert_eq!(me.refused("GET", "/v1/-/vpcs", Value::Null).await, (401, "0003".into()));
}

#[tokio::test]
async fn a_new_token_ends_the_old_one_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let operator = world.operator();
    let made = operator.ok("POST", "/operator/v1/accounts", json!({"name": "acme"})).await;
    for named in ["acme", made["domain_id"].as_str().unwrap()] {
        let before = operator.get("/operator/v1/accounts/acme").await;
        let path = format!("/operator/v1/accounts/{named}/token");
        let (first, second) =
            (operator.ok("POST", &path, Value::Null).await, operator.ok("POST", &path, Value::Null).await);
        assert_eq!(first.get("secret_key"), None, "the key pair stays and is not shown again");
        assert_eq!(operator.get("/operator/v1/accounts/acme").await, before);
        for old in [&made, &first] {
            let old = world.stranger(old["token"].as_str());
            assert_eq!(old.refused("GET", "/v1/-/vpcs", Value::Null).await, (401, "0003".into()));
        }
        world.stranger(second["token"].as_str()).get("/v1/-/vpcs").await;
    }
    let nobody = operator.refused("POST", "/operator/v1/accounts/nobody/token", Value::Null).await;
    assert_eq!(nobody, (404, "0005".into()));
    let me = world.account("me").await;
    let path = "/operator/v1/accounts/me/token";
    assert_eq!(me.refused("POST", path, Value::Null).await, (403, "0004".into()));
}

#[tokio::test]
async fn no_name_stands_in_for_an_id() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let operator = world.operator();
    for (name, refused) in [("f".repeat(32), true), ("F".repeat(32), true), ("f".repeat(31), false)] {
        let (status, answer) = operator.call("POST", "/operator/v1/accounts", json!({"name": name})).await;
        assert_eq!(status == 400, refused, "{name}: {answer}");
    }
}

#[tokio::test]
async fn permissions_are_known_in_every_spelling() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let service = me.service(true).await;
    let path = format!("{SERVICES}/{service}/permissions");
    let act = async |action: &str, texts: &[&str]| {
        let body = json!({"permissions": texts, "action": action});
        me.ok("POST", &format!("{path}/action"), body).await;
        me.get(&path).await["total_count"].as_u64().unwrap()
    };
    assert_eq!(act("add", &["*", "iam:domain::*", "iam:domain::ABC", "iam:domain::abc"]).await, 2);
    assert_eq!(act("remove", &["iam:domain::Abc"]).await, 1);
    assert_eq!(act("remove", &["iam:domain::*"]).await, 0);
}

#[tokio::test]
async fn malformed_requests_are_answered_in_json() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let operator = world.operator();
    let post = |body: Vec<u8>| Request::post("/v1/-/vpcs").body(Body::from(body)).unwrap();
    for (what, request, status, code) in [
        ("not JSON", post(b"{".to_vec()), 400, "EndPoint.0002"),
        ("two values", post(b"{} {}".to_vec()), 400, "EndPoint.0002"),
        ("empty", post(vec![]), 400, "EndPoint.0002"),
        ("over 1 MiB", post(vec![b' '; (1 << 20) + 1]), 413, "EndPoint.1004"),
        ("a path there is not", Request::get("/v2/x").body(Body::empty()).unwrap(), 404, "EndPoint.0005"),
        ("a method there is not", Request::patch("/v1").body(Body::empty()).unwrap(), 405, "EndPoint.1004"),
    ] {
        let (found, answer) = operator.send(request).await;
        assert_eq!((found, &answer["error_code"]), (status, &json!(code)), "{what}: {answer}");
    }
    let (_, answer) = operator.call("POST", "/v1/-/vpcs", json!({"vpc": {"name": 5}})).await;
    assert_eq!(
        answer["error_msg"].as_str().unwrap().split(" at line").next(),
        Some("bad body: vpc.name: invalid type: integer `5`, expected a string")
    );
}

#[tokio::test]
async fn status_counts_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let operator = world.operator();
    let body = json!({"vpc_id": vpc, "interface": "eth0", "vlan": 7, "address": "10.0.0.1/24"});
    let attachment = operator.ok("POST", "/operator/v1/attachments", body).await;
    me.settle().await;
    let shown = operator.get(&format!("/operator/v1/attachments/{}", id(&attachment))).await;
    assert_eq!(
        (&shown["status"], &shown["vlan"], &shown["mode"]),
        (&json!("active"), &json!(7), &json!("auto"))
    );
    let status = operator.get("/operator/v1/status").await;
    assert_eq!(
        status["counts"],
        json!({"accounts": 1, "vpcs": 1, "services": 0, "endpoints": 0, "attachments": 1})
    );
    assert_eq!(status["datapath"]["kind"], "none");
    let reconcile = &status["reconcile"];
    assert_eq!(reconcile["version"], status["store"]["version"]);
    assert!(reconcile["last_ok_at"].is_string(), "{reconcile}");
    assert_eq!(
        (&reconcile["failures"], &reconcile["failed_endpoints"], &reconcile["last_error"]),
        (&json!(0), &json!(0), &Value::Null)
    );
    assert_eq!((&status["datapath"]["error"], &status["drops"]), (&Value::Null, &json!({})));
    operator.ok("DELETE", &format!("/operator/v1/attachments/{}", id(&attachment)), Value::Null).await;
}

#[tokio::test]
async fn the_status_of_an_unreadable_data_plane_says_so_and_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let operator = world.operator();
    operator.settle().await;
    world.datapath.lose(true);
    let status = operator.get("/operator/v1/status").await;
    assert_eq!(status["datapath"], json!({"error": "the data plane is lost"}));
    assert_eq!(status["drops"], Value::Null);
    assert_eq!(status["counts"]["accounts"], 0);
}

#[tokio::test]
async fn an_explanation_names_interfaces_to_the_operator_alone() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, me) = (world.operator(), world.account("me").await);
    let vpc = me.vpc("10.0.0.0/24").await;
    let body = json!({"vpc_id": vpc, "interface": "eth7", "address": "10.0.0.1/24"});
    operator.ok("POST", "/operator/v1/attachments", body).await;
    let on_socket = Client { project: me.project.clone(), ..operator.clone() };
    let with_token = Client { token: me.token.clone(), ..operator.clone() };
    for (client, is_told) in [(&operator, true), (&on_socket, true), (&with_token, false), (&me, false)] {
        let query = format!("vpc_id={vpc}&client=10.0.0.2&address=10.0.0.3&port=80");
        let answer = client.get(&format!("/v1/{{p}}/explain?{query}")).await;
        assert_eq!(answer["stopped_by"], "endpoint");
        let steps: Vec<_> = answer["steps"].as_array().unwrap().iter().map(|step| &step["name"]).collect();
        assert_eq!(steps, ["reconcile", "vpc", "attachment", "endpoint"]);
        assert_eq!(answer["steps"][0]["status"], "ok", "{answer}");
        assert_eq!(answer.to_string().contains("eth7"), is_told, "{answer}");
    }
}

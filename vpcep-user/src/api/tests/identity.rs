//! Users, their roles, and requests they sign.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Client, ENDPOINTS, SERVICES, World, id};
use crate::api::auth::Peer;
use crate::api::signature::tests::authorization;
use crate::model::Timestamp;

const OPERATORS: &str = "/operator/v1/users";

/// A user made by the operator, with a password that is its name twice.
async fn user(world: &World, account: &str, name: &str, role: &str) -> Value {
    let body = json!({"account": account, "name": name, "role": role, "password": name.repeat(2)});
    world.operator().ok("POST", OPERATORS, body).await
}

/// A token a user gets for its password.
pub async fn log_in(world: &World, account: &str, name: &str) -> Client {
    let user = json!({"name": name, "domain": {"name": account}, "password": name.repeat(2)});
    let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}});
    let request =
        Request::post("/v3/auth/tokens").header("host", "h").body(Body::from(body.to_string())).unwrap();
    let (status, headers, answer) = world.stranger(None).send_for_all(request).await;
    assert_eq!(status, 201, "{answer}");
    let project = answer["token"]["project"]["id"].as_str().unwrap().into();
    Client { project, ..world.stranger(headers["x-subject-token"].to_str().ok()) }
}

#[tokio::test]
async fn every_role_may_what_it_may_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("acme-one").await;
    let other = world.account("other").await;
    user(&world, "acme-one", "member1", "member").await;
    user(&world, "acme-one", "reader1", "reader").await;
    user(&world, "operator", "root1", "operator").await;
    let member = log_in(&world, "acme-one", "member1").await;
    let reader = log_in(&world, "acme-one", "reader1").await;
    let root = log_in(&world, "operator", "root1").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let service = me.service(true).await;
    let own = |rest: &str| format!("/v1/{}/{rest}", me.project);
    let of_other = format!("/v1/{}/vpcs", other.project);
    let make = json!({"vpc": {"name": "v", "cidr": "10.9.0.0/24"}});
    let account = json!({"name": "x"});
    // What member, reader, operator over TCP and a stranger get.
    for (method, path, body, expected) in [
        ("GET", own("vpcs"), Value::Null, [200, 200, 200, 401]),
        ("GET", "/v1/-/vpcs".into(), Value::Null, [200, 200, 200, 401]),
        ("GET", own(&format!("vpc-endpoint-services/{service}")), Value::Null, [200, 200, 200, 401]),
        ("GET", own("quotas"), Value::Null, [200, 200, 200, 401]),
        ("GET", of_other.clone(), Value::Null, [403, 403, 200, 401]),
        ("POST", own("vpcs"), make.clone(), [200, 403, 200, 401]),
        ("POST", of_other, make, [403, 403, 200, 401]),
        ("PUT", own(&format!("vpc-endpoint-services/{service}")), json!({}), [200, 403, 200, 401]),
        (
            "POST",
            own(&format!("vpc-endpoint-services/{service}/permissions/action")),
            json!({"permissions": ["*"], "action": "add"}),
            [200, 403, 200, 401],
        ),
        ("DELETE", own(&format!("vpcs/{}", "0".repeat(8))), Value::Null, [404, 403, 404, 401]),
        ("GET", "/operator/v1/status".into(), Value::Null, [403, 403, 200, 401]),
        ("GET", OPERATORS.into(), Value::Null, [403, 403, 200, 401]),
        ("POST", "/operator/v1/accounts".into(), account, [403, 403, 200, 401]),
        ("GET", "/v1".into(), Value::Null, [200, 200, 200, 200]),
        ("GET", "/v3.0/OS-CREDENTIAL/credentials".into(), Value::Null, [200, 200, 200, 401]),
        ("POST", "/v3.0/OS-CREDENTIAL/credentials".into(), json!({"credential": {}}), [201, 403, 201, 401]),
    ] {
        let callers = [&member, &reader, &root, &world.stranger(None)];
        for (client, expected) in callers.into_iter().zip(expected) {
            let (status, answer) = client.call(method, &path, body.clone()).await;
            assert_eq!(status, expected, "{method} {path}: {answer}");
        }
    }
    assert_eq!(reader.get(&own(&format!("vpcs/{vpc}"))).await["vpc"]["id"], vpc.as_str());
    let seen = root.get("/v1/-/vpcs").await["total_count"].as_u64();
    assert_eq!(seen, world.operator().get("/v1/-/vpcs").await["total_count"].as_u64(), "all there are");
}

#[tokio::test]
async fn a_role_changes_at_once_and_a_deleted_user_is_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.account("acme-one").await;
    let made = user(&world, "acme-one", "member1", "member").await;
    let path = format!("{OPERATORS}/{}", id(&made));
    let operator = world.operator();
    assert_eq!(operator.get(&path).await, made);
    assert_eq!(operator.get(&format!("{OPERATORS}?account=acme-one")).await["total_count"], 2);
    let member = log_in(&world, "acme-one", "member1").await;
    member.vpc("10.0.0.0/24").await;
    operator.ok("PUT", &path, json!({"role": "reader"})).await;
    let make = json!({"vpc": {"name": "v", "cidr": "10.9.0.0/24"}});
    assert_eq!(member.refused("POST", "/v1/-/vpcs", make).await, (403, "0004".into()));
    for (change, code) in [
        (json!({"role": "operator"}), "0002"),
        (json!({"role": "boss"}), "0002"),
        (json!({"password": "short"}), "0002"),
    ] {
        assert_eq!(operator.refused("PUT", &path, change).await, (400, code.into()));
    }
    assert_eq!(operator.get(&path).await["role"], "reader");
    operator.ok("DELETE", &path, Value::Null).await;
    assert_eq!(member.refused("GET", "/v1/-/vpcs", Value::Null).await, (401, "0003".into()));
    assert_eq!(operator.refused("GET", &path, Value::Null).await, (404, "0005".into()));
}

#[tokio::test]
async fn bad_users_are_refused_and_no_password_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.account("acme-one").await;
    let operator = world.operator();
    for (body, status, code) in [
        (json!({"name": "u"}), 400, "0002"),
        (json!({"account": "acme-one"}), 400, "0002"),
        (json!({"account": "nobody", "name": "u"}), 404, "0005"),
        (json!({"account": "acme-one", "name": "a b"}), 400, "0002"),
        (json!({"account": "acme-one", "name": "acme-one"}), 409, "0002"),
        (json!({"account": "acme-one", "name": "u", "role": "operator"}), 400, "0002"),
        (json!({"account": "acme-one", "name": "u", "password": 1234567890}), 400, "0002"),
        (json!({"account": "acme-one", "name": "u", "password": "hunter2"}), 400, "0002"),
    ] {
        let (found, answer) = operator.call("POST", OPERATORS, body.clone()).await;
        let code_found = answer["error_code"].as_str().unwrap().replace("EndPoint.2002", "EndPoint.0002");
        assert_eq!((found, code_found), (status, format!("EndPoint.{code}")), "{body}: {answer}");
        for secret in ["1234567890", "hunter2"] {
            assert!(!answer.to_string().contains(secret), "{answer}");
        }
    }
    assert_eq!(operator.get(OPERATORS).await["total_count"], 1, "nothing was made");
}

#[tokio::test]
async fn all_tokens_of_an_account_can_be_ended() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (me, other) = (world.account("acme-one").await, world.account("other").await);
    user(&world, "acme-one", "reader1", "reader").await;
    let reader = log_in(&world, "acme-one", "reader1").await;
    world.operator().ok("DELETE", "/operator/v1/accounts/acme-one/tokens", Value::Null).await;
    for ended in [&me, &reader] {
        assert_eq!(ended.refused("GET", "/v1/-/vpcs", Value::Null).await, (401, "0003".into()));
    }
    other.get("/v1/-/vpcs").await;
}

/// Somebody who signs.
struct Signer {
    client: Client,
    key: (String, String),
}

impl Signer {
    fn request(&self, method: &str, target: &str, body: &Value) -> Request<Body> {
        let date = Timestamp::now().to_string().replace(['-', ':'], "");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let signed = [("host", "h"), ("x-sdk-date", &date)].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let payload: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        let key = (self.key.0.as_str(), self.key.1.as_str());
        let value = authorization(key, method, target, &date, &signed, &payload);
        let request = Request::builder().method(method).uri(target).header("authorization", value);
        request.header("host", "h").header("x-sdk-date", date).body(Body::from(body)).unwrap()
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.client.send(self.request(method, &path.replace("{p}", &self.client.project), &body)).await
    }
}

/// A new account that signs, on TCP.
async fn signer(world: &World, name: &str) -> Signer {
    let made = world.operator().ok("POST", "/operator/v1/accounts", json!({"name": name})).await;
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    let client = Client { project: text("project_id"), ..world.stranger(None) };
    Signer { client, key: (text("access_key"), text("secret_key")) }
}

#[tokio::test]
async fn a_signature_is_as_good_as_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (me, other) = (signer(&world, "acme-one").await, signer(&world, "other").await);
    let body = json!({"vpc": {"name": "v", "cidr": "10.0.0.0/24"}});
    let (status, made) = me.call("POST", "/v1/{p}/vpcs", body.clone()).await;
    assert_eq!((status, made["vpc"]["project_id"].as_str()), (200, Some(me.client.project.as_str())));
    let of_me = format!("/v1/{}/vpcs?limit=1&offset=0", me.client.project);
    assert_eq!(me.call("GET", &of_me, Value::Null).await.1["total_count"], 1);
    assert_eq!(other.call("GET", &of_me, Value::Null).await.0, 403);
    assert_eq!(me.call("GET", "/operator/v1/status", Value::Null).await.0, 403);
    assert_eq!(me.call("GET", "/v1", Value::Null).await.0, 200);
    // The socket believes a signature too, and does not take it for the operator's.
    let on_socket = Signer { client: world.operator(), key: me.key.clone() };
    assert_eq!(on_socket.call("GET", "/operator/v1/status", Value::Null).await.0, 403);

    // A token goes first, even a wrong one.
    let mut request = me.request("GET", "/v1/-/vpcs", &Value::Null);
    request.headers_mut().insert("x-auth-token", "x".parse().unwrap());
    assert_eq!(me.client.send(request).await.0, 401);

    // Another body under the same signature.
    let (parts, _) = me.request("POST", "/v1/-/vpcs", &body).into_parts();
    let changed = Body::from(body.to_string().replace("10.0.0.0", "10.1.0.0"));
    let (status, answer) = me.client.send(Request::from_parts(parts, changed)).await;
    assert_eq!((status, &answer["error_code"]), (401, &json!("EndPoint.0003")), "{answer}");
    // A body nobody keeps in memory.
    let large = json!({"vpc": {"name": "x".repeat(1 << 20)}});
    assert_eq!(me.call("POST", "/v1/-/vpcs", large).await.0, 413);

    let path = format!("/v3.0/OS-CREDENTIAL/credentials/{}", me.key.0);
    assert_eq!(other.call("GET", &path, Value::Null).await.0, 404, "another's key is not there");
    assert_eq!(me.call("DELETE", &path, Value::Null).await.0, 204);
    let (status, answer) = me.call("GET", "/v1/-/vpcs", Value::Null).await;
    assert_eq!(status, 401);
    let expected = format!("access key {} does not exist", me.key.0);
    assert_eq!(answer["error_msg"].as_str(), Some(expected.as_str()));
}

/// Whoever tried to sign and spelt it wrong was the operator there.
#[tokio::test]
async fn the_socket_takes_nobody_for_the_operator_who_says_to_be_somebody() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = signer(&world, "acme-one").await;
    let on_socket = Signer { client: world.operator(), key: me.key };
    for spelt in ["sdk-hmac-sha256 ", "SDK-HMAC-SHA512 ", "Bearer ", ""] {
        let mut request = on_socket.request("GET", "/operator/v1/status", &Value::Null);
        let value = request.headers_mut().get_mut("authorization").unwrap();
        *value = value.to_str().unwrap().replace("SDK-HMAC-SHA256 ", spelt).parse().unwrap();
        let (status, answer) = on_socket.client.send(request).await;
        assert_eq!(status, 401, "{spelt:?}: {answer}");
    }
}

#[tokio::test]
async fn guessers_are_told_to_wait_and_nobody_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = signer(&world, "acme-one").await;
    let wrong = Signer { client: me.client.clone(), key: (me.key.0.clone(), "guess".into()) };
    let mut answers = Vec::new();
    for _ in 0..201 {
        let mut request = wrong.request("GET", "/v1/-/vpcs", &Value::Null);
        request.extensions_mut().insert(Peer([192, 0, 2, 1].into()));
        answers.push(me.client.send_for_all(request).await);
    }
    let (last, before) = answers.split_last().unwrap();
    assert!(before.iter().all(|(status, _, _)| *status == 401));
    assert_eq!((last.0, &last.2["error_code"]), (400, &json!("EndPoint.0022")));
    assert!(last.1["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 300);
    let mut request = me.request("GET", "/v1/-/vpcs", &Value::Null);
    request.extensions_mut().insert(Peer([192, 0, 2, 1].into()));
    assert_eq!(me.client.send(request).await.0, 200, "a right one from there is not kept waiting");
}

#[tokio::test]
async fn roles_do_not_depend_on_how_the_user_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.account("acme-one").await;
    let made = user(&world, "acme-one", "reader1", "reader").await;
    let body = json!({"credential": {"user_id": id(&made), "description": "laptop"}});
    let (status, key) = world.operator().call("POST", "/v3.0/OS-CREDENTIAL/credentials", body).await;
    assert_eq!(status, 201, "{key}");
    let text = |field: &str| key["credential"][field].as_str().unwrap().to_owned();
    let reader = Signer { client: world.stranger(None), key: (text("access"), text("secret")) };
    for (method, path, body, expected) in [
        ("GET", SERVICES, Value::Null, 200),
        ("GET", ENDPOINTS, Value::Null, 200),
        ("POST", SERVICES, json!({}), 403),
        ("POST", ENDPOINTS, json!({}), 403),
    ] {
        let (status, answer) = reader.call(method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
    }
}

#[tokio::test]
async fn a_proof_that_is_there_twice_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("acme-one").await;
    let token = me.token.as_deref().unwrap();
    for (name, values, expected) in [
        ("X-Auth-Token", &[token][..], 200),
        ("X-Auth-Token", &[token, token], 401),
        ("X-Auth-Token", &["other", token], 401),
        ("Authorization", &["SDK-HMAC-SHA256 x", "SDK-HMAC-SHA256 x"], 401),
    ] {
        // The socket takes whoever shows nothing for the operator, not whoever shows too much.
        for client in [world.stranger(None), world.operator()] {
            let request = Request::get(format!("/v1/{}/vpcs", me.project));
            let request = values.iter().fold(request, |request, value| request.header(name, *value));
            let (status, answer) = client.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(status, expected, "{values:?}: {answer}");
            if expected == 401 {
                let message = format!("the header {name} is in the request more than once: expected one");
                assert_eq!(answer["error_msg"], message);
            }
        }
    }
}

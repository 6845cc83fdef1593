//! Logging in as OpenStack clients do.

use axum::body::Body;
use http::{HeaderMap, Request};
use serde_json::{Value, json};

use super::{Client, World, id};
use crate::api::auth::Peer;

const TOKENS: &str = "/v3/auth/tokens";

struct Bench {
    world: World,
    _dir: tempfile::TempDir,
    user: Value,
    me: Client,
}

impl Bench {
    /// An account with a user whose password is `correct horse`.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = World::open(dir.path());
        let me = world.account("acme").await;
        let body = json!({"account": "acme", "name": "ann", "password": "correct horse"});
        let user = world.operator().ok("POST", "/operator/v1/users", body).await;
        Self { world, _dir: dir, user, me }
    }

    /// Asks for something on TCP under the name `vpcep.example:1`.
    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> (u16, HeaderMap, Value) {
        let mut request = Request::builder().method(method).uri(path).header("host", "vpcep.example:1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(Peer([192, 0, 2, 1].into()));
        self.world.stranger(None).send_for_all(request).await
    }

    async fn log_in(&self, user: Value, scope: Value) -> (u16, HeaderMap, Value) {
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let auth = match scope {
            Value::Null => json!({"identity": identity}),
            scope => json!({"identity": identity, "scope": scope}),
        };
        self.ask("POST", TOKENS, &[], json!({"auth": auth})).await
    }

    fn ann(&self) -> Value {
        json!({"id": id(&self.user), "password": "correct horse"})
    }

    async fn token(&self) -> String {
        let (status, headers, answer) = self.log_in(self.ann(), Value::Null).await;
        assert_eq!(status, 201, "{answer}");
        headers["x-subject-token"].to_str().unwrap().into()
    }

    async fn status_with(&self, token: &str) -> u16 {
        self.ask("GET", "/v1/-/vpcs", &[("x-auth-token", token)], Value::Null).await.0
    }
}

#[tokio::test]
async fn a_password_gives_a_token_with_a_catalog() {
    let bench = Bench::new().await;
    let (domain, project) = (bench.me.domain.as_str(), bench.me.project.as_str());
    for user in [
        bench.ann(),
        json!({"name": "ann", "domain": {"name": "acme"}, "password": "correct horse"}),
        json!({"name": "ann", "domain": {"id": domain}, "password": "correct horse"}),
    ] {
        for scope in [
            Value::Null,
            json!({"project": {"id": project}}),
            json!({"project": {"name": "eu", "domain": {"name": "acme"}}}),
            json!({"project": {"name": "eu", "domain": {"id": domain}}}),
            json!({"project": {"name": "eu"}}),
        ] {
            let (status, headers, answer) = bench.log_in(user.clone(), scope.clone()).await;
            assert_eq!(status, 201, "{user} {scope}: {answer}");
            let token = &answer["token"];
            let account = json!({"id": domain, "name": "acme"});
            assert_eq!(token["methods"], json!(["password"]));
            assert_eq!(token["user"], json!({"id": id(&bench.user), "name": "ann", "domain": account}));
            assert_eq!(token["project"], json!({"id": project, "name": "eu", "domain": account}));
            assert_eq!(token["roles"], json!([{"id": "member", "name": "member"}]));
            assert!(token["expires_at"].as_str() > token["issued_at"].as_str());
            let urls: Vec<_> = token["catalog"]
                .as_array()
                .unwrap()
                .iter()
                .map(|service| (service["type"].clone(), service["endpoints"][0].clone()))
                .collect();
            let vpc = format!("/v1/{project}");
            for ((kind, endpoint), (expected, path)) in
                urls.iter().zip([("vpcep", "/v1"), ("vpc", &vpc), ("identity", "/v3")])
            {
                assert_eq!((kind, &endpoint["interface"]), (&json!(expected), &json!("public")));
                assert_eq!(endpoint["url"], format!("http://vpcep.example:1{path}"));
                assert_eq!((&endpoint["region"], &endpoint["region_id"]), (&json!("eu"), &json!("eu")));
            }
            assert_eq!(bench.status_with(headers["x-subject-token"].to_str().unwrap()).await, 200);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_logged_in_is_refused_in_keystones_form() {
    let bench = Bench::new().await;
    let other = bench.world.account("other").await;
    let with = |key: &str, value: Value| {
        let mut ann = bench.ann();
        ann[key] = value;
        ann
    };
    let nowhere = json!({"name": "ann", "domain": {"name": "x"}, "password": "correct horse"});
    for (what, user, scope, status) in [
        ("a wrong password", with("password", json!("correct horsf")), Value::Null, 401),
        ("an id of nobody", with("id", json!("0".repeat(32))), Value::Null, 401),
        ("a domain there is not", nowhere, Value::Null, 401),
        ("no password", json!({"id": id(&bench.user)}), Value::Null, 400),
        ("a name alone", json!({"name": "ann", "password": "x"}), Value::Null, 400),
        ("another's project", bench.ann(), json!({"project": {"id": other.project}}), 403),
        ("another region", bench.ann(), json!({"project": {"name": "us"}}), 403),
        ("a domain as scope", bench.ann(), json!({"domain": {"name": "acme"}}), 400),
        ("an empty project", bench.ann(), json!({"project": {}}), 400),
    ] {
        let (found, _, answer) = bench.log_in(user, scope).await;
        assert_eq!((found, &answer["error"]["code"]), (status, &json!(status)), "{what}: {answer}");
        assert!(answer["error"]["title"].is_string() && answer["error"]["message"].is_string(), "{answer}");
        assert!(!answer.to_string().contains("correct hors"), "{what}: {answer}");
    }
    for methods in [json!([]), json!(["password", "token"]), json!(["totp"])] {
        let body = json!({"auth": {"identity": {"methods": methods}}});
        assert_eq!(bench.ask("POST", TOKENS, &[], body).await.0, 400, "{methods}");
    }
    for (method, path, status) in
        [("GET", "/v3/nothing", 404), ("PATCH", TOKENS, 405), ("GET", "/v3/auth/catalog", 401)]
    {
        let (found, _, answer) = bench.ask(method, path, &[], Value::Null).await;
        assert_eq!((found, &answer["error"]["code"]), (status, &json!(status)), "{path}: {answer}");
    }
    for host in ["", "a b", "me@host"] {
        let request = Request::get("/v3").header("host", host).body(Body::empty()).unwrap();
        assert_eq!(bench.world.stranger(None).send(request).await.0, 400, "{host:?}");
    }
}

#[tokio::test]
async fn wrong_passwords_are_limited_by_user_whether_it_exists_or_not() {
    let bench = Bench::new().await;
    let token = bench.token().await;
    for user in [json!({"id": id(&bench.user)}), json!({"name": "nobody", "domain": {"name": "x"}})] {
        let mut user = user;
        user["password"] = json!("a guess");
        let mut statuses = Vec::new();
        for _ in 0..11 {
            let (status, headers, answer) = bench.log_in(user.clone(), Value::Null).await;
            if status == 429 {
                assert!(headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 300);
                assert_eq!(answer["error"]["title"], "Too Many Requests");
            }
            statuses.push(status);
        }
        assert_eq!(statuses.split_last(), Some((&429, &[401; 10][..])), "{user}");
    }
    assert_eq!(bench.log_in(bench.ann(), Value::Null).await.0, 429, "nor is the right one looked at");
    assert_eq!(bench.status_with(&token).await, 200, "a token is not kept waiting");
    let path = format!("/v3/users/{}/password", id(&bench.user));
    let body = json!({"user": {"original_password": "correct horse", "password": "another one"}});
    assert_eq!(bench.ask("POST", &path, &[], body).await.0, 429, "it is the same password");
}

#[tokio::test]
async fn tokens_are_shown_checked_given_for_tokens_and_ended() {
    let bench = Bench::new().await;
    let other = bench.world.account("other").await;
    let token = bench.token().await;
    let both = [("x-auth-token", token.as_str()), ("x-subject-token", token.as_str())];
    let (status, _, shown) = bench.ask("GET", TOKENS, &both, Value::Null).await;
    assert_eq!((status, &shown["token"]["user"]["name"]), (200, &json!("ann")), "{shown}");

    let body = json!({"auth": {"identity": {"methods": ["token"], "token": {"id": token}},
        "scope": {"project": {"id": bench.me.project}}}});
    let (status, headers, answer) = bench.ask("POST", TOKENS, &[], body.clone()).await;
    assert_eq!((status, &answer["token"]["methods"]), (201, &json!(["token"])), "{answer}");
    assert_eq!(
        answer["token"]["expires_at"], shown["token"]["expires_at"],
        "it lasts no longer than the first"
    );
    let second = headers["x-subject-token"].to_str().unwrap();

    let others = other.token.as_deref().unwrap();
    let foreign = [("x-auth-token", others), ("x-subject-token", token.as_str())];
    for method in ["GET", "DELETE"] {
        assert_eq!(bench.ask(method, TOKENS, &foreign, Value::Null).await.0, 404, "{method}");
    }
    assert_eq!(bench.ask("GET", TOKENS, &both[..1], Value::Null).await.0, 400, "no subject");
    let ending = [("x-auth-token", second), ("x-subject-token", token.as_str())];
    assert_eq!(bench.ask("DELETE", TOKENS, &ending, Value::Null).await.0, 204);
    assert_eq!(bench.ask("DELETE", TOKENS, &ending, Value::Null).await.0, 404);
    assert_eq!((bench.status_with(&token).await, bench.status_with(second).await), (401, 200));
    assert_eq!(bench.ask("POST", TOKENS, &[], body).await.0, 401, "an ended token gives none");
}

#[tokio::test]
async fn callers_find_their_own_project_domain_and_user() {
    let bench = Bench::new().await;
    let token = bench.token().await;
    let get = async |path: &str| {
        let (status, _, answer) = bench.ask("GET", path, &[("x-auth-token", &token)], Value::Null).await;
        (status, answer)
    };
    let (project, domain, user) = (json!(bench.me.project), json!(bench.me.domain), id(&bench.user));
    for path in ["/v3/projects?name=eu", "/v3/projects", "/v3/auth/projects"] {
        let (_, answer) = get(path).await;
        let projects = answer["projects"].as_array().unwrap();
        assert_eq!(projects.len(), 1, "{path}");
        assert_eq!((&projects[0]["id"], &projects[0]["domain_id"]), (&project, &domain), "{path}");
        assert_eq!(projects[0]["name"], "eu", "{path}");
    }
    assert_eq!(get("/v3/projects?name=us").await.1["projects"], json!([]));
    assert_eq!(get("/v3/auth/domains").await.1["domains"][0]["id"], domain);
    assert_eq!(get("/v3/auth/catalog").await.1["catalog"][0]["type"], "vpcep");
    assert_eq!(get(&format!("/v3/users/{user}")).await.1["user"]["default_project_id"], project);
    let others = bench.world.operator().get("/operator/v1/users").await;
    let first = others["users"][0]["id"].as_str().unwrap();
    assert_ne!(first, user);
    assert_eq!(get(&format!("/v3/users/{first}")).await.0, 404, "another user is not there");
    for path in ["/v3", "/v3/"] {
        let (status, _, answer) = bench.ask("GET", path, &[], Value::Null).await;
        assert_eq!((status, &answer["version"]["id"]), (200, &json!("v3.14")));
        assert_eq!(answer["version"]["links"][0]["href"], "http://vpcep.example:1/v3/");
    }
}

#[tokio::test]
async fn whoever_knows_the_old_password_sets_a_new_one_and_ends_the_tokens() {
    let bench = Bench::new().await;
    let token = bench.token().await;
    let path = format!("/v3/users/{}/password", id(&bench.user));
    let change = async |original: &str, new: &str| {
        let body = json!({"user": {"original_password": original, "password": new}});
        bench.ask("POST", &path, &[], body).await.0
    };
    assert_eq!(change("correct horsf", "battery staple").await, 401);
    assert_eq!(change("correct horse", "short").await, 400);
    assert_eq!(bench.status_with(&token).await, 200, "nothing has changed");
    assert_eq!(change("correct horse", "battery staple").await, 204);
    assert_eq!(bench.status_with(&token).await, 401);
    assert_eq!(bench.log_in(bench.ann(), Value::Null).await.0, 401);
    let ann = json!({"id": id(&bench.user), "password": "battery staple"});
    assert_eq!(bench.log_in(ann, Value::Null).await.0, 201);
}

#[tokio::test]
async fn users_manage_their_own_access_keys() {
    const KEYS: &str = "/v3.0/OS-CREDENTIAL/credentials";
    let bench = Bench::new().await;
    let token = bench.token().await;
    let mine = [("x-auth-token", token.as_str())];
    let body = json!({"credential": {"description": "laptop"}});
    let (status, _, made) = bench.ask("POST", KEYS, &mine, body).await;
    assert_eq!(status, 201, "{made}");
    let access = made["credential"]["access"].as_str().unwrap();
    assert!(made["credential"]["secret"].is_string());
    let (_, _, listed) = bench.ask("GET", KEYS, &mine, Value::Null).await;
    let shown = &listed["credentials"][0];
    assert_eq!((listed["credentials"].as_array().unwrap().len(), shown.get("secret")), (1, None));
    let fields = ["access", "description", "status", "user_id"].map(|field| shown[field].as_str().unwrap());
    assert_eq!(fields, [access, "laptop", "active", &id(&bench.user)]);
    let path = format!("{KEYS}/{access}");
    assert_eq!(bench.ask("GET", &path, &mine, Value::Null).await.2["credential"], *shown);
    // Another user of the same account neither sees nor touches it, nor makes one for ann.
    let first = [("x-auth-token", bench.me.token.as_deref().unwrap())];
    let for_ann = json!({"credential": {"user_id": id(&bench.user)}});
    for (method, path, body) in
        [("GET", path.as_str(), Value::Null), ("DELETE", &path, Value::Null), ("POST", KEYS, for_ann)]
    {
        assert_eq!(bench.ask(method, path, &first, body).await.0, 404, "{method}");
    }
    let operator = bench.world.operator();
    assert_eq!(operator.get(KEYS).await["credentials"].as_array().unwrap().len(), 2);
    let without_user = operator.call("POST", KEYS, json!({"credential": {}})).await;
    assert_eq!(without_user.0, 400, "the socket is nobody's");
    assert_eq!(bench.ask("DELETE", &path, &mine, Value::Null).await.0, 204);
    assert_eq!(bench.ask("GET", &path, &mine, Value::Null).await.0, 404);
}

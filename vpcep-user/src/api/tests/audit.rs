//! What the log has of requests.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};

use super::World;

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// One that has what this thread logs at info until the guards are dropped.
    fn of_thread() -> (Self, (Dispatch, DefaultGuard)) {
        // With one subscriber alone tracing asks the thread that comes to a line first, which is
        // another test's, whether anybody wants it.
        let second = Dispatch::new(NoSubscriber::default());
        let log = Self::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        (log, (second, tracing::subscriber::set_default(subscriber)))
    }

    /// What it has since the last look.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_change_leaves_a_line_of_who_did_what_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, me) = (world.operator(), world.account("me").await);
    let (log, _guards) = Log::of_thread();
    let vpc = json!({"vpc": {"name": "v", "cidr": "10.0.0.0/24"}});
    let operators = "/operator/v1/accounts";
    // Who calls, what, and what the line says of it; none for a question.
    let cases = [
        (&me, "POST", "/v1/{p}/vpcs", vpc.clone(), Some(("me@me", 200))),
        (&me, "POST", "/v1/{p}/vpcs", json!({}), Some(("me@me", 400))),
        (&me, "POST", operators, json!({"name": "x"}), Some(("me@me", 403))),
        (&operator, "POST", operators, json!({"name": "x"}), Some(("operator", 200))),
        (&world.stranger(Some("hunter2")), "POST", "/v1/{p}/vpcs", vpc, Some(("unknown", 401))),
        (&me, "GET", "/v1/{p}/vpcs", Value::Null, None),
    ];
    for (client, method, path, body, line) in cases {
        log.take();
        let (_, answer) = client.call(method, path, body).await;
        let text = log.take();
        let found: Vec<_> = text.lines().filter(|line| line.contains(" method=")).collect();
        let Some((caller, status)) = line else {
            assert!(found.is_empty(), "{method} {path}: {text}");
            continue;
        };
        let [found] = found[..] else { panic!("{method} {path}: not one line: {text}") };
        let path = path.replace("{p}", &client.project);
        for part in [
            format!("caller=\"{caller}\""),
            format!("method={method}"),
            format!("path=\"{path}\""),
            format!("status={status}"),
            "duration_ms=".into(),
            "request=\"".into(),
        ] {
            assert!(found.contains(&part), "{part} in {found}");
        }
        let secrets = [client.token.as_deref(), answer["token"].as_str(), answer["secret_key"].as_str()];
        for secret in secrets.into_iter().flatten() {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

/// Whoever could reach the port wrote a line for each POST.
#[tokio::test]
async fn refusals_fill_neither_log() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, stranger, me) = (world.operator(), world.stranger(None), world.account("me").await);
    let (log, _guards) = Log::of_thread();
    for (client, caller) in [(&stranger, "unknown"), (&me, "me@me")] {
        let before = recorded(&operator, "limit=1000").await.len();
        log.take();
        // Both limits are of a minute, and the clock may come to the next one meanwhile.
        for _ in 0..200 {
            client.call("POST", "/v1/{p}/vpcs", json!({})).await;
        }
        let line = format!("caller=\"{caller}\"");
        let lines = log.take().lines().filter(|text| text.contains(&line)).count();
        let records = recorded(&operator, "limit=1000").await.len() - before;
        assert!((60..=120).contains(&lines), "{caller}: {lines} lines");
        assert_eq!(records, lines, "{caller}");
    }
}

/// What the audit log has of a caller, oldest first.
async fn recorded(operator: &super::Client, query: &str) -> Vec<Value> {
    let answer = operator.get(&format!("/operator/v1/audit?{query}")).await;
    assert_eq!(answer["unreadable"], 0);
    answer["records"].as_array().unwrap().iter().rev().cloned().collect()
}

#[tokio::test]
async fn a_change_is_recorded_with_who_asked_and_what_was_before_and_after() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, me) = (world.operator(), world.account("me").await);
    let service = me.service(true).await;
    let path = format!("{}/{service}", super::SERVICES);
    me.ok("PUT", &path, json!({"description": "new"})).await;
    me.ok("DELETE", &path, Value::Null).await;
    me.settle().await;

    let records = recorded(&operator, &format!("object={service}")).await;
    let seen: Vec<_> = records
        .iter()
        .map(|record| {
            let change = &record["changes"][0];
            let description = |side: &str| change[side]["description"].clone();
            let who = record["project_id"].as_str().or(record["from"].as_str()).unwrap();
            (who, change["action"].as_str().unwrap(), description("before"), description("after"))
        })
        .collect();
    let (me_id, old, new, none) = (me.project.as_str(), json!(""), json!("new"), Value::Null);
    assert_eq!(
        seen,
        [
            (me_id, "create", none.clone(), old.clone()),
            ("vpcepd", "update", old.clone(), old.clone()),
            (me_id, "update", old, new.clone()),
            (me_id, "update", new.clone(), new.clone()),
            ("vpcepd", "delete", new, none),
        ]
    );
    let update = &records[2];
    let path = path.replace("{p}", me_id);
    for (field, value) in [
        ("outcome", json!("done")),
        ("role", json!("member")),
        ("method", json!("PUT")),
        ("path", json!(path)),
        ("request_id", json!(update["request_id"].as_str().filter(|id| id.len() == 36).unwrap())),
    ] {
        assert_eq!(update[field], value, "{field} of {update}");
    }
}

#[tokio::test]
async fn attempts_are_recorded_without_bodies_and_questions_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, me) = (world.operator(), world.account("me").await);
    let stranger = world.stranger(Some("hunter2"));
    let before = recorded(&operator, "").await.len();
    let cases = [
        (&me, "POST", "/v1/{p}/vpcs", Some((400, "EndPoint.2002", json!("member")))),
        (&me, "DELETE", "/operator/v1/accounts/me", Some((403, "EndPoint.0004", json!("member")))),
        (&operator, "DELETE", "/operator/v1/accounts/x", Some((404, "EndPoint.0005", json!("operator")))),
        (&stranger, "POST", "/v1/{p}/vpcs", Some((401, "EndPoint.0003", Value::Null))),
        (&me, "GET", "/v1/{p}/vpcs/x", None),
        (&stranger, "GET", "/v1/{p}/vpcs", None),
    ];
    for (client, method, path, _) in &cases {
        client.call(method, path, json!({"vpc": {"description": "10.66.0.0/16"}})).await;
    }
    let records = recorded(&operator, "").await.split_off(before);
    let seen: Vec<_> = records
        .iter()
        .map(|record| {
            assert_eq!(record["outcome"], "refused");
            (
                record["status"].as_u64().unwrap(),
                record["error_code"].as_str().unwrap(),
                record["role"].clone(),
            )
        })
        .collect();
    let expected: Vec<_> = cases.into_iter().filter_map(|(.., expected)| expected).collect();
    assert_eq!(seen, expected);
    let text = std::fs::read_to_string(dir.path().join("audit.log")).unwrap();
    assert!(!text.contains("10.66.0.0") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn no_secret_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let operator = world.operator();
    let made = operator.ok("POST", "/operator/v1/accounts", json!({"name": "acme"})).await;
    let renewed = operator.ok("POST", "/operator/v1/accounts/acme/token", Value::Null).await;
    let text = std::fs::read_to_string(dir.path().join("audit.log")).unwrap();
    assert!(text.contains(made["domain_id"].as_str().unwrap()), "{text}");
    let hash = |token: &Value| {
        let hash = crate::model::TokenHash::of(token.as_str().unwrap());
        serde_json::to_string(hash.as_bytes()).unwrap()
    };
    let texts = [&made["token"], &made["secret_key"], &renewed["token"]].map(|text| text.as_str().unwrap());
    for secret in texts {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    for hash in [hash(&made["token"]), hash(&renewed["token"])] {
        assert!(!text.contains(&hash), "{hash} in {text}");
    }
}

#[tokio::test]
async fn the_audit_log_is_the_operators_and_its_query_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (operator, me) = (world.operator(), world.account("me").await);
    assert_eq!(me.refused("GET", "/operator/v1/audit", Value::Null).await, (403, "0004".into()));
    for (query, code) in [("since=yesterday", "0002"), ("until=1", "0002"), ("limit=1001", "0006")] {
        let refused = operator.refused("GET", &format!("/operator/v1/audit?{query}"), Value::Null).await;
        assert_eq!(refused, (400, code.into()), "{query}");
    }
    me.vpc("10.0.0.0/24").await;
    for named in ["me", &me.project, &me.domain] {
        assert_eq!(recorded(&operator, &format!("account={named}")).await.len(), 2, "{named}");
    }
    // What is about its keys and tokens too, whoever did it and whose user is gone.
    let user = json!({"account": "me", "name": "bob"});
    let bob = super::id(&operator.ok("POST", "/operator/v1/users", user).await);
    let key = json!({"credential": {"user_id": bob}});
    let (status, key) = operator.call("POST", "/v3.0/OS-CREDENTIAL/credentials", key).await;
    assert_eq!(status, 201, "{key}");
    operator.ok("DELETE", &format!("/operator/v1/users/{bob}"), Value::Null).await;
    let made = recorded(&operator, "account=me").await;
    let kinds: Vec<_> = made[2..].iter().map(|record| record["changes"][0]["kind"].clone()).collect();
    assert_eq!(kinds, ["user", "access key", "access key"]);
    // The operator's own account is one too, and a word of paths that is a name is the account's.
    operator.vpc("10.1.0.0/24").await;
    world.account("vpcs").await;
    let zeros = "0".repeat(32);
    for (named, path) in
        [("operator", "/v1/-/vpcs"), (&zeros, "/v1/-/vpcs"), ("vpcs", "/operator/v1/accounts")]
    {
        let paths: Vec<_> = recorded(&operator, &format!("account={named}")).await;
        let paths: Vec<_> = paths.iter().map(|record| &record["path"]).collect();
        assert_eq!(paths, [path], "{named}");
    }
    assert!(recorded(&operator, "since=2999-01-01T00:00:00Z").await.is_empty());
    let last = recorded(&operator, "limit=1").await;
    assert_eq!((last.len(), &last[0]["path"]), (1, &json!("/operator/v1/accounts")));
    assert_eq!(operator.get("/operator/v1/status").await["audit"]["error"], Value::Null);
}

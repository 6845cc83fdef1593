//! What the log has of requests.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use super::World;

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

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
    // With one subscriber alone tracing asks the thread that comes to a line first, which is
    // another test's, whether anybody wants it.
    let _second = Dispatch::new(NoSubscriber::default());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
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
        log.0.lock().unwrap().clear();
        let (_, answer) = client.call(method, path, body).await;
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
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

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::client::Vpc;
use crate::client::fake::FakeServer;

const NOT_FOUND: (u16, &str) = (404, r#"{"error_code":"EndPoint.0005","error_msg":"gone"}"#);
const FOREVER: WaitArgs = WaitArgs { wait: true, timeout: 3600 };

fn vpc_json(status: &str) -> String {
    json!({"id": "1", "name": "n", "cidr": "c", "status": status, "project_id": "p"}).to_string()
}

fn vpc(status: &str) -> Object<Vpc> {
    let json: serde_json::Value = serde_json::from_str(&vpc_json(status)).unwrap();
    Object { data: serde_json::from_value(json.clone()).unwrap(), json }
}

fn progress(vpc: &Vpc) -> Progress {
    match vpc.status.as_str() {
        "done" => Progress::Done,
        "failed" => Progress::Failed("failed: E.1: no room".to_owned()),
        _ => Progress::Pending("is still pending".to_owned()),
    }
}

#[tokio::test]
async fn without_wait_the_object_is_returned_as_it_came() {
    let server = FakeServer::answering(&[]);
    let args = WaitArgs { wait: false, timeout: 60 };
    let object = args.until_done(&server.client(), "1", vpc("pending"), progress).await.unwrap();
    assert_eq!(object.data.status, "pending");
    args.until_gone::<Vpc>(&server.client(), "1").await.unwrap();
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn waiting_ends_with_the_status_asked_for() {
    let (pending, done) = (vpc_json("pending"), vpc_json("done"));
    let server = FakeServer::answering(&[(200, &pending), (200, &done)]);
    let object = FOREVER.until_done(&server.client(), "1", vpc("pending"), progress).await.unwrap();
    assert_eq!(object.data.status, "done");
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn waiting_ends_with_the_reason_when_it_cannot_succeed() {
    let failed = vpc_json("failed");
    for (answer, message) in [
        ((200, failed.as_str()), "VPC 1 failed: E.1: no room"),
        (NOT_FOUND, "cannot wait for VPC 1: EndPoint.0005: gone"),
    ] {
        let server = FakeServer::answering(&[answer]);
        let error = FOREVER.until_done(&server.client(), "1", vpc("pending"), progress).await.unwrap_err();
        assert_eq!(format!("{error:#}"), message);
    }
}

#[tokio::test]
async fn waiting_ends_with_what_is_still_the_case_when_time_is_up() {
    let pending = vpc_json("pending");
    let server = FakeServer::answering(&[(200, pending.as_str()); 40]);
    let args = WaitArgs { wait: true, timeout: 1 };
    let started = std::time::Instant::now();
    let error = args.until_done(&server.client(), "1", vpc("pending"), progress).await.unwrap_err();
    assert_eq!(error.to_string(), "VPC 1 is still pending after 1 s");
    assert!(started.elapsed() >= Duration::from_secs(1));
    let error = args.until_gone::<Vpc>(&server.client(), "1").await.unwrap_err();
    assert_eq!(error.to_string(), "VPC 1 is still being deleted after 1 s");
}

#[tokio::test]
async fn a_deleted_object_is_waited_for_until_it_is_not_found() {
    let pending = vpc_json("deleting");
    let server = FakeServer::answering(&[(200, &pending), NOT_FOUND]);
    FOREVER.until_gone::<Vpc>(&server.client(), "1").await.unwrap();
    assert_eq!(server.lines().len(), 2);
}

#[test]
fn a_terminal_sees_one_line_that_is_gone_in_the_end_and_a_pipe_nothing() {
    let mut seen = Vec::new();
    let mut line = Line { out: Some(&mut seen), is_shown: false };
    line.show("is still creating, 0 s");
    line.show("is still creating, 1 s");
    drop(line);
    assert_eq!(
        String::from_utf8(seen).unwrap(),
        "\r\x1b[Kis still creating, 0 s\r\x1b[Kis still creating, 1 s\r\x1b[K"
    );
    let mut unused = Vec::new();
    drop(Line { out: Some(&mut unused), is_shown: false });
    assert!(unused.is_empty());
    let pipe = std::fs::File::open("/dev/null").unwrap();
    assert!(Line::on(pipe).out.is_none());
}

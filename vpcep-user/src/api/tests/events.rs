//! `GET /v1/{p}/events`: a stream of what happens.

use std::time::Duration;

use http_body_util::BodyExt as _;
use vpcep_common::counter::DropReason;

use super::*;
use crate::datapath::events::{Flow, Happening, What};
use crate::events::record::Record;
use crate::model::Timestamp;

/// The answer to somebody who listens, frame by frame.
struct Heard(Body);

impl Heard {
    /// The events of the next frame; none at the end.
    async fn next(&mut self) -> Vec<Record> {
        let frame = tokio::time::timeout(Duration::from_secs(5), self.0.frame()).await.expect("an event");
        let bytes = frame.map(|frame| frame.unwrap().into_data().unwrap()).unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}

impl Client {
    async fn listen(&self, query: &str) -> Heard {
        let request = Request::get(format!("/v1/{}/events{query}", self.project));
        let request = match &self.token {
            Some(token) => request.header("x-auth-token", token),
            None => request,
        };
        let answer = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
        Heard(answer.into_body())
    }
}

fn flow(vpc: u16) -> Flow {
    Flow {
        client: "10.0.0.182:50000".parse().unwrap(),
        destination: "10.0.0.100:80".parse().unwrap(),
        source: "198.19.128.0:40000".parse().unwrap(),
        backend: "192.168.24.10:8080".parse().unwrap(),
        vpc,
        provider_vpc: vpc,
    }
}

fn happening(endpoint: Option<&str>, what: What) -> Happening {
    Happening { time: Timestamp::now(), endpoint: endpoint.map(|id| id.parse().unwrap()), protocol: 6, what }
}

fn refused(endpoint: Option<&str>) -> Happening {
    let Flow { client: from, destination: to, vpc, .. } = flow(1);
    happening(endpoint, What::Refused { from, to, vpc, reason: DropReason::NotForwarded })
}

/// An account with an endpoint: its client, and ids of endpoint, service and VPC.
async fn consumer(world: &World, name: &str) -> (Client, [String; 3]) {
    let client = world.account(name).await;
    let service = client.service(false).await;
    let vpc = client.vpc("10.0.0.0/24").await;
    let subnet = client.subnet(&vpc, "10.0.0.0/24").await;
    let endpoint = id(&client.endpoint(&service, &vpc, &subnet).await);
    (client, [endpoint, service, vpc])
}

#[tokio::test]
async fn an_account_hears_of_its_own_endpoints_and_the_operator_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (one, [endpoint, service, vpc]) = consumer(&world, "one").await;
    let (other, _) = consumer(&world, "other").await;
    let number = one.get(&format!("/v1/{{p}}/vpcs/{vpc}")).await["vpc"]["number"].as_u64().unwrap() as u16;
    let (mut ones, mut others) = (one.listen("").await, other.listen("").await);
    let mut all = world.operator().listen("").await;
    world.datapath.happen(happening(Some(&endpoint), What::Opened(flow(number))));
    world.datapath.happen(refused(None));

    let [event] = ones.next().await.try_into().unwrap();
    assert_eq!(event.event.as_str(), "opened");
    assert_eq!(event.endpoint_id.as_ref(), Some(&endpoint));
    assert_eq!(event.endpoint_service_id.as_ref(), Some(&service));
    assert_eq!(event.vpc_id.as_ref(), Some(&vpc));
    let mut heard = 0;
    while heard < 2 {
        heard += all.next().await.len();
    }
    // Both have been handed out, and these streams end without them.
    world.stop.send(true).unwrap();
    assert_eq!(others.next().await, []);
    assert_eq!(ones.next().await, []);
}

#[tokio::test]
async fn what_is_heard_is_what_was_asked_for_in_the_form_of_the_document() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (client, [endpoint, service, _]) = consumer(&world, "one").await;
    for query in [
        format!("?endpoint_id={endpoint}&event=refused"),
        format!("?endpoint_service_id={service}&event=closed,refused"),
        "?reason=not_forwarded".to_owned(),
    ] {
        let mut heard = client.listen(&query).await;
        world.datapath.happen(happening(Some(&endpoint), What::Opened(flow(1))));
        world.datapath.happen(refused(Some(&endpoint)));
        let [event] = heard.next().await.try_into().unwrap();
        assert_eq!(event.event.as_str(), "refused", "{query}");
        DOCUMENT.validate_as("Event", &serde_json::to_value(event).unwrap());
    }
}

#[tokio::test]
async fn what_cannot_be_heard_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (client, _) = consumer(&world, "one").await;
    let (_, [foreign, ..]) = consumer(&world, "other").await;
    for (query, expected) in [
        (format!("endpoint_id={foreign}"), (404, "2006")),
        ("endpoint_id=x".into(), (400, "2017")),
        ("endpoint_service_id=x".into(), (400, "0002")),
        ("event=opened,reopened".into(), (400, "0002")),
        ("reason=whim".into(), (400, "0002")),
    ] {
        let (status, code) = client.refused("GET", &format!("/v1/{{p}}/events?{query}"), Value::Null).await;
        assert_eq!((status, code.as_str()), expected, "{query}");
    }
    let open = listeners(&client, 4).await;
    let refused = client.refused("GET", "/v1/{p}/events", Value::Null).await;
    assert_eq!(refused, (400, "1018".into()), "with {} open", open.len());
}

async fn listeners(client: &Client, count: usize) -> Vec<Heard> {
    let mut open = Vec::new();
    for _ in 0..count {
        open.push(client.listen("").await);
    }
    open
}

#[tokio::test]
async fn a_stream_ends_with_the_token_it_was_opened_with() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (client, _) = consumer(&world, "one").await;
    let mut heard = client.listen("").await;
    world.operator().ok("DELETE", "/operator/v1/accounts/one/tokens", Value::Null).await;
    assert_eq!(heard.next().await, []);
}

#[tokio::test]
async fn status_says_who_listens() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let operator = world.operator();
    let status = |shown: Value| shown["events"].clone();
    let quiet = json!({"reported": false, "listeners": 0, "flow_log": null});
    assert_eq!(status(operator.get("/operator/v1/status").await), quiet);
    let _heard = operator.listen("").await;
    let loud = json!({"reported": true, "listeners": 1, "flow_log": null});
    assert_eq!(status(operator.get("/operator/v1/status").await), loud);
}

//! The API as callers see it: the whole router over a real store, a running
//! reconcile loop and a data plane that carries no packets.

mod audit;
mod conformance;
mod connections;
mod events;
mod gateway;
mod identity;
mod isolation;
mod keystone;
mod lists;
mod networking;
mod properties;
mod refusals;
mod scenarios;
mod tagging;
mod unchanged;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use super::{Access, AccessSettings, App, Door, ROUTES, router};
use crate::audit::{AuditLog, Retention};
use crate::controller::Controller;
use crate::datapath::fake::FakeDatapath;
use crate::datapath::{DatapathKind, DatapathSettings, EventSettings, Timeouts};
use crate::events::Events;
use crate::reconcile;
use crate::store::{EmbeddedStore, Vault};
use conformance::{Asked, DOCUMENT};

/// A controller with both doors open.
pub struct World {
    pub datapath: Arc<FakeDatapath>,
    pub events: Arc<Events>,
    pub controller: Arc<Controller>,
    access: Arc<Access>,
    stop: watch::Sender<bool>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Client {
    router: Router,
    token: Option<String>,
    pub project: String,
    pub domain: String,
    controller: Arc<Controller>,
}

impl World {
    pub fn open(dir: &Path) -> Self {
        let store = EmbeddedStore::open(dir).unwrap();
        let audit = AuditLog::open(dir, Retention { max_bytes: 1 << 20, files: 1 }).unwrap();
        let controller = Controller::load(Arc::new(store), "eu".parse().unwrap(), Some(audit)).unwrap();
        let controller = Arc::new(controller);
        let datapath = Arc::new(FakeDatapath::new(&DatapathSettings {
            owner: 0,
            kind: DatapathKind::None,
            snat_range: "198.19.128.0/26".parse().unwrap(),
            max_endpoints: 16,
            max_sessions: 16,
            bpffs: "/nonexistent".into(),
            no_echo: false,
            icmp_errors: 1_000,
            events: EventSettings::default(),
            timeouts: Timeouts::default(),
        }));
        let (stop, stopped) = watch::channel(false);
        let events = Events::new(Arc::clone(&controller), datapath.clone(), true, None).unwrap();
        let events = Arc::new(events);
        let tasks = [
            tokio::spawn(reconcile::run(Arc::clone(&controller), datapath.clone(), stopped.clone())),
            tokio::spawn(crate::events::run(Arc::clone(&events), stopped)),
        ];
        let access = Arc::new(Access::new(
            Vault::with_key(&[7; 32]),
            AccessSettings { token_lifetime: Duration::from_secs(3600), public_url: None, tls: false },
        ));
        Self { datapath, events, controller, access, stop, tasks }
    }

    /// Ends everything that has the store open.
    pub async fn close(self) {
        self.stop.send(true).unwrap();
        for task in self.tasks {
            task.await.unwrap();
        }
        drop(self.events);
        let controller = Arc::downgrade(&self.controller);
        drop(self.controller);
        assert_eq!(controller.strong_count(), 0, "a test must drop its clients before it closes the world");
    }

    fn client(&self, door: Door, token: Option<&str>) -> Client {
        let (controller, access) = (Arc::clone(&self.controller), Arc::clone(&self.access));
        let app = App::new(controller, self.datapath.clone(), Arc::clone(&self.events), access, door);
        Client {
            router: router(app),
            token: token.map(Into::into),
            project: "-".into(),
            domain: String::new(),
            controller: Arc::clone(&self.controller),
        }
    }

    /// The operator on the socket.
    pub fn operator(&self) -> Client {
        self.client(Door::Socket, None)
    }

    /// Somebody on TCP, with or without a token.
    pub fn stranger(&self, token: Option<&str>) -> Client {
        self.client(Door::Tcp, token)
    }

    /// A new account on TCP.
    pub async fn account(&self, name: &str) -> Client {
        let account = self.operator().ok("POST", "/operator/v1/accounts", json!({"name": name})).await;
        let text = |key: &str| account[key].as_str().unwrap().to_owned();
        Client {
            project: text("project_id"),
            domain: text("domain_id"),
            ..self.client(Door::Tcp, account["token"].as_str())
        }
    }
}

impl Client {
    /// Calls and answers status and body. `{p}` in the path is the project.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path.replace("{p}", &self.project));
        let request = match &self.token {
            Some(token) => request.header("x-auth-token", token),
            None => request,
        };
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(request.body(body).unwrap()).await
    }

    /// Calls, and looks whether the answer is one the API's document names.
    pub async fn send(&self, request: Request<Body>) -> (u16, Value) {
        let (status, _, answer) = self.send_for_all(request).await;
        (status, answer)
    }

    /// As [`Client::send`], and answers the headers too.
    pub async fn send_for_all(&self, request: Request<Body>) -> (u16, HeaderMap, Value) {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let asked = Asked {
            method: parts.method.clone(),
            path: parts.uri.path().into(),
            query: parts.uri.query().unwrap_or_default().into(),
            body: body.clone(),
        };
        let request = Request::from_parts(parts, Body::from(body));
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let (status, headers) = (head.status.as_u16(), head.headers.clone());
        DOCUMENT.check(&asked, &Response::from_parts(head, ()), &body);
        let answer = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        (status, headers, answer)
    }

    /// A call that succeeds.
    pub async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        let expected = if method == "DELETE" { 204 } else { 200 };
        assert_eq!(status, expected, "{method} {path}: {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ok("GET", path, Value::Null).await
    }

    /// A call that is refused; answers status and the number of the code.
    pub async fn refused(&self, method: &str, path: &str, body: Value) -> (u16, String) {
        let (status, answer) = self.call(method, path, body).await;
        let code = answer["error_code"].as_str().unwrap_or_default();
        assert!(!answer["error_msg"].as_str().unwrap_or_default().is_empty(), "{method} {path}: {answer}");
        (status, code.strip_prefix("EndPoint.").unwrap().to_owned())
    }

    /// Waits until the data plane has everything, and its report is taken.
    pub async fn settle(&self) {
        loop {
            let revision = self.controller.read(|state| state.revision);
            assert!(self.controller.covered(revision, Duration::from_secs(5)).await, "the loop is running");
            if self.controller.read(|state| state.revision) == revision {
                return;
            }
        }
    }

    pub async fn vpc(&self, cidr: &str) -> String {
        let vpc = self.ok("POST", "/v1/{p}/vpcs", json!({"vpc": {"name": "v", "cidr": cidr}})).await;
        id(&vpc["vpc"])
    }

    pub async fn subnet(&self, vpc: &str, cidr: &str) -> String {
        let body = json!({"subnet": {"name": "s", "cidr": cidr, "vpc_id": vpc}});
        id(&self.ok("POST", "/v1/{p}/subnets", body).await["subnet"])
    }

    pub async fn backend(&self, vpc: &str, address: &str) -> String {
        let body = json!({"backend": {"name": "b", "vpc_id": vpc, "type": "VM", "address": address}});
        id(&self.ok("POST", "/v1/{p}/backends", body).await["backend"])
    }

    /// A service of its own VPC and backend, available.
    pub async fn service(&self, approval: bool) -> String {
        let vpc = self.vpc("192.168.24.0/24").await;
        let backend = self.backend(&vpc, "192.168.24.10").await;
        let service = self.ok("POST", SERVICES, service_body(&vpc, &backend, approval)).await;
        assert_eq!(service["status"], "creating", "the answer shows it as it was made");
        let shown = self.get(&format!("{SERVICES}/{}", id(&service))).await;
        assert_eq!(shown["status"], "available", "the answer waits for the pass");
        id(&service)
    }

    /// Makes an endpoint and answers it as created.
    pub async fn endpoint(&self, service: &str, vpc: &str, subnet: &str) -> Value {
        let body = json!({"endpoint_service_id": service, "vpc_id": vpc, "subnet_id": subnet});
        self.ok("POST", ENDPOINTS, body).await
    }

    pub async fn show_endpoint(&self, id: &str) -> Value {
        self.get(&format!("{ENDPOINTS}/{id}")).await
    }

    /// Accepts or rejects and answers the connection's status.
    pub async fn act(&self, service: &str, action: &str, endpoint: &str) -> Value {
        let body = json!({"action": action, "endpoints": [endpoint]});
        let answer = self.ok("POST", &format!("{SERVICES}/{service}/connections/action"), body).await;
        answer["connections"][0]["status"].clone()
    }
}

/// A body with one change.
pub fn with(body: &Value, field: &str, value: Value) -> Value {
    let mut changed = body.clone();
    changed[field] = value;
    changed
}

pub const SERVICES: &str = "/v1/{p}/vpc-endpoint-services";
pub const ENDPOINTS: &str = "/v1/{p}/vpc-endpoints";

pub fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().into()
}

pub fn service_body(vpc: &str, backend: &str, approval: bool) -> Value {
    json!({
        "vpc_id": vpc, "port_id": backend, "server_type": "VM", "service_name": "web",
        "approval_enabled": approval, "ports": [{"client_port": 80, "server_port": 8080}],
    })
}

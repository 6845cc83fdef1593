//! Which id a request has, and what the log and the audit log have of it.
//!
//! A request that changes something leaves one line at info in vpcepd's log,
//! whatever became of it: who, what, with which answer. Those of refusals that the
//! audit log leaves out are at debug, as those of questions are: nobody fills a disk
//! by being refused. Bodies, queries and headers are not logged, since tokens and
//! secrets travel in them.
//!
//! In the audit log the lines of changes are the controller's, which asks
//! [`author`] whose they are; the lines of attempts that were refused are written
//! here, before the answer.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::{Request, State as Context};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode};
use tracing::{debug, error, info};
use uuid::Uuid;

use super::auth::{Caller, Peer};
use super::error::{Code, Detail};
use super::{App, Door};
use crate::audit::{AuditLog, Author};
use crate::model::Timestamp;

tokio::task_local! {
    /// The request that this task answers.
    static ASKED: Asked;
}

/// What is known of a request while it is answered.
#[derive(Clone)]
struct Asked {
    id: String,
    method: Method,
    path: String,
    from: String,
    asker: Asker,
}

impl Asked {
    fn author(&self) -> Author {
        let request = Author {
            from: self.from.clone(),
            request_id: Some(self.id.clone()),
            method: Some(self.method.to_string()),
            path: Some(self.path.clone()),
            ..Author::default()
        };
        match self.asker.0.get() {
            None => request,
            Some(Caller::Socket) => Author { role: Some("operator".into()), ..request },
            Some(Caller::User(user)) => Author {
                role: Some(user.role.to_string()),
                user: Some(user.name.clone()),
                account: Some(user.account.clone()),
                project_id: Some(user.project.to_string()),
                ..request
            },
        }
    }
}

/// Who is to be named in the audit log for what this task does.
pub fn author() -> Author {
    ASKED.try_with(Asked::author).unwrap_or_else(|_| Author::vpcepd())
}

/// Where authentication leaves who is asking, beside the request.
#[derive(Clone, Default)]
pub struct Asker(Arc<OnceLock<Caller>>);

impl Asker {
    /// Takes note of who it is.
    pub fn is(&self, caller: Caller) {
        // Several extractors of one request find the same caller.
        let _ = self.0.set(caller);
    }

    fn word(&self) -> String {
        self.0.get().map_or_else(|| "unknown".into(), ToString::to_string)
    }
}

/// Gives every request an id, in the answer and in the logs.
pub async fn identify(Context(app): Context<App>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let asker = Asker::default();
    request.extensions_mut().insert(asker.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let from = match (request.extensions().get::<Peer>(), app.door) {
        (Some(Peer(address)), _) => address.to_string(),
        (None, Door::Socket) => "socket".into(),
        (None, Door::Tcp) => "tcp".into(),
    };
    let asked = Asked { id: Uuid::new_v4().to_string(), method, path, from, asker };
    let mut response = ASKED.scope(asked.clone(), next.run(request)).await;

    let changes = !matches!(asked.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let mut is_news = changes;
    if changes && !response.status().is_success() {
        let code = response.extensions().get::<Code>().map(|code| code.0.clone());
        is_news = record_refusal(&app, asked.author(), response.status(), code).await;
    }
    let Asked { id, method, path, asker, .. } = asked;
    let (caller, status) = (asker.word(), response.status().as_u16());
    let duration_ms = began.elapsed().as_millis();
    if let Some(detail) = response.extensions().get::<Detail>() {
        error!(request = id, caller, %method, path, error = %detail.0, "request failed");
    }
    if is_news {
        info!(request = id, caller, %method, path, status, duration_ms, "request");
    } else {
        debug!(request = id, caller, %method, path, status, duration_ms, "request");
    }
    let value = HeaderValue::from_str(&id).expect("a UUID is printable ASCII");
    response.headers_mut().insert("x-request-id", value);
    response
}

/// Answers whether the log has room for it.
async fn record_refusal(app: &App, author: Author, status: StatusCode, code: Option<String>) -> bool {
    let recorded = app.blocking(move |app| {
        let not_done = |log: &AuditLog| log.not_done(Timestamp::now(), &author, status.as_u16(), code);
        Ok(app.controller.audit().is_none_or(not_done))
    });
    recorded.await.unwrap_or_else(|panic| {
        error!(error = %panic, "a refusal could not be recorded");
        true
    })
}

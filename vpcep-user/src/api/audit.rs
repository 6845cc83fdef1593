//! What the log has of every request, and under which id.
//!
//! A request that changes something leaves one line at info, whatever became of
//! it: who, what, with which answer. Bodies, queries and headers are not logged,
//! since tokens and secrets travel in them.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, Method};
use tracing::{debug, error, info};
use uuid::Uuid;

use super::auth::Caller;
use super::error::Detail;

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

/// Gives every request an id, in the answer and in the log.
pub async fn identify(mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().to_string();
    let began = Instant::now();
    let asker = Asker::default();
    request.extensions_mut().insert(asker.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let (caller, status) = (asker.word(), response.status().as_u16());
    let duration_ms = began.elapsed().as_millis();
    if let Some(detail) = response.extensions().get::<Detail>() {
        error!(request = id, caller, %method, path, error = %detail.0, "request failed");
    }
    if matches!(method, Method::GET | Method::HEAD) {
        debug!(request = id, caller, %method, path, status, duration_ms, "request");
    } else {
        info!(request = id, caller, %method, path, status, duration_ms, "request");
    }
    let value = HeaderValue::from_str(&id).expect("a UUID is printable ASCII");
    response.headers_mut().insert("x-request-id", value);
    response
}

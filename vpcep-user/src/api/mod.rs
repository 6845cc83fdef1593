//! The HTTP API: what may be asked, and how answers look.
//!
//! Owns the router, authentication, paging, wire forms and the one table from
//! errors to codes ([`mod@error`]). Every rule is [`crate::controller`]'s.
//!
//! | path | file |
//! |---|---|
//! | `/`, `/v1` | `versions.rs` |
//! | `/v1/{project_id}/vpc-endpoint-services[/..]` | `services.rs` |
//! | `/v1/{project_id}/vpc-endpoint-services/{id}/connections[/..]` | `connections.rs` |
//! | `/v1/{project_id}/vpc-endpoint-services/{id}/permissions[/..]` | `permissions.rs` |
//! | `/v1/{project_id}/vpc-endpoints[/{id}]` | `endpoints.rs` |
//! | `/v1/{project_id}/quotas`, `PUT /operator/v1/quotas` | `quotas.rs` |
//! | `/v1/{project_id}/vpcs`, `subnets` | `networks.rs` |
//! | `/v1/{project_id}/backends` | `backends.rs` |
//! | `/v1/{project_id}/sessions`, `stats`, `explain` | `observe.rs` |
//! | `/operator/v1/accounts` | `accounts.rs` |
//! | `/operator/v1/attachments` | `attachments.rs` |
//! | `GET /operator/v1/audit` | `audit_log.rs` |
//! | `/operator/v1/status`, `PUT /operator/v1/endpoints/{id}` | `operator.rs` |
//!
//! Every request passes `serve.rs` (connections and their limits), `audit.rs` (its
//! id, and its lines in the logs) and `unread.rs` (what is left of its body).
//!
//! Source: Huawei VPCEP and Open Telekom Cloud API references; `docs/http-api.md`
//! for what is beside them.

#![forbid(unsafe_code)]

mod access;
mod accounts;
mod attachments;
mod audit;
mod audit_log;
mod auth;
mod backends;
mod connections;
mod endpoints;
pub mod error;
mod failures;
mod networks;
mod observe;
mod operator;
mod password;
mod permissions;
mod quotas;
mod request;
pub mod serve;
mod services;
mod signature;
mod unread;
mod versions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use tracing::warn;

use crate::controller::{ControlError, Controller, State, Tx, Written};
use crate::datapath::Datapath;
use crate::model::connection::Effect;
pub use access::Access;
use error::ApiError;

/// Largest body that is read.
const MAX_BODY: usize = 1 << 20;
/// How long an answer waits for the data plane to have what it says.
const COVER_WAIT: Duration = Duration::from_secs(2);

/// Through which door a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The operator's socket: without a proof the caller is the operator.
    Socket,
    /// TCP: every caller shows a token or signs.
    Tcp,
}

/// What handlers work with.
#[derive(Clone)]
pub struct App {
    controller: Arc<Controller>,
    datapath: Arc<dyn Datapath>,
    access: Arc<Access>,
    door: Door,
    started: Instant,
}

impl App {
    /// An API over a controller and the data plane it drives.
    #[must_use]
    pub fn new(
        controller: Arc<Controller>,
        datapath: Arc<dyn Datapath>,
        access: Arc<Access>,
        door: Door,
    ) -> Self {
        Self { controller, datapath, access, door, started: Instant::now() }
    }

    /// Runs something that blocks.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let app = self.clone();
        tokio::task::spawn_blocking(move || work(&app)).await.map_err(ApiError::Panicked)?
    }

    /// Answers a question about the state.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&State) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.blocking(move |app| app.controller.read(question)).await
    }

    /// Does an operation; when this returns it is durable.
    async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ApiError> {
        Ok(self.commit(operation).await?.value)
    }

    /// Commits an operation in the name of whoever has asked for it.
    async fn commit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<Written<T>, ApiError> {
        let author = audit::author();
        self.blocking(move |app| Ok(app.controller.write_by(&author, operation)?)).await
    }

    /// Does an operation and, when its effect says so, waits for the data plane
    /// to have it: what the caller is told is then true of packets as well. A
    /// data plane that takes longer does not undo what is durable already, and
    /// the caller is told that instead.
    async fn write_through<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<(T, Effect), ControlError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let written = self.commit(operation).await?;
        let (value, effect) = written.value;
        if effect == Effect::Reconcile && !self.controller.covered(written.version, COVER_WAIT).await {
            return Err(ApiError::NotApplied { version: written.version });
        }
        Ok(value)
    }

    /// Makes an object and gives the data plane the time to have it. One that
    /// takes longer does not fail the call: the object is there, in its transient
    /// state, and a caller who was told otherwise would make another.
    async fn make<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let written = self.commit(operation).await?;
        if !self.controller.covered(written.version, COVER_WAIT).await {
            warn!(version = written.version, "answered before the data plane had the new object");
        }
        Ok(written.value)
    }
}

/// Every route.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(versions::list))
        .route("/v1", get(versions::show))
        .merge(contract())
        .merge(tenant())
        .merge(operators())
        .fallback(async || ApiError::NoRoute)
        .method_not_allowed_fallback(async || ApiError::Method)
        .layer(from_fn_with_state(app.clone(), auth::authenticate))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(unread::read_away))
        .layer(from_fn_with_state(app.clone(), audit::identify))
        .with_state(app)
}

fn contract() -> Router<App> {
    const SERVICES: &str = "/v1/{project_id}/vpc-endpoint-services";
    let service = |rest: &str| format!("{SERVICES}{rest}");
    Router::new()
        .route(SERVICES, get(services::list).post(services::create))
        .route(&service("/public"), get(services::public))
        .route(&service("/describe"), get(services::describe))
        .route(&service("/{id}"), get(services::show).put(services::update).delete(services::delete))
        .route(&service("/{id}/name"), put(services::rename))
        .route(&service("/{id}/connections"), get(connections::list))
        .route(&service("/{id}/connections/action"), post(connections::act))
        .route(&service("/{id}/connections/description"), put(connections::describe))
        .route(&service("/{id}/permissions"), get(permissions::list))
        .route(&service("/{id}/permissions/action"), post(permissions::act))
        .route(&service("/{id}/permissions/batch-create"), post(permissions::batch_create))
        .route(&service("/{id}/permissions/batch-delete"), post(permissions::batch_delete))
        .route(&service("/{id}/permissions/{permission_id}"), put(permissions::describe))
        .route("/v1/{project_id}/vpc-endpoints", get(endpoints::list).post(endpoints::create))
        .route(
            "/v1/{project_id}/vpc-endpoints/{id}",
            get(endpoints::show).put(endpoints::update).delete(endpoints::delete),
        )
        .route("/v1/{project_id}/quotas", get(quotas::show))
}

fn tenant() -> Router<App> {
    Router::new()
        .route("/v1/{project_id}/vpcs", get(networks::list_vpcs).post(networks::create_vpc))
        .route("/v1/{project_id}/vpcs/{id}", get(networks::show_vpc).delete(networks::delete_vpc))
        .route("/v1/{project_id}/subnets", get(networks::list_subnets).post(networks::create_subnet))
        .route("/v1/{project_id}/subnets/{id}", get(networks::show_subnet).delete(networks::delete_subnet))
        .route("/v1/{project_id}/backends", get(backends::list).post(backends::create))
        .route("/v1/{project_id}/backends/{id}", get(backends::show).delete(backends::delete))
        .route("/v1/{project_id}/sessions", get(observe::sessions))
        .route("/v1/{project_id}/stats", get(observe::stats))
        .route("/v1/{project_id}/explain", get(observe::explain))
}

fn operators() -> Router<App> {
    Router::new()
        .route("/operator/v1/accounts", get(accounts::list).post(accounts::create))
        .route("/operator/v1/accounts/{id}", get(accounts::show).delete(accounts::delete))
        .route("/operator/v1/accounts/{id}/token", post(accounts::renew_token))
        .route("/operator/v1/accounts/{id}/tokens", axum::routing::delete(accounts::revoke_tokens))
        .route("/operator/v1/attachments", get(attachments::list).post(attachments::create))
        .route("/operator/v1/attachments/{id}", get(attachments::show).delete(attachments::delete))
        .route("/operator/v1/quotas", put(quotas::set))
        .route("/operator/v1/endpoints/{id}", put(operator::set_refusal))
        .route("/operator/v1/status", get(operator::status))
        .route("/operator/v1/audit", get(audit_log::list))
}

/// The answer of a deletion.
fn deleted() -> Response {
    http::StatusCode::NO_CONTENT.into_response()
}

#[cfg(test)]
mod tests;

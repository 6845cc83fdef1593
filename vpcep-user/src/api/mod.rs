//! The HTTP API: what may be asked, and how answers look.
//!
//! Owns the router, authentication, paging, wire forms and the one table from
//! errors to codes ([`mod@error`]). Every rule is [`crate::controller`]'s.
//!
//! | path | file |
//! |---|---|
//! | `/`, `/v1`, `/openapi.json` | `versions.rs` |
//! | `/v1/{project_id}/vpc-endpoint-services[/..]` | `services/` |
//! | `/v1/{project_id}/vpc-endpoint-services/public`, `describe` | `lookup.rs` |
//! | `/v1/{project_id}/vpc-endpoint-services/{id}/connections[/..]` | `connections.rs` |
//! | `/v1/{project_id}/vpc-endpoint-services/{id}/permissions[/..]` | `permissions.rs` |
//! | `/v1/{project_id}/vpc-endpoints[/{id}]` | `endpoints.rs` |
//! | `/v1/{project_id}/vpc-endpoints/{id}/policy` | `policies.rs` |
//! | `/v1/{project_id}/quotas`, `PUT /operator/v1/quotas` | `quotas.rs` |
//! | `/v1/{project_id}/vpcs[/..]` | `vpcs.rs` |
//! | `/v1/{project_id}/subnets`, `vpcs/{vpc_id}/subnets` | `subnets.rs` |
//! | `/v1/{project_id}/routetables`, `vpc-endpoints/{id}/routetables` | `route_tables.rs` |
//! | `/v1/{project_id}/ports` | `ports.rs` |
//! | `/v1/{project_id}/{resource_type}/..` | `tags.rs` |
//! | `/v1/{project_id}/backends[/{id}]` | `backends.rs` |
//! | `/v1/{project_id}/backends/{id}/members[/..]` | `members.rs` |
//! | `/v1/{project_id}/sessions`, `stats`, `explain` | `observe.rs` |
//! | `/v1/{project_id}/events` | `events.rs` |
//! | `/v3`, `/v3.0` | `keystone/` |
//! | `/operator/v1/accounts` | `accounts.rs` |
//! | `/operator/v1/users` | `users.rs` |
//! | `/operator/v1/attachments` | `attachments.rs` |
//! | `GET /operator/v1/audit` | `audit_log.rs` |
//! | `/operator/v1/status`, `PUT /operator/v1/endpoints/{id}` | `operator.rs` |
//!
//! Every request passes `serve.rs`, `per_address.rs` and `stalls.rs` (connections and their limits), `audit.rs` (its
//! id, and its lines in the logs), `unread.rs` (what is left of its body) and
//! `auth.rs` (who is asking).
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
mod events;
mod failures;
mod keystone;
mod login;
mod lookup;
mod members;
mod objects;
mod observe;
mod openapi;
mod operator;
mod page;
mod password;
mod per_address;
mod permissions;
mod policies;
mod ports;
mod quotas;
mod request;
mod route_tables;
pub mod serve;
mod services;
mod signature;
mod stalls;
mod subnets;
mod tags;
pub mod tls;
mod unread;
mod users;
mod versions;
mod vpcs;
mod wire;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use aide::axum::ApiRouter;
use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tracing::warn;

use crate::controller::{ControlError, Controller, State, Tx, Written};
use crate::datapath::Datapath;
use crate::events::Events;
use crate::model::connection::Effect;
pub use access::{Access, AccessSettings, PublicUrl, PublicUrlError};
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
    events: Arc<Events>,
    access: Arc<Access>,
    door: Door,
    started: Instant,
}

impl App {
    /// An API over a controller, the data plane it drives and what that reports.
    #[must_use]
    pub fn new(
        controller: Arc<Controller>,
        datapath: Arc<dyn Datapath>,
        events: Arc<Events>,
        access: Arc<Access>,
        door: Door,
    ) -> Self {
        Self { controller, datapath, events, access, door, started: Instant::now() }
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

/// The routes without what they work with, and the document of them.
static ROUTES: LazyLock<(Router<App>, Bytes)> = LazyLock::new(|| openapi::documented(routes));

fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .merge(versions::routes())
        .merge(services::routes())
        .merge(lookup::routes())
        .merge(connections::routes())
        .merge(permissions::routes())
        .merge(endpoints::routes())
        .merge(policies::routes())
        .merge(tags::routes())
        .merge(quotas::routes())
        .merge(vpcs::routes())
        .merge(subnets::routes())
        .merge(route_tables::routes())
        .merge(ports::routes())
        .merge(backends::routes())
        .merge(members::routes())
        .merge(observe::routes())
        .merge(events::routes())
        .merge(keystone::routes())
        .merge(accounts::routes())
        .merge(users::routes())
        .merge(attachments::routes())
        .merge(operator::routes())
        .merge(audit_log::routes())
}

/// Every route.
pub fn router(app: App) -> Router {
    let routes = ROUTES.0.clone();
    routes
        .fallback(async || ApiError::NoRoute)
        .method_not_allowed_fallback(async || ApiError::Method)
        .layer(from_fn_with_state(app.clone(), auth::authenticate))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(keystone::shape_errors))
        .layer(from_fn(unread::read_away))
        .layer(from_fn_with_state(app.clone(), audit::identify))
        .with_state(app)
}

#[cfg(test)]
mod tests;

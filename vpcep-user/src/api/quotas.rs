//! `GET /v1/{project_id}/quotas`, and `PUT /operator/v1/quotas`, the operator's
//! alone.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, put_with};
use aide::transform::TransformOperation;
use axum::Json;
use axum::extract::State as Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{InProject, Operator};
use super::error::ApiError;
use super::openapi::{may_refuse, named};
use super::request::{Body, Query, require};
use crate::controller::Scope;
use crate::controller::quotas::{self, Usage};
use crate::model::{ProjectId, QuotaChange};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/quotas",
            get_with(show, named("showQuotas", "Show limits and their use")),
        )
        .api_route("/operator/v1/quotas", put_with(set, setting))
        .with_path_items(|path| path.tag("Quotas"))
}

fn setting(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    let mut operation = named("setQuotas", "Set the limits of a project, or those of all")(operation);
    // The project may not be there.
    may_refuse(operation.inner_mut(), 404);
    operation
}

/// What there is a limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Kind {
    EndpointService,
    Endpoint,
    Connection,
}

/// A limit and its use.
#[derive(Serialize, JsonSchema)]
struct Quota {
    /// What of: services and endpoints of the project, concurrent connections of each endpoint.
    #[serde(rename = "type")]
    kind: Kind,
    /// How many there are; of connections those of the fullest endpoint, or null where nobody asked.
    used: Option<u64>,
    /// How many there may be.
    quota: u32,
}

/// Limits in force.
#[derive(Serialize, JsonSchema)]
struct Resources {
    resources: Vec<Quota>,
}

/// Limits in force.
#[derive(Serialize, JsonSchema)]
pub struct Quotas {
    quotas: Resources,
}

impl Quotas {
    fn new(resources: Vec<Quota>) -> Json<Self> {
        Json(Self { quotas: Resources { resources } })
    }
}

fn service_row(usage: &Usage) -> Quota {
    let used = u64::try_from(usage.services).ok();
    Quota { kind: Kind::EndpointService, used, quota: usage.limits.services }
}

fn endpoint_row(usage: &Usage) -> Quota {
    let used = u64::try_from(usage.endpoints).ok();
    Quota { kind: Kind::Endpoint, used, quota: usage.limits.endpoints }
}

fn connection_row(usage: &Usage, used: Option<u64>) -> Quota {
    Quota { kind: Kind::Connection, used, quota: usage.limits.connections }
}

/// Which limits are wanted.
#[derive(Deserialize, JsonSchema)]
pub struct Wanted {
    /// Only this one. Without it, those of services and endpoints.
    #[serde(rename = "type")]
    kind: Option<Kind>,
}

/// `GET`: without `type` the two the contract knows.
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Query(Wanted { kind }): Query<Wanted>,
) -> Result<Json<Quotas>, ApiError> {
    let usage = app.read(move |state| Ok(quotas::usage(state, scope))).await?;
    Ok(Quotas::new(match kind {
        None => vec![service_row(&usage), endpoint_row(&usage)],
        Some(Kind::EndpointService) => vec![service_row(&usage)],
        Some(Kind::Endpoint) => vec![endpoint_row(&usage)],
        Some(Kind::Connection) => vec![connection_row(&usage, Some(fullest(&app, scope).await?))],
    }))
}

/// The limit of connections is each endpoint's: what is used of it is the fullest
/// one's use.
async fn fullest(app: &App, scope: Scope) -> Result<u64, ApiError> {
    app.blocking(move |app| {
        let mut fullest = 0;
        for (_, id) in app.controller.read(|state| state.index.endpoints.visible(scope)) {
            let stats = app.datapath.endpoint_stats(id)?;
            fullest = fullest.max(stats.map_or(0, |stats| stats.connections));
        }
        Ok(fullest)
    })
    .await
}

/// The body of a change.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SetQuotas")]
pub struct SetRequest {
    /// Whose limits; without it those of all that have none of their own.
    #[schemars(with = "Option<ProjectId>")]
    project_id: Option<String>,
    #[schemars(with = "Limits")]
    quotas: Option<Limits>,
}

/// The limits to set; the others stay.
#[derive(Deserialize, JsonSchema)]
pub struct Limits {
    /// Most services of the project.
    #[schemars(range(max = u32::MAX))]
    endpoint_service: Option<u32>,
    /// Most endpoints of the project.
    #[schemars(range(max = u32::MAX))]
    endpoint: Option<u32>,
    /// Most concurrent connections of each endpoint.
    #[schemars(range(max = u32::MAX))]
    connection: Option<u32>,
}

/// `PUT /operator/v1/quotas`
pub async fn set(
    _: Operator,
    Context(app): Context<App>,
    Body(request): Body<SetRequest>,
) -> Result<Json<Quotas>, ApiError> {
    let project = request.project_id.map(|id| id.parse()).transpose().map_err(ApiError::Project)?;
    let Limits { endpoint_service, endpoint, connection } = require("quotas", request.quotas)?;
    let change = QuotaChange { services: endpoint_service, endpoints: endpoint, connections: connection };
    app.write(move |tx| quotas::set(tx, project, change)).await?;
    let scope = project.map_or(Scope::Every, Scope::Project);
    let usage = app.read(move |state| Ok(quotas::usage(state, scope))).await?;
    Ok(Quotas::new(vec![service_row(&usage), endpoint_row(&usage), connection_row(&usage, None)]))
}

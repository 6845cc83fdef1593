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
    Vpc,
    Subnet,
    Port,
    HalfOpen,
    ConnectionRate,
    Bandwidth,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::EndpointService,
        Self::Endpoint,
        Self::Connection,
        Self::Vpc,
        Self::Subnet,
        Self::Port,
        Self::HalfOpen,
        Self::ConnectionRate,
        Self::Bandwidth,
    ];
}

/// A limit and its use.
#[derive(Serialize, JsonSchema)]
struct Quota {
    /// What of: concurrent connections, unfinished handshakes (`half_open`), new connections a second
    /// (`connection_rate`) or megabits a second and direction (`bandwidth`) of each endpoint, or
    /// else what the project has. A port is a backend.
    #[serde(rename = "type")]
    kind: Kind,
    /// How many there are; of connections those of the fullest endpoint, or null where nobody asked;
    /// null of the other limits of endpoints.
    used: Option<u64>,
    /// How many there may be; of `half_open`, `connection_rate` and `bandwidth` 0 is no limit.
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

impl Quota {
    /// The limit of a kind; the use of connections, which is not the controller's, is null.
    fn of(kind: Kind, usage: &Usage) -> Self {
        let Usage { limits, services, endpoints, vpcs, subnets, backends } = *usage;
        let (used, quota) = match kind {
            Kind::EndpointService => (Some(services), limits.services),
            Kind::Endpoint => (Some(endpoints), limits.endpoints),
            Kind::Connection => (None, limits.connections),
            Kind::Vpc => (Some(vpcs), limits.vpcs),
            Kind::Subnet => (Some(subnets), limits.subnets),
            Kind::Port => (Some(backends), limits.backends),
            Kind::HalfOpen => (None, limits.half_open),
            Kind::ConnectionRate => (None, limits.connection_rate),
            Kind::Bandwidth => (None, limits.bandwidth),
        };
        Self { kind, used: used.and_then(|used| used.try_into().ok()), quota }
    }
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
        None => [Kind::EndpointService, Kind::Endpoint].map(|kind| Quota::of(kind, &usage)).into(),
        Some(kind @ Kind::Connection) => {
            vec![Quota { used: Some(fullest(&app, scope).await?), ..Quota::of(kind, &usage) }]
        }
        Some(kind) => vec![Quota::of(kind, &usage)],
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
    /// Most VPCs of the project.
    #[schemars(range(max = u32::MAX))]
    vpc: Option<u32>,
    /// Most subnets of the project.
    #[schemars(range(max = u32::MAX))]
    subnet: Option<u32>,
    /// Most ports of the project, which are its backends.
    #[schemars(range(max = u32::MAX))]
    port: Option<u32>,
    /// Most unfinished TCP handshakes of each endpoint; 0 for no limit.
    #[schemars(range(max = u32::MAX))]
    half_open: Option<u32>,
    /// Most new connections of each endpoint in a second; 0 for no limit.
    #[schemars(range(max = u32::MAX))]
    connection_rate: Option<u32>,
    /// Most megabits of each endpoint in a second, in either direction; 0 for no limit.
    #[schemars(range(max = u32::MAX))]
    bandwidth: Option<u32>,
}

/// `PUT /operator/v1/quotas`
pub async fn set(
    _: Operator,
    Context(app): Context<App>,
    Body(request): Body<SetRequest>,
) -> Result<Json<Quotas>, ApiError> {
    let project = request.project_id.map(|id| id.parse()).transpose().map_err(ApiError::Project)?;
    let limits = require("quotas", request.quotas)?;
    let change = QuotaChange {
        services: limits.endpoint_service,
        endpoints: limits.endpoint,
        connections: limits.connection,
        vpcs: limits.vpc,
        subnets: limits.subnet,
        backends: limits.port,
        half_open: limits.half_open,
        connection_rate: limits.connection_rate,
        bandwidth: limits.bandwidth,
    };
    app.write(move |tx| quotas::set(tx, project, change)).await?;
    let scope = project.map_or(Scope::Every, Scope::Project);
    let usage = app.read(move |state| Ok(quotas::usage(state, scope))).await?;
    Ok(Quotas::new(Kind::ALL.map(|kind| Quota::of(kind, &usage)).into()))
}

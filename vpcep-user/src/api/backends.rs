//! `/v1/{project_id}/backends`: list, create, show, update and delete. Their members one
//! by one are in `members.rs`.

use std::net::Ipv4Addr;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Context;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::App;
use super::auth::InProject;
use super::error::ApiError;
use super::members::{MemberRequest, MemberView};
use super::openapi::named;
use super::page::Paging;
use super::request::{Body, Id, Query, require};
use super::vpcs::InVpc;
use crate::controller::backends::{self, BackendChange, NewBackend};
use crate::controller::{Health, Tx};
use crate::model::connection::Effect;
use crate::model::{
    Algorithm, Backend, BackendId, BackendKind, HealthCheck, HealthCheckText, Member, Name, ProjectId,
    Timestamp, VpcId, parse_address,
};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/backends",
            get_with(list, named("listBackends", "List backends"))
                .post_with(create, named("createBackend", "Make a backend")),
        )
        .api_route(
            "/v1/{project_id}/backends/{id}",
            get_with(show, named("showBackend", "Show a backend"))
                .put_with(update, named("updateBackend", "Change a backend"))
                .delete_with(delete, named("deleteBackend", "Delete a backend no service refers to")),
        )
        .with_path_items(|path| path.tag("Backends"))
}

/// What really serves: a server, a virtual IP or a load balancer.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Backend")]
struct BackendView {
    /// Names it.
    id: BackendId,
    /// The same, as endpoint services name it.
    port_id: BackendId,
    /// For people; not unique.
    name: Name,
    /// The VPC it is in.
    vpc_id: VpcId,
    /// What it is.
    #[serde(rename = "type")]
    kind: BackendKind,
    /// Its own address.
    address: Ipv4Addr,
    /// The servers behind a load balancer; without any it serves by itself.
    members: Vec<MemberView>,
    /// How a load balancer spreads new connections over its members.
    algorithm: Algorithm,
    /// How it finds out which of them serve; null takes all to.
    health_check: Option<HealthCheckView>,
    /// Its owner.
    project_id: ProjectId,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

/// How the members of a load balancer are checked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "HealthCheck")]
struct HealthCheckView {
    /// What is asked: to take a connection, or to answer a GET.
    #[schemars(extend("enum" = ["tcp", "http"]))]
    protocol: String,
    /// Where; 0 asks at the port that serves.
    port: i64,
    /// Of what; null unless over HTTP.
    path: Option<String>,
    /// Status codes that mean health; null unless over HTTP.
    expected_codes: Option<String>,
    /// Seconds from one check to the next.
    #[schemars(range(min = 1, max = 50))]
    interval: u8,
    /// Seconds that a check may take, at most the interval.
    #[schemars(range(min = 1, max = 50))]
    timeout: u8,
    /// Successes in a row until a member is up.
    #[schemars(range(min = 1, max = 10))]
    healthy_threshold: u8,
    /// Failures in a row until it is down.
    #[schemars(range(min = 1, max = 10))]
    unhealthy_threshold: u8,
}

impl HealthCheckView {
    fn new(check: &HealthCheck) -> Self {
        let HealthCheckText { protocol, port, path, expected_codes, .. } = check.into();
        Self {
            protocol,
            port: port.unwrap_or(0),
            path,
            expected_codes,
            interval: check.interval_secs(),
            timeout: check.timeout_secs(),
            healthy_threshold: check.healthy_threshold(),
            unhealthy_threshold: check.unhealthy_threshold(),
        }
    }
}

impl BackendView {
    fn new(backend: &Backend, health: &Health) -> Self {
        let members = backend.members.iter().map(|member| MemberView::new(backend, *member, health));
        Self {
            id: backend.id,
            port_id: backend.id,
            name: backend.name.clone(),
            vpc_id: backend.vpc,
            kind: backend.kind,
            address: backend.address,
            members: members.collect(),
            algorithm: backend.algorithm,
            health_check: backend.health_check.as_ref().map(HealthCheckView::new),
            project_id: backend.project,
            created_at: backend.created_at,
            updated_at: backend.updated_at,
        }
    }
}

/// One backend.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShownBackend")]
pub struct OneBackend {
    backend: BackendView,
}

impl OneBackend {
    /// It as it is now.
    pub fn new(app: &App, backend: &Backend) -> Json<Self> {
        Json(Self { backend: BackendView::new(backend, &app.controller.health()) })
    }
}

/// A page of backends, oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Backends")]
pub struct BackendPage {
    backends: Vec<BackendView>,
    /// How many there are on all pages.
    total_count: usize,
}

/// The body of a creation.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CreateBackend")]
pub struct CreateRequest {
    #[schemars(with = "BackendRequest")]
    backend: Option<BackendRequest>,
}

/// What a backend is made of.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewBackend")]
pub struct BackendRequest {
    /// For people; not unique.
    #[schemars(with = "Name")]
    name: Option<String>,
    /// The VPC it is in.
    #[schemars(with = "VpcId")]
    vpc_id: Option<String>,
    /// What it is.
    #[serde(rename = "type")]
    #[schemars(with = "BackendKind")]
    kind: Option<String>,
    /// Its own address.
    #[schemars(with = "Ipv4Addr")]
    address: Option<String>,
    /// The servers behind a load balancer; nothing else has any.
    #[schemars(length(max = Backend::MAX_MEMBERS))]
    members: Option<Vec<MemberRequest>>,
    /// How a load balancer spreads new connections over its members; `round_robin` when
    /// absent.
    #[schemars(with = "Option<Algorithm>")]
    algorithm: Option<String>,
    /// How it finds out which of them serve; it takes all to when absent.
    health_check: Option<HealthCheckRequest>,
}

/// How the members of a load balancer are to be checked.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewHealthCheck")]
pub struct HealthCheckRequest {
    /// What is asked: to take a connection, or to answer a GET.
    #[schemars(with = "String", extend("enum" = ["tcp", "http"]))]
    protocol: Option<String>,
    /// Where; 0, the default, asks at the member's own port, or else at the first TCP
    /// server port of the service.
    #[schemars(range(min = 0, max = 65535))]
    port: Option<i64>,
    /// Of what, over HTTP; `/` when absent.
    path: Option<String>,
    /// Status codes that mean health, over HTTP; `200-399` when absent.
    expected_codes: Option<String>,
    /// Seconds from one check to the next; 5 when absent.
    #[schemars(range(min = 1, max = 50))]
    interval: Option<i64>,
    /// Seconds that a check may take, at most the interval; 3 when absent, or the interval.
    #[schemars(range(min = 1, max = 50))]
    timeout: Option<i64>,
    /// Successes in a row until a member is up; 3 when absent.
    #[schemars(range(min = 1, max = 10))]
    healthy_threshold: Option<i64>,
    /// Failures in a row until it is down; 3 when absent.
    #[schemars(range(min = 1, max = 10))]
    unhealthy_threshold: Option<i64>,
}

impl TryFrom<HealthCheckRequest> for HealthCheck {
    type Error = ApiError;

    fn try_from(request: HealthCheckRequest) -> Result<Self, ApiError> {
        let HealthCheckRequest {
            protocol,
            port,
            path,
            expected_codes,
            interval,
            timeout,
            healthy_threshold,
            unhealthy_threshold,
        } = request;
        let protocol = require("protocol", protocol)?;
        let text = HealthCheckText {
            protocol,
            port,
            path,
            expected_codes,
            interval,
            timeout,
            healthy_threshold,
            unhealthy_threshold,
        };
        Ok(text.try_into()?)
    }
}

impl TryFrom<BackendRequest> for NewBackend {
    type Error = ApiError;

    fn try_from(request: BackendRequest) -> Result<Self, ApiError> {
        let BackendRequest { name, vpc_id, kind, address, members, algorithm, health_check } = request;
        Ok(Self {
            vpc: require("vpc_id", vpc_id)?.parse()?,
            name: Name::new("name", &require("name", name)?)?,
            kind: BackendKind::parse("type", &require("type", kind)?)?,
            address: parse_address("address", &require("address", address)?)?,
            members: members
                .unwrap_or_default()
                .into_iter()
                .map(Member::try_from)
                .collect::<Result<_, _>>()?,
            algorithm: algorithm.map(|text| text.parse()).transpose()?.unwrap_or_default(),
            health_check: health_check.map(HealthCheck::try_from).transpose()?,
        })
    }
}

/// The body of a change.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "UpdateBackend")]
pub struct UpdateRequest {
    #[schemars(with = "ChangeRequest")]
    backend: Option<ChangeRequest>,
}

/// What changes of a backend; what is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "BackendChange")]
pub struct ChangeRequest {
    /// For people; not unique.
    #[schemars(with = "Option<Name>")]
    name: Option<String>,
    /// How a load balancer spreads new connections over its members.
    #[schemars(with = "Option<Algorithm>")]
    algorithm: Option<String>,
    /// How it finds out which of them serve; null takes all to. Given as a whole.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<HealthCheckRequest>")]
    health_check: Option<Option<HealthCheckRequest>>,
}

/// Tells a null from an absent field.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl TryFrom<ChangeRequest> for BackendChange {
    type Error = ApiError;

    fn try_from(request: ChangeRequest) -> Result<Self, ApiError> {
        let ChangeRequest { name, algorithm, health_check } = request;
        Ok(Self {
            name: name.map(|name| Name::new("name", &name)).transpose()?,
            algorithm: algorithm.map(|text| text.parse()).transpose()?,
            health_check: health_check
                .map(|check| check.map(HealthCheck::try_from).transpose())
                .transpose()?,
        })
    }
}

/// `POST`
pub async fn create(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<OneBackend>, ApiError> {
    let new = NewBackend::try_from(require("backend", request.backend)?)?;
    let backend = app.write(move |tx| backends::create(tx, scope, new)).await?;
    Ok(OneBackend::new(&app, &backend))
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<1000, 1000>,
    Query(InVpc { vpc_id }): Query<InVpc>,
) -> Result<Json<BackendPage>, ApiError> {
    let health = app.controller.health();
    app.read(move |state| {
        let mut rows = state.visible::<Backend>(scope);
        rows.retain(|backend| vpc_id.is_none_or(|vpc| backend.vpc == vpc));
        let total_count = rows.len();
        let view = |backend| BackendView::new(backend, &health);
        let backends = page.cut(rows).into_iter().map(view).collect();
        Ok(Json(BackendPage { backends, total_count }))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Backend>,
) -> Result<Json<OneBackend>, ApiError> {
    app.blocking(move |app| app.controller.read(|state| Ok(OneBackend::new(app, state.find(scope, id)?))))
        .await
}

/// `PUT /{id}`
pub async fn update(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Backend>,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<OneBackend>, ApiError> {
    let change = BackendChange::try_from(require("backend", request.backend)?)?;
    let update = move |tx: &mut Tx<'_>| Ok((backends::update(tx, scope, id, change)?, Effect::Reconcile));
    let backend = app.write_through(update).await?;
    Ok(OneBackend::new(&app, &backend))
}

/// `DELETE /{id}`
pub async fn delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Backend>,
) -> Result<NoContent, ApiError> {
    app.write(move |tx| backends::delete(tx, scope, id)).await?;
    Ok(NoContent)
}

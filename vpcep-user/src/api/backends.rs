//! `/v1/{project_id}/backends`: list, create, show and delete.

use std::net::Ipv4Addr;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Context;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::InProject;
use super::error::ApiError;
use super::openapi::named;
use super::page::Paging;
use super::request::{Body, Id, Query, require};
use super::vpcs::InVpc;
use crate::controller::backends;
use crate::controller::backends::NewBackend;
use crate::model::{
    Backend, BackendId, BackendKind, Member, Name, Port, ProjectId, Timestamp, VpcId, parse_address,
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
    /// Its owner.
    project_id: ProjectId,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

/// One server behind a load balancer.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Member")]
struct MemberView {
    /// Its address in the VPC.
    address: Ipv4Addr,
    /// Its own port; 0 keeps the mapping's server port.
    port: u16,
    /// Its share of new connections relative to the other members.
    #[schemars(range(min = 1, max = 100))]
    weight: u8,
}

impl BackendView {
    fn new(backend: &Backend) -> Self {
        let members = backend.members.iter().map(|member| MemberView {
            address: member.address,
            port: member.port.map_or(0, Port::get),
            weight: member.weight(),
        });
        Self {
            id: backend.id,
            port_id: backend.id,
            name: backend.name.clone(),
            vpc_id: backend.vpc,
            kind: backend.kind,
            address: backend.address,
            members: members.collect(),
            project_id: backend.project,
            created_at: backend.created_at,
            updated_at: backend.created_at,
        }
    }
}

/// One backend.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShownBackend")]
pub struct OneBackend {
    backend: BackendView,
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
}

/// One server behind a load balancer.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewMember")]
pub struct MemberRequest {
    /// Its address in the VPC.
    #[schemars(with = "Ipv4Addr")]
    address: Option<String>,
    /// Its own port; 0, the default, keeps the mapping's server port.
    #[schemars(range(min = 0, max = 65535))]
    port: Option<i64>,
    /// Its share of new connections relative to the other members; 1 when absent.
    #[schemars(range(min = 1, max = 100))]
    weight: Option<i64>,
}

impl TryFrom<MemberRequest> for Member {
    type Error = ApiError;

    fn try_from(request: MemberRequest) -> Result<Self, ApiError> {
        let MemberRequest { address, port, weight } = request;
        let address = parse_address("address", &require("address", address)?)?;
        let port = port.filter(|port| *port != 0).map(|port| Port::new("port", port)).transpose()?;
        Ok(Self::new(address, port, weight.unwrap_or(Self::DEFAULT_WEIGHT))?)
    }
}

impl TryFrom<BackendRequest> for NewBackend {
    type Error = ApiError;

    fn try_from(request: BackendRequest) -> Result<Self, ApiError> {
        let BackendRequest { name, vpc_id, kind, address, members } = request;
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
    Ok(Json(OneBackend { backend: BackendView::new(&backend) }))
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<1000, 1000>,
    Query(InVpc { vpc_id }): Query<InVpc>,
) -> Result<Json<BackendPage>, ApiError> {
    app.read(move |state| {
        let mut rows = state.visible::<Backend>(scope);
        rows.retain(|backend| vpc_id.is_none_or(|vpc| backend.vpc == vpc));
        let total_count = rows.len();
        let backends = page.cut(rows).into_iter().map(BackendView::new).collect();
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
    app.read(move |state| Ok(Json(OneBackend { backend: BackendView::new(state.find(scope, id)?) }))).await
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

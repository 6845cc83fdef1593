//! `/v1/{project_id}/vpcs`: list and create, show, change and delete, and the
//! names of a VPC's endpoints under `/{id}/hosts`.
//!
//! Source: Huawei VPC API v1, "Virtual Private Cloud"; `hosts` is vpcep's own.

use std::net::Ipv4Addr;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Context;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::App;
use super::auth::InProject;
use super::error::ApiError;
use super::openapi::named;
use super::page::{Marker, Paging};
use super::request::{Body, Id, Query, require};
use crate::controller::{endpoints, networks};
use crate::model::{Cidr, Description, Name, ProjectId, Timestamp, Vpc, VpcId};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/vpcs",
            get_with(list, named("listVpcs", "List VPCs"))
                .post_with(create, named("createVpc", "Make a VPC")),
        )
        .api_route(
            "/v1/{project_id}/vpcs/{id}",
            get_with(show, named("showVpc", "Show a VPC"))
                .put_with(update, named("updateVpc", "Change a VPC's name or description"))
                .delete_with(delete, named("deleteVpc", "Delete a VPC nothing refers to")),
        )
        .api_route(
            "/v1/{project_id}/vpcs/{id}/hosts",
            get_with(hosts, named("listHosts", "List the names of a VPC's accepted endpoints")),
        )
        .with_path_items(|path| path.tag("Networks"))
}

/// An isolated IPv4 network. Others may have the same range.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Vpc")]
struct VpcView {
    /// Names it.
    id: VpcId,
    /// For people; not unique.
    name: Name,
    /// The owner's note.
    description: String,
    /// Its range.
    cidr: Cidr,
    /// Always empty: a VPC has one range.
    #[schemars(with = "Vec<Value>")]
    extend_cidrs: [(); 0],
    /// Always `OK`.
    status: &'static str,
    /// Always empty: routes of one's own do not concern endpoints.
    #[schemars(with = "Vec<Value>")]
    routes: [(); 0],
    /// Always false.
    enable_shared_snat: bool,
    /// Always `0`, the default one.
    enterprise_project_id: &'static str,
    /// Its owner.
    tenant_id: ProjectId,
    /// Its owner.
    project_id: ProjectId,
    /// What the data plane of this host knows it by.
    #[schemars(range(min = 1))]
    number: u16,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl VpcView {
    fn new(vpc: &Vpc) -> Self {
        Self {
            id: vpc.id,
            name: vpc.name.clone(),
            description: vpc.description.as_str().into(),
            cidr: vpc.cidr,
            extend_cidrs: [],
            status: "OK",
            routes: [],
            enable_shared_snat: false,
            enterprise_project_id: "0",
            tenant_id: vpc.project,
            project_id: vpc.project,
            number: vpc.number,
            created_at: vpc.created_at,
            updated_at: vpc.updated_at,
        }
    }
}

/// One VPC.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShownVpc")]
pub struct OneVpc {
    vpc: VpcView,
}

/// A page of VPCs, oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Vpcs")]
pub struct VpcPage {
    vpcs: Vec<VpcView>,
    /// How many there are on all pages.
    total_count: usize,
}

/// A name that may be absent or empty.
pub fn optional_name(name: Option<String>) -> Result<Option<Name>, ApiError> {
    Ok(name.filter(|name| !name.is_empty()).map(|name| Name::new("name", &name)).transpose()?)
}

/// The body of a VPC's creation.
#[derive(Deserialize, JsonSchema)]
pub struct CreateVpc {
    #[schemars(with = "NewVpc")]
    vpc: Option<NewVpc>,
}

/// What a VPC is made of.
#[derive(Deserialize, JsonSchema)]
pub struct NewVpc {
    /// For people; made from the id when absent or empty.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]{0,64}$"))]
    name: Option<String>,
    /// Its range.
    #[schemars(with = "Cidr")]
    cidr: Option<String>,
    /// The owner's note.
    #[schemars(with = "Option<Description>")]
    description: Option<String>,
}

/// `POST`
pub async fn create(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Body(request): Body<CreateVpc>,
) -> Result<Json<OneVpc>, ApiError> {
    let NewVpc { name, cidr, description } = require("vpc", request.vpc)?;
    let new = networks::NewVpc {
        name: optional_name(name)?,
        cidr: require("cidr", cidr)?.parse()?,
        description: description.map(|text| text.parse()).transpose()?.unwrap_or_default(),
    };
    let vpc = app.write(move |tx| networks::create_vpc(tx, scope, new)).await?;
    Ok(Json(OneVpc { vpc: VpcView::new(&vpc) }))
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<1000, 1000>,
    Query(marker): Query<Marker>,
) -> Result<Json<VpcPage>, ApiError> {
    app.read(move |state| {
        let rows = state.visible::<Vpc>(scope);
        let total_count = rows.len();
        let rows = page.cut(marker.after(rows, |vpc| vpc.id.to_string())?);
        Ok(Json(VpcPage { vpcs: rows.into_iter().map(VpcView::new).collect(), total_count }))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Vpc>,
) -> Result<Json<OneVpc>, ApiError> {
    app.read(move |state| Ok(Json(OneVpc { vpc: VpcView::new(state.find(scope, id)?) }))).await
}

/// The body of a VPC's change; what is absent stays.
#[derive(Deserialize, JsonSchema)]
pub struct UpdateVpc {
    #[schemars(with = "VpcChange")]
    vpc: Option<VpcChange>,
}

/// What may change of a VPC.
#[derive(Deserialize, JsonSchema)]
pub struct VpcChange {
    /// For people; not unique.
    #[schemars(with = "Option<Name>")]
    name: Option<String>,
    /// The owner's note.
    #[schemars(with = "Option<Description>")]
    description: Option<String>,
    /// The range it has; it cannot have another.
    #[schemars(with = "Option<Cidr>")]
    cidr: Option<String>,
}

/// `PUT /{id}`
pub async fn update(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Vpc>,
    Body(request): Body<UpdateVpc>,
) -> Result<Json<OneVpc>, ApiError> {
    let VpcChange { name, description, cidr } = require("vpc", request.vpc)?;
    let name = name.map(|name| Name::new("name", &name)).transpose()?;
    let description = description.map(|text| text.parse()).transpose()?;
    let cidr = cidr.map(|text| text.parse::<Cidr>()).transpose()?;
    let known = app.read(move |state| Ok(state.find::<Vpc>(scope, id)?.cidr)).await?;
    if let Some(cidr) = cidr.filter(|cidr| *cidr != known) {
        let value = format!("\"{cidr}\"");
        return Err(ApiError::Unsupported { field: "cidr", value, expected: "the range the vpc has" });
    }
    let vpc = app.write(move |tx| networks::update_vpc(tx, scope, id, name, description)).await?;
    Ok(Json(OneVpc { vpc: VpcView::new(&vpc) }))
}

/// `DELETE /{id}`
pub async fn delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Vpc>,
) -> Result<NoContent, ApiError> {
    app.write(move |tx| networks::delete_vpc(tx, scope, id)).await?;
    Ok(NoContent)
}

/// Which networks are wanted.
#[derive(Deserialize, JsonSchema)]
pub struct InVpc {
    /// Only those in this VPC.
    pub vpc_id: Option<VpcId>,
}

/// What a resolver of a VPC should answer.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Hosts")]
pub struct HostList {
    hosts: Vec<Host>,
}

/// A name and its address.
#[derive(Serialize, JsonSchema)]
struct Host {
    name: String,
    address: Ipv4Addr,
}

/// `GET /{id}/hosts`
pub async fn hosts(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Vpc>,
) -> Result<Json<HostList>, ApiError> {
    app.read(move |state| {
        let hosts = endpoints::hosts(state, scope, id)?.into_iter();
        Ok(Json(HostList { hosts: hosts.map(|(name, address)| Host { name, address }).collect() }))
    })
    .await
}

//! `/v1/{project_id}/vpcs` and `/v1/{project_id}/subnets`: list, create, show
//! and delete.

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
use crate::controller::networks;
use crate::model::{Cidr, Description, DnsServers, Name, ProjectId, Subnet, SubnetId, Timestamp, Vpc, VpcId};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/vpcs",
            get_with(list_vpcs, named("listVpcs", "List VPCs"))
                .post_with(create_vpc, named("createVpc", "Make a VPC")),
        )
        .api_route(
            "/v1/{project_id}/vpcs/{id}",
            get_with(show_vpc, named("showVpc", "Show a VPC"))
                .delete_with(delete_vpc, named("deleteVpc", "Delete a VPC nothing refers to")),
        )
        .api_route(
            "/v1/{project_id}/subnets",
            get_with(list_subnets, named("listSubnets", "List subnets"))
                .post_with(create_subnet, named("createSubnet", "Make a subnet of a VPC")),
        )
        .api_route(
            "/v1/{project_id}/subnets/{id}",
            get_with(show_subnet, named("showSubnet", "Show a subnet"))
                .delete_with(delete_subnet, named("deleteSubnet", "Delete a subnet without endpoints")),
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
    /// Its range.
    cidr: Cidr,
    /// Always `OK`.
    status: &'static str,
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
            cidr: vpc.cidr,
            status: "OK",
            project_id: vpc.project,
            number: vpc.number,
            created_at: vpc.created_at,
            updated_at: vpc.created_at,
        }
    }
}

/// A part of a VPC's range that endpoints take addresses from.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Subnet")]
struct SubnetView {
    /// Names it.
    id: SubnetId,
    /// For people; not unique.
    name: Name,
    /// Its range, inside the VPC's.
    cidr: Cidr,
    /// The VPC it is part of.
    vpc_id: VpcId,
    /// Always `ACTIVE`.
    status: &'static str,
    /// Its owner.
    project_id: ProjectId,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl SubnetView {
    fn new(subnet: &Subnet) -> Self {
        Self {
            id: subnet.id,
            name: subnet.name.clone(),
            cidr: subnet.cidr,
            vpc_id: subnet.vpc,
            status: "ACTIVE",
            project_id: subnet.project,
            created_at: subnet.created_at,
            updated_at: subnet.created_at,
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

/// One subnet.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShownSubnet")]
pub struct OneSubnet {
    subnet: SubnetView,
}

/// A page of subnets, oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Subnets")]
pub struct SubnetPage {
    subnets: Vec<SubnetView>,
    /// How many there are on all pages.
    total_count: usize,
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
    /// For people; not unique.
    #[schemars(with = "Name")]
    name: Option<String>,
    /// Its range.
    #[schemars(with = "Cidr")]
    cidr: Option<String>,
}

/// `POST /vpcs`
pub async fn create_vpc(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Body(request): Body<CreateVpc>,
) -> Result<Json<OneVpc>, ApiError> {
    let NewVpc { name, cidr } = require("vpc", request.vpc)?;
    let new = networks::NewVpc {
        name: Some(Name::new("name", &require("name", name)?)?),
        cidr: require("cidr", cidr)?.parse()?,
        description: Description::default(),
    };
    let vpc = app.write(move |tx| networks::create_vpc(tx, scope, new)).await?;
    Ok(Json(OneVpc { vpc: VpcView::new(&vpc) }))
}

/// `GET /vpcs`
pub async fn list_vpcs(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<1000, 1000>,
) -> Result<Json<VpcPage>, ApiError> {
    app.read(move |state| {
        let rows = state.visible::<Vpc>(scope);
        let total_count = rows.len();
        Ok(Json(VpcPage { vpcs: page.cut(rows).into_iter().map(VpcView::new).collect(), total_count }))
    })
    .await
}

/// `GET /vpcs/{id}`
pub async fn show_vpc(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Vpc>,
) -> Result<Json<OneVpc>, ApiError> {
    app.read(move |state| Ok(Json(OneVpc { vpc: VpcView::new(state.find(scope, id)?) }))).await
}

/// `DELETE /vpcs/{id}`
pub async fn delete_vpc(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Vpc>,
) -> Result<NoContent, ApiError> {
    app.write(move |tx| networks::delete_vpc(tx, scope, id)).await?;
    Ok(NoContent)
}

/// The body of a subnet's creation.
#[derive(Deserialize, JsonSchema)]
pub struct CreateSubnet {
    #[schemars(with = "NewSubnet")]
    subnet: Option<NewSubnet>,
}

/// What a subnet is made of.
#[derive(Deserialize, JsonSchema)]
pub struct NewSubnet {
    /// For people; not unique.
    #[schemars(with = "Name")]
    name: Option<String>,
    /// Its range, inside the VPC's and clear of its other subnets.
    #[schemars(with = "Cidr")]
    cidr: Option<String>,
    /// The VPC it is part of.
    #[schemars(with = "VpcId")]
    vpc_id: Option<String>,
}

/// `POST /subnets`
pub async fn create_subnet(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Body(request): Body<CreateSubnet>,
) -> Result<Json<OneSubnet>, ApiError> {
    let NewSubnet { name, cidr, vpc_id } = require("subnet", request.subnet)?;
    let new = networks::NewSubnet {
        vpc: require("vpc_id", vpc_id)?.parse()?,
        name: Name::new("name", &require("name", name)?)?,
        cidr: require("cidr", cidr)?.parse()?,
        gateway: None,
        dhcp_enabled: true,
        dns: DnsServers::default(),
        availability_zone: None,
        description: Description::default(),
    };
    let subnet = app.write(move |tx| networks::create_subnet(tx, scope, new)).await?;
    Ok(Json(OneSubnet { subnet: SubnetView::new(&subnet) }))
}

/// Which networks are wanted.
#[derive(Deserialize, JsonSchema)]
pub struct InVpc {
    /// Only those in this VPC.
    pub vpc_id: Option<VpcId>,
}

/// `GET /subnets`
pub async fn list_subnets(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<1000, 1000>,
    Query(InVpc { vpc_id }): Query<InVpc>,
) -> Result<Json<SubnetPage>, ApiError> {
    app.read(move |state| {
        let mut rows = state.visible::<Subnet>(scope);
        rows.retain(|subnet| vpc_id.is_none_or(|vpc| subnet.vpc == vpc));
        let total_count = rows.len();
        let subnets = page.cut(rows).into_iter().map(SubnetView::new).collect();
        Ok(Json(SubnetPage { subnets, total_count }))
    })
    .await
}

/// `GET /subnets/{id}`
pub async fn show_subnet(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Subnet>,
) -> Result<Json<OneSubnet>, ApiError> {
    app.read(move |state| Ok(Json(OneSubnet { subnet: SubnetView::new(state.find(scope, id)?) }))).await
}

/// `DELETE /subnets/{id}`
pub async fn delete_subnet(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Subnet>,
) -> Result<NoContent, ApiError> {
    app.write(move |tx| networks::delete_subnet(tx, scope, id)).await?;
    Ok(NoContent)
}

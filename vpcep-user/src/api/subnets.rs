//! `/v1/{project_id}/subnets`: list, create and show; change and delete there and
//! under `/v1/{project_id}/vpcs/{vpc_id}/subnets`, as the vendor's clients do.
//!
//! Source: Huawei VPC API v1, "Subnet".

use std::net::Ipv4Addr;

use aide::OperationInput;
use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, put_with};
use aide::generate::GenContext;
use aide::openapi::{Operation, Response};
use axum::Json;
use axum::extract::{FromRequestParts, State as Context};
use axum::response::NoContent;
use http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::App;
use super::auth::InProject;
use super::error::ApiError;
use super::openapi::{named, refused};
use super::page::{Marker, Paging};
use super::request::{Body, Id, Query, document_path_param, path_param, require};
use super::vpcs::InVpc;
use super::wire::ADDRESS_OR_NONE;
use crate::controller::networks::{self, SubnetChange};
use crate::controller::{ControlError, Scope, State};
use crate::model::{
    Cidr, Description, DnsServers, Name, ProjectId, Subnet, SubnetId, Timestamp, VpcId, parse_address,
};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/subnets",
            get_with(list, named("listSubnets", "List subnets"))
                .post_with(create, named("createSubnet", "Make a subnet of a VPC")),
        )
        .api_route(
            "/v1/{project_id}/subnets/{id}",
            get_with(show, named("showSubnet", "Show a subnet"))
                .put_with(update, named("updateSubnet", "Change a subnet"))
                .delete_with(delete, named("deleteSubnet", "Delete a subnet without endpoints")),
        )
        .api_route(
            "/v1/{project_id}/vpcs/{vpc_id}/subnets/{id}",
            put_with(update_in_vpc, named("updateSubnetOfVpc", "Change a subnet of a VPC")).delete_with(
                delete_in_vpc,
                named("deleteSubnetOfVpc", "Delete a subnet of a VPC, without endpoints"),
            ),
        )
        .with_path_items(|path| path.tag("Networks"))
}

/// A part of a VPC's range that endpoints and ports take addresses from.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Subnet")]
struct SubnetView {
    /// Names it.
    id: SubnetId,
    /// For people; not unique.
    name: Name,
    /// The owner's note.
    description: String,
    /// Its range, inside the VPC's.
    cidr: Cidr,
    /// The router of its hosts, which no endpoint or port gets the address of;
    /// null when none was given.
    gateway_ip: Option<Ipv4Addr>,
    /// Whether its hosts ask for their address. vpcep gives none out.
    dhcp_enable: bool,
    /// Always false.
    ipv6_enable: bool,
    /// The first name server of its hosts.
    primary_dns: Option<Ipv4Addr>,
    /// The second.
    secondary_dns: Option<Ipv4Addr>,
    /// All name servers of its hosts.
    #[serde(rename = "dnsList")]
    dns_list: Vec<Ipv4Addr>,
    /// Where it is, as it was given.
    availability_zone: Option<Name>,
    /// The VPC it is part of.
    vpc_id: VpcId,
    /// Always `ACTIVE`.
    status: &'static str,
    /// The same as `id`: what ports call it.
    neutron_network_id: SubnetId,
    /// The same as `id`: what addresses of ports call it.
    neutron_subnet_id: SubnetId,
    /// Always empty.
    #[schemars(with = "Vec<Value>")]
    extra_dhcp_opts: [(); 0],
    /// Its owner.
    tenant_id: ProjectId,
    /// Its owner.
    project_id: ProjectId,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl SubnetView {
    fn new(subnet: &Subnet) -> Self {
        let dns = subnet.dns.as_slice();
        Self {
            id: subnet.id,
            name: subnet.name.clone(),
            description: subnet.description.as_str().into(),
            cidr: subnet.cidr,
            gateway_ip: subnet.gateway,
            dhcp_enable: subnet.dhcp_enabled,
            ipv6_enable: false,
            primary_dns: dns.first().copied(),
            secondary_dns: dns.get(1).copied(),
            dns_list: dns.to_vec(),
            availability_zone: subnet.availability_zone.clone(),
            vpc_id: subnet.vpc,
            status: "ACTIVE",
            neutron_network_id: subnet.id,
            neutron_subnet_id: subnet.id,
            extra_dhcp_opts: [],
            tenant_id: subnet.project,
            project_id: subnet.project,
            created_at: subnet.created_at,
            updated_at: subnet.updated_at,
        }
    }
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
    /// The owner's note.
    #[schemars(with = "Option<Description>")]
    description: Option<String>,
    /// The address of the router of its hosts; none when absent or empty.
    #[schemars(regex(pattern = ADDRESS_OR_NONE))]
    gateway_ip: Option<String>,
    /// Where it is; may be empty.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]{0,64}$"))]
    availability_zone: Option<String>,
    #[serde(flatten)]
    dhcp: DhcpRequest,
}

/// What hosts of a subnet are told.
#[derive(Deserialize, JsonSchema)]
pub struct DhcpRequest {
    /// Whether its hosts ask for their address; true when absent.
    dhcp_enable: Option<bool>,
    /// The address of the first name server; none when absent or empty.
    #[schemars(regex(pattern = ADDRESS_OR_NONE))]
    primary_dns: Option<String>,
    /// The address of the second.
    #[schemars(regex(pattern = ADDRESS_OR_NONE))]
    secondary_dns: Option<String>,
    /// All name servers; goes before the two others.
    #[serde(rename = "dnsList")]
    #[schemars(with = "Option<Vec<Ipv4Addr>>", length(max = DnsServers::MAX))]
    dns_list: Option<Vec<String>>,
}

impl DhcpRequest {
    /// The name servers, if any are spoken of.
    fn dns(&self) -> Result<Option<DnsServers>, ApiError> {
        let Self { dhcp_enable: _, primary_dns, secondary_dns, dns_list } = self;
        let parsed = match dns_list {
            Some(list) => list.iter().map(|text| parse_address("dnsList", text)).collect::<Result<_, _>>()?,
            None if primary_dns.is_none() && secondary_dns.is_none() => return Ok(None),
            None => {
                let named = [("primary_dns", primary_dns), ("secondary_dns", secondary_dns)];
                let given = named.into_iter().filter_map(|(field, text)| Some((field, text.as_ref()?)));
                let given = given.filter(|(_, text)| !text.is_empty());
                given.map(|(field, text)| parse_address(field, text)).collect::<Result<_, _>>()?
            }
        };
        Ok(Some(DnsServers::new(parsed)?))
    }
}

fn optional_address(field: &'static str, text: Option<String>) -> Result<Option<Ipv4Addr>, ApiError> {
    Ok(text.filter(|text| !text.is_empty()).map(|text| parse_address(field, &text)).transpose()?)
}

impl TryFrom<NewSubnet> for networks::NewSubnet {
    type Error = ApiError;

    fn try_from(request: NewSubnet) -> Result<Self, ApiError> {
        let NewSubnet { name, cidr, vpc_id, description, gateway_ip, availability_zone, dhcp } = request;
        let zone = availability_zone.filter(|zone| !zone.is_empty());
        Ok(Self {
            vpc: require("vpc_id", vpc_id)?.parse()?,
            name: Name::new("name", &require("name", name)?)?,
            cidr: require("cidr", cidr)?.parse()?,
            gateway: optional_address("gateway_ip", gateway_ip)?,
            dhcp_enabled: dhcp.dhcp_enable.unwrap_or(true),
            dns: dhcp.dns()?.unwrap_or_default(),
            availability_zone: zone.map(|zone| Name::new("availability_zone", &zone)).transpose()?,
            description: description.map(|text| text.parse()).transpose()?.unwrap_or_default(),
        })
    }
}

/// `POST`
pub async fn create(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Body(request): Body<CreateSubnet>,
) -> Result<Json<OneSubnet>, ApiError> {
    let new = networks::NewSubnet::try_from(require("subnet", request.subnet)?)?;
    let subnet = app.write(move |tx| networks::create_subnet(tx, scope, new)).await?;
    Ok(Json(OneSubnet { subnet: SubnetView::new(&subnet) }))
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<1000, 1000>,
    Query(marker): Query<Marker>,
    Query(InVpc { vpc_id }): Query<InVpc>,
) -> Result<Json<SubnetPage>, ApiError> {
    app.read(move |state| {
        let mut rows = state.visible::<Subnet>(scope);
        rows.retain(|subnet| vpc_id.is_none_or(|vpc| subnet.vpc == vpc));
        let total_count = rows.len();
        let rows = page.cut(marker.after(rows, |subnet| subnet.id.to_string())?);
        Ok(Json(SubnetPage { subnets: rows.into_iter().map(SubnetView::new).collect(), total_count }))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Subnet>,
) -> Result<Json<OneSubnet>, ApiError> {
    app.read(move |state| Ok(Json(OneSubnet { subnet: SubnetView::new(state.find(scope, id)?) }))).await
}

/// The body of a subnet's change; what is absent stays.
#[derive(Deserialize, JsonSchema)]
pub struct UpdateSubnet {
    #[schemars(with = "NewDetails")]
    subnet: Option<NewDetails>,
}

/// What may change of a subnet.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SubnetChange")]
pub struct NewDetails {
    /// For people; not unique.
    #[schemars(with = "Option<Name>")]
    name: Option<String>,
    /// The owner's note.
    #[schemars(with = "Option<Description>")]
    description: Option<String>,
    #[serde(flatten)]
    dhcp: DhcpRequest,
}

impl TryFrom<UpdateSubnet> for SubnetChange {
    type Error = ApiError;

    fn try_from(request: UpdateSubnet) -> Result<Self, ApiError> {
        let NewDetails { name, description, dhcp } = require("subnet", request.subnet)?;
        Ok(Self {
            name: name.map(|name| Name::new("name", &name)).transpose()?,
            dhcp_enabled: dhcp.dhcp_enable,
            dns: dhcp.dns()?,
            description: description.map(|text| text.parse()).transpose()?,
        })
    }
}

async fn change(
    app: App,
    scope: Scope,
    id: SubnetId,
    request: UpdateSubnet,
) -> Result<Json<OneSubnet>, ApiError> {
    let change = SubnetChange::try_from(request)?;
    let subnet = app.write(move |tx| networks::update_subnet(tx, scope, id, change)).await?;
    Ok(Json(OneSubnet { subnet: SubnetView::new(&subnet) }))
}

/// `PUT /{id}`
pub async fn update(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Subnet>,
    Body(request): Body<UpdateSubnet>,
) -> Result<Json<OneSubnet>, ApiError> {
    change(app, scope, id, request).await
}

/// `DELETE /{id}`
pub async fn delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Subnet>,
) -> Result<NoContent, ApiError> {
    app.write(move |tx| networks::delete_subnet(tx, scope, id)).await?;
    Ok(NoContent)
}

/// The `{vpc_id}` and `{id}` of a path: a subnet of that VPC.
pub struct InPathsVpc {
    vpc: String,
    id: SubnetId,
}

impl FromRequestParts<App> for InPathsVpc {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Id(id) = Id::<Subnet>::from_request_parts(parts, app).await?;
        Ok(Self { vpc: path_param(parts, app, "vpc_id").await?, id })
    }
}

impl OperationInput for InPathsVpc {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let mut schema = ctx.schema.subschema_for::<VpcId>();
        schema.insert("description".into(), "Names the vpc.".into());
        document_path_param(ctx, operation, "vpc_id", schema);
        Id::<Subnet>::operation_input(ctx, operation);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[404])
    }
}

impl InPathsVpc {
    /// The subnet, when it is in the VPC.
    fn find(&self, state: &State, scope: Scope) -> Result<SubnetId, ApiError> {
        let subnet = state.find::<Subnet>(scope, self.id)?;
        if subnet.vpc.to_string() != self.vpc {
            return Err(ControlError::NotFound { kind: "subnet", id: self.id.to_string() }.into());
        }
        Ok(subnet.id)
    }
}

/// `PUT /vpcs/{vpc_id}/subnets/{id}`
pub async fn update_in_vpc(
    InProject(scope): InProject,
    Context(app): Context<App>,
    named: InPathsVpc,
    Body(request): Body<UpdateSubnet>,
) -> Result<Json<OneSubnet>, ApiError> {
    let id = app.read(move |state| named.find(state, scope)).await?;
    change(app, scope, id, request).await
}

/// `DELETE /vpcs/{vpc_id}/subnets/{id}`
pub async fn delete_in_vpc(
    InProject(scope): InProject,
    Context(app): Context<App>,
    named: InPathsVpc,
) -> Result<NoContent, ApiError> {
    let id = app.read(move |state| named.find(state, scope)).await?;
    app.write(move |tx| networks::delete_subnet(tx, scope, id)).await?;
    Ok(NoContent)
}

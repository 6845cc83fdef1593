//! `/v1/{project_id}/routetables`: list, create, show, delete and associate; and
//! `/v1/{project_id}/vpc-endpoints/{id}/routetables`, which of them lead to a
//! gateway endpoint.
//!
//! Source: Huawei VPC API v1, "Route Table".

use std::collections::BTreeSet;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
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
use super::request::{Body, Id, Query, require, unset};
use crate::controller::route_tables::NewRouteTable;
use crate::controller::{ControlError, State, endpoints, route_tables};
use crate::model::{
    Description, Endpoint, Name, ProjectId, RouteTable, RouteTableId, SubnetId, Timestamp, VpcId,
};

pub fn routes() -> ApiRouter<App> {
    let tables = ApiRouter::new()
        .api_route(
            "/v1/{project_id}/routetables",
            get_with(list, named("listRouteTables", "List route tables"))
                .post_with(create, named("createRouteTable", "Make a route table of a VPC")),
        )
        .api_route(
            "/v1/{project_id}/routetables/{id}",
            get_with(show, named("showRouteTable", "Show a route table"))
                .delete_with(delete, named("deleteRouteTable", "Delete a route table nothing refers to")),
        )
        .api_route(
            "/v1/{project_id}/routetables/{id}/action",
            post_with(associate, named("associateRouteTable", "Give subnets to a route table, or back")),
        )
        .with_path_items(|path| path.tag("Networks"));
    let bindings = ApiRouter::new()
        .api_route(
            "/v1/{project_id}/vpc-endpoints/{id}/routetables",
            put_with(bind, named("setEndpointRouteTables", "Say which route tables lead to an endpoint")),
        )
        .with_path_items(|path| path.tag("Endpoints"));
    tables.merge(bindings)
}

/// Which subnets of a VPC have which routes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RouteTable")]
struct RouteTableView {
    id: RouteTableId,
    /// For people; not unique.
    name: Name,
    /// Whether it is that of all subnets no other has been given.
    default: bool,
    vpc_id: VpcId,
    /// Always empty: routes of one's own do not concern endpoints.
    #[schemars(with = "Vec<Value>")]
    routes: [(); 0],
    subnets: Vec<SubnetRef>,
    /// Its owner.
    tenant_id: ProjectId,
    description: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A subnet, by its id.
#[derive(Serialize, JsonSchema)]
struct SubnetRef {
    id: SubnetId,
}

impl RouteTableView {
    fn new(state: &State, table: &RouteTable) -> Self {
        let subnets = route_tables::subnets(state, table).into_iter().map(|id| SubnetRef { id });
        Self {
            id: table.id,
            name: table.name.clone(),
            default: table.is_default,
            vpc_id: table.vpc,
            routes: [],
            subnets: subnets.collect(),
            tenant_id: table.project,
            description: table.description.as_str().into(),
            created_at: table.created_at,
            updated_at: table.updated_at,
        }
    }
}

/// One route table.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShownRouteTable")]
pub struct OneRouteTable {
    routetable: RouteTableView,
}

impl OneRouteTable {
    fn new(state: &State, table: &RouteTable) -> Json<Self> {
        Json(Self { routetable: RouteTableView::new(state, table) })
    }
}

/// A page of route tables, oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RouteTables")]
pub struct RouteTablePage {
    routetables: Vec<RouteTableView>,
    /// How many there are on all pages.
    total_count: usize,
}

/// The body of a creation.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CreateRouteTable")]
pub struct CreateRequest {
    #[schemars(with = "NewRequest")]
    routetable: Option<NewRequest>,
}

/// What a route table is made of.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewRouteTable")]
pub struct NewRequest {
    /// For people; made from the id when absent or empty.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]{0,64}$"))]
    name: Option<String>,
    #[schemars(with = "VpcId")]
    vpc_id: Option<String>,
    #[schemars(with = "Option<Description>")]
    description: Option<String>,
    /// None are supported.
    #[schemars(length(max = 0))]
    routes: Option<Vec<Value>>,
    /// Subnets of the VPC to take from the table they have.
    subnets: Option<Vec<SubnetRequest>>,
}

/// A subnet, by its id.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NamedSubnet")]
pub struct SubnetRequest {
    #[schemars(with = "SubnetId")]
    id: Option<String>,
}

fn subnet_ids(texts: Option<Vec<String>>) -> Result<BTreeSet<SubnetId>, ApiError> {
    Ok(texts.unwrap_or_default().iter().map(|text| text.parse()).collect::<Result<_, _>>()?)
}

impl TryFrom<NewRequest> for NewRouteTable {
    type Error = ApiError;

    fn try_from(request: NewRequest) -> Result<Self, ApiError> {
        let NewRequest { name, vpc_id, description, routes, subnets } = request;
        unset("routes", routes.map(Value::Array).as_ref(), "none")?;
        let subnets = subnets.unwrap_or_default().into_iter().map(|subnet| require("id", subnet.id));
        Ok(Self {
            vpc: require("vpc_id", vpc_id)?.parse()?,
            name: super::vpcs::optional_name(name)?,
            subnets: subnet_ids(Some(subnets.collect::<Result<_, _>>()?))?,
            description: description.map(|text| text.parse()).transpose()?.unwrap_or_default(),
        })
    }
}

/// `POST`
pub async fn create(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<OneRouteTable>, ApiError> {
    let new = NewRouteTable::try_from(require("routetable", request.routetable)?)?;
    let table = app.write(move |tx| route_tables::create(tx, scope, new)).await?;
    app.read(move |state| Ok(OneRouteTable::new(state, &table))).await
}

/// Which route tables are wanted.
#[derive(Deserialize, JsonSchema)]
pub struct Filter {
    /// Only that of this id.
    id: Option<String>,
    /// Only those of this VPC.
    vpc_id: Option<VpcId>,
    /// Only that of this subnet.
    subnet_id: Option<SubnetId>,
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<1000, 1000>,
    Query(marker): Query<Marker>,
    Query(filter): Query<Filter>,
) -> Result<Json<RouteTablePage>, ApiError> {
    app.read(move |state| {
        let Filter { id, vpc_id, subnet_id } = filter;
        let mut rows = state.visible::<RouteTable>(scope);
        rows.retain(|table| {
            id.as_ref().is_none_or(|id| table.id.to_string() == *id)
                && vpc_id.is_none_or(|vpc| table.vpc == vpc)
                && subnet_id.is_none_or(|subnet| route_tables::subnets(state, table).contains(&subnet))
        });
        let total_count = rows.len();
        let rows = page.cut(marker.after(rows, |table| table.id.to_string())?);
        let routetables = rows.into_iter().map(|table| RouteTableView::new(state, table)).collect();
        Ok(Json(RouteTablePage { routetables, total_count }))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<RouteTable>,
) -> Result<Json<OneRouteTable>, ApiError> {
    app.read(move |state| Ok(OneRouteTable::new(state, state.find(scope, id)?))).await
}

/// `DELETE /{id}`
pub async fn delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<RouteTable>,
) -> Result<NoContent, ApiError> {
    app.write(move |tx| route_tables::delete(tx, scope, id)).await?;
    Ok(NoContent)
}

/// The body of an association.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AssociateRouteTable")]
pub struct AssociateRequest {
    #[schemars(with = "AssociateSubnets")]
    routetable: Option<AssociateSubnets>,
}

/// Subnets of one route table.
#[derive(Deserialize, JsonSchema)]
pub struct AssociateSubnets {
    #[schemars(with = "SubnetChanges")]
    subnets: Option<SubnetChanges>,
}

/// Which subnets a route table gains, and which it gives back to the default one.
#[derive(Deserialize, JsonSchema)]
pub struct SubnetChanges {
    #[schemars(with = "Option<Vec<SubnetId>>")]
    associate: Option<Vec<String>>,
    #[schemars(with = "Option<Vec<SubnetId>>")]
    disassociate: Option<Vec<String>>,
}

/// `POST /{id}/action`
pub async fn associate(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<RouteTable>,
    Body(request): Body<AssociateRequest>,
) -> Result<Json<OneRouteTable>, ApiError> {
    let subnets = require("routetable", request.routetable)?.subnets;
    let SubnetChanges { associate, disassociate } = require("subnets", subnets)?;
    let (gains, loses) = (subnet_ids(associate)?, subnet_ids(disassociate)?);
    let table = app.write(move |tx| route_tables::associate(tx, scope, id, &gains, &loses)).await?;
    app.read(move |state| Ok(OneRouteTable::new(state, &table))).await
}

/// The route tables of a request.
pub fn parse_route_tables(texts: &[String]) -> Result<Vec<RouteTableId>, ApiError> {
    Ok(texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?)
}

/// The body of a binding: all of the endpoint's route tables.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SetEndpointRouteTables")]
pub struct BindRequest {
    #[schemars(with = "Vec<RouteTableId>", length(min = 1, max = endpoints::MAX_ROUTE_TABLES))]
    routetables: Option<Vec<String>>,
}

/// Which route tables lead to an endpoint now, and which could not.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointRouteTables")]
pub struct Bindings {
    routetables: Vec<RouteTableId>,
    /// Empty when all is as asked for.
    error: Vec<BindErrors>,
}

/// Route tables that are not as asked for.
#[derive(Serialize, JsonSchema)]
pub struct BindErrors {
    /// Those that do not lead to the endpoint.
    bind_failed: Vec<BindError>,
    /// Always empty: a table can always cease to lead to it.
    #[schemars(with = "Vec<Value>")]
    unbind_failed: [(); 0],
}

/// A route table that is not as asked for.
#[derive(Serialize, JsonSchema)]
pub struct BindError {
    id: RouteTableId,
    error_message: String,
}

/// `PUT /vpc-endpoints/{id}/routetables`
pub async fn bind(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Endpoint>,
    Body(request): Body<BindRequest>,
) -> Result<Json<Bindings>, ApiError> {
    let tables = parse_route_tables(&require("routetables", request.routetables)?)?;
    let bound = app.write(move |tx| endpoints::set_route_tables(tx, scope, id, &tables)).await?;
    let error_of =
        |(id, error): (RouteTableId, ControlError)| BindError { id, error_message: error.to_string() };
    let bind_failed: Vec<_> = bound.failed.into_iter().map(error_of).collect();
    let failed = !bind_failed.is_empty();
    Ok(Json(Bindings {
        routetables: bound.endpoint.route_tables().to_vec(),
        error: failed.then_some(BindErrors { bind_failed, unbind_failed: [] }).into_iter().collect(),
    }))
}

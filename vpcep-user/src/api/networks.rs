//! `/v1/{project_id}/vpcs` and `/v1/{project_id}/subnets`: list, create, show
//! and delete.

use axum::Json;
use axum::extract::State as Context;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::InProject;
use super::error::ApiError;
use super::request::{Body, Id, Params, require};
use super::{App, deleted};
use crate::controller::networks;
use crate::model::{Name, Subnet, Vpc};

fn vpc_view(vpc: &Vpc) -> Value {
    json!({
        "id": vpc.id.to_string(),
        "name": vpc.name.as_str(),
        "cidr": vpc.cidr.to_string(),
        "status": "OK",
        "project_id": vpc.project.to_string(),
        "number": vpc.number,
        "created_at": vpc.created_at.to_string(),
        "updated_at": vpc.created_at.to_string(),
    })
}

fn subnet_view(subnet: &Subnet) -> Value {
    json!({
        "id": subnet.id.to_string(),
        "name": subnet.name.as_str(),
        "cidr": subnet.cidr.to_string(),
        "vpc_id": subnet.vpc.to_string(),
        "status": "ACTIVE",
        "project_id": subnet.project.to_string(),
        "created_at": subnet.created_at.to_string(),
        "updated_at": subnet.created_at.to_string(),
    })
}

/// The body of a VPC's creation.
#[derive(Deserialize)]
pub struct CreateVpc {
    vpc: Option<NewVpc>,
}

/// What a VPC is made of.
#[derive(Deserialize)]
pub struct NewVpc {
    name: Option<String>,
    cidr: Option<String>,
}

/// `POST /vpcs`
pub async fn create_vpc(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Body(request): Body<CreateVpc>,
) -> Result<Json<Value>, ApiError> {
    let NewVpc { name, cidr } = require("vpc", request.vpc)?;
    let name = Name::new("name", &require("name", name)?)?;
    let cidr = require("cidr", cidr)?.parse()?;
    let vpc = app.write(move |tx| networks::create_vpc(tx, scope, name, cidr)).await?;
    Ok(Json(json!({"vpc": vpc_view(&vpc)})))
}

/// `GET /vpcs`
pub async fn list_vpcs(
    InProject(scope): InProject,
    Context(app): Context<App>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let page = params.page(1000, 1000)?;
    app.read(move |state| {
        let (rows, total_count) = page.cut(state.visible::<Vpc>(scope));
        let rows: Vec<_> = rows.into_iter().map(vpc_view).collect();
        Ok(Json(json!({"vpcs": rows, "total_count": total_count})))
    })
    .await
}

/// `GET /vpcs/{id}`
pub async fn show_vpc(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Vpc>,
) -> Result<Json<Value>, ApiError> {
    app.read(move |state| Ok(Json(json!({"vpc": vpc_view(state.find(scope, id)?)})))).await
}

/// `DELETE /vpcs/{id}`
pub async fn delete_vpc(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Vpc>,
) -> Result<Response, ApiError> {
    app.write(move |tx| networks::delete_vpc(tx, scope, id)).await?;
    Ok(deleted())
}

/// The body of a subnet's creation.
#[derive(Deserialize)]
pub struct CreateSubnet {
    subnet: Option<NewSubnet>,
}

/// What a subnet is made of.
#[derive(Deserialize)]
pub struct NewSubnet {
    name: Option<String>,
    cidr: Option<String>,
    vpc_id: Option<String>,
}

/// `POST /subnets`
pub async fn create_subnet(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Body(request): Body<CreateSubnet>,
) -> Result<Json<Value>, ApiError> {
    let NewSubnet { name, cidr, vpc_id } = require("subnet", request.subnet)?;
    let name = Name::new("name", &require("name", name)?)?;
    let cidr = require("cidr", cidr)?.parse()?;
    let vpc = require("vpc_id", vpc_id)?.parse()?;
    let subnet = app.write(move |tx| networks::create_subnet(tx, scope, vpc, name, cidr)).await?;
    Ok(Json(json!({"subnet": subnet_view(&subnet)})))
}

/// `GET /subnets`
pub async fn list_subnets(
    InProject(scope): InProject,
    Context(app): Context<App>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let page = params.page(1000, 1000)?;
    let vpc = params.id("vpc_id")?;
    app.read(move |state| {
        let mut rows = state.visible::<Subnet>(scope);
        rows.retain(|subnet| vpc.is_none_or(|vpc| subnet.vpc == vpc));
        let (rows, total_count) = page.cut(rows);
        let rows: Vec<_> = rows.into_iter().map(subnet_view).collect();
        Ok(Json(json!({"subnets": rows, "total_count": total_count})))
    })
    .await
}

/// `GET /subnets/{id}`
pub async fn show_subnet(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Subnet>,
) -> Result<Json<Value>, ApiError> {
    app.read(move |state| Ok(Json(json!({"subnet": subnet_view(state.find(scope, id)?)})))).await
}

/// `DELETE /subnets/{id}`
pub async fn delete_subnet(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Subnet>,
) -> Result<Response, ApiError> {
    app.write(move |tx| networks::delete_subnet(tx, scope, id)).await?;
    Ok(deleted())
}

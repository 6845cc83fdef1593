//! `/v1/{project_id}/backends`: list, create, show and delete.

use axum::Json;
use axum::extract::State as Context;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::InProject;
use super::error::ApiError;
use super::request::{Body, Id, Params, require};
use super::{App, deleted};
use crate::controller::backends;
use crate::controller::backends::NewBackend;
use crate::model::{Backend, BackendKind, Member, Name, Port, parse_address};

fn view(backend: &Backend) -> Value {
    let members = backend.members.iter().map(|member| {
        json!({
            "address": member.address.to_string(),
            "port": member.port.map_or(0, Port::get),
            "weight": member.weight(),
        })
    });
    json!({
        "id": backend.id.to_string(),
        "port_id": backend.id.to_string(),
        "name": backend.name.as_str(),
        "vpc_id": backend.vpc.to_string(),
        "type": backend.kind.to_string(),
        "address": backend.address.to_string(),
        "members": members.collect::<Vec<_>>(),
        "project_id": backend.project.to_string(),
        "created_at": backend.created_at.to_string(),
        "updated_at": backend.created_at.to_string(),
    })
}

/// The body of a creation.
#[derive(Deserialize)]
pub struct CreateRequest {
    backend: Option<BackendRequest>,
}

/// What a backend is made of.
#[derive(Deserialize)]
pub struct BackendRequest {
    name: Option<String>,
    vpc_id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    address: Option<String>,
    members: Option<Vec<MemberRequest>>,
}

/// One server behind a load balancer.
#[derive(Deserialize)]
pub struct MemberRequest {
    address: Option<String>,
    port: Option<i64>,
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
) -> Result<Json<Value>, ApiError> {
    let new = NewBackend::try_from(require("backend", request.backend)?)?;
    let backend = app.write(move |tx| backends::create(tx, scope, new)).await?;
    Ok(Json(json!({"backend": view(&backend)})))
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let page = params.page(1000, 1000)?;
    let vpc = params.id("vpc_id")?;
    app.read(move |state| {
        let mut rows = state.visible::<Backend>(scope);
        rows.retain(|backend| vpc.is_none_or(|vpc| backend.vpc == vpc));
        let (rows, total_count) = page.cut(rows);
        let rows: Vec<_> = rows.into_iter().map(view).collect();
        Ok(Json(json!({"backends": rows, "total_count": total_count})))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Backend>,
) -> Result<Json<Value>, ApiError> {
    app.read(move |state| Ok(Json(json!({"backend": view(state.find(scope, id)?)})))).await
}

/// `DELETE /{id}`
pub async fn delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Backend>,
) -> Result<Response, ApiError> {
    app.write(move |tx| backends::delete(tx, scope, id)).await?;
    Ok(deleted())
}

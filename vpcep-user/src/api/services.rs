//! `/v1/{project_id}/vpc-endpoint-services`: list, create, `/public`,
//! `/describe`, and show, update, rename and delete under `/{id}`.

use axum::Json;
use axum::extract::State as Context;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::auth::InProject;
use super::error::ApiError;
use super::request::{Body, Id, Params, contains, only, require, unset};
use super::{App, deleted};
use crate::controller::services::{NewService, ServiceChange, connection_count};
use crate::controller::{ControlError, State, Tx, services};
use crate::model::connection::Effect;
use crate::model::{BackendKind, Port, PortMapping, PortMappings, Service, ServiceId};

const STATUSES: &[&str] = &["creating", "available", "failed", "deleting"];

/// A service as its owner sees it.
#[derive(Serialize)]
struct ServiceView {
    id: String,
    port_id: String,
    service_name: String,
    server_type: String,
    vpc_id: String,
    approval_enabled: bool,
    status: &'static str,
    service_type: &'static str,
    created_at: String,
    updated_at: String,
    project_id: String,
    domain_id: String,
    ports: Vec<PortView>,
    tcp_proxy: &'static str,
    tags: [(); 0],
    description: String,
    connection_count: usize,
    enable_policy: bool,
    ip_version: &'static str,
    cidr_type: &'static str,
    supported_editions: [&'static str; 1],
}

#[derive(Serialize)]
struct PortView {
    client_port: u16,
    server_port: u16,
    protocol: String,
}

impl ServiceView {
    fn new(state: &State, service: &Service) -> Self {
        let ports = service.ports.as_slice().iter().map(|mapping| PortView {
            client_port: mapping.client_port.get(),
            server_port: mapping.server_port.get(),
            protocol: mapping.protocol.to_string(),
        });
        Self {
            id: service.id.to_string(),
            port_id: service.backend.to_string(),
            service_name: state.full_name(service).to_string(),
            server_type: service.server_kind.to_string(),
            vpc_id: service.vpc.to_string(),
            approval_enabled: service.approval_enabled,
            status: service.status.as_str(),
            service_type: "interface",
            created_at: service.created_at.to_string(),
            updated_at: service.updated_at.to_string(),
            project_id: service.project.to_string(),
            domain_id: state.domain_of(service.project).to_string(),
            ports: ports.collect(),
            tcp_proxy: "close",
            tags: [],
            description: service.description.as_str().into(),
            connection_count: connection_count(state, service.id),
            enable_policy: false,
            ip_version: "ipv4",
            cidr_type: "internal",
            supported_editions: ["basic"],
        }
    }
}

/// One port mapping of a request.
#[derive(Deserialize)]
pub struct PortRequest {
    client_port: Option<i64>,
    server_port: Option<i64>,
    protocol: Option<String>,
}

impl TryFrom<PortRequest> for PortMapping {
    type Error = ApiError;

    fn try_from(request: PortRequest) -> Result<Self, ApiError> {
        let PortRequest { client_port, server_port, protocol } = request;
        Ok(Self {
            protocol: protocol.map(|text| text.parse()).transpose()?.unwrap_or_default(),
            client_port: Port::new("client_port", require("client_port", client_port)?)?,
            server_port: Port::new("server_port", require("server_port", server_port)?)?,
        })
    }
}

fn port_mappings(requests: Vec<PortRequest>) -> Result<PortMappings, ApiError> {
    let mappings = requests.into_iter().map(PortMapping::try_from).collect::<Result<_, _>>()?;
    Ok(PortMappings::new(mappings)?)
}

/// The body of a creation.
#[derive(Deserialize)]
pub struct CreateRequest {
    port_id: Option<String>,
    vpc_id: Option<String>,
    server_type: Option<String>,
    ports: Option<Vec<PortRequest>>,
    service_name: Option<String>,
    approval_enabled: Option<bool>,
    service_type: Option<String>,
    tcp_proxy: Option<String>,
    tags: Option<Value>,
    description: Option<String>,
    ip_version: Option<String>,
    snat_network_id: Option<Value>,
}

impl TryFrom<CreateRequest> for NewService {
    type Error = ApiError;

    fn try_from(request: CreateRequest) -> Result<Self, ApiError> {
        let CreateRequest {
            port_id,
            vpc_id,
            server_type,
            ports,
            service_name,
            approval_enabled,
            service_type,
            tcp_proxy,
            tags,
            description,
            ip_version,
            snat_network_id,
        } = request;
        only("service_type", service_type.as_deref(), &["interface"], "interface")?;
        only("tcp_proxy", tcp_proxy.as_deref(), &["close"], "close")?;
        only("ip_version", ip_version.as_deref(), &["ipv4"], "ipv4")?;
        unset("tags", tags.as_ref(), "no tags")?;
        unset("snat_network_id", snat_network_id.as_ref(), "none")?;
        Ok(Self {
            vpc: require("vpc_id", vpc_id)?.parse()?,
            backend: require("port_id", port_id)?.parse()?,
            server_kind: BackendKind::parse("server_type", &require("server_type", server_type)?)?,
            name: service_name.filter(|name| !name.is_empty()).map(|name| name.parse()).transpose()?,
            ports: port_mappings(require("ports", ports)?)?,
            approval_enabled: approval_enabled.unwrap_or(true),
            description: description.map(|text| text.parse()).transpose()?.unwrap_or_default(),
        })
    }
}

/// `POST`
pub async fn create(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<Value>, ApiError> {
    let new = NewService::try_from(request)?;
    // An endpoint may be made right after this answer, so the service is available by then.
    let service = app.make(move |tx| services::create(tx, scope, new)).await?;
    current(&app, service).await
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let (page, order) = (params.page(10, 1000)?, params.order()?);
    let status = params.status(STATUSES)?.map(str::to_owned);
    app.read(move |state| {
        let mut rows = state.visible::<Service>(scope);
        rows.retain(|service| {
            params.get("id").is_none_or(|id| service.id.to_string() == id)
                && status.as_deref().is_none_or(|status| service.status.as_str() == status)
                && params
                    .get("endpoint_service_name")
                    .is_none_or(|part| contains(state.full_name(service).as_str(), part))
        });
        order.sort(&mut rows, |service| (service.created_at, service.updated_at));
        let (rows, total_count) = page.cut(rows);
        let rows: Vec<_> = rows.into_iter().map(|service| ServiceView::new(state, service)).collect();
        Ok(Json(json!({"endpoint_services": rows, "total_count": total_count})))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
) -> Result<Json<Value>, ApiError> {
    app.read(move |state| Ok(Json(json!(ServiceView::new(state, state.find(scope, id)?))))).await
}

/// The body of an update.
#[derive(Deserialize)]
pub struct UpdateRequest {
    approval_enabled: Option<bool>,
    service_name: Option<String>,
    ports: Option<Vec<PortRequest>>,
    port_id: Option<String>,
    tcp_proxy: Option<String>,
    description: Option<String>,
}

impl TryFrom<UpdateRequest> for ServiceChange {
    type Error = ApiError;

    fn try_from(request: UpdateRequest) -> Result<Self, ApiError> {
        let UpdateRequest { approval_enabled, service_name, ports, port_id, tcp_proxy, description } =
            request;
        only("tcp_proxy", tcp_proxy.as_deref(), &["close"], "close")?;
        Ok(Self {
            approval_enabled,
            name: service_name.map(|name| name.parse()).transpose()?,
            ports: ports.map(port_mappings).transpose()?,
            backend: port_id.map(|id| id.parse()).transpose()?,
            description: description.map(|text| text.parse()).transpose()?,
        })
    }
}

/// `PUT /{id}`
pub async fn update(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<Value>, ApiError> {
    let change = ServiceChange::try_from(request)?;
    let update = move |tx: &mut Tx<'_>| Ok((services::update(tx, scope, id, change)?, Effect::Reconcile));
    let service = app.write_through(update).await?;
    current(&app, service).await
}

/// A service as it is after the pass that covered it; if its owner has deleted it
/// meanwhile, what was done stands.
async fn current(app: &App, service: Service) -> Result<Json<Value>, ApiError> {
    app.read(move |state| {
        let service = state.services.get(service.id).unwrap_or(&service);
        Ok(Json(json!(ServiceView::new(state, service))))
    })
    .await
}

/// The body of a renaming.
#[derive(Deserialize)]
pub struct RenameRequest {
    endpoint_service_name: Option<String>,
}

/// `PUT /{id}/name`
pub async fn rename(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Body(request): Body<RenameRequest>,
) -> Result<Json<Value>, ApiError> {
    let name = require("endpoint_service_name", request.endpoint_service_name)?.parse()?;
    let change = ServiceChange { name: Some(name), ..ServiceChange::default() };
    let service = app.write(move |tx| services::update(tx, scope, id, change)).await?;
    app.read(move |state| Ok(Json(json!({"endpoint_service_name": state.full_name(&service).as_str()}))))
        .await
}

/// `DELETE /{id}`
pub async fn delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
) -> Result<Response, ApiError> {
    app.write_through(move |tx| Ok((services::delete(tx, scope, id)?, Effect::Reconcile))).await?;
    Ok(deleted())
}

/// `GET /public`: services the operator offers to everyone. There are none: what
/// an operator offers is a service like any other, found by its full name.
pub async fn public(_: InProject, params: Params) -> Result<Json<Value>, ApiError> {
    params.page(10, 1000)?;
    params.order()?;
    Ok(Json(json!({"endpoint_services": [], "total_count": 0})))
}

/// `GET /describe`: what anybody may know of a service whose full name or id they
/// have.
pub async fn describe(
    _: InProject,
    Context(app): Context<App>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    if params.get("id").is_none() && params.get("endpoint_service_name").is_none() {
        return Err(ApiError::Missing("endpoint_service_name"));
    }
    app.read(move |state| {
        let service = match (params.get("id"), params.get("endpoint_service_name")) {
            (Some(id), _) => id.parse::<ServiceId>().ok().and_then(|id| state.services.get(id)),
            (None, name) => state.services.iter().find(|s| Some(state.full_name(s).as_str()) == name),
        };
        let named = params.get("id").or(params.get("endpoint_service_name")).unwrap_or_default();
        let not_found = || ControlError::NotFound { kind: "endpoint service", id: named.into() };
        let service = service.ok_or_else(not_found)?;
        Ok(Json(json!({
            "id": service.id.to_string(),
            "service_name": state.full_name(service).as_str(),
            "service_type": "interface",
            "created_at": service.created_at.to_string(),
            "is_charge": false,
            "enable_policy": false,
            "public_border_group": null,
        })))
    })
    .await
}

//! `/v1/{project_id}/vpc-endpoints`: list and create, and show, update
//! (whitelist) and delete under `/{id}`.

use axum::Json;
use axum::extract::State as Context;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::auth::InProject;
use super::error::ApiError;
use super::request::{Body, Id, Params, contains, only, require, unset};
use super::{App, deleted};
use crate::controller::endpoints::NewEndpoint;
use crate::controller::{State, endpoints};
use crate::model::connection::{Effect, Failure, State as ConnectionState};
use crate::model::{Endpoint, Whitelist, WhitelistEntry, parse_address};

/// The words a connection's status may be.
pub const STATUSES: &[&str] =
    &["pendingAcceptance", "creating", "accepted", "rejected", "failed", "deleting"];

/// Why a connection failed, as the wire has it.
pub fn failure(state: &ConnectionState) -> Option<Value> {
    let (code, message) = match state {
        // The reason names things of the host, and is in its log.
        ConnectionState::Failed(Failure::DataPlane { .. }) => {
            ("EndPoint.0001", "the gateway cannot carry this endpoint at present: ask its operator".into())
        }
        ConnectionState::Failed(Failure::ServiceDeleted { service }) => {
            ("EndPoint.2003", format!("endpoint service {service} has been deleted"))
        }
        _ => return None,
    };
    Some(json!([{"error_code": code, "error_message": message}]))
}

/// The full name of an endpoint's service, or by what name it was known.
fn service_name(state: &State, endpoint: &Endpoint) -> String {
    match &endpoint.connection.state {
        ConnectionState::Failed(Failure::ServiceDeleted { service }) => service.to_string(),
        _ => state
            .services
            .get(endpoint.service)
            .map(|service| state.full_name(service).to_string())
            .unwrap_or_default(),
    }
}

/// An endpoint as its owner sees it.
#[derive(Serialize)]
pub struct EndpointView {
    id: String,
    service_type: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    active_status: [&'static str; 1],
    endpoint_service_name: String,
    endpoint_service_id: String,
    marker_id: u32,
    enable_dns: bool,
    vpc_id: String,
    subnet_id: String,
    created_at: String,
    updated_at: String,
    project_id: String,
    tags: [(); 0],
    whitelist: Vec<String>,
    enable_whitelist: bool,
    routetables: [(); 0],
    enable_status: &'static str,
    specification_name: &'static str,
    description: String,
    endpoint_pool_id: Option<String>,
    public_border_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

impl EndpointView {
    /// The endpoint as its owner sees it.
    pub fn new(state: &State, endpoint: &Endpoint) -> Self {
        Self {
            id: endpoint.id.to_string(),
            service_type: "interface",
            status: endpoint.connection.state.as_str(),
            ip: endpoint.shown_address().map(|address| address.to_string()),
            active_status: ["active"],
            endpoint_service_name: service_name(state, endpoint),
            endpoint_service_id: endpoint.service.to_string(),
            marker_id: endpoint.marker,
            enable_dns: false,
            vpc_id: endpoint.vpc.to_string(),
            subnet_id: endpoint.subnet.to_string(),
            created_at: endpoint.created_at.to_string(),
            updated_at: endpoint.updated_at.to_string(),
            project_id: endpoint.project.to_string(),
            tags: [],
            whitelist: endpoint.whitelist.entries().iter().map(ToString::to_string).collect(),
            enable_whitelist: endpoint.whitelist.is_enabled(),
            routetables: [],
            enable_status: "enable",
            specification_name: "default",
            description: endpoint.description.as_str().into(),
            endpoint_pool_id: None,
            public_border_group: None,
            error: failure(&endpoint.connection.state),
        }
    }
}

/// The body of a creation.
#[derive(Deserialize)]
pub struct CreateRequest {
    endpoint_service_id: Option<String>,
    vpc_id: Option<String>,
    subnet_id: Option<String>,
    port_ip: Option<String>,
    whitelist: Option<Vec<String>>,
    enable_whitelist: Option<bool>,
    description: Option<String>,
    specification_name: Option<String>,
    ip_version: Option<String>,
    ipv6_address: Option<Value>,
    enable_dns: Option<Value>,
    tags: Option<Value>,
    routetables: Option<Value>,
    policy_statement: Option<Value>,
    policy_document: Option<Value>,
}

fn whitelist_entries(texts: Vec<String>) -> Result<Vec<WhitelistEntry>, ApiError> {
    Ok(texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?)
}

impl TryFrom<CreateRequest> for NewEndpoint {
    type Error = ApiError;

    fn try_from(request: CreateRequest) -> Result<Self, ApiError> {
        let CreateRequest {
            endpoint_service_id,
            vpc_id,
            subnet_id,
            port_ip,
            whitelist,
            enable_whitelist,
            description,
            specification_name,
            ip_version,
            ipv6_address,
            enable_dns,
            tags,
            routetables,
            policy_statement,
            policy_document,
        } = request;
        if let Some(name) = specification_name.filter(|name| name != "default") {
            return Err(ApiError::Field { field: "specification_name", value: name, expected: "default" });
        }
        only("ip_version", ip_version.as_deref(), &["ipv4"], "ipv4")?;
        unset("ipv6_address", ipv6_address.as_ref(), "none")?;
        unset("enable_dns", enable_dns.as_ref(), "false")?;
        unset("tags", tags.as_ref(), "no tags")?;
        unset("routetables", routetables.as_ref(), "none for an interface endpoint")?;
        unset("policy_statement", policy_statement.as_ref(), "no policy")?;
        unset("policy_document", policy_document.as_ref(), "no policy")?;
        let entries = whitelist_entries(whitelist.unwrap_or_default())?;
        Ok(Self {
            service: require("endpoint_service_id", endpoint_service_id)?.parse()?,
            vpc: require("vpc_id", vpc_id)?.parse()?,
            subnet: require("subnet_id", subnet_id)?.parse()?,
            address: port_ip
                .filter(|text| !text.is_empty())
                .map(|text| parse_address("port_ip", &text))
                .transpose()?,
            whitelist: Whitelist::new(enable_whitelist.unwrap_or(false), entries)?,
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
    let new = NewEndpoint::try_from(request)?;
    let endpoint = app.write(move |tx| endpoints::create(tx, scope, new)).await?;
    app.read(move |state| Ok(Json(json!(EndpointView::new(state, &endpoint))))).await
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let (page, order) = (params.page(10, 1000)?, params.order()?);
    let vpc = params.id("vpc_id")?;
    let status = params.status(STATUSES)?.map(str::to_owned);
    app.read(move |state| {
        let mut rows = state.visible::<Endpoint>(scope);
        rows.retain(|endpoint| {
            params.get("id").is_none_or(|id| endpoint.id.to_string() == id)
                && vpc.is_none_or(|vpc| endpoint.vpc == vpc)
                && status.as_deref().is_none_or(|status| endpoint.connection.state.as_str() == status)
                && params
                    .get("endpoint_service_name")
                    .is_none_or(|part| contains(&service_name(state, endpoint), part))
        });
        order.sort(&mut rows, |endpoint| (endpoint.created_at, endpoint.updated_at));
        let (rows, total_count) = page.cut(rows);
        let rows: Vec<_> = rows.into_iter().map(|endpoint| EndpointView::new(state, endpoint)).collect();
        Ok(Json(json!({"endpoints": rows, "total_count": total_count})))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Endpoint>,
) -> Result<Json<Value>, ApiError> {
    app.read(move |state| Ok(Json(json!(EndpointView::new(state, state.find(scope, id)?))))).await
}

/// The body of an update.
#[derive(Deserialize)]
pub struct UpdateRequest {
    whitelist: Option<Vec<String>>,
    enable_whitelist: Option<bool>,
}

/// `PUT /{id}`
pub async fn update(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Endpoint>,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<Value>, ApiError> {
    let UpdateRequest { whitelist, enable_whitelist } = request;
    let entries = whitelist.map(whitelist_entries).transpose()?;
    let endpoint = app
        .write_through(move |tx| {
            let endpoint = endpoints::update_whitelist(tx, scope, id, enable_whitelist, entries)?;
            Ok((endpoint, Effect::Reconcile))
        })
        .await?;
    app.read(move |state| Ok(Json(json!(EndpointView::new(state, &endpoint))))).await
}

/// `DELETE /{id}`
pub async fn delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Endpoint>,
) -> Result<Response, ApiError> {
    app.write_through(move |tx| {
        let acted = endpoints::delete(tx, scope, id)?;
        Ok(((), acted.effect))
    })
    .await?;
    Ok(deleted())
}

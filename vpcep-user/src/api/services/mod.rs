//! `/v1/{project_id}/vpc-endpoint-services`: list, create, and show, update,
//! rename and delete under `/{id}`; what others may look up is in `lookup.rs`.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, put_with};
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
use super::page::{Order, Paging};
use super::request::{Body, Id, Query, contains, only, require, unset};
use crate::controller::services::{NewService, ServiceChange, connection_count};
use crate::controller::{State, Tx, services};
use crate::model::connection::Effect;
use crate::model::{
    BackendId, BackendKind, Description, DomainId, FullName, MAX_PORTS, Port, PortMapping, PortMappings,
    ProjectId, Protocol, Service, ServiceId, ServiceKind, ServiceName, ServiceStatus, Tags, Timestamp, VpcId,
};

pub fn routes() -> ApiRouter<App> {
    const SERVICES: &str = "/v1/{project_id}/vpc-endpoint-services";
    let path = |rest: &str| format!("{SERVICES}{rest}");
    ApiRouter::new()
        .api_route(
            SERVICES,
            get_with(list, named("listEndpointServices", "List endpoint services"))
                .post_with(create, named("createEndpointService", "Offer a backend as an endpoint service")),
        )
        .api_route(
            &path("/{id}"),
            get_with(show, named("showEndpointService", "Show an endpoint service"))
                .put_with(update, named("updateEndpointService", "Change an endpoint service"))
                .delete_with(delete, named("deleteEndpointService", "Delete an endpoint service")),
        )
        .api_route(
            &path("/{id}/name"),
            put_with(rename, named("renameEndpointService", "Change the name of an endpoint service")),
        )
        .with_path_items(|path| path.tag("Endpoint services"))
}

/// Where a service is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
enum Status {
    Creating,
    Available,
    Failed,
    Deleting,
}

impl Status {
    fn of(status: ServiceStatus) -> Self {
        match status {
            ServiceStatus::Creating => Self::Creating,
            ServiceStatus::Available => Self::Available,
            ServiceStatus::Deleting => Self::Deleting,
        }
    }
}

/// A service as its owner sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointService")]
pub struct ServiceView {
    /// Names it.
    id: ServiceId,
    /// The backend.
    port_id: Option<BackendId>,
    /// Its full name, by which consumers find it.
    service_name: FullName,
    /// What the backend is.
    server_type: Option<BackendKind>,
    /// The VPC the backend is in.
    vpc_id: VpcId,
    /// Whether a new endpoint waits for the provider.
    approval_enabled: bool,
    /// Where it is in its life.
    status: Status,
    /// `interface` or `gateway`.
    service_type: &'static str,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// Its owner.
    project_id: ProjectId,
    /// The owner's account.
    domain_id: DomainId,
    /// Which ports are reachable.
    ports: Vec<PortView>,
    /// Always `close`.
    tcp_proxy: &'static str,
    /// Always empty.
    #[schemars(with = "Vec<Value>")]
    tags: [(); 0],
    /// The provider's note.
    description: String,
    /// Endpoints that are accepted or on the way to it.
    connection_count: usize,
    /// Whether endpoints may have policies.
    enable_policy: bool,
    /// Always `ipv4`.
    ip_version: &'static str,
    /// Always `internal`.
    cidr_type: &'static str,
    /// Always `basic`.
    supported_editions: [&'static str; 1],
}

/// One port mapping.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PortMapping")]
struct PortView {
    /// Port at the endpoint.
    #[schemars(range(min = 1))]
    client_port: u16,
    /// Port at the backend.
    #[schemars(range(min = 1))]
    server_port: u16,
    /// The protocol.
    protocol: Protocol,
}

impl ServiceView {
    fn new(state: &State, service: &Service) -> Self {
        let server_type = match &service.kind {
            ServiceKind::Interface { server_kind, .. } => Some(*server_kind),
            ServiceKind::Gateway { .. } => None,
        };
        let ports = service.kind.ports().iter().map(|mapping| PortView {
            client_port: mapping.client_port.get(),
            server_port: mapping.server_port.get(),
            protocol: mapping.protocol,
        });
        Self {
            id: service.id,
            port_id: service.kind.backend(),
            service_name: state.full_name(service),
            server_type,
            vpc_id: service.vpc,
            approval_enabled: service.approval_enabled,
            status: Status::of(service.status),
            service_type: service.kind.as_str(),
            created_at: service.created_at,
            updated_at: service.updated_at,
            project_id: service.project,
            domain_id: state.domain_of(service.project),
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

/// A page of endpoint services.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointServicePage")]
pub struct ServicePage {
    endpoint_services: Vec<ServiceView>,
    /// How many there are on all pages.
    total_count: usize,
}

/// One port mapping of a request.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewPortMapping")]
pub struct PortRequest {
    /// Port at the endpoint.
    #[schemars(with = "i64", range(min = 1, max = 65535))]
    client_port: Option<i64>,
    /// Port at the backend.
    #[schemars(with = "i64", range(min = 1, max = 65535))]
    server_port: Option<i64>,
    /// The protocol; TCP when absent.
    #[schemars(with = "Option<Protocol>")]
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
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CreateEndpointService")]
pub struct CreateRequest {
    /// The backend.
    #[schemars(with = "BackendId")]
    port_id: Option<String>,
    /// The VPC the backend is in.
    #[schemars(with = "VpcId")]
    vpc_id: Option<String>,
    /// What the backend is.
    #[schemars(with = "BackendKind")]
    server_type: Option<String>,
    /// Which ports are reachable; each client port once.
    #[schemars(with = "Vec<PortRequest>", length(min = 1, max = MAX_PORTS))]
    ports: Option<Vec<PortRequest>>,
    /// The middle of the full name; may be empty.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{0,16}$"))]
    service_name: Option<String>,
    /// Whether a new endpoint waits for the provider; true when absent.
    approval_enabled: Option<bool>,
    /// Only `interface` is supported, in any case.
    #[schemars(extend("enum" = ["interface", null]))]
    service_type: Option<String>,
    /// Only `close` is supported, in any case.
    #[schemars(extend("enum" = ["close", null]))]
    tcp_proxy: Option<String>,
    /// None are supported.
    #[schemars(with = "Option<Vec<Value>>", length(max = 0))]
    tags: Option<Value>,
    /// The provider's note.
    #[schemars(with = "Option<Description>")]
    description: Option<String>,
    /// Only `ipv4` is supported, in any case.
    #[schemars(extend("enum" = ["ipv4", null]))]
    ip_version: Option<String>,
    /// None is supported.
    #[schemars(with = "Option<()>")]
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
            kind: ServiceKind::Interface {
                backend: require("port_id", port_id)?.parse()?,
                server_kind: BackendKind::parse("server_type", &require("server_type", server_type)?)?,
                ports: port_mappings(require("ports", ports)?)?,
            },
            name: service_name.filter(|name| !name.is_empty()).map(|name| name.parse()).transpose()?,
            is_public: false,
            enable_policy: false,
            tags: Tags::default(),
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
) -> Result<Json<ServiceView>, ApiError> {
    let new = NewService::try_from(request)?;
    // An endpoint may be made right after this answer, so the service is available by then.
    let service = app.make(move |tx| services::create(tx, scope, new)).await?;
    app.read(move |state| Ok(Json(ServiceView::new(state, &service)))).await
}

/// Which services are wanted.
#[derive(Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Filter {
    /// Only that of this id.
    id: Option<String>,
    /// Only those in this state.
    status: Option<Status>,
    /// Only those with this in their full names, in any case.
    endpoint_service_name: Option<String>,
}

impl Filter {
    fn wants(&self, state: &State, service: &Service) -> bool {
        let Self { id, status, endpoint_service_name } = self;
        id.as_ref().is_none_or(|id| service.id.to_string() == *id)
            && status.is_none_or(|status| Status::of(service.status) == status)
            && endpoint_service_name
                .as_ref()
                .is_none_or(|part| contains(state.full_name(service).as_str(), part))
    }
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<10, 1000>,
    Query(order): Query<Order>,
    Query(filter): Query<Filter>,
) -> Result<Json<ServicePage>, ApiError> {
    app.read(move |state| {
        let wanted = (filter != Filter::default()).then_some(|service: &_| filter.wants(state, service));
        let ages = state.index.services.visible(scope);
        let (rows, total_count) = order.page::<Service>(page, state, &ages, wanted);
        let views = rows.into_iter().map(|service| ServiceView::new(state, service));
        Ok(Json(ServicePage { endpoint_services: views.collect(), total_count }))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
) -> Result<Json<ServiceView>, ApiError> {
    app.read(move |state| Ok(Json(ServiceView::new(state, state.find(scope, id)?)))).await
}

/// The body of an update; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "UpdateEndpointService")]
pub struct UpdateRequest {
    /// Whether a new endpoint waits for the provider.
    approval_enabled: Option<bool>,
    /// The middle of the full name.
    #[schemars(with = "Option<ServiceName>")]
    service_name: Option<String>,
    /// Which ports are reachable, all of them; each client port once.
    #[schemars(length(min = 1, max = MAX_PORTS))]
    ports: Option<Vec<PortRequest>>,
    /// The backend, in the same VPC.
    #[schemars(with = "Option<BackendId>")]
    port_id: Option<String>,
    /// Only `close` is supported, in any case.
    #[schemars(extend("enum" = ["close", null]))]
    tcp_proxy: Option<String>,
    /// The provider's note.
    #[schemars(with = "Option<Description>")]
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
            prefixes: None,
            is_public: None,
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
) -> Result<Json<ServiceView>, ApiError> {
    let change = ServiceChange::try_from(request)?;
    let update = move |tx: &mut Tx<'_>| Ok((services::update(tx, scope, id, change)?, Effect::Reconcile));
    let service = app.write_through(update).await?;
    current(&app, service).await
}

/// A service as it is after the pass that covered it; if its owner has deleted it
/// meanwhile, what was done stands.
async fn current(app: &App, service: Service) -> Result<Json<ServiceView>, ApiError> {
    app.read(move |state| {
        let service = state.services.get(service.id).unwrap_or(&service);
        Ok(Json(ServiceView::new(state, service)))
    })
    .await
}

/// The body of a renaming.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "RenameEndpointService")]
pub struct RenameRequest {
    /// The middle of the full name.
    #[schemars(with = "ServiceName")]
    endpoint_service_name: Option<String>,
}

/// A new name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RenamedEndpointService")]
pub struct Renamed {
    /// The full name.
    endpoint_service_name: FullName,
}

/// `PUT /{id}/name`
pub async fn rename(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Body(request): Body<RenameRequest>,
) -> Result<Json<Renamed>, ApiError> {
    let name = require("endpoint_service_name", request.endpoint_service_name)?.parse()?;
    let change = ServiceChange { name: Some(name), ..ServiceChange::default() };
    let service = app.write(move |tx| services::update(tx, scope, id, change)).await?;
    app.read(move |state| Ok(Json(Renamed { endpoint_service_name: state.full_name(&service) }))).await
}

/// `DELETE /{id}`
pub async fn delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
) -> Result<NoContent, ApiError> {
    app.write_through(move |tx| Ok((services::delete(tx, scope, id)?, Effect::Reconcile))).await?;
    Ok(NoContent)
}

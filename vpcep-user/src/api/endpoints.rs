//! `/v1/{project_id}/vpc-endpoints`: list and create, and show, update
//! (whitelist) and delete under `/{id}`. Policies are in `policies.rs`, route
//! tables in `route_tables.rs`, tags in `tags.rs`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::Ipv4Addr;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Context;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::App;
use super::auth::InProject;
use super::error::ApiError;
use super::openapi::named;
use super::page::{Order, Paging};
use super::policies::{StatementView, parse_policy};
use super::request::{Body, Id, NamePart, Query, only, require_text, unset};
use super::route_tables::parse_route_tables;
use super::tags::{TagRequest, TagView, parse_tags};
use super::wire::ADDRESS_OR_NONE;
use crate::controller::endpoints::NewEndpoint;
use crate::controller::{State, endpoints};
use crate::model::connection::{Effect, Failure, State as ConnectionState};
use crate::model::{
    Description, Endpoint, EndpointId, MAX_STATEMENTS, MAX_TAGS, MAX_WHITELIST, ProjectId, RouteTableId,
    ServiceId, SubnetId, Timestamp, VpcId, Whitelist, WhitelistEntry, parse_address,
};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/vpc-endpoints",
            get_with(list, named("listEndpoints", "List endpoints"))
                .post_with(create, named("createEndpoint", "Make an endpoint of a service")),
        )
        .api_route(
            "/v1/{project_id}/vpc-endpoints/{id}",
            get_with(show, named("showEndpoint", "Show an endpoint"))
                .put_with(update, named("updateEndpoint", "Change who may use an endpoint"))
                .delete_with(delete, named("deleteEndpoint", "Delete an endpoint, in any state")),
        )
        .with_path_items(|path| path.tag("Endpoints"))
}

/// Where an endpoint, and so its connection, is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Status {
    PendingAcceptance,
    Creating,
    Accepted,
    Rejected,
    Failed,
    Deleting,
}

impl Status {
    /// The word for a state.
    pub fn of(state: &ConnectionState) -> Self {
        match state {
            ConnectionState::PendingAcceptance => Self::PendingAcceptance,
            ConnectionState::Creating => Self::Creating,
            ConnectionState::Accepted => Self::Accepted,
            ConnectionState::Rejected => Self::Rejected,
            ConnectionState::Failed(_) => Self::Failed,
            ConnectionState::Deleting => Self::Deleting,
        }
    }
}

/// Why something failed.
#[derive(Serialize, JsonSchema)]
pub struct ErrorDetail {
    /// A stable code.
    error_code: &'static str,
    /// What happened.
    error_message: String,
}

/// Why a connection failed, as the wire has it.
pub fn failure(state: &ConnectionState) -> Option<[ErrorDetail; 1]> {
    let (error_code, error_message) = match state {
        // The reason names things of the host, and is in its log.
        ConnectionState::Failed(Failure::DataPlane { .. }) => {
            ("EndPoint.0001", "the gateway cannot carry this endpoint at present: ask its operator".into())
        }
        ConnectionState::Failed(Failure::ServiceDeleted { service }) => {
            ("EndPoint.2003", format!("endpoint service {service} has been deleted"))
        }
        _ => return None,
    };
    Some([ErrorDetail { error_code, error_message }])
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
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Endpoint")]
pub struct EndpointView {
    /// Names it.
    id: EndpointId,
    /// `interface` or `gateway`.
    service_type: &'static str,
    /// Where it is in its life.
    status: Status,
    /// Its address; absent until it has been accepted once.
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<Ipv4Addr>,
    /// Always `active`.
    active_status: [&'static str; 1],
    /// The full name of its service.
    endpoint_service_name: String,
    /// Its service.
    endpoint_service_id: ServiceId,
    /// Tells the endpoints of all services apart.
    #[schemars(range(min = 1))]
    marker_id: u32,
    /// Whether it has a private domain name.
    enable_dns: bool,
    /// The VPC it is in.
    vpc_id: VpcId,
    /// The subnet it has its address from; null for a gateway endpoint.
    subnet_id: Option<SubnetId>,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// Its owner.
    project_id: ProjectId,
    /// The owner's tags.
    tags: Vec<TagView>,
    /// The clients that may use it, where that is enforced.
    whitelist: Vec<WhitelistEntry>,
    /// Whether the whitelist is enforced.
    enable_whitelist: bool,
    /// The route tables that lead to a gateway endpoint.
    routetables: Vec<RouteTableId>,
    /// Always `enable`.
    enable_status: &'static str,
    /// Always `default`.
    specification_name: &'static str,
    /// The owner's note.
    description: String,
    /// Always null.
    endpoint_pool_id: Option<String>,
    /// Always null.
    public_border_group: Option<String>,
    /// Its name in the VPC; present when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    dns_names: Option<[String; 1]>,
    /// The statements of its policy; present when it has some. The service behind
    /// enforces them.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_statement: Option<Vec<StatementView>>,
    /// Its policy as one document; present when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_document: Option<Map<String, Value>>,
    /// Why it failed; present when it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<[ErrorDetail; 1]>,
}

impl EndpointView {
    /// The endpoint as its owner sees it.
    pub fn new(state: &State, endpoint: &Endpoint) -> Self {
        Self {
            id: endpoint.id,
            service_type: endpoint.kind.as_str(),
            status: Status::of(&endpoint.connection.state),
            ip: endpoint.shown_address(),
            active_status: ["active"],
            endpoint_service_name: service_name(state, endpoint),
            endpoint_service_id: endpoint.service,
            marker_id: endpoint.marker,
            enable_dns: endpoint.has_name(),
            vpc_id: endpoint.vpc,
            subnet_id: endpoint.subnet(),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            project_id: endpoint.project,
            tags: TagView::all(&endpoint.tags),
            whitelist: endpoint.whitelist.entries().to_vec(),
            enable_whitelist: endpoint.whitelist.is_enabled(),
            routetables: endpoint.route_tables().to_vec(),
            enable_status: "enable",
            specification_name: "default",
            description: endpoint.description.as_str().into(),
            endpoint_pool_id: None,
            public_border_group: None,
            dns_names: state.dns_name(endpoint).map(|name| [name]),
            policy_statement: StatementView::all(&endpoint.policy),
            policy_document: endpoint.policy.document().cloned(),
            error: failure(&endpoint.connection.state),
        }
    }
}

/// A page of endpoints.
#[derive(Serialize, JsonSchema)]
pub struct EndpointPage {
    endpoints: Vec<EndpointView>,
    /// How many there are on all pages.
    total_count: usize,
}

/// The body of a creation.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CreateEndpoint")]
pub struct CreateRequest {
    /// The service to connect to.
    #[schemars(with = "ServiceId")]
    endpoint_service_id: Option<String>,
    /// The VPC it shall be in.
    #[schemars(with = "VpcId")]
    vpc_id: Option<String>,
    /// The subnet it shall have its address from; an endpoint of an interface
    /// service needs one, one of a gateway service has none.
    #[schemars(with = "Option<SubnetId>")]
    subnet_id: Option<String>,
    /// Its address; one is chosen when it is absent or empty.
    #[schemars(regex(pattern = ADDRESS_OR_NONE))]
    port_ip: Option<String>,
    /// The clients that may use it.
    #[schemars(with = "Option<Vec<WhitelistEntry>>", length(max = MAX_WHITELIST))]
    whitelist: Option<Vec<String>>,
    /// Whether the whitelist is enforced; false when absent.
    enable_whitelist: Option<bool>,
    /// The owner's note.
    #[schemars(with = "Option<Description>")]
    description: Option<String>,
    /// There is only `default`.
    #[schemars(extend("enum" = ["default", null]))]
    specification_name: Option<String>,
    /// There is only `ipv4`.
    #[schemars(extend("enum" = ["ipv4", null]))]
    ip_version: Option<String>,
    /// None is supported.
    #[schemars(with = "Option<()>")]
    ipv6_address: Option<Value>,
    /// Whether it has a name of its own in the VPC; no effect without address.
    enable_dns: Option<bool>,
    /// Each key once.
    #[schemars(length(max = MAX_TAGS))]
    tags: Option<Vec<TagRequest>>,
    /// The route tables that lead to a gateway endpoint; the VPC's default one when
    /// absent. An interface endpoint has none.
    #[schemars(with = "Option<Vec<RouteTableId>>", length(max = endpoints::MAX_ROUTE_TABLES))]
    routetables: Option<Vec<String>>,
    /// What its users may do, where the service has `enable_policy`.
    #[schemars(length(max = MAX_STATEMENTS))]
    policy_statement: Option<Vec<StatementView>>,
    /// A policy as one document, where the service has `enable_policy`.
    policy_document: Option<Map<String, Value>>,
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
        let entries = whitelist_entries(whitelist.unwrap_or_default())?;
        Ok(Self {
            service: require_text("endpoint_service_id", endpoint_service_id)?.parse()?,
            vpc: require_text("vpc_id", vpc_id)?.parse()?,
            subnet: subnet_id.filter(|id| !id.is_empty()).map(|id| id.parse()).transpose()?,
            address: port_ip
                .filter(|text| !text.is_empty())
                .map(|text| parse_address("port_ip", &text))
                .transpose()?,
            has_name: enable_dns.unwrap_or(false),
            route_tables: parse_route_tables(&routetables.unwrap_or_default())?,
            whitelist: Whitelist::new(enable_whitelist.unwrap_or(false), entries)?,
            policy: parse_policy(policy_statement, policy_document)?,
            tags: parse_tags(tags)?,
            description: description.map(|text| text.parse()).transpose()?.unwrap_or_default(),
        })
    }
}

/// `POST`
pub async fn create(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<EndpointView>, ApiError> {
    let new = NewEndpoint::try_from(request)?;
    let endpoint = app.write(move |tx| endpoints::create(tx, scope, new)).await?;
    app.read(move |state| Ok(Json(EndpointView::new(state, &endpoint)))).await
}

/// Which endpoints are wanted.
#[derive(Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Filter {
    /// Only that of this id.
    id: Option<String>,
    /// Only those in this VPC.
    vpc_id: Option<VpcId>,
    /// Only those in this state.
    status: Option<Status>,
    /// Only those of services with this in their full names, in any case.
    endpoint_service_name: Option<NamePart>,
}

impl Filter {
    /// Whether an endpoint is wanted; asked of very many, it judges each service's name once.
    fn test(&self, state: &State) -> impl Fn(&Endpoint) -> bool {
        // `list` looks at no other id.
        let Self { id: _, vpc_id, status, endpoint_service_name } = self;
        let judged = RefCell::new(HashMap::new());
        move |endpoint| {
            let is_named = |part: &NamePart| {
                let name = || part.is_in(&service_name(state, endpoint));
                *judged.borrow_mut().entry(endpoint.service).or_insert_with(name)
            };
            vpc_id.is_none_or(|vpc| endpoint.vpc == vpc)
                && status.is_none_or(|status| Status::of(&endpoint.connection.state) == status)
                && endpoint_service_name.as_ref().is_none_or(is_named)
        }
    }
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<10, 1000>,
    Query(order): Query<Order>,
    Query(filter): Query<Filter>,
) -> Result<Json<EndpointPage>, ApiError> {
    app.read(move |state| {
        let wanted = (filter != Filter::default()).then(|| filter.test(state));
        let ages = state.candidates::<Endpoint>(scope, filter.id.as_deref());
        let (rows, total_count) = order.page(page, state, &ages, wanted);
        let views = rows.into_iter().map(|endpoint| EndpointView::new(state, endpoint));
        Ok(Json(EndpointPage { endpoints: views.collect(), total_count }))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Endpoint>,
) -> Result<Json<EndpointView>, ApiError> {
    app.read(move |state| Ok(Json(EndpointView::new(state, state.find(scope, id)?)))).await
}

/// The body of an update; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "UpdateEndpoint")]
pub struct UpdateRequest {
    /// The clients that may use it.
    #[schemars(with = "Option<Vec<WhitelistEntry>>", length(max = MAX_WHITELIST))]
    whitelist: Option<Vec<String>>,
    /// Whether the whitelist is enforced.
    enable_whitelist: Option<bool>,
}

/// `PUT /{id}`
pub async fn update(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Endpoint>,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<EndpointView>, ApiError> {
    let UpdateRequest { whitelist, enable_whitelist } = request;
    let entries = whitelist.map(whitelist_entries).transpose()?;
    let endpoint = app
        .write_through(move |tx| {
            let endpoint = endpoints::update_whitelist(tx, scope, id, enable_whitelist, entries)?;
            Ok((endpoint, Effect::Reconcile))
        })
        .await?;
    app.read(move |state| Ok(Json(EndpointView::new(state, &endpoint)))).await
}

/// `DELETE /{id}`
pub async fn delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Endpoint>,
) -> Result<NoContent, ApiError> {
    app.write_through(move |tx| {
        let acted = endpoints::delete(tx, scope, id)?;
        Ok(((), acted.effect))
    })
    .await?;
    Ok(NoContent)
}

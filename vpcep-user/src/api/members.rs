//! `/v1/{project_id}/backends/{id}/members`: the servers behind a load balancer, one by
//! one: add, change (weight, draining) and remove. Each answers with the whole backend.

use std::net::Ipv4Addr;

use aide::OperationInput;
use aide::axum::ApiRouter;
use aide::axum::routing::{post_with, put_with};
use aide::generate::GenContext;
use aide::openapi::{Operation, Response};
use axum::Json;
use axum::extract::{FromRequestParts, State as Context};
use http::request::Parts;
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::InProject;
use super::backends::OneBackend;
use super::error::ApiError;
use super::openapi::{named, refused};
use super::request::{Body, Id, document_path_param, path_param, require};
use crate::controller::backends::{self, MemberChange};
use crate::controller::{Health, Tx};
use crate::model::connection::Effect;
use crate::model::{Backend, Member, MemberName, Port, Timestamp, parse_address};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/backends/{id}/members",
            post_with(add, named("addMember", "Add a member to a load balancer")),
        )
        .api_route(
            "/v1/{project_id}/backends/{id}/members/{member}",
            put_with(update, named("updateMember", "Change a member of a load balancer"))
                .delete_with(remove, named("removeMember", "Remove a member of a load balancer")),
        )
        .with_path_items(|path| path.tag("Backends"))
}

/// One server behind a load balancer.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Member")]
pub struct MemberView {
    /// Its address in the VPC.
    address: Ipv4Addr,
    /// Its own port; 0 keeps the mapping's server port.
    port: u16,
    /// Its share of new connections relative to the other members.
    #[schemars(range(min = 1, max = 100))]
    weight: u8,
    /// Whether it gets new connections: `active` and `checking` do; `draining` and `down`
    /// keep those they have.
    #[schemars(extend("enum" = ["active", "checking", "draining", "down"]))]
    state: &'static str,
    /// Since when its checks have said what they say; null when it is not checked.
    checked_since: Option<Timestamp>,
    /// What its last failed check met with; null when all is well.
    last_error: Option<String>,
}

impl MemberView {
    /// A member as it is now.
    pub fn new(backend: &Backend, member: Member, health: &Health) -> Self {
        let found = health.of(backend, member);
        Self {
            address: member.address,
            port: member.port.map_or(0, Port::get),
            weight: member.weight(),
            state: health.state(backend, member).as_str(),
            checked_since: found.map(|found| found.since),
            last_error: found.and_then(|found| found.last_error.clone()),
        }
    }
}

/// One server behind a load balancer.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewMember")]
pub struct MemberRequest {
    /// Its address in the VPC.
    #[schemars(with = "Ipv4Addr")]
    address: Option<String>,
    /// Its own port; 0, the default, keeps the mapping's server port.
    #[schemars(range(min = 0, max = 65535))]
    port: Option<i64>,
    /// Its share of new connections relative to the other members; 1 when absent.
    #[schemars(range(min = 1, max = 100))]
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

/// The body of an addition.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AddMember")]
pub struct AddRequest {
    #[schemars(with = "MemberRequest")]
    member: Option<MemberRequest>,
}

/// The body of a change.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "UpdateMember")]
pub struct UpdateRequest {
    #[schemars(with = "ChangeRequest")]
    member: Option<ChangeRequest>,
}

/// What changes of a member; what is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "MemberChange")]
pub struct ChangeRequest {
    /// Its share of new connections relative to the other members.
    #[schemars(range(min = 1, max = 100))]
    weight: Option<i64>,
    /// Whether it keeps its connections and gets no new ones.
    draining: Option<bool>,
}

/// The `{member}` of a path. What cannot name one names nothing: 404.
pub struct NamedMember(MemberName);

impl FromRequestParts<App> for NamedMember {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let name = path_param(parts, app, "member").await?;
        let parsed = name.parse();
        let missing = || crate::controller::ControlError::NotFound { kind: "member", id: name };
        parsed.map(Self).map_err(|_| missing().into())
    }
}

impl OperationInput for NamedMember {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({
            "type": "string",
            "description": "Names the member: ADDRESS:PORT, with port 0 for one without a port of its own."
        });
        document_path_param(ctx, operation, "member", schema);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[404])
    }
}

/// Does an operation on a backend, and waits until new connections go by it.
async fn change(
    app: &App,
    operation: impl FnOnce(&mut Tx<'_>) -> Result<Backend, crate::controller::ControlError> + Send + 'static,
) -> Result<Json<OneBackend>, ApiError> {
    let backend = app.write_through(move |tx| Ok((operation(tx)?, Effect::Reconcile))).await?;
    Ok(OneBackend::new(app, &backend))
}

/// `POST`
pub async fn add(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Backend>,
    Body(request): Body<AddRequest>,
) -> Result<Json<OneBackend>, ApiError> {
    let member = Member::try_from(require("member", request.member)?)?;
    change(&app, move |tx| backends::add_member(tx, scope, id, member)).await
}

/// `PUT /{member}`
pub async fn update(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Backend>,
    NamedMember(name): NamedMember,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<OneBackend>, ApiError> {
    let ChangeRequest { weight, draining } = require("member", request.member)?;
    let asked = MemberChange { weight, is_draining: draining };
    change(&app, move |tx| backends::update_member(tx, scope, id, name, asked)).await
}

/// `DELETE /{member}`
pub async fn remove(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Backend>,
    NamedMember(name): NamedMember,
) -> Result<Json<OneBackend>, ApiError> {
    change(&app, move |tx| backends::remove_member(tx, scope, id, name)).await
}

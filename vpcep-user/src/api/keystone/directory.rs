//! Whom and what a caller may know of: its projects, its domain, itself.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::extract::State as Context;
use axum::response::NoContent;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalog::{BaseUrl, Links};
use crate::api::App;
use crate::api::audit::Asker;
use crate::api::auth::{Caller, FromAddress};
use crate::api::error::ApiError;
use crate::api::login::UserRef;
use crate::api::openapi::{named, refusing};
use crate::api::password::Given;
use crate::api::request::{Body, Id, Query, require};
use crate::controller::identity::users::{self, UserChange};
use crate::controller::{ControlError, State};
use crate::model::{DomainId, Name, ProjectId, Timestamp, User, UserId};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route("/v3/auth/projects", get_with(scopes, named("listScopes", "List projects to log in to")))
        .api_route("/v3/auth/domains", get_with(domains, named("listDomains", "Show the caller's domain")))
        .api_route("/v3/projects", get_with(projects, named("listProjects", "Show the caller's project")))
        .api_route("/v3/users/{id}", get_with(user, named("showOwnUser", "Show the caller's user")))
        .api_route(
            "/v3/users/{id}/password",
            post_with(change_password, refusing("changePassword", "Change a password", &[401])),
        )
}

/// A project.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Project")]
pub struct ProjectView {
    /// Names the project.
    id: ProjectId,
    /// The region.
    name: String,
    /// The account.
    domain_id: DomainId,
    /// The account.
    parent_id: DomainId,
    /// Always.
    enabled: bool,
    /// Never: domains are apart.
    is_domain: bool,
    /// The account's name.
    description: String,
}

impl ProjectView {
    fn new(state: &State, project: ProjectId) -> Self {
        let domain = state.domain_of(project);
        Self {
            id: project,
            name: state.region.as_str().into(),
            domain_id: domain,
            parent_id: domain,
            enabled: true,
            is_domain: false,
            description: state.domain_name(domain).unwrap_or_default().into(),
        }
    }
}

/// Projects.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Projects")]
pub struct ProjectList {
    /// All there are.
    projects: Vec<ProjectView>,
    /// Where this is.
    links: Links,
}

fn own_domain(caller: &Caller) -> DomainId {
    match caller {
        Caller::Socket => DomainId::OPERATOR,
        Caller::User(user) => user.domain,
    }
}

/// `GET /v3/auth/projects`: what the caller may ask a token for.
pub async fn scopes(
    caller: Caller,
    base: BaseUrl,
    Context(app): Context<App>,
) -> Result<Json<ProjectList>, ApiError> {
    app.read(move |state| {
        let own = state.project_of(own_domain(&caller));
        let others = state.accounts.iter().filter(|_| caller.is_operator()).map(|account| account.project);
        let projects = own.into_iter().chain(others.filter(|project| Some(*project) != own));
        let projects = projects.map(|project| ProjectView::new(state, project)).collect();
        Ok(Json(ProjectList { projects, links: Links::whole(&base, "/v3/auth/projects") }))
    })
    .await
}

/// Which projects are wanted.
#[derive(Deserialize, JsonSchema)]
pub struct Wanted {
    /// Those of this name: the region.
    name: Option<String>,
    /// Those of this account, by id.
    domain_id: Option<String>,
}

/// `GET /v3/projects`: the caller's own. A signing SDK that was
/// told a region expects exactly one of that name.
pub async fn projects(
    caller: Caller,
    base: BaseUrl,
    Query(wanted): Query<Wanted>,
    Context(app): Context<App>,
) -> Result<Json<ProjectList>, ApiError> {
    app.read(move |state| {
        let fits = |project: &ProjectView| {
            wanted.name.as_ref().is_none_or(|name| *name == project.name)
                && wanted.domain_id.as_ref().is_none_or(|id| *id == project.domain_id.to_string())
        };
        let own = state.project_of(own_domain(&caller)).map(|project| ProjectView::new(state, project));
        let projects = own.into_iter().filter(fits).collect();
        Ok(Json(ProjectList { projects, links: Links::whole(&base, "/v3/projects") }))
    })
    .await
}

/// A domain.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Domain")]
pub struct DomainView {
    /// Names the domain.
    id: DomainId,
    /// The account's name.
    name: String,
    /// Always.
    enabled: bool,
}

/// Domains.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Domains")]
pub struct DomainList {
    /// All there are.
    domains: Vec<DomainView>,
    /// Where this is.
    links: Links,
}

/// `GET /v3/auth/domains`: the caller's own.
pub async fn domains(
    caller: Caller,
    base: BaseUrl,
    Context(app): Context<App>,
) -> Result<Json<DomainList>, ApiError> {
    app.read(move |state| {
        let id = own_domain(&caller);
        let name = state.domain_name(id).unwrap_or_default().to_owned();
        let domains = vec![DomainView { id, name, enabled: true }];
        Ok(Json(DomainList { domains, links: Links::whole(&base, "/v3/auth/domains") }))
    })
    .await
}

/// A user.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShownUser")]
pub struct UserView {
    /// Its fields.
    user: UserFields,
}

/// What there is to know of a user.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub struct UserFields {
    /// Names the user.
    id: UserId,
    /// Unique in the domain.
    name: Name,
    /// The account.
    domain_id: DomainId,
    /// The account's one project.
    default_project_id: Option<ProjectId>,
    /// Always.
    enabled: bool,
    /// Passwords do not expire.
    password_expires_at: Option<Timestamp>,
}

/// The user of a path: the caller itself, or for the operator anyone.
fn seen<'a>(state: &'a State, caller: &Caller, id: UserId) -> Result<&'a User, ControlError> {
    let is_seen = |user: &&User| match caller {
        Caller::User(calling) if !caller.is_operator() => calling.id == user.id,
        _ => true,
    };
    let found = state.users.get(id).filter(is_seen);
    found.ok_or_else(|| ControlError::NotFound { kind: "user", id: id.to_string() })
}

/// `GET /v3/users/{id}`
pub async fn user(
    caller: Caller,
    Id(id): Id<User>,
    Context(app): Context<App>,
) -> Result<Json<UserView>, ApiError> {
    app.read(move |state| {
        let user = seen(state, &caller, id)?;
        Ok(Json(UserView {
            user: UserFields {
                id: user.id,
                name: user.name.clone(),
                domain_id: user.domain,
                default_project_id: state.project_of(user.domain),
                enabled: true,
                password_expires_at: None,
            },
        }))
    })
    .await
}

/// The body of a change of password.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ChangePassword")]
pub struct PasswordRequest {
    user: Option<PasswordFields>,
}

/// The password there is and the one there should be.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct PasswordFields {
    /// The one there is.
    original_password: Option<Given>,
    /// 8 to 128 characters.
    password: Option<Given>,
}

/// `POST /v3/users/{id}/password`: whoever knows the old one may; it needs no
/// token. Ends the user's tokens.
pub async fn change_password(
    Id(id): Id<User>,
    FromAddress(from): FromAddress,
    Extension(asker): Extension<Asker>,
    Context(app): Context<App>,
    Body(request): Body<PasswordRequest>,
) -> Result<NoContent, ApiError> {
    let PasswordFields { original_password, password } = require("user", request.user)?;
    let Given(original) = require("user.original_password", original_password)?;
    let Given(password) = require("user.password", password)?;
    let user = app.log_in(UserRef::Id(id.to_string()), original, from).await?;
    let seen = user.clone();
    // From here on the log and the audit log know who it is.
    app.read(move |state| {
        if let Some(caller) = Caller::of(state, &user, None) {
            asker.is(caller);
        }
        Ok(())
    })
    .await?;
    let password = Some(app.access.passwords.hash(password).await?);
    app.write(move |tx| {
        users::check_proof(tx.state, &seen)?;
        users::update(tx, seen.id, UserChange { role: None, password })
    })
    .await?;
    Ok(NoContent)
}

//! `/operator/v1/users`: the users of all accounts. The operator's alone.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Context;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::Operator;
use super::error::ApiError;
use super::openapi::{named, refusing};
use super::page::Paging;
use super::password::Given;
use super::request::{Body, Id, Query, require};
use crate::controller::State;
use crate::controller::accounts;
use crate::controller::identity::users::{self, NewUser, UserChange};
use crate::model::{DomainId, Name, PasswordHash, ProjectId, Role, Timestamp, User, UserId};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/operator/v1/users",
            get_with(list, refusing("listUsers", "List users", &[404]))
                .post_with(create, refusing("createUser", "Make a user", &[404])),
        )
        .api_route(
            "/operator/v1/users/{id}",
            get_with(show, named("showUser", "Show a user"))
                .put_with(update, named("updateUser", "Change a user's role or password"))
                .delete_with(delete, named("deleteUser", "Delete a user with its keys and tokens")),
        )
        .with_path_items(|path| path.tag("Accounts"))
}

/// A user.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "User")]
pub struct UserView {
    /// Names the user.
    id: UserId,
    /// Unique in the account.
    name: Name,
    /// The account's name; `operator` is the operator's own.
    account: String,
    /// The account.
    domain_id: DomainId,
    /// The account's project.
    project_id: Option<ProjectId>,
    /// What the user may do.
    role: Role,
    /// Whether a password opens it.
    has_password: bool,
    /// When it was made.
    created_at: Timestamp,
}

impl UserView {
    fn new(state: &State, user: &User) -> Self {
        Self {
            id: user.id,
            name: user.name.clone(),
            account: state.domain_name(user.domain).unwrap_or_default().into(),
            domain_id: user.domain,
            project_id: state.project_of(user.domain),
            role: user.role,
            has_password: user.password.is_some(),
            created_at: user.created_at,
        }
    }
}

/// A page of users, oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Users")]
pub struct UserPage {
    users: Vec<UserView>,
    /// How many there are on all pages.
    total_count: usize,
}

/// Which users are wanted.
#[derive(Deserialize, JsonSchema)]
pub struct Wanted {
    /// Those of this account, by name, domain id or project id.
    account: Option<String>,
}

/// The body of a creation.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CreateUser")]
pub struct CreateRequest {
    /// Name, domain id or project id; `operator` is the operator's own.
    #[schemars(with = "String")]
    account: Option<String>,
    /// Unique in the account.
    #[schemars(with = "Name")]
    name: Option<String>,
    /// `member` when it is left out; `operator` only in the operator's own account.
    #[schemars(with = "Option<Role>")]
    role: Option<String>,
    /// 8 to 128 characters; without it no password opens the user.
    password: Option<Given>,
}

/// The body of a change; what is left out stays.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "UpdateUser")]
pub struct UpdateRequest {
    /// `operator` only in the operator's own account.
    #[schemars(with = "Option<Role>")]
    role: Option<String>,
    /// 8 to 128 characters. Ends the user's tokens.
    password: Option<Given>,
}

async fn hashed(app: &App, password: Option<Given>) -> Result<Option<PasswordHash>, ApiError> {
    match password {
        Some(Given(password)) => app.access.passwords.hash(password).await.map(Some),
        None => Ok(None),
    }
}

/// `POST`
pub async fn create(
    _: Operator,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<UserView>, ApiError> {
    let CreateRequest { account, name, role, password } = request;
    let account = require("account", account)?;
    let name = Name::new("name", &require("name", name)?)?;
    let role = role.map_or(Ok(Role::Member), |role| role.parse())?;
    let password = hashed(&app, password).await?;
    let user = app
        .write(move |tx| {
            let domain = accounts::find_domain(tx.state, &account)?;
            users::create(tx, NewUser { domain, name, role, password })
        })
        .await?;
    app.read(move |state| Ok(Json(UserView::new(state, &user)))).await
}

/// `GET`
pub async fn list(
    _: Operator,
    Context(app): Context<App>,
    Query(Wanted { account }): Query<Wanted>,
    Paging(page): Paging<1000, 1000>,
) -> Result<Json<UserPage>, ApiError> {
    app.read(move |state| {
        let mut rows: Vec<&User> = match &account {
            Some(named) => state.users_of(accounts::find_domain(state, named)?).collect(),
            None => state.users.iter().collect(),
        };
        rows.sort_by_key(|user| (user.created_at, user.id));
        let total_count = rows.len();
        let users = page.cut(rows).into_iter().map(|user| UserView::new(state, user)).collect();
        Ok(Json(UserPage { users, total_count }))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    _: Operator,
    Id(id): Id<User>,
    Context(app): Context<App>,
) -> Result<Json<UserView>, ApiError> {
    app.read(move |state| Ok(Json(UserView::new(state, users::find(state, id)?)))).await
}

/// `PUT /{id}`
pub async fn update(
    _: Operator,
    Id(id): Id<User>,
    Context(app): Context<App>,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<UserView>, ApiError> {
    let role = request.role.map(|role| role.parse()).transpose()?;
    let password = hashed(&app, request.password).await?;
    let user = app.write(move |tx| users::update(tx, id, UserChange { role, password })).await?;
    app.read(move |state| Ok(Json(UserView::new(state, &user)))).await
}

/// `DELETE /{id}`: with its keys and tokens.
pub async fn delete(
    _: Operator,
    Id(id): Id<User>,
    Context(app): Context<App>,
) -> Result<NoContent, ApiError> {
    app.write(move |tx| users::delete(tx, id)).await?;
    Ok(NoContent)
}

//! `/operator/v1/accounts`: list, create, show, delete, and a new token. The
//! operator's alone.

use aide::OperationInput;
use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use aide::generate::GenContext;
use aide::openapi::{Operation, Response};
use axum::Json;
use axum::extract::{FromRequestParts, State as Context};
use axum::response::NoContent;
use http::request::Parts;
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::Operator;
use super::error::ApiError;
use super::openapi::{named, refused};
use super::page::Paging;
use super::request::{Body, document_path_param, path_param, require};
use crate::controller::accounts;
use crate::model::{Account, DomainId, Name, ProjectId, Timestamp};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/operator/v1/accounts",
            get_with(list, named("listAccounts", "List accounts"))
                .post_with(create, named("createAccount", "Make an account and show its secrets this once")),
        )
        .api_route(
            "/operator/v1/accounts/{id}",
            get_with(show, named("showAccount", "Show an account"))
                .delete_with(delete, named("deleteAccount", "Delete an account that owns nothing")),
        )
        .api_route(
            "/operator/v1/accounts/{id}/token",
            post_with(
                renew_token,
                named("renewAccountToken", "Give an account another token, shown this once"),
            ),
        )
        .with_path_items(|path| path.tag("Accounts"))
}

/// The `{id}` of a path: a name, a domain id or a project id.
pub struct Named(String);

impl FromRequestParts<App> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        path_param(parts, app, "id").await.map(Self)
    }
}

impl OperationInput for Named {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({
            "description": "The account's name, domain id or project id.",
            "type": "string",
            "minLength": 1,
        });
        document_path_param(ctx, operation, "id", schema);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[404])
    }
}

/// An account: a domain with one project.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Account")]
pub struct AccountView {
    /// Unique on this controller.
    name: Name,
    /// Names the account.
    domain_id: DomainId,
    /// Its space for resources.
    project_id: ProjectId,
    /// Public half of its key pair.
    access_key: String,
    /// When it was made.
    created_at: Timestamp,
    /// Secret half of its key pair, shown when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_key: Option<String>,
    /// Its token, shown when it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl AccountView {
    fn new(account: &Account) -> Self {
        Self {
            name: account.name.clone(),
            domain_id: account.domain,
            project_id: account.project,
            access_key: account.access_key.clone(),
            created_at: account.created_at,
            secret_key: None,
            token: None,
        }
    }
}

/// A page of accounts, oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Accounts")]
pub struct AccountPage {
    accounts: Vec<AccountView>,
    /// How many there are on all pages.
    total_count: usize,
}

/// The body of a creation.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CreateAccount")]
pub struct CreateRequest {
    /// Unique on this controller, and not in the form of an id.
    #[schemars(with = "Name")]
    name: Option<String>,
}

/// `POST`: the answer is the only one that has the secrets.
pub async fn create(
    _: Operator,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<AccountView>, ApiError> {
    let name = Name::new("name", &require("name", request.name)?)?;
    let new = app.write(move |tx| accounts::create(tx, name)).await?;
    let view = AccountView::new(&new.account);
    Ok(Json(AccountView { secret_key: Some(new.account.secret_key), token: Some(new.token), ..view }))
}

/// `GET`
pub async fn list(
    _: Operator,
    Context(app): Context<App>,
    Paging(page): Paging<1000, 1000>,
) -> Result<Json<AccountPage>, ApiError> {
    app.read(move |state| {
        let mut rows: Vec<_> = state.accounts.iter().collect();
        rows.sort_by_key(|account| (account.created_at, account.domain));
        let total_count = rows.len();
        let accounts = page.cut(rows).into_iter().map(AccountView::new).collect();
        Ok(Json(AccountPage { accounts, total_count }))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    _: Operator,
    Context(app): Context<App>,
    Named(named): Named,
) -> Result<Json<AccountView>, ApiError> {
    app.read(move |state| Ok(Json(AccountView::new(accounts::find(state, &named)?)))).await
}

/// `POST /{id}/token`: the answer is the only one that has the new token.
pub async fn renew_token(
    _: Operator,
    Context(app): Context<App>,
    Named(named): Named,
) -> Result<Json<AccountView>, ApiError> {
    let new = app.write(move |tx| accounts::renew_token(tx, &named)).await?;
    Ok(Json(AccountView { token: Some(new.token), ..AccountView::new(&new.account) }))
}

/// `DELETE /{id}`
pub async fn delete(
    _: Operator,
    Context(app): Context<App>,
    Named(named): Named,
) -> Result<NoContent, ApiError> {
    app.write(move |tx| accounts::delete(tx, &named)).await?;
    Ok(NoContent)
}

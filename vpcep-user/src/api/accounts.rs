//! `/operator/v1/accounts`: list, create, show, delete, and new tokens. The
//! operator's alone.

use aide::OperationInput;
use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, post_with};
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
use super::password::Given;
use super::request::{Body, document_path_param, path_param, require};
use crate::controller::State;
use crate::controller::accounts;
use crate::controller::identity::tokens::Issued;
use crate::controller::identity::{keys, tokens};
use crate::model::{AccessKeyId, Account, DomainId, Name, ProjectId, Timestamp, UserId};

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
        .api_route(
            "/operator/v1/accounts/{id}/tokens",
            delete_with(revoke_tokens, named("revokeAccountTokens", "End the tokens of an account's users")),
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
    /// The user that was made with the account, unless it has been deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    /// The oldest access key of that user.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<AccessKeyId>,
    /// When it was made.
    created_at: Timestamp,
    /// The secret half of the access key; only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_key: Option<String>,
    /// A token of the user; only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// When the token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_expires_at: Option<Timestamp>,
}

impl AccountView {
    fn new(state: &State, account: &Account) -> Self {
        let user = accounts::first_user(state, account).ok();
        let key = user.and_then(|user| keys::list(state, Some(user.id)).first().map(|key| key.access));
        Self {
            name: account.name.clone(),
            domain_id: account.domain,
            project_id: account.project,
            user_id: user.map(|user| user.id),
            access_key: key,
            created_at: account.created_at,
            secret_key: None,
            token: None,
            token_expires_at: None,
        }
    }

    fn with_token(self, issued: &Issued) -> Self {
        Self {
            token: Some(issued.text.reveal().into()),
            token_expires_at: Some(issued.token.expires_at),
            ..self
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
    /// Password of the first user; without it none opens it.
    password: Option<Given>,
}

/// `POST`: the answer is the only one that has the secrets.
pub async fn create(
    _: Operator,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<AccountView>, ApiError> {
    let name = Name::new("name", &require("name", request.name)?)?;
    let password = match request.password {
        Some(Given(password)) => Some(app.access.passwords.hash(password).await?),
        None => None,
    };
    let access = app.access.clone();
    let new = app
        .write(move |tx| accounts::create(tx, &access.vault, name, password, access.token_lifetime))
        .await?;
    app.read(move |state| {
        let view = AccountView::new(state, &new.account).with_token(&new.token);
        Ok(Json(AccountView {
            access_key: Some(new.key.key.access),
            secret_key: Some(new.key.secret.reveal().into()),
            ..view
        }))
    })
    .await
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
        let rows = page.cut(rows).into_iter();
        let accounts = rows.map(|account| AccountView::new(state, account)).collect();
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
    app.read(move |state| Ok(Json(AccountView::new(state, accounts::find(state, &named)?)))).await
}

/// `POST /{id}/token`: the answer is the only one that has the new token of the
/// account's first user. Those it had are dead.
pub async fn renew_token(
    _: Operator,
    Context(app): Context<App>,
    Named(named): Named,
) -> Result<Json<AccountView>, ApiError> {
    let lifetime = app.access.token_lifetime;
    let (account, issued) = app.write(move |tx| accounts::renew_token(tx, &named, lifetime)).await?;
    app.read(move |state| Ok(Json(AccountView::new(state, &account).with_token(&issued)))).await
}

/// `DELETE /{id}/tokens`: ends the tokens of all the account's users.
pub async fn revoke_tokens(
    _: Operator,
    Context(app): Context<App>,
    Named(named): Named,
) -> Result<NoContent, ApiError> {
    app.write(move |tx| {
        let domain = accounts::find_domain(tx.state, &named)?;
        tokens::revoke_of_domain(tx, domain);
        Ok(())
    })
    .await?;
    Ok(NoContent)
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

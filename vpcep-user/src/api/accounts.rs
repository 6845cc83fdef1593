//! `/operator/v1/accounts`: list, create, show, delete, and new tokens. The
//! operator's alone.

use axum::Json;
use axum::extract::{Path, State as Context};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::Operator;
use super::error::ApiError;
use super::request::{Body, Params, require};
use super::{App, deleted};
use crate::controller::State;
use crate::controller::accounts;
use crate::controller::identity::tokens::Issued;
use crate::controller::identity::{keys, tokens};
use crate::model::{Account, Name, Secret};

/// An account.
#[derive(Serialize, JsonSchema)]
pub struct AccountView {
    /// Unique on this controller.
    name: String,
    /// 32 hexadecimal digits.
    domain_id: String,
    /// 32 hexadecimal digits.
    project_id: String,
    /// The user that was made with the account, unless it has been deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// The oldest access key of that user.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<String>,
    /// `YYYY-MM-DDTHH:MM:SSZ`.
    created_at: String,
    /// The secret half of the access key; only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_key: Option<String>,
    /// A token of the user; only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// When the token ends, `YYYY-MM-DDTHH:MM:SSZ`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_expires_at: Option<String>,
}

impl AccountView {
    fn new(state: &State, account: &Account) -> Self {
        let user = accounts::first_user(state, account).ok();
        let key = user.and_then(|user| keys::list(state, Some(user.id)).first().map(|key| key.access));
        Self {
            name: account.name.to_string(),
            domain_id: account.domain.to_string(),
            project_id: account.project.to_string(),
            user_id: user.map(|user| user.id.to_string()),
            access_key: key.map(|access| access.to_string()),
            created_at: account.created_at.to_string(),
            secret_key: None,
            token: None,
            token_expires_at: None,
        }
    }

    fn with_token(self, issued: &Issued) -> Self {
        Self {
            token: Some(issued.text.reveal().into()),
            token_expires_at: Some(issued.token.expires_at.to_string()),
            ..self
        }
    }
}

/// The body of a creation.
#[derive(Deserialize, JsonSchema)]
pub struct CreateRequest {
    /// 1 to 64 of letters, digits, `_`, `-` and `.`; unique on this controller.
    name: Option<String>,
    /// Password of the first user; without it none opens it.
    password: Option<String>,
}

/// `POST`: the answer is the only one that has the secrets.
pub async fn create(
    _: Operator,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<AccountView>, ApiError> {
    let name = Name::new("name", &require("name", request.name)?)?;
    let password = match request.password {
        Some(password) => Some(app.access.passwords.hash(Secret::new(password)).await?),
        None => None,
    };
    let access = app.access.clone();
    let new = app
        .write(move |tx| accounts::create(tx, &access.vault, name, password, access.token_lifetime))
        .await?;
    app.read(move |state| {
        let view = AccountView::new(state, &new.account).with_token(&new.token);
        Ok(Json(AccountView {
            access_key: Some(new.key.key.access.to_string()),
            secret_key: Some(new.key.secret.reveal().into()),
            ..view
        }))
    })
    .await
}

/// A list of accounts.
#[derive(Serialize, JsonSchema)]
pub struct AccountList {
    /// The rows of this page, oldest first.
    accounts: Vec<AccountView>,
    /// How many there are in all.
    total_count: usize,
}

/// `GET`
pub async fn list(
    _: Operator,
    Context(app): Context<App>,
    params: Params,
) -> Result<Json<AccountList>, ApiError> {
    let page = params.page(1000, 1000)?;
    app.read(move |state| {
        let mut rows: Vec<_> = state.accounts.iter().collect();
        rows.sort_by_key(|account| (account.created_at, account.domain));
        let (rows, total_count) = page.cut(rows);
        let accounts = rows.into_iter().map(|account| AccountView::new(state, account)).collect();
        Ok(Json(AccountList { accounts, total_count }))
    })
    .await
}

/// `GET /{id or name}`
pub async fn show(
    _: Operator,
    Context(app): Context<App>,
    Path(named): Path<String>,
) -> Result<Json<AccountView>, ApiError> {
    app.read(move |state| Ok(Json(AccountView::new(state, accounts::find(state, &named)?)))).await
}

/// `POST /{id or name}/token`: the answer is the only one that has the new token
/// of the account's first user. Those it had are dead.
pub async fn renew_token(
    _: Operator,
    Context(app): Context<App>,
    Path(named): Path<String>,
) -> Result<Json<AccountView>, ApiError> {
    let lifetime = app.access.token_lifetime;
    let (account, issued) = app.write(move |tx| accounts::renew_token(tx, &named, lifetime)).await?;
    app.read(move |state| Ok(Json(AccountView::new(state, &account).with_token(&issued)))).await
}

/// `DELETE /{id or name}/tokens`: ends the tokens of all the account's users.
pub async fn revoke_tokens(
    _: Operator,
    Context(app): Context<App>,
    Path(named): Path<String>,
) -> Result<Response, ApiError> {
    app.write(move |tx| {
        let domain = accounts::find_domain(tx.state, &named)?;
        tokens::revoke_of_domain(tx, domain);
        Ok(())
    })
    .await?;
    Ok(deleted())
}

/// `DELETE /{id or name}`
pub async fn delete(
    _: Operator,
    Context(app): Context<App>,
    Path(named): Path<String>,
) -> Result<Response, ApiError> {
    app.write(move |tx| accounts::delete(tx, &named)).await?;
    Ok(deleted())
}

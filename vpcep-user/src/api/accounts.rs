//! `/operator/v1/accounts`: list, create, show, delete, and a new token. The
//! operator's alone.

use axum::Json;
use axum::extract::{Path, State as Context};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Operator;
use super::error::ApiError;
use super::request::{Body, Params, require};
use super::{App, deleted};
use crate::controller::accounts;
use crate::model::{Account, Name};

fn view(account: &Account) -> Value {
    json!({
        "name": account.name.as_str(),
        "domain_id": account.domain.to_string(),
        "project_id": account.project.to_string(),
        "access_key": account.access_key,
        "created_at": account.created_at.to_string(),
    })
}

/// The body of a creation.
#[derive(Deserialize)]
pub struct CreateRequest {
    name: Option<String>,
}

/// `POST`: the answer is the only one that has the secrets.
pub async fn create(
    _: Operator,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<Value>, ApiError> {
    let name = Name::new("name", &require("name", request.name)?)?;
    let new = app.write(move |tx| accounts::create(tx, name)).await?;
    let mut answer = view(&new.account);
    answer["secret_key"] = new.account.secret_key.into();
    answer["token"] = new.token.into();
    Ok(Json(answer))
}

/// `GET`
pub async fn list(_: Operator, Context(app): Context<App>, params: Params) -> Result<Json<Value>, ApiError> {
    let page = params.page(1000, 1000)?;
    app.read(move |state| {
        let mut rows: Vec<_> = state.accounts.iter().collect();
        rows.sort_by_key(|account| (account.created_at, account.domain));
        let (rows, total_count) = page.cut(rows);
        let rows: Vec<_> = rows.into_iter().map(view).collect();
        Ok(Json(json!({"accounts": rows, "total_count": total_count})))
    })
    .await
}

/// `GET /{id or name}`
pub async fn show(
    _: Operator,
    Context(app): Context<App>,
    Path(named): Path<String>,
) -> Result<Json<Value>, ApiError> {
    app.read(move |state| Ok(Json(view(accounts::find(state, &named)?)))).await
}

/// `POST /{id or name}/token`: the answer is the only one that has the new token.
pub async fn renew_token(
    _: Operator,
    Context(app): Context<App>,
    Path(named): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let new = app.write(move |tx| accounts::renew_token(tx, &named)).await?;
    let mut answer = view(&new.account);
    answer["token"] = new.token.into();
    Ok(Json(answer))
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

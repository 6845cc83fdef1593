//! `GET /operator/v1/audit`: the audit log, newest first. The operator's alone.

use axum::Json;
use axum::extract::State as Context;
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::auth::Operator;
use super::error::ApiError;
use super::request::Params;
use crate::audit::{Query, Record};
use crate::controller::{State, accounts};
use crate::model::Timestamp;

/// Records of a page, when none are named.
const DEFAULT_LIMIT: usize = 100;
/// Most records of a page.
const MAX_LIMIT: usize = 1000;

/// What was found.
#[derive(Serialize, JsonSchema)]
pub struct Records {
    /// Newest first.
    records: Vec<Record>,
    /// Lines that could not be read and were passed over.
    unreadable: usize,
}

/// `GET`
pub async fn list(
    _: Operator,
    Context(app): Context<App>,
    params: Params,
) -> Result<Json<Records>, ApiError> {
    let time = |name: &'static str| params.get(name).map(|text| parse_time(name, text)).transpose();
    let query = Query {
        since: time("since")?,
        until: time("until")?,
        account: None,
        object: params.get("object").map(Into::into),
        limit: params.page(DEFAULT_LIMIT, MAX_LIMIT)?.limit,
    };
    let account = params.get("account").map(ToOwned::to_owned);
    app.blocking(move |app| {
        let Some(log) = app.controller.audit() else { return Err(ApiError::NoRoute) };
        let account = account.map(|named| app.controller.read(|state| names_of(state, named)));
        let found = log.find(&Query { account, ..query }).map_err(ApiError::AuditLog)?;
        Ok(Json(Records { records: found.records, unreadable: found.unreadable }))
    })
    .await
}

fn parse_time(field: &'static str, text: &str) -> Result<Timestamp, ApiError> {
    text.parse().map_err(|()| ApiError::Field {
        field,
        value: text.into(),
        expected: "a time such as 2026-03-01T12:00:00Z",
    })
}

/// Every name of an account in the log; one that is deleted has only the given.
fn names_of(state: &State, named: String) -> Vec<String> {
    match accounts::find(state, &named) {
        Ok(account) => {
            vec![named, account.name.to_string(), account.domain.to_string(), account.project.to_string()]
        }
        Err(_) => vec![named],
    }
}

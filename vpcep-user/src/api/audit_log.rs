//! `GET /operator/v1/audit`: the audit log, newest first. The operator's alone.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::Operator;
use super::error::ApiError;
use super::openapi::named;
use super::page::rows_wanted;
use super::request::Query;
use crate::audit::{self, Record};
use crate::controller::{State, accounts};
use crate::model::Timestamp;

/// Records of a page, when none are named.
const DEFAULT_LIMIT: usize = 100;
/// Most records of a page.
const MAX_LIMIT: usize = 1000;

pub fn routes() -> ApiRouter<App> {
    let list = get_with(list, named("listAuditRecords", "Read the audit log, newest first"));
    ApiRouter::new().api_route("/operator/v1/audit", list).with_path_items(|path| path.tag("Operation"))
}

/// Which records are wanted.
#[derive(Deserialize, JsonSchema)]
pub struct Wanted {
    /// Not before this time.
    since: Option<Timestamp>,
    /// Before this time.
    until: Option<Timestamp>,
    /// Done by this account, or to what it owns: name, domain id or project id.
    account: Option<String>,
    /// With this id among the changes, or in the path.
    object: Option<String>,
    /// Most records of the answer, 100 by default.
    #[schemars(with = "u32", range(max = 1000))]
    limit: Option<String>,
}

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
    Query(Wanted { since, until, account, object, limit }): Query<Wanted>,
) -> Result<Json<Records>, ApiError> {
    let limit = rows_wanted(limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let query = audit::Query { since, until, account: None, object, limit };
    app.blocking(move |app| {
        let Some(log) = app.controller.audit() else { return Err(ApiError::NoRoute) };
        let account = account.map(|named| app.controller.read(|state| names_of(state, named)));
        let found = log.find(&audit::Query { account, ..query }).map_err(ApiError::AuditLog)?;
        Ok(Json(Records { records: found.records, unreadable: found.unreadable }))
    })
    .await
}

/// Every name of an account in the log; one that is deleted has only the given.
fn names_of(state: &State, named: String) -> Vec<String> {
    let Ok(domain) = accounts::find_domain(state, &named) else { return vec![named] };
    let name = state.domain_name(domain).map(ToOwned::to_owned);
    let project = state.project_of(domain).map(|project| project.to_string());
    [Some(named), name, Some(domain.to_string()), project].into_iter().flatten().collect()
}

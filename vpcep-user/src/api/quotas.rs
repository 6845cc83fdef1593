//! `GET /v1/{project_id}/quotas`, and `PUT /operator/v1/quotas`, the operator's
//! alone.

use axum::Json;
use axum::extract::State as Context;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::{InProject, Operator};
use super::error::ApiError;
use super::request::{Body, Params, require};
use crate::controller::quotas::{self, Usage};
use crate::controller::{Scope, State};
use crate::model::{Endpoint, QuotaChange};

fn service_row(usage: &Usage) -> Value {
    json!({"type": "endpoint_service", "used": usage.services, "quota": usage.limits.services})
}

fn endpoint_row(usage: &Usage) -> Value {
    json!({"type": "endpoint", "used": usage.endpoints, "quota": usage.limits.endpoints})
}

/// `GET`: without `type` the two the contract knows.
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let usage = app.read(move |state| Ok(quotas::usage(state, scope))).await?;
    let resources = match params.get("type") {
        None => vec![service_row(&usage), endpoint_row(&usage)],
        Some("endpoint_service") => vec![service_row(&usage)],
        Some("endpoint") => vec![endpoint_row(&usage)],
        Some("connection") => {
            // The limit is each endpoint's: what is used of it is the fullest one's use.
            let fullest = app.blocking(move |app| {
                let of_scope = |state: &State| {
                    state.visible::<Endpoint>(scope).into_iter().map(|e| e.id).collect::<Vec<_>>()
                };
                let mut fullest = 0;
                for id in app.controller.read(of_scope) {
                    let stats = app.datapath.endpoint_stats(id)?;
                    fullest = fullest.max(stats.map_or(0, |stats| stats.connections));
                }
                Ok(fullest)
            });
            let used = fullest.await?;
            vec![json!({"type": "connection", "used": used, "quota": usage.limits.connections})]
        }
        Some(other) => {
            return Err(ApiError::Field {
                field: "type",
                value: other.into(),
                expected: "endpoint_service, endpoint or connection",
            });
        }
    };
    Ok(Json(json!({"quotas": {"resources": resources}})))
}

/// The body of a change.
#[derive(Deserialize)]
pub struct SetRequest {
    project_id: Option<String>,
    quotas: Option<Limits>,
}

/// The limits to set.
#[derive(Deserialize)]
pub struct Limits {
    endpoint_service: Option<u32>,
    endpoint: Option<u32>,
    connection: Option<u32>,
}

/// `PUT /operator/v1/quotas`
pub async fn set(
    _: Operator,
    Context(app): Context<App>,
    Body(request): Body<SetRequest>,
) -> Result<Json<Value>, ApiError> {
    let project = request.project_id.map(|id| id.parse()).transpose().map_err(ApiError::Project)?;
    let Limits { endpoint_service, endpoint, connection } = require("quotas", request.quotas)?;
    let change = QuotaChange { services: endpoint_service, endpoints: endpoint, connections: connection };
    app.write(move |tx| quotas::set(tx, project, change)).await?;
    let scope = project.map_or(Scope::Every, Scope::Project);
    let usage = app.read(move |state| Ok(quotas::usage(state, scope))).await?;
    let connection = json!({"type": "connection", "used": null, "quota": usage.limits.connections});
    Ok(Json(json!({"quotas": {"resources": [service_row(&usage), endpoint_row(&usage), connection]}})))
}

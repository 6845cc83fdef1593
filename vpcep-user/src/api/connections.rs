//! `/v1/{project_id}/vpc-endpoint-services/{id}/connections`: list, `POST
//! /action` (receive, reject) and `PUT /description`. The service owner's alone.

use axum::Json;
use axum::extract::State as Context;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::App;
use super::auth::InProject;
use super::endpoints::{STATUSES, failure};
use super::error::ApiError;
use super::request::{Body, Id, Params, require};
use crate::controller::connections::Action;
use crate::controller::{State, connections};
use crate::model::{Endpoint, EndpointId, Service};

/// A connection as the provider sees it.
#[derive(Serialize)]
struct ConnectionView {
    id: String,
    marker_id: u32,
    created_at: String,
    updated_at: String,
    domain_id: String,
    status: &'static str,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

impl ConnectionView {
    fn new(state: &State, endpoint: &Endpoint) -> Self {
        Self {
            id: endpoint.id.to_string(),
            marker_id: endpoint.marker,
            created_at: endpoint.created_at.to_string(),
            updated_at: endpoint.updated_at.to_string(),
            domain_id: state.domain_of(endpoint.project).to_string(),
            status: endpoint.connection.state.as_str(),
            description: endpoint.connection_description.as_str().into(),
            error: failure(&endpoint.connection.state),
        }
    }
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let (page, order) = (params.page(10, 1000)?, params.order()?);
    let status = params.status(STATUSES)?.map(str::to_owned);
    let bad_marker = |value: &str| ApiError::Field {
        field: "marker_id",
        value: value.into(),
        expected: "a number of 1 to 4294967295",
    };
    let marker = params.get("marker_id").map(|text| text.parse::<u32>().map_err(|_| bad_marker(text)));
    let marker = marker.transpose()?;
    app.read(move |state| {
        let mut rows = connections::list(state, scope, id)?;
        rows.retain(|endpoint| {
            params.get("id").is_none_or(|id| endpoint.id.to_string() == id)
                && marker.is_none_or(|marker| endpoint.marker == marker)
                && status.as_deref().is_none_or(|status| endpoint.connection.state.as_str() == status)
        });
        order.sort(&mut rows, |endpoint| (endpoint.created_at, endpoint.updated_at));
        let (rows, total_count) = page.cut(rows);
        let rows: Vec<_> = rows.into_iter().map(|endpoint| ConnectionView::new(state, endpoint)).collect();
        Ok(Json(json!({"connections": rows, "total_count": total_count})))
    })
    .await
}

/// The body of an action.
#[derive(Deserialize)]
pub struct ActionRequest {
    action: Option<String>,
    endpoints: Option<Vec<String>>,
}

/// `POST /action`
pub async fn act(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(service): Id<Service>,
    Body(request): Body<ActionRequest>,
) -> Result<Json<Value>, ApiError> {
    let action = match require("action", request.action)?.as_str() {
        "receive" => Action::Receive,
        "reject" => Action::Reject,
        other => {
            return Err(ApiError::Field {
                field: "action",
                value: other.into(),
                expected: "receive or reject",
            });
        }
    };
    let endpoints = require("endpoints", request.endpoints)?;
    let [endpoint] = endpoints.as_slice() else {
        return Err(ApiError::EndpointCount { count: endpoints.len() });
    };
    let endpoint: EndpointId = endpoint.parse()?;
    let acted = app
        .write_through(move |tx| {
            let acted = connections::act(tx, scope, service, endpoint, action)?;
            Ok((acted.endpoint, acted.effect))
        })
        .await?;
    app.read(move |state| {
        // The pass has usually moved it on; if the consumer has deleted it meanwhile, what was done stands.
        let endpoint = state.endpoints.get(endpoint).unwrap_or(&acted);
        Ok(Json(json!({"connections": [ConnectionView::new(state, endpoint)]})))
    })
    .await
}

/// The body of a description.
#[derive(Deserialize)]
pub struct DescribeRequest {
    connections: Option<Vec<Note>>,
}

/// A note on one connection.
#[derive(Deserialize)]
pub struct Note {
    id: Option<String>,
    description: Option<String>,
}

/// `PUT /description`
pub async fn describe(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(service): Id<Service>,
    Body(request): Body<DescribeRequest>,
) -> Result<Json<Value>, ApiError> {
    let notes = require("connections", request.connections)?.into_iter().map(|note| {
        let description = note.description.unwrap_or_default().parse()?;
        Ok((require("id", note.id)?.parse()?, description))
    });
    let notes = notes.collect::<Result<_, ApiError>>()?;
    let endpoints = app.write(move |tx| connections::describe(tx, scope, service, notes)).await?;
    app.read(move |state| {
        let rows: Vec<_> = endpoints.iter().map(|endpoint| ConnectionView::new(state, endpoint)).collect();
        Ok(Json(json!({"connections": rows})))
    })
    .await
}

//! `/v1/{project_id}/vpc-endpoint-services/{id}/connections`: list, `POST
//! /action` (receive, reject) and `PUT /description`. The service owner's alone.

use std::num::NonZeroU32;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::Json;
use axum::extract::State as Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::InProject;
use super::endpoints::{ErrorDetail, Status, failure};
use super::error::ApiError;
use super::openapi::named;
use super::page::{Order, Paging};
use super::request::{Body, Id, Query, require};
use crate::controller::connections::Action;
use crate::controller::{State, connections};
use crate::model::{Description, DomainId, Endpoint, EndpointId, Service, Timestamp};

pub fn routes() -> ApiRouter<App> {
    const CONNECTIONS: &str = "/v1/{project_id}/vpc-endpoint-services/{id}/connections";
    let path = |rest: &str| format!("{CONNECTIONS}{rest}");
    ApiRouter::new()
        .api_route(CONNECTIONS, get_with(list, named("listConnections", "List the connections of a service")))
        .api_route(
            &path("/action"),
            post_with(act, named("changeConnection", "Accept or reject the connection of an endpoint")),
        )
        .api_route(
            &path("/description"),
            put_with(describe, named("describeConnections", "Change the notes on connections")),
        )
        .with_path_items(|path| path.tag("Connections"))
}

/// A connection as the provider sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Connection")]
struct ConnectionView {
    /// The endpoint.
    id: EndpointId,
    /// Tells the endpoints of all services apart.
    #[schemars(range(min = 1))]
    marker_id: u32,
    /// When the endpoint was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// The account that has the endpoint.
    domain_id: DomainId,
    /// Where the connection is in its life.
    status: Status,
    /// The provider's note.
    description: String,
    /// Why it failed; present when it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<[ErrorDetail; 1]>,
}

impl ConnectionView {
    fn new(state: &State, endpoint: &Endpoint) -> Self {
        Self {
            id: endpoint.id,
            marker_id: endpoint.marker,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            domain_id: state.domain_of(endpoint.project),
            status: Status::of(&endpoint.connection.state),
            description: endpoint.connection_description.as_str().into(),
            error: failure(&endpoint.connection.state),
        }
    }
}

/// A page of connections.
#[derive(Serialize, JsonSchema)]
pub struct ConnectionPage {
    connections: Vec<ConnectionView>,
    /// How many there are on all pages.
    total_count: usize,
}

/// Connections that were changed.
#[derive(Serialize, JsonSchema)]
pub struct Connections {
    connections: Vec<ConnectionView>,
}

/// Which connections are wanted.
#[derive(Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Filter {
    /// Only that of this endpoint.
    id: Option<String>,
    /// Only that with this marker.
    #[schemars(with = "Option<u32>", range(min = 1, max = u32::MAX))]
    marker_id: Option<Marker>,
    /// Only those in this state.
    status: Option<Status>,
}

impl Filter {
    fn wants(&self, endpoint: &Endpoint) -> bool {
        let Self { id, marker_id, status } = self;
        id.as_ref().is_none_or(|id| endpoint.id.to_string() == *id)
            && marker_id.is_none_or(|marker| endpoint.marker == marker.0.get())
            && status.is_none_or(|status| Status::of(&endpoint.connection.state) == status)
    }
}

/// A marker in a query.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Marker(NonZeroU32);

impl TryFrom<String> for Marker {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bad = |_| format!("bad marker_id \"{text}\": expected a number of 1 to 4294967295");
        text.parse().map(Self).map_err(bad)
    }
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Paging(page): Paging<10, 1000>,
    Query(order): Query<Order>,
    Query(filter): Query<Filter>,
) -> Result<Json<ConnectionPage>, ApiError> {
    app.read(move |state| {
        let wanted = (filter != Filter::default()).then_some(|endpoint: &_| filter.wants(endpoint));
        let ages = connections::list(state, scope, id)?;
        let (rows, total_count) = order.page::<Endpoint>(page, state, &ages, wanted);
        let views = rows.into_iter().map(|endpoint| ConnectionView::new(state, endpoint));
        Ok(Json(ConnectionPage { connections: views.collect(), total_count }))
    })
    .await
}

/// The body of an action.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ChangeConnection")]
pub struct ActionRequest {
    /// What to do.
    #[schemars(with = "String", extend("enum" = ["receive", "reject"]))]
    action: Option<String>,
    /// The endpoint, one.
    #[schemars(with = "[EndpointId; 1]")]
    endpoints: Option<Vec<String>>,
}

/// `POST /action`
pub async fn act(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(service): Id<Service>,
    Body(request): Body<ActionRequest>,
) -> Result<Json<Connections>, ApiError> {
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
        Ok(Json(Connections { connections: vec![ConnectionView::new(state, endpoint)] }))
    })
    .await
}

/// The body of a description.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DescribeConnections")]
pub struct DescribeRequest {
    #[schemars(with = "Vec<ConnectionNote>")]
    connections: Option<Vec<ConnectionNote>>,
}

/// A note on one connection.
#[derive(Deserialize, JsonSchema)]
pub struct ConnectionNote {
    /// The endpoint.
    #[schemars(with = "EndpointId")]
    id: Option<String>,
    /// The provider's note; none when absent.
    #[schemars(with = "Option<Description>")]
    description: Option<String>,
}

/// `PUT /description`
pub async fn describe(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(service): Id<Service>,
    Body(request): Body<DescribeRequest>,
) -> Result<Json<Connections>, ApiError> {
    let notes = require("connections", request.connections)?.into_iter().map(|note| {
        let description = note.description.unwrap_or_default().parse()?;
        Ok((require("id", note.id)?.parse()?, description))
    });
    let notes = notes.collect::<Result<_, ApiError>>()?;
    let endpoints = app.write(move |tx| connections::describe(tx, scope, service, notes)).await?;
    app.read(move |state| {
        let connections = endpoints.iter().map(|endpoint| ConnectionView::new(state, endpoint)).collect();
        Ok(Json(Connections { connections }))
    })
    .await
}

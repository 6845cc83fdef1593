//! `/v1/{project_id}/vpc-endpoint-services/public` and `/describe`: what anybody may
//! know of services.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::InProject;
use super::error::ApiError;
use super::openapi::named;
use super::page::{Order, Paging};
use super::request::{Query, require};
use crate::controller::ControlError;
use crate::model::{FullName, ServiceId, Timestamp};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/vpc-endpoint-services/public",
            get_with(public, named("listPublicEndpointServices", "List what the operator offers everyone")),
        )
        .api_route(
            "/v1/{project_id}/vpc-endpoint-services/describe",
            get_with(describe, named("describeEndpointService", "Look an endpoint service up by name or id")),
        )
        .with_path_items(|path| path.tag("Endpoint services"))
}

/// What anybody may know of a service.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DescribedEndpointService")]
pub struct Described {
    /// Names it.
    id: ServiceId,
    /// Its full name.
    service_name: FullName,
    /// Always `interface`.
    service_type: &'static str,
    /// When it was made.
    created_at: Timestamp,
    /// Whether its use is charged for; it is not.
    is_charge: bool,
    /// Whether endpoints may have policies.
    enable_policy: bool,
    /// Always null.
    public_border_group: Option<String>,
}

/// A page of services for everyone.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PublicEndpointServicePage")]
pub struct PublicPage {
    endpoint_services: Vec<Described>,
    /// How many there are on all pages.
    total_count: usize,
}

/// By what a service is looked up.
#[derive(Deserialize, JsonSchema)]
pub struct Named {
    /// Its id.
    id: Option<String>,
    /// Its full name, when no id is given.
    endpoint_service_name: Option<String>,
}

/// `GET /public`: services the operator offers to everyone. There are none: what
/// an operator offers is a service like any other, found by its full name.
pub async fn public(
    _: InProject,
    _: Paging<10, 1000>,
    _: Query<Order>,
    _: Query<Named>,
) -> Result<Json<PublicPage>, ApiError> {
    Ok(Json(PublicPage { endpoint_services: vec![], total_count: 0 }))
}

/// `GET /describe`: what anybody may know of a service whose full name or id they
/// have.
pub async fn describe(
    _: InProject,
    Context(app): Context<App>,
    Query(Named { id, endpoint_service_name }): Query<Named>,
) -> Result<Json<Described>, ApiError> {
    let (is_id, named) = match (id, endpoint_service_name) {
        (Some(id), _) => (true, id),
        (None, name) => (false, require("endpoint_service_name", name)?),
    };
    app.read(move |state| {
        let service = if is_id {
            named.parse().ok().and_then(|id| state.services.get(id))
        } else {
            state.services.iter().find(|service| state.full_name(service).as_str() == named)
        };
        let not_found = || ControlError::NotFound { kind: "endpoint service", id: named.clone() };
        let service = service.ok_or_else(not_found)?;
        Ok(Json(Described {
            id: service.id,
            service_name: state.full_name(service),
            service_type: "interface",
            created_at: service.created_at,
            is_charge: false,
            enable_policy: false,
            public_border_group: None,
        }))
    })
    .await
}

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
use super::request::{NamePart, Query, require};
use crate::controller::{ControlError, Scope, State};
use crate::model::{FullName, Service, ServiceId, ServiceStatus, Timestamp};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/vpc-endpoint-services/public",
            get_with(list, named("listPublicEndpointServices", "List what the operator offers everyone")),
        )
        .api_route(
            "/v1/{project_id}/vpc-endpoint-services/describe",
            get_with(describe, named("describeEndpointService", "Look an endpoint service up by name or id")),
        )
        .with_path_items(|path| path.tag("Endpoint services"))
}

/// A service that is offered to everyone.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PublicEndpointService")]
struct Offer {
    /// Names it.
    id: ServiceId,
    /// The name of the account that offers it.
    owner: String,
    /// Its full name.
    service_name: FullName,
    /// `interface` or `gateway`.
    service_type: &'static str,
    /// When it was made.
    created_at: Timestamp,
    /// Whether its use is charged for; it is not.
    is_charge: bool,
    /// Whether endpoints may have policies.
    enable_policy: bool,
}

impl Offer {
    fn new(state: &State, service: &Service) -> Self {
        Self {
            id: service.id,
            owner: state.domain_name(state.domain_of(service.project)).unwrap_or_default().into(),
            service_name: state.full_name(service),
            service_type: service.kind.as_str(),
            created_at: service.created_at,
            is_charge: false,
            enable_policy: service.enable_policy,
        }
    }
}

/// A page of services for everyone.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PublicEndpointServicePage")]
pub struct OfferPage {
    endpoint_services: Vec<Offer>,
    /// How many there are on all pages.
    total_count: usize,
}

/// Which services are wanted.
#[derive(Deserialize, JsonSchema)]
pub struct Filter {
    /// Only that of this id.
    id: Option<String>,
    /// Only those with this in their full names, in any case.
    endpoint_service_name: Option<NamePart>,
}

impl Filter {
    fn wants(&self, state: &State, service: &Service) -> bool {
        // `list` looks at no other id.
        let Self { id: _, endpoint_service_name } = self;
        service.is_public
            && service.status == ServiceStatus::Available
            && endpoint_service_name.as_ref().is_none_or(|part| part.is_in(state.full_name(service).as_str()))
    }
}

/// `GET /public`
pub async fn list(
    _: InProject,
    Context(app): Context<App>,
    Paging(page): Paging<10, 1000>,
    Query(order): Query<Order>,
    Query(filter): Query<Filter>,
) -> Result<Json<OfferPage>, ApiError> {
    app.read(move |state| {
        let ages = state.candidates::<Service>(Scope::Every, filter.id.as_deref());
        let wanted = |service: &_| filter.wants(state, service);
        let (rows, total_count) = order.page(page, state, &ages, Some(wanted));
        let rows = rows.into_iter().map(|service| Offer::new(state, service));
        Ok(Json(OfferPage { endpoint_services: rows.collect(), total_count }))
    })
    .await
}

/// What anybody may know of a service.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DescribedEndpointService")]
pub struct Described {
    /// Names it.
    id: ServiceId,
    /// Its full name.
    service_name: FullName,
    /// `interface` or `gateway`.
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

/// By what a service is looked up.
#[derive(Deserialize, JsonSchema)]
pub struct Named {
    /// Its id.
    id: Option<String>,
    /// Its full name, when no id is given.
    endpoint_service_name: Option<String>,
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
        // A full name ends in the id.
        let id = if is_id { &named } else { named.rsplit('.').next().unwrap_or_default() };
        let service = id.parse().ok().and_then(|id| state.services.get(id));
        let service = service.filter(|service| is_id || state.full_name(service).as_str() == named);
        let not_found = || ControlError::NotFound { kind: "endpoint service", id: named.clone() };
        let service = service.ok_or_else(not_found)?;
        Ok(Json(Described {
            id: service.id,
            service_name: state.full_name(service),
            service_type: service.kind.as_str(),
            created_at: service.created_at,
            is_charge: false,
            enable_policy: service.enable_policy,
            public_border_group: None,
        }))
    })
    .await
}

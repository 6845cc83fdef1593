//! `/v1/{project_id}/vpc-endpoint-services`: list and create, and show, update,
//! rename and delete under `/{id}`.
//!
//! What a service looks like is in `view.rs`, what may be asked of one in
//! `request.rs`.

mod request;
mod view;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, put_with};
use axum::Json;
use axum::extract::State as Context;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Caller, InProject};
use super::error::ApiError;
use super::openapi::named;
use super::page::{Order, Paging};
use super::request::{Body, Id, NamePart, Query, require};
use crate::controller::services::{NewService, ServiceChange};
use crate::controller::{State, Tx, services};
use crate::model::connection::Effect;
use crate::model::{FullName, Service, ServiceName};
use request::{CreateRequest, UpdateRequest};
use view::{ServicePage, ServiceView, Status};

pub fn routes() -> ApiRouter<App> {
    const SERVICES: &str = "/v1/{project_id}/vpc-endpoint-services";
    let path = |rest: &str| format!("{SERVICES}{rest}");
    ApiRouter::new()
        .api_route(
            SERVICES,
            get_with(list, named("listEndpointServices", "List endpoint services"))
                .post_with(create, named("createEndpointService", "Offer a backend or networks to others")),
        )
        .api_route(
            &path("/{id}"),
            get_with(show, named("showEndpointService", "Show an endpoint service"))
                .put_with(update, named("updateEndpointService", "Change an endpoint service"))
                .delete_with(delete, named("deleteEndpointService", "Delete an endpoint service")),
        )
        .api_route(
            &path("/{id}/name"),
            put_with(rename, named("renameEndpointService", "Change the name of an endpoint service")),
        )
        .with_path_items(|path| path.tag("Endpoint services"))
}

/// `POST`
pub async fn create(
    caller: Caller,
    InProject(scope): InProject,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<ServiceView>, ApiError> {
    request.check_caller(&caller)?;
    let new = NewService::try_from(request)?;
    // The answer shows the service as it was made, `creating`; but an endpoint may be made right
    // after it, so the service is available by then.
    let service = app.make(move |tx| services::create(tx, scope, new)).await?;
    app.read(move |state| Ok(Json(ServiceView::new(state, &service)))).await
}

/// Which services are wanted.
#[derive(Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Filter {
    /// Only that of this id.
    id: Option<String>,
    /// Only those in this state.
    status: Option<Status>,
    /// Only those with this in their full names, in any case.
    endpoint_service_name: Option<NamePart>,
}

impl Filter {
    fn wants(&self, state: &State, service: &Service) -> bool {
        // `list` looks at no other id.
        let Self { id: _, status, endpoint_service_name } = self;
        status.is_none_or(|status| Status::of(service.status) == status)
            && endpoint_service_name.as_ref().is_none_or(|part| part.is_in(state.full_name(service).as_str()))
    }
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<10, 1000>,
    Query(order): Query<Order>,
    Query(filter): Query<Filter>,
) -> Result<Json<ServicePage>, ApiError> {
    app.read(move |state| {
        let wanted = (filter != Filter::default()).then_some(|service: &_| filter.wants(state, service));
        let ages = state.candidates::<Service>(scope, filter.id.as_deref());
        let (rows, total_count) = order.page(page, state, &ages, wanted);
        let views = rows.into_iter().map(|service| ServiceView::new(state, service));
        Ok(Json(ServicePage { endpoint_services: views.collect(), total_count }))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
) -> Result<Json<ServiceView>, ApiError> {
    app.read(move |state| Ok(Json(ServiceView::new(state, state.find(scope, id)?)))).await
}

/// `PUT /{id}`
pub async fn update(
    caller: Caller,
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<ServiceView>, ApiError> {
    request.check_caller(&caller)?;
    let change = ServiceChange::try_from(request)?;
    let update = move |tx: &mut Tx<'_>| Ok((services::update(tx, scope, id, change)?, Effect::Reconcile));
    let service = app.write_through(update).await?;
    current(&app, service).await
}

/// A service as it is after the pass that covered it; if its owner has deleted it
/// meanwhile, what was done stands.
async fn current(app: &App, service: Service) -> Result<Json<ServiceView>, ApiError> {
    app.read(move |state| {
        let service = state.services.get(service.id).unwrap_or(&service);
        Ok(Json(ServiceView::new(state, service)))
    })
    .await
}

/// The body of a renaming.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "RenameEndpointService")]
pub struct RenameRequest {
    /// The middle of the full name.
    #[schemars(with = "ServiceName")]
    endpoint_service_name: Option<String>,
}

/// A new name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RenamedEndpointService")]
pub struct Renamed {
    /// The full name.
    endpoint_service_name: FullName,
}

/// `PUT /{id}/name`
pub async fn rename(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Body(request): Body<RenameRequest>,
) -> Result<Json<Renamed>, ApiError> {
    let name = require("endpoint_service_name", request.endpoint_service_name)?.parse()?;
    let change = ServiceChange { name: Some(name), ..ServiceChange::default() };
    let service = app.write(move |tx| services::update(tx, scope, id, change)).await?;
    app.read(move |state| Ok(Json(Renamed { endpoint_service_name: state.full_name(&service) }))).await
}

/// `DELETE /{id}`
pub async fn delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
) -> Result<NoContent, ApiError> {
    app.write_through(move |tx| Ok((services::delete(tx, scope, id)?, Effect::Reconcile))).await?;
    Ok(NoContent)
}

//! `/v1/{project_id}/vpc-endpoint-services/{id}/permissions`: list, `POST
//! /action`, `/batch-create`, `/batch-delete` and `PUT /{permission_id}`. The
//! service owner's alone.

use axum::Json;
use axum::extract::{FromRequestParts, State as Context};
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::InProject;
use super::error::ApiError;
use super::request::{Body, Id, Params, contains, path_param, require};
use crate::controller::{ControlError, permissions};
use crate::model::{Description, Permission, PermissionEntry, PermissionId, PermissionKind, Service};

fn type_word(permission: &Permission) -> &'static str {
    match permission.kind() {
        PermissionKind::Domain => "domainId",
        PermissionKind::OrgPath => "orgPath",
    }
}

fn view(entry: &PermissionEntry) -> Value {
    json!({
        "id": entry.id.to_string(),
        "permission": entry.permission.as_str(),
        "permission_type": type_word(&entry.permission),
        "description": entry.description.as_str(),
        "created_at": entry.created_at.to_string(),
    })
}

fn views(entries: &[PermissionEntry]) -> Json<Value> {
    Json(json!({"permissions": entries.iter().map(view).collect::<Vec<_>>()}))
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let (page, order) = (params.page(10, 500)?, params.order()?);
    app.read(move |state| {
        let service = state.find::<Service>(scope, id)?;
        let mut rows: Vec<_> = service.permissions.iter().collect();
        rows.retain(|entry| {
            params.get("permission").is_none_or(|part| contains(entry.permission.as_str(), part))
        });
        order.sort(&mut rows, |entry| (entry.created_at, entry.created_at));
        let (rows, total_count) = page.cut(rows);
        let rows: Vec<_> = rows.into_iter().map(view).collect();
        Ok(Json(json!({"permissions": rows, "total_count": total_count})))
    })
    .await
}

fn not_empty<T>(list: Option<Vec<T>>) -> Result<Vec<T>, ApiError> {
    list.filter(|list| !list.is_empty()).ok_or(ApiError::NoPermissions)
}

/// The body of an action.
#[derive(Deserialize)]
pub struct ActionRequest {
    permissions: Option<Vec<String>>,
    action: Option<String>,
}

/// `POST /action`
pub async fn act(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Body(request): Body<ActionRequest>,
) -> Result<Json<Value>, ApiError> {
    let action = require("action", request.action)?;
    let texts = not_empty(request.permissions)?;
    let parsed: Vec<Permission> = texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let permission_type = parsed.first().map(type_word);
    match action.as_str() {
        "add" => {
            let entries = parsed.into_iter().map(|permission| (permission, Description::default())).collect();
            app.write(move |tx| permissions::add(tx, scope, id, entries)).await?;
        }
        "remove" => app.write(move |tx| permissions::remove(tx, scope, id, &parsed)).await?,
        other => {
            return Err(ApiError::Field { field: "action", value: other.into(), expected: "add or remove" });
        }
    }
    Ok(Json(json!({"permissions": texts, "permission_type": permission_type})))
}

/// The body of a batch creation.
#[derive(Deserialize)]
pub struct BatchCreateRequest {
    permissions: Option<Vec<NewPermission>>,
}

/// One permission to make.
#[derive(Deserialize)]
pub struct NewPermission {
    permission: Option<String>,
    description: Option<String>,
}

/// `POST /batch-create`
pub async fn batch_create(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Body(request): Body<BatchCreateRequest>,
) -> Result<Json<Value>, ApiError> {
    let entries = not_empty(request.permissions)?.into_iter().map(|new| {
        let permission = require("permission", new.permission)?.parse()?;
        Ok((permission, new.description.unwrap_or_default().parse()?))
    });
    let entries = entries.collect::<Result<_, ApiError>>()?;
    Ok(views(&app.write(move |tx| permissions::add(tx, scope, id, entries)).await?))
}

/// The body of a batch deletion.
#[derive(Deserialize)]
pub struct BatchDeleteRequest {
    permissions: Option<Vec<OldPermission>>,
}

/// One permission to remove.
#[derive(Deserialize)]
pub struct OldPermission {
    id: Option<String>,
}

/// `POST /batch-delete`
pub async fn batch_delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Body(request): Body<BatchDeleteRequest>,
) -> Result<Json<Value>, ApiError> {
    let ids = not_empty(request.permissions)?.into_iter().map(|old| Ok(require("id", old.id)?.parse()?));
    let ids: Vec<PermissionId> = ids.collect::<Result<_, ApiError>>()?;
    Ok(views(&app.write(move |tx| permissions::remove_by_id(tx, scope, id, &ids)).await?))
}

/// The `{permission_id}` of a path.
pub struct PermissionInPath(PermissionId);

impl FromRequestParts<App> for PermissionInPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = path_param(parts, app, "permission_id").await?;
        id.parse().map(Self).map_err(|_| ControlError::NotFound { kind: "permission", id }.into())
    }
}

/// The body of a description.
#[derive(Deserialize)]
pub struct DescribeRequest {
    permission: Option<NewPermission>,
}

/// `PUT /{permission_id}`
pub async fn describe(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    PermissionInPath(permission): PermissionInPath,
    Body(request): Body<DescribeRequest>,
) -> Result<Json<Value>, ApiError> {
    let change = require("permission", request.permission)?;
    let description = require("description", change.description)?.parse()?;
    let entry = app.write(move |tx| permissions::describe(tx, scope, id, permission, description)).await?;
    Ok(views(&[entry]))
}

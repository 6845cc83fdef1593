//! `/v1/{project_id}/vpc-endpoint-services/{id}/permissions`: list, `POST
//! /action`, `/batch-create`, `/batch-delete` and `PUT /{permission_id}`. The
//! service owner's alone.

use aide::OperationInput;
use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use aide::generate::GenContext;
use aide::openapi::{Operation, Response};
use axum::Json;
use axum::extract::{FromRequestParts, State as Context};
use http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::InProject;
use super::error::ApiError;
use super::openapi::{named, refused};
use super::page::{Order, Paging};
use super::request::{Body, Id, NamePart, Query, document_path_param, path_param, require};
use crate::controller::{ControlError, permissions};
use crate::model::{
    Description, MAX_PERMISSIONS, Permission, PermissionEntry, PermissionId, PermissionKind, Service,
    Timestamp,
};

pub fn routes() -> ApiRouter<App> {
    const PERMISSIONS: &str = "/v1/{project_id}/vpc-endpoint-services/{id}/permissions";
    let path = |rest: &str| format!("{PERMISSIONS}{rest}");
    ApiRouter::new()
        .api_route(PERMISSIONS, get_with(list, named("listPermissions", "List who may connect to a service")))
        .api_route(
            &path("/action"),
            post_with(act, named("changePermissions", "Add or remove permissions by what they say")),
        )
        .api_route(
            &path("/batch-create"),
            post_with(batch_create, named("createPermissions", "Add permissions with notes")),
        )
        .api_route(
            &path("/batch-delete"),
            post_with(batch_delete, named("deletePermissions", "Remove permissions by their ids")),
        )
        .api_route(
            &path("/{permission_id}"),
            put_with(describe, named("describePermission", "Change the note on a permission")),
        )
        .with_path_items(|path| path.tag("Permissions"))
}

/// What a permission names.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
enum PermissionType {
    DomainId,
    OrgPath,
}

impl PermissionType {
    fn of(permission: &Permission) -> Self {
        match permission.kind() {
            PermissionKind::Domain => Self::DomainId,
            PermissionKind::OrgPath => Self::OrgPath,
        }
    }
}

/// Who may connect to a service.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Permission")]
struct PermissionView {
    /// Names the line.
    id: PermissionId,
    /// Who may.
    permission: Permission,
    /// What that names.
    permission_type: PermissionType,
    /// The owner's note.
    description: String,
    /// When it was added.
    created_at: Timestamp,
}

impl PermissionView {
    fn new(entry: &PermissionEntry) -> Self {
        Self {
            id: entry.id,
            permission: entry.permission.clone(),
            permission_type: PermissionType::of(&entry.permission),
            description: entry.description.as_str().into(),
            created_at: entry.created_at,
        }
    }
}

/// Permissions that were made, changed or removed.
#[derive(Serialize, JsonSchema)]
pub struct Permissions {
    permissions: Vec<PermissionView>,
}

impl Permissions {
    fn new(entries: &[PermissionEntry]) -> Json<Self> {
        Json(Self { permissions: entries.iter().map(PermissionView::new).collect() })
    }
}

/// A page of permissions.
#[derive(Serialize, JsonSchema)]
pub struct PermissionPage {
    permissions: Vec<PermissionView>,
    /// How many there are on all pages.
    total_count: usize,
}

/// Which permissions are wanted.
#[derive(Deserialize, JsonSchema)]
pub struct Filter {
    /// Only those with this in their text, in any case.
    permission: Option<NamePart>,
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Paging(page): Paging<10, 500>,
    Query(order): Query<Order>,
    Query(Filter { permission }): Query<Filter>,
) -> Result<Json<PermissionPage>, ApiError> {
    app.read(move |state| {
        let service = state.find::<Service>(scope, id)?;
        let mut rows: Vec<_> = service.permissions.iter().collect();
        rows.retain(|entry| permission.as_ref().is_none_or(|part| part.is_in(entry.permission.as_str())));
        order.sort(&mut rows, |entry| (entry.created_at, entry.created_at));
        let total_count = rows.len();
        let permissions = page.cut(rows).into_iter().map(PermissionView::new).collect();
        Ok(Json(PermissionPage { permissions, total_count }))
    })
    .await
}

/// The permissions of a request: some, and no more than a service may have. Each
/// is compared with each the service has.
fn some<T>(list: Option<Vec<T>>) -> Result<Vec<T>, ApiError> {
    let list = list.filter(|list| !list.is_empty()).ok_or(ApiError::NoPermissions)?;
    match list.len() {
        count if count > MAX_PERMISSIONS => {
            Err(ControlError::TooManyPermissions { count, limit: MAX_PERMISSIONS }.into())
        }
        _ => Ok(list),
    }
}

/// The body of an action.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ChangePermissions")]
pub struct ActionRequest {
    /// Who may, or may no longer.
    #[schemars(with = "Vec<Permission>", length(min = 1, max = MAX_PERMISSIONS))]
    permissions: Option<Vec<String>>,
    /// What to do.
    #[schemars(with = "String", extend("enum" = ["add", "remove"]))]
    action: Option<String>,
}

/// Permissions that were added or removed, as they were given.
#[derive(Serialize, JsonSchema)]
pub struct ChangedPermissions {
    permissions: Vec<String>,
    /// What the first names.
    permission_type: Option<PermissionType>,
}

/// `POST /action`
pub async fn act(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Body(request): Body<ActionRequest>,
) -> Result<Json<ChangedPermissions>, ApiError> {
    let action = require("action", request.action)?;
    let permissions = some(request.permissions)?;
    let parsed: Vec<Permission> = permissions.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let permission_type = parsed.first().map(PermissionType::of);
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
    Ok(Json(ChangedPermissions { permissions, permission_type }))
}

/// The body of a batch creation.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CreatePermissions")]
pub struct BatchCreateRequest {
    #[schemars(with = "Vec<NewPermission>", length(min = 1, max = MAX_PERMISSIONS))]
    permissions: Option<Vec<NewPermission>>,
}

/// One permission to make.
#[derive(Deserialize, JsonSchema)]
pub struct NewPermission {
    /// Who may.
    #[schemars(with = "Permission")]
    permission: Option<String>,
    /// The owner's note.
    #[schemars(with = "Option<Description>")]
    description: Option<String>,
}

/// `POST /batch-create`
pub async fn batch_create(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Body(request): Body<BatchCreateRequest>,
) -> Result<Json<Permissions>, ApiError> {
    let entries = some(request.permissions)?.into_iter().map(|new| {
        let permission = require("permission", new.permission)?.parse()?;
        Ok((permission, new.description.unwrap_or_default().parse()?))
    });
    let entries = entries.collect::<Result<_, ApiError>>()?;
    Ok(Permissions::new(&app.write(move |tx| permissions::add(tx, scope, id, entries)).await?))
}

/// The body of a batch deletion.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DeletePermissions")]
pub struct BatchDeleteRequest {
    #[schemars(with = "Vec<OldPermission>", length(min = 1, max = MAX_PERMISSIONS))]
    permissions: Option<Vec<OldPermission>>,
}

/// One permission to remove.
#[derive(Deserialize, JsonSchema)]
pub struct OldPermission {
    /// Names it.
    #[schemars(with = "PermissionId")]
    id: Option<String>,
}

/// `POST /batch-delete`
pub async fn batch_delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    Body(request): Body<BatchDeleteRequest>,
) -> Result<Json<Permissions>, ApiError> {
    let ids = some(request.permissions)?.into_iter().map(|old| Ok(require("id", old.id)?.parse()?));
    let ids: Vec<PermissionId> = ids.collect::<Result<_, ApiError>>()?;
    Ok(Permissions::new(&app.write(move |tx| permissions::remove_by_id(tx, scope, id, &ids)).await?))
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

impl OperationInput for PermissionInPath {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let mut schema = ctx.schema.subschema_for::<PermissionId>();
        schema.insert("description".into(), "Names the permission.".into());
        document_path_param(ctx, operation, "permission_id", schema);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[404])
    }
}

/// The body of a description.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DescribePermission")]
pub struct DescribeRequest {
    #[schemars(with = "PermissionNote")]
    permission: Option<PermissionNote>,
}

/// What is to be said of a permission.
#[derive(Deserialize, JsonSchema)]
pub struct PermissionNote {
    /// The owner's note.
    #[schemars(with = "Description")]
    description: Option<String>,
}

/// `PUT /{permission_id}`
pub async fn describe(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Service>,
    PermissionInPath(permission): PermissionInPath,
    Body(request): Body<DescribeRequest>,
) -> Result<Json<Permissions>, ApiError> {
    let change = require("permission", request.permission)?;
    let description = require("description", change.description)?.parse()?;
    let entry = app.write(move |tx| permissions::describe(tx, scope, id, permission, description)).await?;
    Ok(Permissions::new(&[entry]))
}

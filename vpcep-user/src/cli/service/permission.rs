//! Who may connect to a service: `allow`, `disallow`, `permissions`,
//! `describe-permission`.

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::{Value, json};

use crate::cli::UsageError;
use crate::cli::output::{Answer, Column};
use crate::cli::resolve::{self, id_of};
use crate::cli::value::{self, Reference};
use crate::client::{Client, Permission, Service};
use crate::model::Description;

const COLUMNS: &[Column<Permission>] = &[
    Column::whole("ID", |permission| permission.id.clone()),
    Column::whole("PERMISSION", |permission| permission.permission.clone()),
    Column::text("DESCRIPTION", |permission| permission.description.clone().unwrap_or_default()),
    Column::whole("CREATED", |permission| permission.created_at.clone()),
];

/// Adds permissions to a service.
pub async fn add(
    client: &Client,
    service: &Reference,
    permissions: &[value::Permission],
    description: Option<&Description>,
) -> Result<Answer> {
    let service_id = id_of::<Service>(client, service, &[]).await?;
    let permissions = resolved(client, permissions).await?;
    let (last, body) = match description {
        None => ("action", json!({ "permissions": permissions, "action": "add" })),
        Some(description) => {
            let described =
                |permission| json!({ "permission": permission, "description": description.as_str() });
            let permissions: Vec<Value> = permissions.into_iter().map(described).collect();
            ("batch-create", json!({ "permissions": permissions }))
        }
    };
    let path = client.path_of::<Service>(&[&service_id, "permissions", last]);
    let added = client.send(Method::POST, &path, Some(body)).await;
    Ok(Answer::record(added.with_context(|| format!("cannot add permissions of {service}"))?))
}

/// Removes permissions from a service: by id, or by what they say.
pub async fn remove(
    client: &Client,
    service: &Reference,
    permissions: &[value::Permission],
) -> Result<Answer> {
    let service_id = id_of::<Service>(client, service, &[]).await?;
    let ids: Vec<Value> =
        permissions.iter().filter_map(value::Permission::id).map(|id| json!({ "id": id })).collect();
    let (last, body) = match (ids.len(), permissions.len()) {
        (0, _) => {
            let permissions = resolved(client, permissions).await?;
            ("action", json!({ "permissions": permissions, "action": "remove" }))
        }
        (given, all) if given == all => ("batch-delete", json!({ "permissions": ids })),
        _ => {
            let reason = "give either ids or what the permissions say";
            return Err(UsageError { argument: "PERMISSION", reason }.into());
        }
    };
    let path = client.path_of::<Service>(&[&service_id, "permissions", last]);
    let removed = client.send(Method::POST, &path, Some(body)).await;
    Ok(Answer::record(removed.with_context(|| format!("cannot remove permissions of {service}"))?))
}

async fn resolved(client: &Client, permissions: &[value::Permission]) -> Result<Vec<String>> {
    let mut resolved = Vec::with_capacity(permissions.len());
    for permission in permissions {
        resolved.push(resolve::permission(client, permission).await?.to_string());
    }
    Ok(resolved)
}

/// Changes the description of a permission.
pub async fn describe(
    client: &Client,
    service: &Reference,
    permission_id: &Reference,
    description: &Description,
) -> Result<Answer> {
    let service_id = id_of::<Service>(client, service, &[]).await?;
    let path = client.path_of::<Service>(&[&service_id, "permissions", permission_id.as_str()]);
    let body = json!({ "permission": { "description": description.as_str() } });
    let described = client.send(Method::PUT, &path, Some(body)).await;
    Ok(Answer::record(described.with_context(|| format!("cannot describe permission {permission_id}"))?))
}

/// Shows the permissions of a service.
pub async fn list(client: &Client, service: &Reference) -> Result<Answer> {
    let service_id = id_of::<Service>(client, service, &[]).await?;
    let path = client.path_of::<Service>(&[&service_id, "permissions"]);
    let permissions = client.all_rows::<Permission>(&path, "permissions").await;
    let permissions = permissions.with_context(|| format!("cannot list permissions of {service}"))?;
    Ok(Answer::rows(&permissions, "permissions", COLUMNS))
}

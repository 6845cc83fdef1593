//! Who may connect to a service: `allow`, `disallow`, `permissions`.

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::json;

use crate::cli::output::{Answer, Column};
use crate::cli::resolve::{self, id_of};
use crate::cli::value::{self, Reference};
use crate::client::{Client, Permission, Service};

/// What becomes of permissions.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// They are given.
    Add,
    /// They are taken back.
    Remove,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
        }
    }
}

const COLUMNS: &[Column<Permission>] = &[
    Column::whole("ID", |permission| permission.id.clone()),
    Column::whole("PERMISSION", |permission| permission.permission.clone()),
    Column::whole("CREATED", |permission| permission.created_at.clone()),
];

/// Adds or removes permissions of a service.
pub async fn change(
    client: &Client,
    service: &Reference,
    permissions: &[value::Permission],
    action: Action,
) -> Result<Answer> {
    let service_id = id_of::<Service>(client, service, &[]).await?;
    let mut resolved = Vec::with_capacity(permissions.len());
    for permission in permissions {
        resolved.push(resolve::permission(client, permission).await?.to_string());
    }
    let path = client.path_of::<Service>(&[&service_id, "permissions", "action"]);
    let body = json!({ "permissions": resolved, "action": action.as_str() });
    let changed = client.send(Method::POST, &path, Some(body)).await;
    let word = action.as_str();
    Ok(Answer::record(changed.with_context(|| format!("cannot {word} permissions of {service}"))?))
}

/// Shows the permissions of a service.
pub async fn list(client: &Client, service: &Reference) -> Result<Answer> {
    let service_id = id_of::<Service>(client, service, &[]).await?;
    let path = client.path_of::<Service>(&[&service_id, "permissions"]);
    let permissions = client.all_rows::<Permission>(&path, "permissions").await;
    let permissions = permissions.with_context(|| format!("cannot list permissions of {service}"))?;
    Ok(Answer::rows(&permissions, "permissions", COLUMNS))
}

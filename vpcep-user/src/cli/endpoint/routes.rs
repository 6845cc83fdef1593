//! The route tables of a gateway endpoint: `bind`.

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::cli::output::Answer;
use crate::cli::resolve::{find, id_of};
use crate::cli::value::Reference;
use crate::client::{Client, Endpoint, RouteTable};

/// What could not be bound, or not be taken off.
#[derive(Deserialize)]
struct Failures {
    #[serde(default)]
    bind_failed: Vec<Failure>,
    #[serde(default)]
    unbind_failed: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    id: String,
    error_message: String,
}

/// The ids of route tables of a VPC.
pub async fn ids(client: &Client, vpc_id: &str, tables: &[Reference]) -> Result<Vec<String>> {
    let mut ids = Vec::with_capacity(tables.len());
    for table in tables {
        ids.push(id_of::<RouteTable>(client, table, &[("vpc_id", vpc_id)]).await?);
    }
    Ok(ids)
}

/// Binds an endpoint to route tables, and to no others.
pub async fn bind(client: &Client, endpoint: &Reference, tables: &[Reference]) -> Result<Answer> {
    let endpoint = find::<Endpoint>(client, endpoint, &[]).await?.data;
    let ids = ids(client, &endpoint.vpc_id, tables).await?;
    let path = client.path_of::<Endpoint>(&[&endpoint.id, "routetables"]);
    let body = json!({ "routetables": ids });
    let context = || format!("cannot bind endpoint {} to route tables", endpoint.id);
    let bound = client.send(Method::PUT, &path, Some(body)).await.with_context(context)?;
    let failures = bound.get("error").filter(|error| !error.is_null()).cloned().unwrap_or_else(|| json!([]));
    let failures: Vec<Failures> = serde_json::from_value(failures).context("cannot read what failed")?;
    let failures: Vec<String> = failures
        .into_iter()
        .flat_map(|Failures { bind_failed, unbind_failed }| [bind_failed, unbind_failed])
        .flatten()
        .map(|Failure { id, error_message }| format!("{id}: {error_message}"))
        .collect();
    if !failures.is_empty() {
        bail!("{}: {}", context(), failures.join("; "));
    }
    Ok(Answer::record(bound))
}

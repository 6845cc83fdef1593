//! Who is connected to a service: `connections`, `accept`, `reject`,
//! `describe-connection`.

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::json;

use crate::cli::output::{Answer, Column};
use crate::cli::resolve::{endpoint_of_service, id_of};
use crate::cli::value::Reference;
use crate::client::{Client, Connection, List, Service};
use crate::model::Description;

/// What the owner of a service decides about an endpoint.
#[derive(Clone, Copy, Debug)]
pub enum Decision {
    /// It may carry traffic.
    Accept,
    /// It may not.
    Reject,
}

impl Decision {
    /// The command.
    fn verb(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
        }
    }

    /// The word of the API.
    fn action(self) -> &'static str {
        match self {
            Self::Accept => "receive",
            Self::Reject => "reject",
        }
    }
}

const COLUMNS: &[Column<Connection>] = &[
    Column::whole("ENDPOINT ID", |connection| connection.id.clone()),
    Column::whole("MARKER ID", |connection| connection.marker_id.to_string()),
    Column::whole("STATUS", |connection| connection.status.to_string()),
    Column::whole("DOMAIN ID", |connection| connection.domain_id.clone()),
    Column::whole("CREATED", |connection| connection.created_at.clone()),
    Column::text("DESCRIPTION", |connection| connection.description.clone().unwrap_or_default()),
];

/// Shows the endpoints of a service.
pub async fn list(client: &Client, service: &Reference) -> Result<Answer> {
    let service_id = id_of::<Service>(client, service, &[]).await?;
    let path = client.path_of::<Service>(&[&service_id, "connections"]);
    let connections = client.all_rows::<Connection>(&path, "connections").await;
    let connections = connections.with_context(|| format!("cannot list connections of {service}"))?;
    Ok(Answer::rows(&connections, "connections", COLUMNS))
}

/// Changes what the owner of the service notes of an endpoint.
pub async fn describe(
    client: &Client,
    service: &Reference,
    endpoint: &Reference,
    description: &Description,
) -> Result<Answer> {
    let service_id = id_of::<Service>(client, service, &[]).await?;
    let id = endpoint_of_service(client, &service_id, endpoint).await?;
    let path = client.path_of::<Service>(&[&service_id, "connections", "description"]);
    let body = json!({ "connections": [{ "id": id, "description": description.as_str() }] });
    let described = client.rows::<Connection>(Method::PUT, &path, Some(body), "connections").await;
    let described = described.with_context(|| format!("cannot describe endpoint {endpoint}"))?;
    Ok(Answer::rows(&described, "connections", COLUMNS))
}

/// What could not be done, and what was.
fn refusal(decision: Decision, endpoint: &Reference, done: &[Reference]) -> String {
    let what = format!("cannot {} endpoint {endpoint}", decision.verb());
    if done.is_empty() {
        return what;
    }
    let done: Vec<String> = done.iter().map(ToString::to_string).collect();
    format!("{what} (done before it, and stays: {})", done.join(", "))
}

/// Accepts or rejects endpoints. The API takes one a call; the first refusal
/// ends the loop, those before it stay decided, and the error names them.
pub async fn decide(
    client: &Client,
    service: &Reference,
    endpoints: &[Reference],
    decision: Decision,
) -> Result<Answer> {
    let service_id = id_of::<Service>(client, service, &[]).await?;
    let path = client.path_of::<Service>(&[&service_id, "connections", "action"]);
    let mut items = Vec::with_capacity(endpoints.len());
    for (done, endpoint) in endpoints.iter().enumerate() {
        let decided = async {
            let id = endpoint_of_service(client, &service_id, endpoint).await?;
            let body = json!({ "action": decision.action(), "endpoints": [id] });
            Ok(client.rows::<Connection>(Method::POST, &path, Some(body), "connections").await?)
        };
        let decided: Result<List<Connection>> = decided.await;
        items.extend(decided.with_context(|| refusal(decision, endpoint, &endpoints[..done]))?.items);
    }
    let connections = List { total_count: items.len() as u64, items };
    Ok(Answer::rows(&connections, "connections", COLUMNS))
}

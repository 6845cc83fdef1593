//! `/v1/{project_id}/sessions`, `/stats` and `/explain`: what the data plane is
//! doing, and why it does not.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Context;
use serde_json::{Value, json};

use super::App;
use super::auth::{Caller, InProject};
use super::error::ApiError;
use super::request::Params;
use crate::controller::{ControlError, Scope};
use crate::datapath::SessionInfo;
use crate::explain::{self, Asker, Facts, Question};
use crate::model::{Endpoint, EndpointId, Port, Protocol, VpcId, parse_address};

/// Sessions in one answer, at most.
const MAX_SESSIONS: usize = 10_000;
/// How long an explanation waits for the data plane to have what is known.
const SETTLE_WAIT: Duration = Duration::from_secs(1);

/// The endpoints a question is about: one, or all the caller may see.
fn endpoints(app: &App, scope: Scope, one: Option<EndpointId>) -> Result<Vec<Endpoint>, ControlError> {
    app.controller.read(|state| match one {
        Some(id) => Ok(vec![state.find::<Endpoint>(scope, id)?.clone()]),
        None => Ok(state.visible::<Endpoint>(scope).into_iter().cloned().collect()),
    })
}

fn protocol_word(number: u8) -> String {
    match number {
        6 => "TCP".into(),
        17 => "UDP".into(),
        other => other.to_string(),
    }
}

fn session_view(session: &SessionInfo) -> Value {
    json!({
        "endpoint_id": session.endpoint.to_string(),
        "protocol": protocol_word(session.protocol),
        "client": session.client.to_string(),
        "endpoint": session.destination.to_string(),
        "source": session.source.to_string(),
        "backend": session.backend.to_string(),
        "state": session.state,
        "age_secs": session.age_secs,
        "idle_secs": session.idle_secs,
    })
}

/// `GET /sessions`: live sessions, newest first.
pub async fn sessions(
    InProject(scope): InProject,
    Context(app): Context<App>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let page = params.page(1000, MAX_SESSIONS)?;
    let one = params.id("endpoint_id")?;
    app.blocking(move |app| {
        let wanted = page.offset.saturating_add(page.limit).min(MAX_SESSIONS);
        let visible = match (scope, one) {
            (Scope::Every, None) => None,
            _ => Some(endpoints(app, scope, one)?.iter().map(|endpoint| endpoint.id).collect()),
        };
        let (rows, total) = app.datapath.sessions(visible.as_ref(), wanted)?;
        let (rows, _) = page.cut(rows);
        let rows: Vec<_> = rows.iter().map(session_view).collect();
        Ok(Json(json!({"sessions": rows, "total_count": total})))
    })
    .await
}

/// `GET /stats`: counters of endpoints the data plane has.
pub async fn stats(
    InProject(scope): InProject,
    Context(app): Context<App>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let page = params.page(1000, 1000)?;
    let one = params.id("endpoint_id")?;
    app.blocking(move |app| {
        let (endpoints, total_count) = page.cut(endpoints(app, scope, one)?);
        let mut rows = Vec::new();
        for endpoint in endpoints {
            let stats = app.datapath.endpoint_stats(endpoint.id)?.unwrap_or_default();
            rows.push(json!({
                "endpoint_id": endpoint.id.to_string(),
                "marker_id": endpoint.marker,
                "connections": {
                    "current": stats.connections,
                    "peak": stats.connections_peak,
                    "limit": stats.connections_limit,
                    "opened": stats.opened,
                },
                "packets": {"in": stats.packets_in, "out": stats.packets_out},
                "bytes": {"in": stats.bytes_in, "out": stats.bytes_out},
                "drops": stats.drops,
            }));
        }
        Ok(Json(json!({"stats": rows, "total_count": total_count})))
    })
    .await
}

/// `GET /explain`: why a client does or does not reach an endpoint.
pub async fn explain(
    caller: Caller,
    InProject(scope): InProject,
    Context(app): Context<App>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let port = params.require("port")?;
    let bad_port =
        || ApiError::Field { field: "port", value: port.into(), expected: "a number of 1 to 65535" };
    let question = Question {
        vpc: params.require("vpc_id")?.parse::<VpcId>()?,
        client: parse_address("client", params.require("client")?)?,
        address: parse_address("address", params.require("address")?)?,
        port: Port::new("port", port.parse().map_err(|_| bad_port())?)?,
        protocol: params.get("protocol").map(str::parse::<Protocol>).transpose()?.unwrap_or_default(),
    };
    let asker = Asker { scope, is_operator: caller.is_operator() };
    // States that move on by themselves are a pass behind the commit that moves them.
    let revision = app.read(|state| Ok(state.revision)).await?;
    app.controller.covered(revision, SETTLE_WAIT).await;
    app.blocking(move |app| {
        let gather = |state: &_| Facts::gather(state, app.controller.passes(), asker, question.clone());
        let facts = app.controller.read(gather);
        let explanation = explain::explain(&facts, app.datapath.as_ref())?;
        let steps = explanation
            .steps
            .iter()
            .map(|step| json!({"name": step.name, "status": step.status.as_str(), "detail": step.detail}));
        Ok(Json(json!({
            "verdict": explanation.verdict.as_str(),
            "stopped_by": explanation.stopped_by,
            "summary": explanation.summary,
            "steps": steps.collect::<Vec<_>>(),
        })))
    })
    .await
}

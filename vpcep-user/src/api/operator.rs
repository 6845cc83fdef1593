//! `GET /operator/v1/status` and `PUT /operator/v1/endpoints/{id}`. The
//! operator's alone.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State as Context;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::Operator;
use super::endpoints::EndpointView;
use super::error::ApiError;
use super::request::{Body, Id, require};
use crate::controller::endpoints;
use crate::datapath::DatapathError;
use crate::model::connection::Effect;
use crate::model::{Endpoint, EndpointId};
use crate::reconcile::desired::Refusal;
use crate::telemetry::Chain;

/// The body of a change.
#[derive(Deserialize)]
pub struct RefusalRequest {
    refusal: Option<String>,
}

/// `PUT /endpoints/{id}`: what a refused client gets.
pub async fn set_refusal(
    _: Operator,
    Context(app): Context<App>,
    Id(id): Id<Endpoint>,
    Body(request): Body<RefusalRequest>,
) -> Result<Json<Value>, ApiError> {
    let refusal = match require("refusal", request.refusal)?.as_str() {
        "reset" => Refusal::Reset,
        "silent" => Refusal::Silent,
        other => {
            return Err(ApiError::Field {
                field: "refusal",
                value: other.into(),
                expected: "reset or silent",
            });
        }
    };
    let change = move |tx: &mut crate::controller::Tx<'_>| {
        Ok((endpoints::set_refusal(tx, id, refusal)?, Effect::Reconcile))
    };
    let endpoint = app.write_through(change).await?;
    app.read(move |state| Ok(Json(json!(EndpointView::new(state, &endpoint))))).await
}

/// `GET /status`
pub async fn status(_: Operator, Context(app): Context<App>) -> Result<Json<Value>, ApiError> {
    app.blocking(|app| {
        let (ids, mut status) = app.controller.read(|state| {
            let ids: Vec<EndpointId> = state.endpoints.iter().map(|endpoint| endpoint.id).collect();
            let counts = json!({
                "accounts": state.accounts.len(),
                "vpcs": state.vpcs.len(),
                "services": state.services.len(),
                "endpoints": state.endpoints.len(),
                "attachments": state.attachments.len(),
            });
            let store = json!({
                "kind": app.controller.store_kind(),
                "version": state.revision,
                "error": app.controller.store_error(),
            });
            (ids, json!({"region": state.region.as_str(), "counts": counts, "store": store}))
        });
        status["audit"] = app.controller.audit().map_or(
            Value::Null,
            |log| json!({"path": log.path().display().to_string(), "error": log.failure()}),
        );
        let passes = app.controller.passes();
        status["version"] = env!("CARGO_PKG_VERSION").into();
        status["uptime_secs"] = app.started.elapsed().as_secs().into();
        status["reconcile"] = json!({
            "version": passes.covered,
            "last_pass_at": passes.last_at.map(|time| time.to_string()),
            "last_ok_at": passes.last_ok_at.map(|time| time.to_string()),
            "failures": passes.failures,
            "failed_endpoints": passes.failed_endpoints,
            "last_error": passes.last_error,
        });
        let (datapath, drops) = datapath(app, &ids);
        status["datapath"] = datapath;
        status["drops"] = drops;
        Ok(Json(status))
    })
    .await
}

/// The data plane and its drops. When it cannot be read, that is the answer:
/// whoever asks for the status then needs the rest of it.
fn datapath(app: &App, endpoints: &[EndpointId]) -> (Value, Value) {
    let read = app.datapath.status().and_then(|status| Ok((status, drops(app, endpoints)?)));
    let (status, drops) = match read {
        Ok(read) => read,
        Err(error) => return (json!({"error": Chain(&error).to_string()}), Value::Null),
    };
    let maps = status
        .maps
        .iter()
        .map(|(name, map)| (name.clone(), json!({"capacity": map.capacity, "bytes": map.bytes})));
    let view = json!({
        "kind": status.kind,
        "snat_range": status.snat_range,
        "session_slots": status.session_slots,
        "sessions": status.sessions,
        "endpoints": status.endpoints,
        "memory_bytes": status.memory_bytes,
        "maps": maps.collect::<serde_json::Map<_, _>>(),
        "error": null,
    });
    (view, json!(drops))
}

/// Every drop on this host by reason, those of endpoints included.
fn drops(app: &App, endpoints: &[EndpointId]) -> Result<BTreeMap<String, u64>, DatapathError> {
    let mut drops = app.datapath.unattributed_drops()?;
    for id in endpoints {
        let stats = app.datapath.endpoint_stats(*id)?.unwrap_or_default();
        for (reason, count) in stats.drops {
            *drops.entry(reason).or_default() += count;
        }
    }
    Ok(drops)
}

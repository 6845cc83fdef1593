//! `GET /operator/v1/status` and `PUT /operator/v1/endpoints/{id}`. The
//! operator's alone.

use std::collections::BTreeMap;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, put_with};
use axum::Json;
use axum::extract::State as Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::Operator;
use super::endpoints::EndpointView;
use super::error::ApiError;
use super::openapi::named;
use super::request::{Body, Id, require};
use crate::controller::{Passes, State, Tx, endpoints};
use crate::datapath::{DatapathError, DatapathStatus};
use crate::events::EventStatus;
use crate::model::connection::Effect;
use crate::model::{Endpoint, EndpointId, Timestamp};
use crate::reconcile::desired::Refusal;
use crate::telemetry::Chain;

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/operator/v1/endpoints/{id}",
            put_with(set_refusal, named("setRefusal", "Choose what refused clients of an endpoint get")),
        )
        .api_route(
            "/operator/v1/status",
            get_with(status, named("showStatus", "Show how this host is doing")),
        )
        .with_path_items(|path| path.tag("Operation"))
}

/// The body of a change.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SetRefusal")]
pub struct RefusalRequest {
    /// A TCP reset (for UDP an ICMP error), an ICMP error, or nothing.
    #[schemars(with = "String", extend("enum" = ["reset", "icmp", "silent"]))]
    refusal: Option<String>,
}

/// `PUT /endpoints/{id}`: what a refused client gets.
pub async fn set_refusal(
    _: Operator,
    Context(app): Context<App>,
    Id(id): Id<Endpoint>,
    Body(request): Body<RefusalRequest>,
) -> Result<Json<EndpointView>, ApiError> {
    let refusal = match require("refusal", request.refusal)?.as_str() {
        "reset" => Refusal::Reset,
        "icmp" => Refusal::Icmp,
        "silent" => Refusal::Silent,
        other => {
            return Err(ApiError::Field {
                field: "refusal",
                value: other.into(),
                expected: "reset, icmp or silent",
            });
        }
    };
    let change = move |tx: &mut Tx<'_>| Ok((endpoints::set_refusal(tx, id, refusal)?, Effect::Reconcile));
    let endpoint = app.write_through(change).await?;
    app.read(move |state| Ok(Json(EndpointView::new(state, &endpoint)))).await
}

/// How this host is doing.
#[derive(Serialize, JsonSchema)]
pub struct Status {
    /// The release that runs.
    version: &'static str,
    /// The region this controller serves.
    region: String,
    /// Seconds since it was started.
    uptime_secs: u64,
    /// Where the model is kept.
    store: StoreStatus,
    /// Where changes are recorded; null when they are not.
    audit: Option<AuditStatus>,
    /// How what happens to sessions is reported.
    events: EventsStatus,
    /// How many objects there are.
    counts: Counts,
    /// What carries packets.
    datapath: PlaneStatus,
    /// How the data plane follows the model.
    reconcile: ReconcileStatus,
    /// What health checks have found.
    health: HealthCounts,
    /// Every drop on this host by reason; null when the data plane cannot be read.
    drops: Option<BTreeMap<String, u64>>,
}

/// Where the model is kept.
#[derive(Serialize, JsonSchema)]
struct StoreStatus {
    /// One word that names the kind.
    kind: &'static str,
    /// Of which version the model is.
    version: u64,
    /// Why it takes no writes; null when all is well.
    error: Option<String>,
}

/// Where changes are recorded.
#[derive(Serialize, JsonSchema)]
struct AuditStatus {
    /// The newest file.
    path: String,
    /// Why the last change was not recorded; null when it was.
    error: Option<String>,
}

/// How what happens to sessions is reported.
#[derive(Serialize, JsonSchema)]
struct EventsStatus {
    /// Whether it is at the moment: somebody listens, or there is a flow log.
    reported: bool,
    /// Callers who listen.
    listeners: usize,
    /// The flow log; null when there is none.
    flow_log: Option<FlowLogStatus>,
}

/// The flow log.
#[derive(Serialize, JsonSchema)]
struct FlowLogStatus {
    /// The newest file.
    path: String,
    /// Why the last events were not written; null when they were.
    error: Option<String>,
}

impl EventsStatus {
    fn new(status: EventStatus) -> Self {
        let EventStatus { reported, listeners, flow_log, flow_log_error } = status;
        let flow_log =
            flow_log.map(|path| FlowLogStatus { path: path.display().to_string(), error: flow_log_error });
        Self { reported, listeners, flow_log }
    }
}

/// How many objects there are.
#[derive(Serialize, JsonSchema)]
struct Counts {
    accounts: usize,
    vpcs: usize,
    services: usize,
    endpoints: usize,
    attachments: usize,
}

impl Counts {
    fn new(state: &State) -> Self {
        Self {
            accounts: state.accounts.len(),
            vpcs: state.vpcs.len(),
            services: state.services.len(),
            endpoints: state.endpoints.len(),
            attachments: state.attachments.len(),
        }
    }
}

/// What health checks have found.
#[derive(Serialize, JsonSchema)]
struct HealthCounts {
    /// Members of load balancers that are checked.
    members: usize,
    /// Those of them that are down.
    down: usize,
}

/// How the data plane follows the model.
#[derive(Serialize, JsonSchema)]
struct ReconcileStatus {
    /// Which version of the model the data plane has.
    version: u64,
    /// When the last pass ended, whatever it achieved.
    last_pass_at: Option<Timestamp>,
    /// When the last pass ended that applied something.
    last_ok_at: Option<Timestamp>,
    /// Objects the last pass could not put into the data plane.
    failures: usize,
    /// Endpoints among them.
    failed_endpoints: usize,
    /// Why the last pass failed as a whole; null when it did not.
    last_error: Option<String>,
}

impl ReconcileStatus {
    fn new(passes: Passes) -> Self {
        let Passes { covered, last_at, last_ok_at, last_error, failures, failed_endpoints } = passes;
        Self { version: covered, last_pass_at: last_at, last_ok_at, failures, failed_endpoints, last_error }
    }
}

/// The data plane, or why it cannot be read.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum PlaneStatus {
    Read(ReadPlane),
    Unread(UnreadPlane),
}

/// A data plane that can be read.
#[derive(Serialize, JsonSchema)]
struct ReadPlane {
    /// `bpf`, or `none` that carries nothing.
    kind: String,
    /// The sources backends see.
    snat_range: String,
    /// Slots of the session table.
    session_slots: u64,
    /// Slots in use.
    sessions: u64,
    /// Endpoints in the kernel.
    endpoints: u64,
    /// Kernel memory of all maps.
    memory_bytes: u64,
    /// The maps by name.
    maps: BTreeMap<String, MapView>,
    /// Always null.
    error: (),
}

/// One map.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Map")]
struct MapView {
    /// Entries it has room for.
    capacity: u64,
    /// Kernel memory.
    bytes: u64,
}

impl ReadPlane {
    fn new(status: DatapathStatus) -> Self {
        let DatapathStatus { kind, session_slots, sessions, endpoints, memory_bytes, maps, snat_range } =
            status;
        let view = |(name, map): (String, crate::datapath::MapStatus)| {
            (name, MapView { capacity: map.capacity, bytes: map.bytes })
        };
        let maps = maps.into_iter().map(view).collect();
        Self { kind, snat_range, session_slots, sessions, endpoints, memory_bytes, maps, error: () }
    }
}

/// A data plane that cannot be read.
#[derive(Serialize, JsonSchema)]
struct UnreadPlane {
    /// Why.
    error: String,
}

/// `GET /status`
pub async fn status(_: Operator, Context(app): Context<App>) -> Result<Json<Status>, ApiError> {
    app.blocking(|app| {
        let (ids, region, version, counts) = app.controller.read(|state| {
            let ids: Vec<EndpointId> = state.endpoints.iter().map(|endpoint| endpoint.id).collect();
            (ids, state.region.as_str().to_owned(), state.revision, Counts::new(state))
        });
        let (datapath, drops) = datapath(app, &ids);
        let (members, down) = app.controller.health().counts();
        Ok(Json(Status {
            version: env!("CARGO_PKG_VERSION"),
            region,
            uptime_secs: app.started.elapsed().as_secs(),
            store: StoreStatus {
                kind: app.controller.store_kind(),
                version,
                error: app.controller.store_error(),
            },
            audit: app
                .controller
                .audit()
                .map(|log| AuditStatus { path: log.path().display().to_string(), error: log.failure() }),
            events: EventsStatus::new(app.events.status()),
            counts,
            datapath,
            reconcile: ReconcileStatus::new(app.controller.passes()),
            health: HealthCounts { members, down },
            drops,
        }))
    })
    .await
}

/// The data plane and its drops. When it cannot be read, that is the answer:
/// whoever asks for the status then needs the rest of it.
fn datapath(app: &App, endpoints: &[EndpointId]) -> (PlaneStatus, Option<BTreeMap<String, u64>>) {
    let read = app.datapath.status().and_then(|status| Ok((status, drops(app, endpoints)?)));
    match read {
        Ok((status, drops)) => (PlaneStatus::Read(ReadPlane::new(status)), Some(drops)),
        Err(error) => (PlaneStatus::Unread(UnreadPlane { error: Chain(&error).to_string() }), None),
    }
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

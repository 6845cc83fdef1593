//! `/v1/{project_id}/sessions`, `/stats` and `/explain`: what the data plane is
//! doing, and why it does not.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Caller, InProject};
use super::error::ApiError;
use super::openapi::named;
use super::page::Paging;
use super::request::{Query, require};
use crate::controller::index::Ages;
use crate::controller::{ControlError, Scope, State};
use crate::datapath::{EndpointStats, SessionInfo};
use crate::events::record::protocol_name;
use crate::explain::{self, Asker, Explanation, Facts, Question};
use crate::model::{Endpoint, EndpointId, Port, Protocol, VpcId, parse_address};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/sessions",
            get_with(sessions, named("listSessions", "List live sessions, newest first")),
        )
        .api_route(
            "/v1/{project_id}/stats",
            get_with(stats, named("listStats", "Show counters of endpoints")),
        )
        .api_route(
            "/v1/{project_id}/explain",
            get_with(explain, named("explain", "Say why a client does or does not reach an endpoint")),
        )
        .with_path_items(|path| path.tag("Observation"))
}

/// Sessions in one answer, at most.
const MAX_SESSIONS: usize = 10_000;
/// How long an explanation waits for the data plane to have what is known.
const SETTLE_WAIT: Duration = Duration::from_secs(1);

/// The endpoints a question is about, oldest first: one, or all the caller may see.
fn endpoints(state: &State, scope: Scope, one: Option<EndpointId>) -> Result<Ages<EndpointId>, ControlError> {
    match one {
        Some(id) => Ok(Ages::unit((state.find::<Endpoint>(scope, id)?.created_at, id))),
        None => Ok(state.index.endpoints.visible(scope)),
    }
}

/// One live session.
#[derive(Serialize, JsonSchema)]
struct Session {
    /// The endpoint it belongs to.
    endpoint_id: EndpointId,
    /// The protocol's name, or its number.
    protocol: String,
    /// Address and port of the client.
    client: String,
    /// The endpoint's address and the port the client uses.
    endpoint: String,
    /// The source the backend sees.
    source: String,
    /// Address and port of the backend.
    backend: String,
    /// Where it is in its life.
    #[schemars(extend("enum" = ["syn-sent", "syn-received", "established", "closing", "closed", "reset"]))]
    state: String,
    /// Seconds since it was opened.
    age_secs: u64,
    /// Seconds since its last packet.
    idle_secs: u64,
}

impl Session {
    fn new(session: &SessionInfo) -> Self {
        Self {
            endpoint_id: session.endpoint,
            protocol: protocol_name(session.protocol),
            client: session.client.to_string(),
            endpoint: session.destination.to_string(),
            source: session.source.to_string(),
            backend: session.backend.to_string(),
            state: session.state.clone(),
            age_secs: session.age_secs,
            idle_secs: session.idle_secs,
        }
    }
}

/// A page of sessions, newest first.
#[derive(Serialize, JsonSchema)]
pub struct SessionPage {
    sessions: Vec<Session>,
    /// How many there are on all pages.
    total_count: u64,
}

/// Which endpoints are meant.
#[derive(Deserialize, JsonSchema)]
pub struct OfEndpoint {
    /// Only this one.
    endpoint_id: Option<EndpointId>,
}

/// `GET /sessions`: live sessions, newest first.
pub async fn sessions(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<1000, MAX_SESSIONS>,
    Query(OfEndpoint { endpoint_id }): Query<OfEndpoint>,
) -> Result<Json<SessionPage>, ApiError> {
    app.blocking(move |app| {
        let wanted = page.offset.saturating_add(page.limit).min(MAX_SESSIONS);
        let visible = match (scope, endpoint_id) {
            (Scope::Every, None) => None,
            _ => {
                let asked = app.controller.read(|state| endpoints(state, scope, endpoint_id))?;
                Some(asked.into_iter().map(|(_, id)| id).collect())
            }
        };
        let (rows, total_count) = app.datapath.sessions(visible.as_ref(), wanted)?;
        let sessions = page.cut(&rows).into_iter().map(Session::new).collect();
        Ok(Json(SessionPage { sessions, total_count }))
    })
    .await
}

/// Counters of one endpoint, since it was made.
#[derive(Serialize, JsonSchema)]
struct Stats {
    /// The endpoint.
    endpoint_id: EndpointId,
    /// Tells the endpoints of all services apart.
    marker_id: u32,
    /// Concurrent connections.
    connections: ConnectionStats,
    /// Packets.
    packets: Traffic,
    /// Bytes.
    bytes: Traffic,
    /// Packets dropped or refused, by reason; only reasons that occurred.
    drops: BTreeMap<String, u64>,
}

/// Concurrent connections of one endpoint.
#[derive(Serialize, JsonSchema)]
struct ConnectionStats {
    /// Now.
    current: u64,
    /// The most there have been.
    peak: u64,
    /// The most there may be.
    limit: u64,
    /// Opened in all.
    opened: u64,
}

/// Traffic of one endpoint, as the client sees it.
#[derive(Serialize, JsonSchema)]
struct Traffic {
    /// Back to clients.
    #[serde(rename = "in")]
    received: u64,
    /// Towards the backend.
    #[serde(rename = "out")]
    sent: u64,
}

impl Stats {
    fn new(endpoint_id: EndpointId, marker_id: u32, stats: EndpointStats) -> Self {
        Self {
            endpoint_id,
            marker_id,
            connections: ConnectionStats {
                current: stats.connections,
                peak: stats.connections_peak,
                limit: stats.connections_limit,
                opened: stats.opened,
            },
            packets: Traffic { received: stats.packets_in, sent: stats.packets_out },
            bytes: Traffic { received: stats.bytes_in, sent: stats.bytes_out },
            drops: stats.drops,
        }
    }
}

/// A page of counters, those of the oldest endpoint first.
#[derive(Serialize, JsonSchema)]
pub struct StatsPage {
    stats: Vec<Stats>,
    /// How many there are on all pages.
    total_count: usize,
}

/// `GET /stats`: counters of endpoints the data plane has.
pub async fn stats(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<1000, 1000>,
    Query(OfEndpoint { endpoint_id }): Query<OfEndpoint>,
) -> Result<Json<StatsPage>, ApiError> {
    app.blocking(move |app| {
        let (markers, total_count) = app.controller.read(|state| {
            let asked = endpoints(state, scope, endpoint_id)?;
            let found = page.cut(&asked).into_iter().filter_map(|(_, id)| state.endpoints.get(*id));
            let markers: Vec<_> = found.map(|endpoint| (endpoint.id, endpoint.marker)).collect();
            Ok::<_, ControlError>((markers, asked.len()))
        })?;
        let rows = markers.into_iter().map(|(id, marker)| {
            Ok(Stats::new(id, marker, app.datapath.endpoint_stats(id)?.unwrap_or_default()))
        });
        Ok(Json(StatsPage { stats: rows.collect::<Result<_, ApiError>>()?, total_count }))
    })
    .await
}

/// Who wants to reach what.
#[derive(Deserialize, JsonSchema)]
pub struct Reach {
    /// The consumer's VPC.
    #[schemars(with = "VpcId")]
    vpc_id: Option<VpcId>,
    /// The client's address.
    #[schemars(with = "Ipv4Addr")]
    client: Option<String>,
    /// The endpoint's address.
    #[schemars(with = "Ipv4Addr")]
    address: Option<String>,
    /// The port at the endpoint.
    #[schemars(with = "u16", range(min = 1))]
    port: Option<String>,
    /// The protocol; TCP when absent.
    #[schemars(with = "Option<Protocol>")]
    protocol: Option<String>,
}

impl TryFrom<Reach> for Question {
    type Error = ApiError;

    fn try_from(reach: Reach) -> Result<Self, ApiError> {
        let Reach { vpc_id, client, address, port, protocol } = reach;
        let port = require("port", port)?;
        let number = match port.parse() {
            Ok(number) => number,
            Err(_) => {
                return Err(ApiError::Field {
                    field: "port",
                    value: port,
                    expected: "a number of 1 to 65535",
                });
            }
        };
        Ok(Self {
            vpc: require("vpc_id", vpc_id)?,
            client: parse_address("client", &require("client", client)?)?,
            address: parse_address("address", &require("address", address)?)?,
            port: Port::new("port", number)?,
            protocol: protocol.map(|text| text.parse()).transpose()?.unwrap_or_default(),
        })
    }
}

/// What becomes of a client's packets, and why.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Explanation")]
pub struct ExplanationView {
    /// What becomes of them.
    #[schemars(extend("enum" = ["forwarded", "refused", "unknown"]))]
    verdict: &'static str,
    /// The first step that stops them; null when none does.
    stopped_by: Option<&'static str>,
    /// The answer in a sentence.
    summary: String,
    /// Every step that could be looked at, in a packet's order.
    steps: Vec<StepView>,
}

/// One step.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Step")]
struct StepView {
    /// What was looked at.
    name: &'static str,
    /// What was found.
    #[schemars(extend("enum" = ["ok", "stop", "warn", "unknown"]))]
    status: &'static str,
    /// The finding, and what to do about it.
    detail: String,
}

impl ExplanationView {
    fn new(explanation: Explanation) -> Self {
        let Explanation { verdict, stopped_by, summary, steps } = explanation;
        let steps = steps.into_iter().map(|step| StepView {
            name: step.name,
            status: step.status.as_str(),
            detail: step.detail,
        });
        Self { verdict: verdict.as_str(), stopped_by, summary, steps: steps.collect() }
    }
}

/// `GET /explain`: why a client does or does not reach an endpoint.
pub async fn explain(
    caller: Caller,
    InProject(scope): InProject,
    Context(app): Context<App>,
    Query(reach): Query<Reach>,
) -> Result<Json<ExplanationView>, ApiError> {
    let question = Question::try_from(reach)?;
    let asker = Asker { scope, is_operator: caller.is_operator() };
    // States that move on by themselves are a pass behind the commit that moves them.
    let revision = app.read(|state| Ok(state.revision)).await?;
    app.controller.covered(revision, SETTLE_WAIT).await;
    app.blocking(move |app| {
        let (passes, health) = (app.controller.passes(), app.controller.health());
        let facts = app.controller.read(|state| Facts::gather(state, passes, health, asker, question));
        Ok(Json(ExplanationView::new(explain::explain(&facts, app.datapath.as_ref())?)))
    })
    .await
}

//! `GET /v1/{project_id}/events`: what happens to sessions, as it happens.
//!
//! The answer has no end: a JSON object a line, and an empty line where nothing has
//! happened for a while, so that both sides notice when the other is gone. It ends
//! when vpcepd stops, and when whoever listens loses the right to.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use aide::OperationOutput;
use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as Documented, SchemaObject};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State as Context;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http_body::Frame;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Instant, Sleep, sleep};

use super::App;
use super::auth::{Caller, InProject};
use super::error::ApiError;
use super::openapi::refusing;
use super::request::Query;
use crate::controller::State;
use crate::controller::identity::tokens;
use crate::events::record::{EventKind, Record, is_reason};
use crate::events::{Filter, Lines, Welcome};
use crate::model::{Endpoint, EndpointId, ServiceId, Timestamp};

/// Media type of JSON objects that are a line each.
const NDJSON: &str = "application/x-ndjson";
/// How long nothing is said at most.
const SILENCE: Duration = Duration::from_secs(10);
/// Most bytes that are handed to the connection at once.
const FRAME: usize = 64 << 10;

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/events",
            get_with(
                listen,
                refusing("listenToEvents", "Hear what happens to sessions, as it happens", &[409]),
            ),
        )
        .with_path_items(|path| path.tag("Observation"))
}

/// What to hear.
#[derive(Deserialize, JsonSchema)]
pub struct Wanted {
    /// Only of this endpoint.
    endpoint_id: Option<EndpointId>,
    /// Only of endpoints of this service.
    endpoint_service_id: Option<ServiceId>,
    /// Only of these kinds, joined by commas.
    #[schemars(
        with = "Option<String>",
        regex(pattern = "^(opened|closed|refused)(,(opened|closed|refused))*$")
    )]
    event: Option<String>,
    /// Only with this reason.
    reason: Option<String>,
}

/// `GET /events`
pub async fn listen(
    caller: Caller,
    InProject(scope): InProject,
    Context(app): Context<App>,
    Query(wanted): Query<Wanted>,
) -> Result<Stream, ApiError> {
    let Wanted { endpoint_id, endpoint_service_id, event, reason } = wanted;
    let kinds = event.iter().flat_map(|list| list.split(',')).map(kind).collect::<Result<_, _>>()?;
    if let Some(value) = reason.clone().filter(|reason| !is_reason(reason)) {
        return Err(ApiError::Field {
            field: "reason",
            value,
            expected: "why a packet was refused (a reason of the drops in stats) or how a session ended",
        });
    }
    let filter = Filter { scope, endpoint: endpoint_id, service: endpoint_service_id, kinds, reason };
    let owner = match &caller {
        Caller::User(user) if !caller.is_operator() => Some(user.project),
        _ => None,
    };
    let lines = app.blocking(move |app| {
        if let Some(id) = endpoint_id {
            app.controller.read(|state| state.find::<Endpoint>(scope, id).map(drop))?;
        }
        Ok(app.events.listen(filter, owner, welcome(caller))?)
    });
    Ok(Stream { lines: lines.await?, silence: Box::pin(sleep(SILENCE)) })
}

fn kind(word: &str) -> Result<EventKind, ApiError> {
    EventKind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| ApiError::Field {
        field: "event",
        value: word.into(),
        expected: "opened, closed or refused",
    })
}

/// A user may listen as long as there is one, of the same role, whose token is worth
/// something.
fn welcome(caller: Caller) -> Welcome {
    let Caller::User(user) = caller else { return Box::new(|_| true) };
    Box::new(move |state: &State| {
        let is_same = state.users.get(user.id).is_some_and(|known| known.role == user.role);
        let is_valid = |hash| tokens::valid(state, hash, Timestamp::now()).is_some();
        is_same && user.token.is_none_or(is_valid)
    })
}

/// The answer.
pub struct Stream {
    lines: Lines,
    silence: Pin<Box<Sleep>>,
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.lines.poll_recv(context) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(first)) => {
                let mut lines = Vec::from(first);
                while lines.len() < FRAME
                    && let Ok(line) = self.lines.try_recv()
                {
                    lines.extend_from_slice(&line);
                }
                Bytes::from(lines)
            }
            Poll::Pending => {
                std::task::ready!(self.silence.as_mut().poll(context));
                Bytes::from_static(b"\n")
            }
        };
        self.silence.as_mut().reset(Instant::now() + SILENCE);
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }
}

impl IntoResponse for Stream {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, NDJSON)], Body::new(self)).into_response()
    }
}

impl OperationOutput for Stream {
    type Inner = Record;

    fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Documented)> {
        let json_schema = ctx.schema.subschema_for::<Record>();
        let schema = SchemaObject { json_schema, example: None, external_docs: None };
        let lines = MediaType { schema: Some(schema), ..MediaType::default() };
        let content = [(NDJSON.to_owned(), lines)].into_iter().collect();
        let description = "Events, a JSON object a line; empty lines mean nothing.".into();
        vec![(Some(200), Documented { description, content, ..Documented::default() })]
    }
}

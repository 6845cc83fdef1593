//! What to do with a body that nobody has read.
//!
//! A request is refused as soon as something is wrong with it, often before its
//! body has arrived. A connection closed over unread bytes is reset by the
//! kernel, and the reset may overtake the answer: the caller then sees a broken
//! connection instead of a 401. So the rest is read away, within limits, and
//! the answer sent after it (RFC 9112, section 9.6).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONNECTION, EXPECT};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::MAX_BODY;

/// The most that is read away: enough for a body a little too large.
const MAX_REST: usize = 4 * MAX_BODY;
/// How long the rest may take.
const REST_WITHIN: Duration = Duration::from_secs(2);

/// Reads away what the handler has left of the body. When there is too much of
/// it, the answer is the last of its connection.
pub async fn read_away(request: Request, next: Next) -> Response {
    // Who waits to be told to send has not sent, and is better not told to.
    let waits = request.headers().contains_key(EXPECT);
    let (back, mut left) = oneshot::channel();
    let lend = |body| Body::new(Lent { body: Some(body), back: Some(back) });
    let mut response = next.run(request.map(lend)).await;
    if let Ok(rest) = left.try_recv()
        && !rest.is_end_stream()
        && (waits || timeout(REST_WITHIN, exhaust(rest)).await != Ok(true))
    {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads a body to its end; answers whether it got there.
async fn exhaust(mut body: Body) -> bool {
    let mut room = MAX_REST;
    while let Some(frame) = body.frame().await {
        let size = frame.map(|frame| frame.data_ref().map_or(0, Bytes::len));
        let Some(less) = size.ok().and_then(|size| room.checked_sub(size)) else { return false };
        room = less;
    }
    true
}

/// A body that goes back to its owner when it is dropped before its end.
struct Lent {
    body: Option<Body>,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take()) {
            // The owner may have gone with the connection.
            let _ = back.send(body);
        }
    }
}

//! One request, one connection: to the socket, over TCP, or over TLS.
//!
//! Every call opens its own HTTP/1.1 connection: a command makes a handful of
//! calls, and none of them finds a connection the controller has closed. An answer
//! is read whole, or line by line where it has no end.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{ClientError, Server};

/// How long opening a connection may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole request may take, from the first byte sent to the last read.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read, bytes: 1000 rows of any kind are far below.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// How long nothing at all may come of an answer without end: three empty lines.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest line that is read, bytes.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Sends a request and reads the whole answer, whatever it is.
pub async fn exchange(
    server: &Server,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, ClientError> {
    let whole = async {
        let Answering { head, body, connection: _connection } = send(server, request).await?;
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|source| ClientError::Broken { server: server.clone(), source })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    in_time(server, REQUEST_TIMEOUT, whole).await
}

/// Sends a request whose answer is lines without end; a refusal is read whole.
pub async fn listen(server: &Server, request: Request<Full<Bytes>>) -> Result<Lines, ClientError> {
    let answering = in_time(server, REQUEST_TIMEOUT, send(server, request)).await?;
    let Answering { head, body, connection } = answering;
    if head.status.is_success() {
        return Ok(Lines { server: server.clone(), body, unread: Vec::new(), _connection: connection });
    }
    let whole = async {
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        body.map_err(|source| ClientError::Broken { server: server.clone(), source })
    };
    let body = in_time(server, REQUEST_TIMEOUT, whole).await?;
    Err(ClientError::from_answer(server, head.status, &body.to_bytes()))
}

async fn in_time<T>(
    server: &Server,
    limit: Duration,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    match timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(ClientError::Timeout { server: server.clone(), timeout: limit }),
    }
}

/// An answer of which the head is there.
struct Answering {
    head: http::response::Parts,
    body: Incoming,
    connection: Connection,
}

/// The task that drives a connection; it ends with this.
struct Connection {
    task: JoinHandle<hyper::Result<()>>,
    /// hyper ends a connection that nobody can send on.
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Lines of an answer without end.
pub struct Lines {
    server: Server,
    body: Incoming,
    unread: Vec<u8>,
    _connection: Connection,
}

impl Lines {
    /// The next line that is not empty; `None` when the controller has ended the
    /// answer.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes for too long.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).take(end).collect();
                if !line.is_empty() {
                    return Ok(Some(line));
                }
            }
            let server = self.server.clone();
            let broken = |source| ClientError::Broken { server: server.clone(), source };
            if self.unread.len() > MAX_LINE_BYTES {
                return Err(broken("a line without end".into()));
            }
            let frame = timeout(SILENCE_TIMEOUT, self.body.frame()).await;
            let Ok(frame) = frame else {
                return Err(ClientError::Timeout { server, timeout: SILENCE_TIMEOUT });
            };
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|source| broken(source.into()))?;
            self.unread.extend_from_slice(frame.data_ref().map_or(&[], |bytes| bytes));
        }
    }
}

async fn send(server: &Server, request: Request<Full<Bytes>>) -> Result<Answering, ClientError> {
    match server {
        Server::Socket(path) => {
            let stream = connect(server, UnixStream::connect(path)).await?;
            send_over(server, stream, request).await
        }
        Server::Http(url) => {
            let stream = connect(server, TcpStream::connect((url.host(), url.port()))).await?;
            send_over(server, stream, request).await
        }
        Server::Https(url, trust) => {
            let stream = connect(server, TcpStream::connect((url.host(), url.port()))).await?;
            let greeting = trust.greet(url, stream);
            let greeted = timeout(CONNECT_TIMEOUT, greeting).await.unwrap_or_else(|late| Err(late.into()));
            let stream = greeted.map_err(|source| ClientError::Tls { server: server.clone(), source })?;
            send_over(server, stream, request).await
        }
    }
}

async fn connect<S>(
    server: &Server,
    connecting: impl Future<Output = io::Result<S>>,
) -> Result<S, ClientError> {
    let connected = timeout(CONNECT_TIMEOUT, connecting).await;
    connected
        .unwrap_or_else(|elapsed| Err(elapsed.into()))
        .map_err(|source| ClientError::Connect { server: server.clone(), source })
}

async fn send_over(
    server: &Server,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answering, ClientError> {
    let broken = |source: hyper::Error| ClientError::Broken { server: server.clone(), source: source.into() };
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // What ends the connection early also ends the request, which reports it.
    let mut connection = Connection { task: tokio::spawn(connection), sender };
    let (head, body) = connection.sender.send_request(request).await.map_err(broken)?.into_parts();
    Ok(Answering { head, body, connection })
}

//! One request, one connection: to the socket, over TCP, or over TLS.
//!
//! Every call opens its own HTTP/1.1 connection: a command makes a handful of
//! calls, and none of them finds a connection the controller has closed.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::{ClientError, Server};

/// How long opening a connection may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole request may take, from the first byte sent to the last read.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read, bytes: 1000 rows of any kind are far below.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Sends a request and reads the whole answer, whatever it is.
pub async fn exchange(
    server: &Server,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, ClientError> {
    match timeout(REQUEST_TIMEOUT, connect_and_send(server, request)).await {
        Ok(exchanged) => exchanged,
        Err(_) => Err(ClientError::Timeout { server: server.clone(), timeout: REQUEST_TIMEOUT }),
    }
}

async fn connect_and_send(
    server: &Server,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, ClientError> {
    match server {
        Server::Socket(path) => {
            let stream = connect(server, UnixStream::connect(path)).await?;
            exchange_over(server, stream, request).await
        }
        Server::Http(url) => {
            let stream = connect(server, TcpStream::connect((url.host(), url.port()))).await?;
            exchange_over(server, stream, request).await
        }
        Server::Https(url, trust) => {
            let stream = connect(server, TcpStream::connect((url.host(), url.port()))).await?;
            let greeting = trust.greet(url, stream);
            let greeted = timeout(CONNECT_TIMEOUT, greeting).await.unwrap_or_else(|late| Err(late.into()));
            let stream = greeted.map_err(|source| ClientError::Tls { server: server.clone(), source })?;
            exchange_over(server, stream, request).await
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

async fn exchange_over(
    server: &Server,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, ClientError> {
    let broken = |source| ClientError::Broken { server: server.clone(), source };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(e.into()))?;
    // What ends the connection early also ends the request, which reports it.
    let connection = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await.map_err(|e| broken(e.into()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(broken)?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
    .await;
    connection.abort();
    answer
}

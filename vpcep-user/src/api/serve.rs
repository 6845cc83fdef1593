//! Connections of callers: how many there may be, in all and of one address
//! (`per_address.rs`), and how long one may take to say what it wants and to take
//! the answer (`stalls.rs`).
//!
//! Each listener has limits of its own: callers who use up those of TCP do not
//! keep the operator from the socket. With TLS the handshake is the connection's own
//! matter, and takes no longer than the headers of a request may.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tracing::debug;

use super::auth::Peer;
use super::per_address::PerAddress;
use super::stalls::{Taken, Timely};
use super::tls::Tls;

/// What callers of one listener may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Concurrent connections; those beyond wait to be accepted.
    pub connections: usize,
    /// Concurrent connections of one address other than this host's; those beyond
    /// are closed.
    pub per_address: usize,
    /// How long the headers of a request may take, from the moment the
    /// connection is free for one. It also ends idle connections.
    pub headers_within: Duration,
    /// How long a body may take, from the end of the headers.
    pub body_within: Duration,
    /// How long a caller may take nothing of an answer that is there for it.
    pub stalled_for: Duration,
}

impl Limits {
    /// On TCP.
    pub const TCP: Self = Self {
        connections: 512,
        per_address: 128,
        headers_within: Duration::from_secs(10),
        body_within: Duration::from_secs(30),
        stalled_for: Duration::from_secs(10),
    };
    /// On the operator's socket.
    pub const SOCKET: Self = Self { connections: 64, ..Self::TCP };
}

/// Where a connection came from, as far as requests should know.
pub trait Origin {
    /// Its address, if it came over a network.
    fn address(&self) -> Option<IpAddr>;
}

impl Origin for std::net::SocketAddr {
    fn address(&self) -> Option<IpAddr> {
        Some(self.ip())
    }
}

impl Origin for tokio::net::unix::SocketAddr {
    fn address(&self) -> Option<IpAddr> {
        None
    }
}

/// Answers callers of `listener` until `stop` turns true or its sender is gone,
/// and then until those being answered have their answers.
pub async fn serve<L: Listener<Addr: Origin>>(
    mut listener: L,
    router: Router,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let addresses = PerAddress::new(limits.per_address);
    let open = GracefulShutdown::new();
    loop {
        // Room first: whoever is accepted is served.
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await.expect("nobody closes the semaphore");
            (place, listener.accept().await)
        };
        let (place, (stream, origin)) = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            next = next => next,
        };
        let address = origin.address();
        let Some(counted) = addresses.enter(address, Instant::now()) else { continue };
        let (router, watcher) = (router.clone(), open.watcher());
        let acceptor = tls.as_ref().map(|tls| tls.acceptor());
        tokio::spawn(async move {
            match acceptor {
                None => answer(stream, router, address, limits, watcher).await,
                // Here, not where connections are accepted: one that is slow keeps nobody else.
                Some(acceptor) => match timeout(limits.headers_within, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => answer(stream, router, address, limits, watcher).await,
                    Ok(Err(error)) => debug!(%error, "TLS handshake"),
                    Err(_) => debug!("no TLS handshake in time"),
                },
            }
            drop((place, counted));
        });
    }
    drop(listener);
    open.shutdown().await;
}

/// Answers the requests of one connection.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    address: Option<IpAddr>,
    limits: Limits,
    watcher: Watcher,
) {
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(address) = address {
            request.extensions_mut().insert(Peer(address));
        }
        service.call(request.map(|body| Timely::new(body, limits.body_within)))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.headers_within);
    let stream = TokioIo::new(Taken::new(stream, limits.stalled_for));
    if let Err(error) = watcher.watch(http.serve_connection(stream, service)).await {
        debug!(%error, "connection");
    }
}

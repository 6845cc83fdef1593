//! Callers who take their time, or too much.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use axum::serve::Listener;

use super::World;
use crate::api::serve::{Limits, serve};

const SOON: Duration = Duration::from_secs(5);

/// The API on a port of its own, until the world ends.
async fn listen(world: &World, limits: Limits) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = world.stranger(None).router;
    (address, tokio::spawn(serve(listener, router, limits, None, world.stop.subscribe())))
}

/// Callers who come from these addresses, one after the other, and then from the last.
struct Far {
    listener: TcpListener,
    addresses: Vec<SocketAddr>,
}

impl Listener for Far {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let stream = self.listener.accept().await.unwrap().0;
        let from = if self.addresses.len() > 1 { self.addresses.remove(0) } else { self.addresses[0] };
        (stream, from)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Everything until the other side closes; an error when it resets.
async fn rest(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("the connection is closed soon")?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn callers_beyond_the_limit_wait_and_a_silent_one_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let limits = Limits { connections: 1, headers_within: Duration::from_millis(300), ..Limits::TCP };
    let (address, served) = listen(&world, limits).await;
    let mut silent = TcpStream::connect(&address).await.unwrap();
    say(&mut silent, "GET / HT").await;
    let mut second = TcpStream::connect(&address).await.unwrap();
    say(&mut second, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let mut first = [0; 1];
    let early = timeout(Duration::from_millis(100), second.read(&mut first)).await;
    assert!(early.is_err(), "the second waits for the first");
    assert!(rest(&mut second).await.unwrap().starts_with("HTTP/1.1 200"));
    // Closed or reset, as long as it is over.
    let _ = rest(&mut silent).await;
    world.close().await;
    timeout(SOON, served).await.unwrap().unwrap();
}

#[tokio::test]
async fn one_address_cannot_have_every_connection() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let from = |last: u8| SocketAddr::from(([192, 0, 2, last], 9));
    let far = Far { listener, addresses: [1, 1, 2, 1].map(from).into() };
    let limits = Limits { per_address: 1, ..Limits::TCP };
    let router = world.stranger(None).router;
    let _served = tokio::spawn(serve(far, router, limits, None, world.stop.subscribe()));
    let ask = async || {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        // A reset is a refusal as well, before the question or after it.
        asked.is_ok() && rest(&mut stream).await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    };
    let first = TcpStream::connect(address).await.unwrap();
    assert!(!ask().await, "the address has its one connection");
    assert!(ask().await, "another address has its own");
    drop(first);
    // The server finds out in its own time.
    let again = async {
        while !ask().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, again).await.expect("the connection that ended makes room");
}

/// The connection was closed over the unread body, and the caller saw a reset.
#[tokio::test]
async fn a_caller_refused_before_its_body_gets_the_answer_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (address, _served) = listen(&world, Limits::TCP).await;
    let body = "x".repeat(300_000);
    let post = |more: &str| {
        format!("POST /v1/-/vpcs HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{more}\r\n", body.len())
    };
    let mut stream = TcpStream::connect(&address).await.unwrap();
    for last in [false, true] {
        say(&mut stream, &post(if last { "Connection: close\r\n" } else { "" })).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        say(&mut stream, &body).await;
    }
    let answers = rest(&mut stream).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 401").count(), 2, "{answers}");
    // Who asks before it sends is answered at once, and knows that this is all.
    let mut stream = TcpStream::connect(&address).await.unwrap();
    say(&mut stream, &post("Expect: 100-continue\r\n")).await;
    let answer = rest(&mut stream).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close"), "{answer}");
}

/// Nothing ended either of them: 512 held every place on TCP for as long as they liked, and
/// needed no credential for it.
#[tokio::test]
async fn who_stops_in_the_middle_of_a_body_or_of_an_answer_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let patience = Duration::from_millis(300);
    let limits = Limits {
        connections: 1,
        per_address: 1,
        headers_within: SOON,
        body_within: patience,
        stalled_for: patience,
    };
    let (address, _served) = listen(&world, limits).await;
    let login = "POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
    // More answers than the buffers of both sides hold.
    let greedy = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    for (what, said) in [("a body", login), ("an answer", &greedy)] {
        let mut stuck = TcpStream::connect(&address).await.unwrap();
        say(&mut stuck, said).await;
        let mut second = TcpStream::connect(&address).await.unwrap();
        say(&mut second, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(rest(&mut second).await.unwrap().starts_with("HTTP/1.1 200"), "after {what}");
        drop(stuck);
    }
}

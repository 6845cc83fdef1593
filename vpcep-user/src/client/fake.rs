//! A controller for unit tests: answers requests from a script, in order, and
//! keeps what was asked.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::{Client, Server, ServerUrl};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method and path with query: `GET /v1/-/vpcs?limit=500`.
    pub line: String,
    /// Header lines in lower case.
    pub headers: Vec<String>,
    /// The body.
    pub body: String,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Header lines.
    pub headers: &'static str,
    pub body: String,
}

/// The fake, listening on a socket or a port of its own until it is dropped.
pub struct FakeServer {
    server: Server,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeServer {
    /// Starts a fake that gives these answers (status and body), one a request;
    /// after the last it hangs up.
    pub fn answering(answers: &[(u16, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let socket = std::env::temp_dir().join(format!("vpcep-fake-{}-{number}.sock", std::process::id()));
        let listener = Arc::new(UnixListener::bind(&socket).unwrap());
        let reply = |&(status, body): &(u16, &str)| Reply { status, headers: "", body: body.to_owned() };
        let replies: Vec<Reply> = answers.iter().map(reply).collect();
        Self::start(Server::Socket(socket), replies, move || {
            let listener = Arc::clone(&listener);
            async move { listener.accept().await.unwrap().0 }
        })
    }

    /// Starts a fake on a port of 127.0.0.1, with what it answers.
    pub async fn on_tcp(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let listener = Arc::new(listener);
        Self::start(Server::Http(url), replies, move || {
            let listener = Arc::clone(&listener);
            async move { listener.accept().await.unwrap().0 }
        })
    }

    /// Starts a fake with TLS for `name`, of an authority in `ca_file`, which it
    /// makes.
    pub async fn on_tls(replies: Vec<Reply>, name: &str, ca_file: &Path) -> Self {
        let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(ca_file, certified.cert.pem()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth();
        let config = config.with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
        let server = Server::at(url, Some(ca_file)).unwrap();
        let listener = Arc::new(listener);
        Self::start(server, replies, move || {
            let (tls, listener) = (tls.clone(), Arc::clone(&listener));
            async move {
                loop {
                    // Who does not trust this server gets no answer.
                    if let Ok(stream) = tls.accept(listener.accept().await.unwrap().0).await {
                        return stream;
                    }
                }
            }
        })
    }

    fn start<S, F>(server: Server, replies: Vec<Reply>, accept: impl Fn() -> F + Send + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = S> + Send + 'static,
    {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            for reply in replies {
                answer(accept().await, &reply, &kept).await;
            }
        });
        Self { server, asked }
    }

    /// A client of the operator on the socket.
    pub fn client(&self) -> Client {
        Client::new(self.server(), None)
    }

    /// Where it listens.
    pub fn server(&self) -> Server {
        self.server.clone()
    }

    /// Its URL.
    pub fn url(&self) -> ServerUrl {
        match &self.server {
            Server::Http(url) | Server::Https(url, _) => url.clone(),
            Server::Socket(_) => panic!("a socket has no URL"),
        }
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The request lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        if let Server::Socket(path) = &self.server {
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, reply: &Reply, asked: &Mutex<Vec<Asked>>) {
    let mut text = String::new();
    while !is_whole(&text) {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        assert_ne!(read, 0, "the request ended early: {text}");
        text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    let (head, request_body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let headers = lines.map(str::to_lowercase).collect();
    asked.lock().unwrap().push(Asked { line, headers, body: request_body.to_owned() });
    let Reply { status, headers, body } = reply;
    let answer = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

//! A controller for unit tests: answers requests from a script, in order, and
//! keeps what was asked.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::{Client, Server};

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

/// The fake, listening on a socket of its own until it is dropped.
pub struct FakeServer {
    socket: PathBuf,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeServer {
    /// Starts a fake that gives these answers (status and body), one a request;
    /// after the last it hangs up.
    pub fn answering(answers: &[(u16, &str)]) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let socket = std::env::temp_dir().join(format!("vpcep-fake-{}-{number}.sock", std::process::id()));
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers: Vec<(u16, String)> =
            answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        tokio::spawn(serve(listener, answers, Arc::clone(&asked)));
        Self { socket, asked }
    }

    /// A client of the operator.
    pub fn client(&self) -> Client {
        Client::new(self.server(), None)
    }

    /// Where it listens.
    pub fn server(&self) -> Server {
        Server::Socket(self.socket.clone())
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
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn serve(listener: UnixListener, answers: Vec<(u16, String)>, asked: Arc<Mutex<Vec<Asked>>>) {
    for (status, body) in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
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
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

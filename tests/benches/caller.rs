//! A caller of the API who signs every request and keeps the connection: as
//! lean as possible, because it shares the machine with what it measures.
//!
//! Source of the signature: Huawei Cloud API Request Signing Guide.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use ring::{digest, hmac};
use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An account's access key and project.
#[derive(Clone, Debug)]
pub struct Key {
    pub access: String,
    pub secret: String,
    pub project: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// `X-Request-Id`.
    pub request: String,
    /// Null where there is none.
    pub body: Value,
}

/// See the module.
pub struct Caller {
    connection: BufReader<TcpStream>,
    host: String,
}

impl Caller {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { connection: BufReader::new(stream), host: address.to_string() })
    }

    /// A signed call below the project of the key.
    ///
    /// # Errors
    /// When the answer is not a success, or cannot be read.
    pub fn call(&mut self, key: &Key, method: &str, path: &str, query: &str, body: &str) -> Result<Value> {
        let Answer { status, body, .. } = self.ask(key, method, path, query, body)?;
        ensure!((200..300).contains(&status), "{method} {path}?{query}: {status} {body}");
        Ok(body)
    }

    /// A signed call below the project of the key, whatever it is answered with.
    ///
    /// # Errors
    /// When the answer cannot be read.
    pub fn ask(&mut self, key: &Key, method: &str, path: &str, query: &str, body: &str) -> Result<Answer> {
        let path = format!("/v1/{}{path}", key.project);
        let date = sdk_date()?;
        let canonical = format!(
            "{method}\n{path}/\n{query}\nhost:{}\nx-sdk-date:{date}\n\nhost;x-sdk-date\n{}",
            self.host,
            hex_of(digest::digest(&digest::SHA256, body.as_bytes()).as_ref())
        );
        let hash = hex_of(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let secret = hmac::Key::new(hmac::HMAC_SHA256, key.secret.as_bytes());
        let signature = hmac::sign(&secret, format!("SDK-HMAC-SHA256\n{date}\n{hash}").as_bytes());
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nX-Sdk-Date: {date}\r\nAuthorization: SDK-HMAC-SHA256 \
             Access={}, SignedHeaders=host;x-sdk-date, Signature={}\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            key.access,
            hex_of(signature.as_ref()),
            body.len()
        );
        self.connection.get_mut().write_all(request.as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.connection.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.with_context(|| format!("bad status line {line:?}"))?;
        let (mut length, mut request) = (0, String::new());
        loop {
            line.clear();
            if self.connection.read_line(&mut line)? == 0 {
                bail!("the connection ended in the middle of an answer");
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "x-request-id" => value.trim().clone_into(&mut request),
                _ => {}
            }
        }
        let mut bytes = vec![0; length];
        self.connection.read_exact(&mut bytes)?;
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes)? };
        Ok(Answer { status, request, body })
    }
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Now, as `YYYYMMDDTHHMMSSZ`.
fn sdk_date() -> Result<String> {
    let secs = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let text = vpcep::model::Timestamp::from_micros(secs * 1_000_000).to_string();
    Ok(text.replace(['-', ':'], ""))
}

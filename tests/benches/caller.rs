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
        let (status, answer) = self.answer()?;
        ensure!(
            (200..300).contains(&status),
            "{method} {target}: {status} {}",
            String::from_utf8_lossy(&answer)
        );
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer).context("the answer is no JSON")
    }

    fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        let mut line = String::new();
        self.connection.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.with_context(|| format!("bad status line {line:?}"))?;
        let mut length = 0;
        loop {
            line.clear();
            if self.connection.read_line(&mut line)? == 0 {
                bail!("the connection ended in the middle of an answer");
            }
            if line.trim_end().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body)?;
        Ok((status, body))
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

//! Typed client of the controller's HTTP API.
//!
//! Owns the way to the controller ([`Server`], timeouts, token), the form of a
//! request (paths, wrappers, pages) and the reading of its answer. What the
//! resources look like is in `objects`, who asks for them and how they are
//! shown is left to `cli`. Source: `docs/http-api.md` and the VPCEP v1 API
//! reference of the public clouds.
//!
//! Every call opens its own HTTP/1.1 connection: a command makes a handful of
//! calls, and none of them finds a connection the controller has closed.

#![forbid(unsafe_code)]

mod error;
mod objects;
mod server;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

pub use error::ClientError;
pub use objects::*;
pub use server::{Server, ServerUrl, ServerUrlError, Token, TokenError};

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole request may take, from the first byte sent to the last read.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Rows asked for in one page: the most that every list of the API gives.
const PAGE_ROWS: u64 = 500;
/// Largest answer that is read, bytes: 1000 rows of any kind are far below.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Project segment for every project the caller may see.
const EVERY_PROJECT: &str = "-";

/// An answer of the API: the object as it came, and what vpcep knows of it.
#[derive(Clone, Debug)]
pub struct Object<T> {
    /// The object itself, without wrapper, with every field the API sent.
    pub json: Value,
    /// The same object, read.
    pub data: T,
}

/// Rows of one list and how many match in all.
#[derive(Clone, Debug)]
pub struct List<T> {
    /// The rows that were fetched.
    pub items: Vec<Object<T>>,
    /// Rows that match, fetched or not.
    pub total_count: u64,
}

/// Where a kind of resource is found and how its JSON is wrapped.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What a person calls it, such as `endpoint service`.
    pub noun: &'static str,
    /// Who serves it.
    pub door: Door,
    /// Path segment of the collection.
    pub path: &'static str,
    /// Field of a list that holds the rows.
    pub plural: &'static str,
    /// Field that wraps a single object, in requests and answers.
    pub wrapper: Option<&'static str>,
}

/// The part of the API that serves a kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `/v1/{project_id}`: everyone, each in their own projects.
    Tenant,
    /// `/operator/v1`: the operator's socket only.
    Operator,
}

/// A resource of the API.
pub trait Resource: DeserializeOwned {
    /// Where it is found.
    const KIND: Kind;
}

/// Path and query of a request, percent-encoded as it is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: String,
    has_query: bool,
}

impl Path {
    /// A path of these segments; each may contain any character.
    pub fn new(segments: &[&str]) -> Self {
        let text = segments.iter().map(|segment| format!("/{}", percent_encode(segment))).collect();
        Self { text, has_query: false }
    }

    /// The same path with one more query parameter.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.text.push_str(&format!("{}={}", percent_encode(name), percent_encode(value)));
        self.has_query = true;
        self
    }
}

/// Encodes all but the unreserved characters of RFC 3986, section 2.3.
fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A caller of the API, acting in one project or (`-`) in all it may see.
#[derive(Clone, Debug)]
pub struct Client {
    server: Server,
    token: Option<Token>,
    project: String,
}

impl Client {
    /// A client that acts in every project the caller may see. Nothing is
    /// opened or sent.
    pub fn new(server: Server, token: Option<Token>) -> Self {
        Self { server, token, project: EVERY_PROJECT.to_owned() }
    }

    /// The same client acting in one project.
    pub fn in_project(self, project_id: String) -> Self {
        Self { project: project_id, ..self }
    }

    /// Whether calls are the operator's: on the socket and without a token.
    pub fn is_operator(&self) -> bool {
        matches!(self.server, Server::Socket(_)) && self.token.is_none()
    }

    /// The project the client acts in; `None` is every one it may see.
    pub fn project_id(&self) -> Option<&str> {
        Some(self.project.as_str()).filter(|project| *project != EVERY_PROJECT)
    }

    /// Path of the project followed by `segments`.
    pub fn tenant_path(&self, segments: &[&str]) -> Path {
        Path::new(&[&["v1", self.project.as_str()], segments].concat())
    }

    /// Path below the operator's resources.
    pub fn operator_path(segments: &[&str]) -> Path {
        Path::new(&[&["operator", "v1"], segments].concat())
    }

    /// Path of a collection, or of `segments` below it.
    pub fn path_of<T: Resource>(&self, segments: &[&str]) -> Path {
        let segments = [&[T::KIND.path], segments].concat();
        match T::KIND.door {
            Door::Tenant => self.tenant_path(&segments),
            Door::Operator => Self::operator_path(&segments),
        }
    }

    /// One object by id.
    ///
    /// # Errors
    /// When the call fails or is refused, as all calls here: [`ClientError`].
    pub async fn get<T: Resource>(&self, id: &str) -> Result<Object<T>, ClientError> {
        self.call(Method::GET, &self.path_of::<T>(&[id]), None).await
    }

    /// All objects that match the filters, page by page.
    ///
    /// # Errors
    /// When a call fails or is refused.
    pub async fn list<T: Resource>(&self, filters: &[(&str, &str)]) -> Result<List<T>, ClientError> {
        self.all_rows(&self.filtered::<T>(filters), T::KIND.plural).await
    }

    /// The first `limit` (0..=1000) objects that match.
    ///
    /// # Errors
    /// When the call fails or is refused.
    pub async fn first<T: Resource>(
        &self,
        filters: &[(&str, &str)],
        limit: u64,
    ) -> Result<List<T>, ClientError> {
        let path = self.filtered::<T>(filters).query("limit", &limit.to_string());
        self.rows(Method::GET, &path, None, T::KIND.plural).await
    }

    fn filtered<T: Resource>(&self, filters: &[(&str, &str)]) -> Path {
        filters.iter().fold(self.path_of::<T>(&[]), |path, (name, value)| path.query(name, value))
    }

    /// All rows of a list below field `plural`, page by page.
    ///
    /// # Errors
    /// When a call fails or is refused.
    pub async fn all_rows<T: DeserializeOwned>(
        &self,
        path: &Path,
        plural: &str,
    ) -> Result<List<T>, ClientError> {
        let path = path.clone().query("limit", &PAGE_ROWS.to_string());
        let mut list = self.rows(Method::GET, &path, None, plural).await?;
        loop {
            let fetched = list.items.len() as u64;
            if fetched >= list.total_count {
                return Ok(list);
            }
            let path = path.clone().query("offset", &fetched.to_string());
            let page = self.rows(Method::GET, &path, None, plural).await?;
            // What was deleted between two pages is not waited for.
            if page.items.is_empty() {
                return Ok(list);
            }
            list.items.extend(page.items);
            list.total_count = page.total_count;
        }
    }

    /// The rows below field `plural` of the answer to any call.
    ///
    /// # Errors
    /// When the call fails or is refused.
    pub async fn rows<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &Path,
        body: Option<Value>,
        plural: &str,
    ) -> Result<List<T>, ClientError> {
        let mut answer = self.send(method, path, body).await?;
        let rows = answer.get_mut(plural).map(Value::take).unwrap_or_default();
        let rows: Vec<Value> = decode(rows, path)?;
        let total_count = answer["total_count"].as_u64().unwrap_or(rows.len() as u64);
        let items = rows.into_iter().map(|row| object(row, path)).collect::<Result<_, _>>()?;
        Ok(List { items, total_count })
    }

    /// Creates an object from its request body, given without wrapper.
    ///
    /// # Errors
    /// When the call fails or is refused.
    pub async fn create<T: Resource>(&self, body: &impl Serialize) -> Result<Object<T>, ClientError> {
        let body = match T::KIND.wrapper {
            Some(wrapper) => json!({ wrapper: body }),
            None => json!(body),
        };
        self.call(Method::POST, &self.path_of::<T>(&[]), Some(body)).await
    }

    /// Changes the given fields of an object.
    ///
    /// # Errors
    /// When the call fails or is refused.
    pub async fn update<T: Resource>(
        &self,
        id: &str,
        changes: &impl Serialize,
    ) -> Result<Object<T>, ClientError> {
        self.call(Method::PUT, &self.path_of::<T>(&[id]), Some(json!(changes))).await
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// When the call fails or is refused.
    pub async fn delete<T: Resource>(&self, id: &str) -> Result<(), ClientError> {
        self.send(Method::DELETE, &self.path_of::<T>(&[id]), None).await.map(drop)
    }

    /// Any call that answers with one resource.
    ///
    /// # Errors
    /// When the call fails or is refused.
    pub async fn call<T: Resource>(
        &self,
        method: Method,
        path: &Path,
        body: Option<Value>,
    ) -> Result<Object<T>, ClientError> {
        let mut answer = self.send(method, path, body).await?;
        if let Some(inner) = T::KIND.wrapper.and_then(|wrapper| answer.get_mut(wrapper)) {
            answer = inner.take();
        }
        object(answer, path)
    }

    /// Any call; an answer without body is an empty object.
    ///
    /// # Errors
    /// When the call fails or is refused.
    pub async fn send(&self, method: Method, path: &Path, body: Option<Value>) -> Result<Value, ClientError> {
        let request = self.request(method, path, body);
        let (status, bytes) = match tokio::time::timeout(REQUEST_TIMEOUT, self.exchange(request)).await {
            Ok(exchanged) => exchanged?,
            Err(_) => {
                let timeout = REQUEST_TIMEOUT;
                return Err(ClientError::Timeout { server: self.server.clone(), timeout });
            }
        };
        if !status.is_success() {
            return Err(ClientError::from_answer(&self.server, status, &bytes));
        }
        if bytes.is_empty() {
            return Ok(Value::Object(Map::new()));
        }
        serde_json::from_slice(&bytes).map_err(|source| malformed(path, source))
    }

    fn request(&self, method: Method, path: &Path, body: Option<Value>) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path.text.as_str())
            .header(header::HOST, self.server.host())
            .header(header::USER_AGENT, concat!("vpcep/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header("X-Auth-Token", token.header());
        }
        let body = match body {
            Some(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(json.to_string())
            }
            None => Bytes::new(),
        };
        request.body(Full::new(body)).expect("path, host and token are parsed into what a request may hold")
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ClientError> {
        match &self.server {
            Server::Socket(path) => {
                let stream = self.connect(UnixStream::connect(path)).await?;
                self.exchange_over(stream, request).await
            }
            Server::Http(url) => {
                let stream = self.connect(TcpStream::connect((url.host(), url.port()))).await?;
                self.exchange_over(stream, request).await
            }
        }
    }

    async fn connect<S>(
        &self,
        connecting: impl Future<Output = std::io::Result<S>>,
    ) -> Result<S, ClientError> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        connected
            .unwrap_or_else(|elapsed| Err(elapsed.into()))
            .map_err(|source| ClientError::Connect { server: self.server.clone(), source })
    }

    async fn exchange_over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let broken = |source| ClientError::Broken { server: self.server.clone(), source };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(e.into()))?;
        // What ends the connection early also ends the request, which reports it.
        let connection = tokio::spawn(connection);
        let answer = async {
            let response = sender.send_request(request).await.map_err(|e| broken(e.into()))?;
            let status = response.status();
            let body =
                Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(broken)?;
            Ok((status, body.to_bytes()))
        }
        .await;
        connection.abort();
        answer
    }
}

fn object<T: DeserializeOwned>(json: Value, path: &Path) -> Result<Object<T>, ClientError> {
    let data = decode(json.clone(), path)?;
    Ok(Object { json, data })
}

fn decode<T: DeserializeOwned>(json: Value, path: &Path) -> Result<T, ClientError> {
    serde_json::from_value(json).map_err(|source| malformed(path, source))
}

fn malformed(path: &Path, source: serde_json::Error) -> ClientError {
    ClientError::Malformed { path: path.text.clone(), source }
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

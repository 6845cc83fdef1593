//! Typed client of the controller's HTTP API.
//!
//! Owns the form of a request (paths, wrappers, pages) and the reading of its
//! answer. The way to the controller is in `server`, `trust` and `transport`, what
//! the resources look like in `objects`, tokens for passwords in [`keystone`]. Who
//! asks for them and how they are shown is left to `cli`. Source:
//! `docs/http-api.md` and the VPCEP v1 API reference of the public clouds.

#![forbid(unsafe_code)]

mod error;
pub mod keystone;
mod objects;
mod path;
mod server;
mod transport;
mod trust;
mod users;
mod vpcs;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub use error::ClientError;
pub use objects::*;
pub use path::Path;
pub use server::{Server, ServerUrl, ServerUrlError, Token, TokenError};
pub use transport::Lines;
pub use trust::{Trust, TrustError};
pub use users::*;
pub use vpcs::*;

/// Rows asked for in one page: the most that every list of the API gives.
const PAGE_ROWS: u64 = 500;

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
    /// `/operator/v1`: the operator only.
    Operator,
    /// `/v3.0/OS-CREDENTIAL`: everyone, each their own.
    Credentials,
}

/// A resource of the API.
pub trait Resource: DeserializeOwned {
    /// Where it is found.
    const KIND: Kind;
}

/// A caller of the API, acting in one project or (`-`) in all it may see.
#[derive(Clone, Debug)]
pub struct Client {
    server: Server,
    token: Option<Token>,
    project: String,
    is_operator: bool,
}

impl Client {
    /// A client that acts in every project the caller may see. Nothing is
    /// opened or sent.
    pub fn new(server: Server, token: Option<Token>) -> Self {
        let is_operator = matches!(server, Server::Socket(_)) && token.is_none();
        Self { server, token, project: EVERY_PROJECT.to_owned(), is_operator }
    }

    /// The same client of a caller known to be the operator.
    pub fn of_operator(self) -> Self {
        Self { is_operator: true, ..self }
    }

    /// The same client acting in one project.
    pub fn in_project(self, project_id: String) -> Self {
        Self { project: project_id, ..self }
    }

    /// Whether calls are known to be the operator's. A bare token does not say.
    pub fn is_operator(&self) -> bool {
        self.is_operator
    }

    /// What proves who calls; `None` on the operator's socket.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
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
            Door::Credentials => Path::new(&[&["v3.0", "OS-CREDENTIAL"], &segments[..]].concat()),
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
        let answer = self.answer(method, path, &[], body).await?;
        if answer.body().is_empty() {
            return Ok(Value::Object(Map::new()));
        }
        serde_json::from_slice(answer.body()).map_err(|source| malformed(path, source))
    }

    /// Any call with headers of its own, answered by a success.
    async fn answer(
        &self,
        method: Method,
        path: &Path,
        headers: &[(HeaderName, HeaderValue)],
        body: Option<Value>,
    ) -> Result<Response<Bytes>, ClientError> {
        let mut request = self.request(method, path, body);
        request.headers_mut().extend(headers.iter().cloned());
        let answer = transport::exchange(&self.server, request).await?;
        if !answer.status().is_success() {
            return Err(ClientError::from_answer(&self.server, answer.status(), answer.body()));
        }
        Ok(answer)
    }

    /// Hears what happens to sessions, of everything or as the query of `path` says.
    ///
    /// # Errors
    /// When the call fails or is refused.
    pub async fn listen(&self, path: &Path) -> Result<Lines, ClientError> {
        transport::listen(&self.server, self.request(Method::GET, path, None)).await
    }

    fn request(&self, method: Method, path: &Path, body: Option<Value>) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path.as_str())
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
}

fn object<T: DeserializeOwned>(json: Value, path: &Path) -> Result<Object<T>, ClientError> {
    let data = decode(json.clone(), path)?;
    Ok(Object { json, data })
}

fn decode<T: DeserializeOwned>(json: Value, path: &Path) -> Result<T, ClientError> {
    serde_json::from_value(json).map_err(|source| malformed(path, source))
}

fn malformed(path: &Path, source: serde_json::Error) -> ClientError {
    ClientError::Malformed { path: path.as_str().to_owned(), source }
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

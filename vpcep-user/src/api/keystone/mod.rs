//! Users, tokens and the catalog as OpenStack clients and Huawei's SDKs ask for
//! them: the part of Keystone's API they need.
//!
//! | path | file |
//! |---|---|
//! | `/v3`, `/v3/auth/catalog` | `catalog.rs` |
//! | `/v3/auth/tokens` | `tokens.rs` |
//! | `/v3/auth/projects`, `/v3/auth/domains`, `/v3/projects`, `/v3/users/{id}[/password]` | `directory.rs` |
//! | `/v3.0/OS-CREDENTIAL/credentials[/{access}]` | `credentials.rs` |
//!
//! A project has the name of the region: a client that asks for the project of a
//! region finds its account's. Roles are `operator`, `member` and `reader`. A
//! token is its user's; the scope a client asks for is checked and shown, and
//! gives it neither more nor less.
//!
//! Source: OpenStack Identity API v3.14; Huawei Cloud IAM API reference for
//! `OS-CREDENTIAL`.

pub mod catalog;
pub mod credentials;
pub mod directory;
pub mod tokens;

use aide::axum::ApiRouter;
use aide::generate::in_context;
use aide::openapi::{Operation, PathItem, Responses, SchemaObject, StatusCode};
use aide::transform::TransformPathItem;
use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::error::{Code, Told};
use super::login::DomainRef;
use super::openapi::may_refuse;
use crate::controller::State;
use crate::model::{DomainId, ProjectId};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .merge(catalog::routes())
        .merge(tokens::routes())
        .merge(directory::routes())
        .merge(credentials::routes())
        .with_path_items(|path| shape(path).tag("Identity"))
}

/// Says of the refusals of a path that they have Keystone's form.
fn shape(mut path: TransformPathItem<'_>) -> TransformPathItem<'_> {
    let PathItem { get, post, delete, .. } = path.inner_mut();
    for operation in [post, delete].into_iter().flatten() {
        may_refuse(operation, 409);
        shape_operation(operation);
    }
    get.iter_mut().for_each(shape_operation);
    path
}

fn shape_operation(operation: &mut Operation) {
    let proves = |responses: &Responses| responses.responses.contains_key(&StatusCode::Code(401));
    if operation.responses.as_ref().is_some_and(proves) {
        may_refuse(operation, 429);
    }
    let schema = in_context(|ctx| ctx.schema.subschema_for::<ErrorBody>());
    let responses = operation.responses.iter_mut().flat_map(|all| all.responses.iter_mut());
    for (status, response) in responses {
        let is_refusal = matches!(status, StatusCode::Code(400..));
        let response = response.as_item_mut().filter(|_| is_refusal);
        for json in response.into_iter().flat_map(|response| response.content.values_mut()) {
            let json_schema = schema.clone();
            json.schema = Some(SchemaObject { json_schema, example: None, external_docs: None });
        }
    }
}

/// A refusal in Keystone's form.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeystoneError")]
pub struct ErrorBody {
    /// What is wrong.
    error: ErrorFields,
}

/// What is wrong.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub struct ErrorFields {
    /// HTTP status.
    code: u16,
    /// The status in words.
    title: &'static str,
    /// What is wrong and what would be right.
    message: String,
}

/// Gives refusals on Keystone's paths Keystone's form.
pub async fn shape_errors(request: Request, next: Next) -> Response {
    let is_keystone = matches!(request.uri().path().split('/').nth(1), Some("v3" | "v3.0"));
    let response = next.run(request).await;
    let told = response.extensions().get::<Told>().zip(response.extensions().get::<Code>());
    let Some((Told(message), Code(code))) = told.filter(|_| is_keystone) else { return response };
    let is_limited = code == "EndPoint.0022";
    let status = if is_limited { http::StatusCode::TOO_MANY_REQUESTS } else { response.status() };
    let error = ErrorFields {
        code: status.as_u16(),
        title: status.canonical_reason().unwrap_or_default(),
        message: message.to_string(),
    };
    let (mut parts, _) = response.into_parts();
    parts.status = status;
    let body = Json(ErrorBody { error }).into_response().into_body();
    Response::from_parts(parts, body)
}

/// A domain or a role by id and name.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Named {
    /// The id.
    id: String,
    /// The name.
    name: String,
}

impl Named {
    fn domain(state: &State, id: DomainId) -> Self {
        Self { id: id.to_string(), name: state.domain_name(id).unwrap_or_default().into() }
    }
}

/// A project or a user with its domain.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub struct InDomain {
    /// 32 hexadecimal digits.
    id: String,
    /// The name.
    name: String,
    /// The account.
    domain: Named,
}

impl InDomain {
    fn project(state: &State, id: ProjectId) -> Self {
        let domain = Named::domain(state, state.domain_of(id));
        Self { id: id.to_string(), name: state.region.as_str().into(), domain }
    }
}

/// A domain in a request: by `id` or by `name`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "NamedDomain")]
pub struct DomainRequest {
    /// 32 hexadecimal digits.
    id: Option<String>,
    /// The account's name.
    name: Option<String>,
}

impl DomainRequest {
    /// The domain meant; the id comes first.
    fn named(self) -> Option<DomainRef> {
        self.id.map(DomainRef::Id).or_else(|| self.name.map(DomainRef::Name))
    }
}

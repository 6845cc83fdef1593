//! `GET /openapi.json`: what the API takes and answers, as an OpenAPI 3.1 document.
//!
//! The document follows from the types of the handlers: extractors say what they
//! take and with what they refuse ([`super::request`]), answers what they are. Here
//! is what all operations share, and what the parts of the router are called.
//!
//! Source: OpenAPI Specification 3.1.0; JSON Schema 2020-12.

use aide::axum::ApiRouter;
use aide::generate::{GenContext, in_context};
use aide::openapi::{
    ApiKeyLocation, Components, Header, HeaderStyle, Info, License, MediaType, OpenApi, Operation,
    ParameterSchemaOrContent, PathItem, ReferenceOr, Response, SchemaObject, SecurityScheme, Server,
    StatusCode, Tag,
};
use aide::transform::{TransformOperation, TransformPathItem};
use aide::{OperationInput, OperationOutput};
use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;

use super::auth::{Caller, FromAddress, InProject, InProjectReading, Operator};
use super::error::{ApiError, ErrorBody};
use super::request::document_path_param;
use super::{App, ROUTES};

/// Name and summary of an operation. The name is part of the API: generated
/// clients call their functions by it.
pub fn named(
    id: &'static str,
    summary: &'static str,
) -> impl for<'t> FnOnce(TransformOperation<'t>) -> TransformOperation<'t> {
    move |operation| operation.id(id).summary(summary)
}

/// As [`named`], for an operation that may refuse with statuses that do not
/// follow from what it takes.
pub fn refusing(
    id: &'static str,
    summary: &'static str,
    statuses: &'static [u16],
) -> impl for<'t> FnOnce(TransformOperation<'t>) -> TransformOperation<'t> {
    move |operation| {
        let mut operation = named(id, summary)(operation);
        for status in statuses {
            may_refuse(operation.inner_mut(), *status);
        }
        operation
    }
}

/// The router that `routes` build, and the document of it.
pub fn documented(routes: impl FnOnce() -> ApiRouter<App>) -> (Router<App>, Bytes) {
    in_context(|ctx| {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        ctx.schema = settings.into_generator();
    });
    let mut document = OpenApi { info: info(), servers: vec![here()], tags: tags(), ..OpenApi::default() };
    let router = routes().with_path_items(complete).finish_api(&mut document);
    describe_callers(document.components.get_or_insert_default());
    let json = serde_json::to_vec(&document).expect("a document has only text keys");
    (router, json.into())
}

fn info() -> Info {
    Info {
        title: "vpcep".into(),
        summary: Some("VPC endpoints: services of one private network, reached from another".into()),
        description: Some(
            "The VPCEP v1 API of Huawei Cloud and Open Telekom Cloud, the resources these clouds keep in \
             other products, and the operator's own."
                .into(),
        ),
        license: Some(License {
            name: "Apache-2.0".into(),
            identifier: Some("Apache-2.0".into()),
            ..License::default()
        }),
        version: env!("CARGO_PKG_VERSION").into(),
        ..Info::default()
    }
}

fn here() -> Server {
    Server { url: "/".into(), ..Server::default() }
}

/// What the parts of the API are called; each resource's file names its own.
fn tags() -> Vec<Tag> {
    let tag = |name: &str, description: &str| Tag {
        name: name.into(),
        description: Some(description.into()),
        ..Tag::default()
    };
    vec![
        tag("Versions", "Which versions of the API there are, and what it looks like."),
        tag("Endpoint services", "Backends offered to others."),
        tag("Connections", "Endpoints of a service, as its owner sees them."),
        tag("Permissions", "Which accounts may connect to a service."),
        tag("Endpoints", "A service's address in the consumer's network."),
        tag("Quotas", "How much a project may have."),
        tag("Tags", "Labels of services and endpoints, and searching by them."),
        tag("Networks", "VPCs, their subnets, route tables and ports."),
        tag("Backends", "What really serves."),
        tag("Observation", "What the data plane is doing, and why it does not."),
        tag("Identity", "Tokens, projects and users as Keystone has them; access keys."),
        tag("Accounts", "Who there is. The operator's alone."),
        tag("Operation", "The host and its data plane. The operator's alone."),
    ]
}

const TOKEN: &str = "token";
const SIGNATURE: &str = "signature";

fn describe_callers(components: &mut Components) {
    let in_header = |name: &str, description: &str| {
        ReferenceOr::Item(SecurityScheme::ApiKey {
            location: ApiKeyLocation::Header,
            name: name.into(),
            description: Some(description.into()),
            extensions: Default::default(),
        })
    };
    components.security_schemes.extend([
        (TOKEN.to_owned(), in_header("X-Auth-Token", "The token of an account.")),
        (
            SIGNATURE.to_owned(),
            in_header(
                "Authorization",
                "A signature of the request by an access key: `SDK-HMAC-SHA256 Access=.., SignedHeaders=.., \
                 Signature=..`.",
            ),
        ),
    ]);
}

/// What every operation has.
fn complete(mut path: TransformPathItem<'_>) -> TransformPathItem<'_> {
    let PathItem { get, post, put, delete, .. } = path.inner_mut();
    for operation in [post, put, delete].into_iter().flatten() {
        // Whatever changes something may find it changed.
        may_refuse(operation, 409);
        identify(operation);
    }
    get.iter_mut().for_each(identify);
    path
}

/// Says of an operation that it may also refuse with this status.
pub fn may_refuse(operation: &mut Operation, status: u16) {
    let responses = in_context(|ctx| refused(ctx, &[status]));
    let all = operation.responses.get_or_insert_default();
    for (_, response) in responses {
        all.responses.entry(StatusCode::Code(status)).or_insert(ReferenceOr::Item(response));
    }
}

fn identify(operation: &mut Operation) {
    let all = operation.responses.iter_mut().flat_map(|all| all.responses.values_mut());
    for response in all.filter_map(ReferenceOr::as_item_mut) {
        let schema = json_schema!({"type": "string", "format": "uuid"});
        let header = header("Under which id the log has the request.", schema);
        response.headers.insert("X-Request-Id".into(), header);
    }
}

/// A header that an answer always has.
pub fn header(description: &str, json_schema: Schema) -> ReferenceOr<Header> {
    let schema = SchemaObject { json_schema, example: None, external_docs: None };
    ReferenceOr::Item(Header {
        description: Some(description.into()),
        style: HeaderStyle::Simple,
        required: true,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(schema),
        example: None,
        examples: Default::default(),
        extensions: Default::default(),
    })
}

/// Answers with these statuses and an error for a body.
pub fn refused(ctx: &mut GenContext, statuses: &[u16]) -> Vec<(Option<u16>, Response)> {
    let answer = |status: &u16| {
        let json_schema = ctx.schema.subschema_for::<ErrorBody>();
        let schema = SchemaObject { json_schema, example: None, external_docs: None };
        let json = MediaType { schema: Some(schema), ..MediaType::default() };
        let description = match status {
            400 => "The request is wrong; the message says what to change.",
            401 => "The request does not prove who is asking.",
            403 => "The caller may not.",
            404 => "There is no such object, or the caller may not see it.",
            409 => "The state of things forbids it.",
            413 => "The body is larger than 1 MiB.",
            429 => "Too many wrong proofs; Retry-After says when to try again.",
            500 => "Internal error.",
            other => unreachable!("{other} is no status of the table of errors"),
        };
        let content = [("application/json".to_owned(), json)].into_iter().collect();
        (Some(*status), Response { description: description.into(), content, ..Response::default() })
    };
    statuses.iter().map(answer).collect()
}

impl OperationOutput for ApiError {
    type Inner = ErrorBody;

    fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[500])
    }
}

impl OperationInput for Caller {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        if operation.security.is_empty() {
            let one_of = [TOKEN, SIGNATURE].map(|scheme| [(scheme.to_owned(), vec![])].into_iter().collect());
            operation.security.extend(one_of);
        }
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        // A wrong proof may be told to wait, and a signed body is read before anybody is known.
        refused(ctx, &[400, 401, 413])
    }
}

impl OperationInput for InProject {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        Caller::operation_input(ctx, operation);
        let schema: Schema = json_schema!({
            "description": "The project, or `-` for all the caller may see.",
            "type": "string",
            "pattern": "^(-|[0-9A-Fa-f]{32})$",
        });
        document_path_param(ctx, operation, "project_id", schema);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[400, 401, 403, 404, 413])
    }
}

impl OperationInput for InProjectReading {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        InProject::operation_input(ctx, operation);
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        InProject::inferred_early_responses(ctx, operation)
    }
}

impl OperationInput for FromAddress {}

impl OperationInput for Operator {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        Caller::operation_input(ctx, operation);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[400, 401, 403, 413])
    }
}

/// The answer of a creation, with status 201.
pub struct Created<T>(pub T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> axum::response::Response {
        (http::StatusCode::CREATED, axum::Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for Created<T> {
    type Inner = T;

    fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        let json_schema = ctx.schema.subschema_for::<T>();
        let schema = SchemaObject { json_schema, example: None, external_docs: None };
        let json = MediaType { schema: Some(schema), ..MediaType::default() };
        let content = [("application/json".to_owned(), json)].into_iter().collect();
        vec![(Some(201), Response { description: "Made.".into(), content, ..Response::default() })]
    }
}

/// The document.
pub struct Document(Bytes);

/// `GET`: needs no token.
pub async fn show() -> Document {
    Document(ROUTES.1.clone())
}

impl IntoResponse for Document {
    fn into_response(self) -> axum::response::Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

impl OperationOutput for Document {
    type Inner = serde_json::Value;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        let json_schema = json_schema!({"type": "object", "required": ["openapi", "info", "paths"]});
        let schema = SchemaObject { json_schema, example: None, external_docs: None };
        let json = MediaType { schema: Some(schema), ..MediaType::default() };
        let content = [("application/json".to_owned(), json)].into_iter().collect();
        vec![(Some(200), Response { description: "This document.".into(), content, ..Response::default() })]
    }
}

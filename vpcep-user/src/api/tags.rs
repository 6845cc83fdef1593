//! `/v1/{project_id}/{resource_type}/..`: tags of endpoint services and
//! endpoints, and searching by them. `resource_type` is `endpoint_service` or
//! `endpoint`.

use aide::OperationInput;
use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use aide::generate::GenContext;
use aide::openapi::{Operation, Response};
use axum::Json;
use axum::extract::{FromRequestParts, State as Context};
use axum::response::NoContent;
use http::request::Parts;
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{InProject, InProjectReading};
use super::error::ApiError;
use super::openapi::{named, refused};
use super::page::{Page, rows_skipped};
use super::request::{Body, document_path_param, path_param, require};
use crate::controller::tags::Tagged;
use crate::controller::{ControlError, Scope, State, tags};
use crate::model::{
    Endpoint, EndpointId, MAX_TAG_MATCHES, MAX_TAGS, Service, ServiceId, Tag, TagMatch, TagMatches, TagQuery,
    TagRemoval, Tags,
};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/{resource_type}/{id}/tags/action",
            post_with(act, named("changeTags", "Add or remove tags of one resource")),
        )
        .api_route(
            "/v1/{project_id}/{resource_type}/tags",
            get_with(list, named("listTags", "List the tags of a project's resources")),
        )
        .api_route(
            "/v1/{project_id}/{resource_type}/resource_instances/action",
            post_with(search, named("searchByTags", "List or count resources by their tags")),
        )
        .with_path_items(|path| path.tag("Tags"))
}

/// A tag.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tag")]
pub struct TagView {
    /// Each key once on a resource.
    key: String,
    /// May be empty.
    value: String,
}

impl TagView {
    /// All tags of a resource.
    pub fn all(tags: &Tags) -> Vec<Self> {
        let view = |tag: &Tag| Self { key: tag.key().into(), value: tag.value().into() };
        tags.as_slice().iter().map(view).collect()
    }
}

/// A tag of a request.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewTag")]
pub struct TagRequest {
    /// Up to 128 characters.
    #[schemars(with = "String", length(min = 1, max = 128))]
    key: Option<String>,
    /// Up to 255 characters; empty when absent.
    #[schemars(length(max = 255))]
    value: Option<String>,
}

/// The tags of a request.
pub fn parse_tags(requests: Option<Vec<TagRequest>>) -> Result<Tags, ApiError> {
    let parse =
        |tag: TagRequest| Tag::new(&tag.key.unwrap_or_default(), tag.value.as_deref().unwrap_or_default());
    Ok(Tags::new(requests.unwrap_or_default().into_iter().map(parse).collect::<Result<_, _>>()?)?)
}

/// The `{resource_type}` of a path.
#[derive(Clone, Copy, Debug)]
pub enum ResourceType {
    Service,
    Endpoint,
}

impl FromRequestParts<App> for ResourceType {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match path_param(parts, app, "resource_type").await?.as_str() {
            "endpoint_service" => Ok(Self::Service),
            "endpoint" => Ok(Self::Endpoint),
            other => Err(ApiError::ResourceType { value: other.into() }),
        }
    }
}

impl OperationInput for ResourceType {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({
            "description": "What kind of resource.",
            "type": "string",
            "enum": ["endpoint_service", "endpoint"],
        });
        document_path_param(ctx, operation, "resource_type", schema);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[400])
    }
}

/// The `{resource_type}` and `{id}` of a path. What cannot be an id names nothing.
#[derive(Clone, Copy, Debug)]
pub enum Resource {
    Service(ServiceId),
    Endpoint(EndpointId),
}

impl FromRequestParts<App> for Resource {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let kind = ResourceType::from_request_parts(parts, app).await?;
        let id = path_param(parts, app, "id").await?;
        let (parsed, kind) = match kind {
            ResourceType::Service => (id.parse().map(Self::Service), "endpoint service"),
            ResourceType::Endpoint => (id.parse().map(Self::Endpoint), "endpoint"),
        };
        parsed.map_err(|_| ControlError::NotFound { kind, id }.into())
    }
}

impl OperationInput for Resource {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        ResourceType::operation_input(ctx, operation);
        let schema = json_schema!({"description": "Names it.", "type": "string", "format": "uuid"});
        document_path_param(ctx, operation, "id", schema);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[400, 404])
    }
}

/// The body of a change.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ChangeTags")]
pub struct ActionRequest {
    /// `create` adds tags, and changes the value of keys that are there; `delete`
    /// removes them, by key or by key and value.
    #[schemars(with = "String", extend("enum" = ["create", "delete"]))]
    action: Option<String>,
    #[schemars(with = "Vec<TagRequest>", length(max = MAX_TAGS))]
    tags: Option<Vec<TagRequest>>,
}

/// `POST /{id}/tags/action`
pub async fn act(
    InProject(scope): InProject,
    Context(app): Context<App>,
    resource: Resource,
    Body(request): Body<ActionRequest>,
) -> Result<NoContent, ApiError> {
    let action = require("action", request.action)?;
    let requests = require("tags", request.tags)?;
    match action.as_str() {
        "create" => {
            let tags = parse_tags(Some(requests))?;
            app.write(move |tx| match resource {
                Resource::Service(id) => tags::add::<Service>(tx, scope, id, tags),
                Resource::Endpoint(id) => tags::add::<Endpoint>(tx, scope, id, tags),
            })
            .await?;
        }
        "delete" => {
            let removal =
                |tag: TagRequest| TagRemoval::new(&tag.key.unwrap_or_default(), tag.value.as_deref());
            let removals = requests.into_iter().map(removal).collect::<Result<Vec<_>, _>>()?;
            app.write(move |tx| match resource {
                Resource::Service(id) => tags::remove::<Service>(tx, scope, id, &removals),
                Resource::Endpoint(id) => tags::remove::<Endpoint>(tx, scope, id, &removals),
            })
            .await?;
        }
        _ => return Err(ApiError::Action { value: action, expected: "create or delete" }),
    }
    Ok(NoContent)
}

/// Every key in use, with its values.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TagSummary")]
pub struct TagSummary {
    tags: Vec<KeyView>,
}

/// A key and the values it has.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TagValues")]
pub struct KeyView {
    key: String,
    values: Vec<String>,
}

/// `GET /tags`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    kind: ResourceType,
) -> Result<Json<TagSummary>, ApiError> {
    app.read(move |state| {
        let found = match kind {
            ResourceType::Service => tags::summary::<Service>(state, scope),
            ResourceType::Endpoint => tags::summary::<Endpoint>(state, scope),
        };
        let view = |(key, values): (&str, std::collections::BTreeSet<&str>)| KeyView {
            key: key.into(),
            values: values.into_iter().map(Into::into).collect(),
        };
        Ok(Json(TagSummary { tags: found.into_iter().map(view).collect() }))
    })
    .await
}

/// The body of a search. A list without entries is no condition.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SearchByTags")]
pub struct SearchRequest {
    /// `filter` lists, `count` only counts.
    #[schemars(with = "String", extend("enum" = ["filter", "count"]))]
    action: Option<String>,
    /// Every key matches.
    #[schemars(length(max = MAX_TAG_MATCHES))]
    tags: Option<Vec<MatchRequest>>,
    /// At least one key matches.
    #[schemars(length(max = MAX_TAG_MATCHES))]
    tags_any: Option<Vec<MatchRequest>>,
    /// Not every key matches.
    #[schemars(length(max = MAX_TAG_MATCHES))]
    not_tags: Option<Vec<MatchRequest>>,
    /// No key matches.
    #[schemars(length(max = MAX_TAG_MATCHES))]
    not_tags_any: Option<Vec<MatchRequest>>,
    /// Tags of the system. There are none, so that nothing has them.
    #[schemars(length(max = MAX_TAG_MATCHES))]
    sys_tags: Option<Vec<MatchRequest>>,
    /// A part of the resource's name, in any case.
    #[schemars(length(max = 1))]
    matches: Option<Vec<NameRequest>>,
    /// Only resources without tags; the other lists do not count then.
    without_any_tag: Option<bool>,
    /// Most rows, 1 to 1000; 1000 when absent.
    limit: Option<Number>,
    /// Rows to leave out before; 0 when absent.
    offset: Option<Number>,
}

/// A key, and which of its values are meant; all without values.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "TagMatch")]
pub struct MatchRequest {
    #[schemars(with = "String", length(min = 1, max = 128))]
    key: Option<String>,
    #[schemars(length(max = MAX_TAG_MATCHES))]
    values: Option<Vec<String>>,
}

/// A part of a name.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NameMatch")]
pub struct NameRequest {
    #[schemars(with = "String", extend("const" = "resource_name"))]
    key: Option<String>,
    #[schemars(with = "String")]
    value: Option<String>,
}

/// A number as clients write it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum Number {
    Number(i64),
    Text(String),
}

impl Number {
    fn text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

fn page(limit: Option<Number>, offset: Option<Number>) -> Result<Page, ApiError> {
    const MAX: usize = 1000;
    let limit = match limit.map(Number::text) {
        None => MAX,
        Some(value) => match value.parse() {
            Ok(limit @ 1..=MAX) => limit,
            _ => return Err(ApiError::Limit { value, min: 1, max: MAX }),
        },
    };
    Ok(Page { limit, offset: rows_skipped(offset.map(Number::text))? })
}

fn matches(requests: Option<Vec<MatchRequest>>) -> Result<TagMatches, ApiError> {
    let parse =
        |one: MatchRequest| TagMatch::new(&one.key.unwrap_or_default(), one.values.unwrap_or_default());
    Ok(TagMatches::new(requests.unwrap_or_default().into_iter().map(parse).collect::<Result<_, _>>()?)?)
}

fn name_part(matches: Option<Vec<NameRequest>>) -> Result<Option<String>, ApiError> {
    let mut matches = matches.unwrap_or_default().into_iter();
    let Some(NameRequest { key, value }) = matches.next() else { return Ok(None) };
    let bad = |field, value| ApiError::Field { field, value, expected: "one entry, of key resource_name" };
    match key.as_deref() {
        Some("resource_name") => {}
        other => return Err(bad("matches", other.unwrap_or_default().into())),
    }
    if let Some(more) = matches.next() {
        return Err(bad("matches", more.key.unwrap_or_default()));
    }
    Ok(Some(require("value", value)?))
}

/// What a search has found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TaggedResources")]
pub struct Found {
    /// Absent when only counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<ResourceView>>,
    /// How many there are on all pages.
    total_count: usize,
}

/// A resource with its tags.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TaggedResource")]
pub struct ResourceView {
    resource_id: String,
    /// Its id when it has no name.
    resource_name: String,
    tags: Vec<TagView>,
    /// Always null.
    resource_detail: Option<String>,
}

/// `POST /resource_instances/action`
pub async fn search(
    InProjectReading(scope): InProjectReading,
    Context(app): Context<App>,
    kind: ResourceType,
    Body(request): Body<SearchRequest>,
) -> Result<Json<Found>, ApiError> {
    let action = require("action", request.action)?;
    let is_count = match action.as_str() {
        "filter" => false,
        "count" => true,
        _ => return Err(ApiError::Action { value: action, expected: "filter or count" }),
    };
    let page = page(request.limit, request.offset)?;
    let search = Search {
        query: TagQuery {
            all: matches(request.tags)?,
            any: matches(request.tags_any)?,
            not_all: matches(request.not_tags)?,
            not_any: matches(request.not_tags_any)?,
            without_any: request.without_any_tag.unwrap_or(false),
        },
        name: name_part(request.matches)?,
        asks_for_system_tags: matches(request.sys_tags)? != TagMatches::default(),
    };
    app.read(move |state| {
        let found = match kind {
            ResourceType::Service => search.run::<Service>(state, scope),
            ResourceType::Endpoint => search.run::<Endpoint>(state, scope),
        };
        let total_count = found.len();
        Ok(Json(Found { resources: (!is_count).then(|| page.cut(found)), total_count }))
    })
    .await
}

struct Search {
    query: TagQuery,
    name: Option<String>,
    asks_for_system_tags: bool,
}

impl Search {
    fn run<T: Tagged>(&self, state: &State, scope: Scope) -> Vec<ResourceView>
    where
        T::Id: Send,
    {
        if self.asks_for_system_tags {
            return Vec::new();
        }
        let found = tags::search::<T>(state, scope, &self.query, self.name.as_deref());
        let view = |object: &T| ResourceView {
            resource_id: object.id().to_string(),
            resource_name: object.name(state),
            tags: TagView::all(object.tags()),
            resource_detail: None,
        };
        found.into_iter().map(view).collect()
    }
}

//! `GET /v3`, `GET /v3/auth/catalog`: what is served and where.

use aide::OperationInput;
use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response};
use axum::Json;
use axum::extract::{FromRequestParts, State as Context};
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::openapi::{named, refused};
use crate::api::{App, Door};
use crate::model::{ProjectId, Region};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v3",
            get_with(version, named("showIdentityVersion", "Show the version of Keystone's API")),
        )
        .api_route("/v3/", get_with(version, named("showIdentityRoot", "Show the version of Keystone's API")))
        .api_route("/v3/auth/catalog", get_with(show, named("showCatalog", "Show what is served and where")))
}

/// Where callers reach this controller, without a `/` at the end: what
/// `public-url` says, or else how this caller did.
#[derive(Clone, Debug)]
pub struct BaseUrl(pub String);

impl FromRequestParts<App> for BaseUrl {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if let Some(url) = &app.access.public_url {
            return Ok(Self(url.to_string()));
        }
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        // The answer may be kept or shown: only a host and a port come back in it.
        let authority: Option<Authority> =
            host.parse().ok().filter(|a: &Authority| !a.as_str().contains('@'));
        let authority = authority.ok_or_else(|| ApiError::Field {
            field: "Host",
            value: host.into(),
            expected: "a host and a port in this header",
        })?;
        let scheme = if app.access.tls && app.door == Door::Tcp { "https" } else { "http" };
        Ok(Self(format!("{scheme}://{authority}")))
    }
}

impl OperationInput for BaseUrl {
    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[400])
    }
}

/// A service of the catalog.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CatalogService")]
pub struct Service {
    /// The same as `type`.
    id: &'static str,
    /// The word clients look for.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The same as `type`.
    name: &'static str,
    /// Where it is.
    endpoints: Vec<Endpoint>,
}

/// Where a service is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CatalogEndpoint")]
pub struct Endpoint {
    /// Unique in the catalog.
    id: String,
    /// For whom: `public`.
    interface: &'static str,
    /// The region.
    region: String,
    /// The region.
    region_id: String,
    /// Where its calls are. Of `vpcep` without a project id, which its clients append.
    url: String,
}

/// What is served to this project.
pub fn catalog(base: &BaseUrl, region: &Region, project: ProjectId) -> Vec<Service> {
    let service = |kind: &'static str, path: &str| Service {
        id: kind,
        kind,
        name: kind,
        endpoints: vec![Endpoint {
            id: format!("{kind}-public"),
            interface: "public",
            region: region.as_str().into(),
            region_id: region.as_str().into(),
            url: format!("{}{path}", base.0),
        }],
    };
    // The calls of otcextensions' `vpc` begin with /v1 and the project themselves. It
    // leaves that out only where the URL here ends with both.
    let vpc = format!("/v1/{project}");
    vec![service("vpcep", "/v1"), service("vpc", &vpc), service("identity", "/v3")]
}

/// The catalog.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Catalog")]
pub struct CatalogView {
    /// Every service.
    catalog: Vec<Service>,
    /// Where this is.
    links: Links,
}

/// Where an answer is.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Links {
    /// The answer itself.
    #[serde(rename = "self")]
    own: String,
    /// There are no further pages.
    previous: Option<String>,
    /// There are no further pages.
    next: Option<String>,
}

impl Links {
    /// Of the whole answer at this path.
    pub fn whole(base: &BaseUrl, path: &str) -> Self {
        Self { own: format!("{}{path}", base.0), previous: None, next: None }
    }
}

/// `GET /v3/auth/catalog`
pub async fn show(
    caller: Caller,
    base: BaseUrl,
    Context(app): Context<App>,
) -> Result<Json<CatalogView>, ApiError> {
    app.read(move |state| {
        let links = Links::whole(&base, "/v3/auth/catalog");
        let project = match &caller {
            Caller::Socket => ProjectId::OPERATOR,
            Caller::User(user) => user.project,
        };
        Ok(Json(CatalogView { catalog: catalog(&base, &state.region, project), links }))
    })
    .await
}

/// The version document.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IdentityVersion")]
pub struct VersionView {
    /// The version there is.
    version: Version,
}

/// A version.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Version {
    /// Of the Identity API.
    id: &'static str,
    /// `stable`.
    status: &'static str,
    /// When it last changed.
    updated: &'static str,
    /// Where it is.
    links: Vec<VersionLink>,
}

/// Where a version is.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub struct VersionLink {
    /// `self`.
    rel: &'static str,
    /// The URL.
    href: String,
}

/// `GET /v3`: for everybody.
pub async fn version(base: BaseUrl) -> Json<VersionView> {
    let links = vec![VersionLink { rel: "self", href: format!("{}/v3/", base.0) }];
    let version = Version { id: "v3.14", status: "stable", updated: "2020-04-07T00:00:00Z", links };
    Json(VersionView { version })
}

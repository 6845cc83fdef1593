//! `GET /` and `GET /v1`: which versions there are; `GET /openapi.json`: what they
//! look like. None needs a token.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::openapi::{self, named};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route("/", get_with(list, named("listVersions", "List the versions of the API")))
        .api_route("/v1", get_with(show, named("showVersion", "Show version 1 of the API")))
        .api_route(
            "/openapi.json",
            get_with(openapi::show, named("showDocument", "Show the OpenAPI document of the API")),
        )
        .with_path_items(|path| path.tag("Versions"))
}

/// A version of the API.
#[derive(Serialize, JsonSchema)]
struct Version {
    /// The first part of its paths.
    id: &'static str,
    /// How far it may be relied on.
    #[schemars(extend("enum" = ["CURRENT", "SUPPORT", "DEPRECATED"]))]
    status: &'static str,
    /// When it last changed.
    #[schemars(extend("format" = "date-time"))]
    updated: &'static str,
    /// Its number.
    version: &'static str,
    /// The least minor version; empty where there are none.
    min_version: &'static str,
    /// Where it is.
    links: [Link; 1],
}

/// Where something is.
#[derive(Serialize, JsonSchema)]
struct Link {
    /// What it is to the object: always `self`.
    rel: &'static str,
    /// Its path.
    href: &'static str,
    /// The type of what is there.
    #[serde(rename = "type")]
    media_type: &'static str,
}

const V1: Version = Version {
    id: "v1",
    status: "CURRENT",
    updated: "2026-01-01T00:00:00Z",
    version: "1",
    min_version: "",
    links: [Link { rel: "self", href: "/v1", media_type: "application/json" }],
};

/// Every version.
#[derive(Serialize, JsonSchema)]
pub struct Versions {
    versions: [Version; 1],
}

/// One version.
#[derive(Serialize, JsonSchema)]
pub struct ShownVersion {
    version: Version,
}

/// `GET /`
pub async fn list() -> Json<Versions> {
    Json(Versions { versions: [V1] })
}

/// `GET /v1`
pub async fn show() -> Json<ShownVersion> {
    Json(ShownVersion { version: V1 })
}

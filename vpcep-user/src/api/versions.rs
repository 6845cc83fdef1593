//! `GET /` and `GET /v1`: which versions there are. Needs no token.

use axum::Json;
use serde_json::{Value, json};

fn v1() -> Value {
    json!({
        "id": "v1",
        "status": "CURRENT",
        "updated": "2026-01-01T00:00:00Z",
        "version": "1",
        "min_version": "",
        "links": [{"rel": "self", "href": "/v1", "type": "application/json"}],
    })
}

/// `GET /`
pub async fn list() -> Json<Value> {
    Json(json!({"versions": [v1()]}))
}

/// `GET /v1`
pub async fn show() -> Json<Value> {
    Json(json!({"version": v1()}))
}

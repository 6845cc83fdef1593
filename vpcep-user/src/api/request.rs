//! What every request has: path ids, query parameters, paging and a JSON body.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::App;
use super::error::ApiError;
use crate::controller::ControlError;
use crate::controller::state::Tabled;
use crate::model::{ModelError, Timestamp};

/// One parameter of the path, decoded.
pub async fn path_param(parts: &mut Parts, app: &App, name: &str) -> Result<String, ApiError> {
    let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| ApiError::NoRoute)?;
    let found = params.iter().find(|(key, _)| *key == name);
    found.map(|(_, value)| value.to_owned()).ok_or(ApiError::NoRoute)
}

/// The `{id}` of a path, naming a `T`. What cannot be an id names nothing: 404.
pub struct Id<T: Tabled>(pub T::Id)
where
    T::Id: Send;

impl<T: Tabled> FromRequestParts<App> for Id<T>
where
    T::Id: Send + FromStr,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = path_param(parts, app, "id").await?;
        let parsed = id.parse();
        parsed.map(Self).map_err(|_| ControlError::NotFound { kind: T::KIND, id }.into())
    }
}

/// The query parameters; of one given twice the first counts.
pub struct Params(Vec<(String, String)>);

impl FromRequestParts<App> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, app).await;
        query.map(|Query(pairs)| Self(pairs)).map_err(|_| ApiError::Query)
    }
}

impl Params {
    /// A parameter; an empty one counts as not given.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter that must be there.
    pub fn require(&self, name: &'static str) -> Result<&str, ApiError> {
        self.get(name).ok_or(ApiError::Missing(name))
    }

    /// A parameter that is an id.
    pub fn id<T: FromStr<Err = ModelError>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        self.get(name).map(|text| text.parse().map_err(ApiError::from)).transpose()
    }

    /// A parameter that is `true` or `false`; off when it is not given.
    pub fn switch(&self, name: &'static str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                Err(ApiError::Field { field: name, value: other.into(), expected: "true or false" })
            }
        }
    }

    /// `limit` and `offset`.
    pub fn page(&self, default: usize, max: usize) -> Result<Page, ApiError> {
        let number = |text: &str| text.parse::<usize>().ok();
        let limit = match self.get("limit") {
            None => default,
            Some(value) => number(value)
                .filter(|limit| *limit <= max)
                .ok_or_else(|| ApiError::Limit { value: value.into(), max })?,
        };
        let offset = match self.get("offset") {
            None => 0,
            Some(value) => number(value).ok_or_else(|| ApiError::Offset { value: value.into() })?,
        };
        Ok(Page { limit, offset })
    }

    /// `sort_key` and `sort_dir`; both spellings of the keys are in use.
    pub fn order(&self) -> Result<Order, ApiError> {
        let bad =
            |field, value: &str, expected| Err(ApiError::Field { field, value: value.into(), expected });
        let by_update = match self.get("sort_key") {
            None | Some("created_at" | "create_at") => false,
            Some("updated_at" | "update_at") => true,
            Some(other) => return bad("sort_key", other, "created_at or updated_at"),
        };
        let ascending = match self.get("sort_dir") {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(other) => return bad("sort_dir", other, "asc or desc"),
        };
        Ok(Order { by_update, ascending })
    }

    /// `status`, one of `known`.
    pub fn status(&self, known: &[&str]) -> Result<Option<&str>, ApiError> {
        match self.get("status") {
            Some(value) if !known.contains(&value) => Err(ApiError::Field {
                field: "status",
                value: value.into(),
                expected: "a status of the resource, as the API reference spells it",
            }),
            status => Ok(status),
        }
    }
}

/// Whether `text` contains `part`, whatever the case.
pub fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// Which rows of a list are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Most rows.
    pub limit: usize,
    /// Rows to leave out before.
    pub offset: usize,
}

impl Page {
    /// The rows wanted, and how many there are in all.
    pub fn cut<T>(self, rows: Vec<T>) -> (Vec<T>, usize) {
        let total = rows.len();
        (rows.into_iter().skip(self.offset).take(self.limit).collect(), total)
    }
}

/// In which order rows are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    by_update: bool,
    ascending: bool,
}

impl Order {
    /// Sorts rows by the times `times` gives of them (created, updated).
    pub fn sort<T>(self, rows: &mut [T], times: impl Fn(&T) -> (Timestamp, Timestamp)) {
        rows.sort_by_key(|row| {
            let (created, updated) = times(row);
            if self.by_update { updated } else { created }
        });
        if !self.ascending {
            rows.reverse();
        }
    }
}

/// A JSON body. The content type is not looked at: clients spell it in several
/// ways and send nothing else.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, app).await.map_err(|_| ApiError::TooLarge)?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let parsed = serde_path_to_error::deserialize(&mut json);
        let body = parsed.map_err(|error| ApiError::Body { problem: error.to_string() })?;
        json.end().map_err(|error| ApiError::Body { problem: error.to_string() })?;
        Ok(Self(body))
    }
}

/// A field that must be there.
pub fn require<T>(field: &'static str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or(ApiError::Missing(field))
}

/// Refuses a value this release would not honour; what means the same as leaving
/// the field out is taken.
pub fn only(
    field: &'static str,
    value: Option<&str>,
    supported: &[&str],
    expected: &'static str,
) -> Result<(), ApiError> {
    match value {
        Some(value) if !supported.iter().any(|word| word.eq_ignore_ascii_case(value)) => {
            Err(ApiError::Unsupported { field, value: format!("\"{value}\""), expected })
        }
        _ => Ok(()),
    }
}

/// Refuses a list, an object or a switch this release would not honour, unless it
/// is empty or off.
pub fn unset(
    field: &'static str,
    value: Option<&serde_json::Value>,
    expected: &'static str,
) -> Result<(), ApiError> {
    use serde_json::Value;
    let is_unset = match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Bool(true) | Value::Number(_)) => false,
    };
    if is_unset {
        return Ok(());
    }
    let value = value.map(ToString::to_string).unwrap_or_default();
    Err(ApiError::Unsupported { field, value, expected })
}

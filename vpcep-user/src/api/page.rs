//! What lists have in common: which rows, and in which order.

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response};
use axum::extract::FromRequestParts;
use http::request::Parts;
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;

use super::App;
use super::error::ApiError;
use super::openapi::refused;
use super::request::{Query, document_query};
use crate::controller::State;
use crate::controller::index::Ages;
use crate::controller::state::Listed;
use crate::model::Timestamp;

/// `limit` and `offset` of a request; a list has a `DEFAULT` and a `MAX` of rows.
pub struct Paging<const DEFAULT: usize, const MAX: usize>(pub Page);

/// Which rows of a list are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Most rows.
    pub limit: usize,
    /// Rows to leave out before.
    pub offset: usize,
}

impl Page {
    /// The rows wanted.
    pub fn cut<T>(self, rows: impl IntoIterator<Item = T>) -> Vec<T> {
        rows.into_iter().skip(self.offset).take(self.limit).collect()
    }
}

#[derive(Deserialize)]
struct Asked {
    limit: Option<String>,
    offset: Option<String>,
}

/// What a `limit` of a request means.
pub fn rows_wanted(limit: Option<String>, default: usize, max: usize) -> Result<usize, ApiError> {
    let Some(value) = limit else { return Ok(default) };
    match value.parse() {
        Ok(limit) if limit <= max => Ok(limit),
        _ => Err(ApiError::Limit { value, min: 0, max }),
    }
}

/// What an `offset` of a request means.
pub fn rows_skipped(offset: Option<String>) -> Result<usize, ApiError> {
    let Some(value) = offset else { return Ok(0) };
    match value.parse::<u32>() {
        Ok(offset) => Ok(usize::try_from(offset).expect("usize has 32 bits or more on Linux")),
        Err(_) => Err(ApiError::Offset { value }),
    }
}

impl<const DEFAULT: usize, const MAX: usize> FromRequestParts<App> for Paging<DEFAULT, MAX> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Query(Asked { limit, offset }) = Query::from_request_parts(parts, app).await?;
        Ok(Self(Page { limit: rows_wanted(limit, DEFAULT, MAX)?, offset: rows_skipped(offset)? }))
    }
}

impl<const DEFAULT: usize, const MAX: usize> OperationInput for Paging<DEFAULT, MAX> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({"type": "object", "properties": {
            "limit": {
                "description": "Most rows of the answer.",
                "type": "integer", "minimum": 0, "maximum": MAX, "default": DEFAULT,
            },
            "offset": {
                "description": "Rows to leave out before.",
                "type": "integer", "minimum": 0, "maximum": u32::MAX, "default": 0,
            },
        }});
        document_query(ctx, operation, schema);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[400])
    }
}

/// Where a page begins in the lists of the network's API: after the row it names,
/// the last of the page before.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Marker {
    /// The id of the last row of the page before.
    marker: Option<String>,
}

impl Marker {
    /// The rows after it.
    pub fn after<T>(&self, mut rows: Vec<T>, id: impl Fn(&T) -> String) -> Result<Vec<T>, ApiError> {
        let Some(marker) = &self.marker else { return Ok(rows) };
        let expected = "the id of a row of this list";
        let not_there = || ApiError::Field { field: "marker", value: marker.clone(), expected };
        let last = rows.iter().position(|row| id(row) == *marker).ok_or_else(not_there)?;
        Ok(rows.split_off(last + 1))
    }
}

/// In which order rows are wanted.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub struct Order {
    /// By which time rows are sorted; both spellings of the names are in use.
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["created_at", "create_at", "updated_at", "update_at"]))]
    sort_key: SortKey,
    /// Whether the newest come first (`desc`, the default) or last.
    #[serde(default)]
    sort_dir: SortDir,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum SortKey {
    #[default]
    #[serde(rename = "created_at", alias = "create_at")]
    Created,
    #[serde(rename = "updated_at", alias = "update_at")]
    Updated,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum SortDir {
    #[default]
    Desc,
    Asc,
}

impl Order {
    /// Sorts rows by the times `times` gives of them (created, updated).
    pub fn sort<T>(self, rows: &mut [T], times: impl Fn(&T) -> (Timestamp, Timestamp)) {
        rows.sort_by_cached_key(|row| {
            let (created, updated) = times(row);
            match self.sort_key {
                SortKey::Created => created,
                SortKey::Updated => updated,
            }
        });
        if self.sort_dir == SortDir::Desc {
            rows.reverse();
        }
    }

    /// A page of the objects of `ages` that are `wanted`, and how many there are of
    /// these. Where all are wanted, by the time they were made, only those of the
    /// page are looked at.
    pub fn page<'a, T: Listed>(
        self,
        page: Page,
        state: &'a State,
        ages: &Ages<T::Id>,
        wanted: Option<impl Fn(&T) -> bool>,
    ) -> (Vec<&'a T>, usize)
    where
        T::Id: Send,
    {
        let table = T::table(state);
        let find =
            |(_, id): &(Timestamp, T::Id)| table.get(*id).expect("what is in the index is in its table");
        if wanted.is_none() && self.sort_key == SortKey::Created {
            let ids = match self.sort_dir {
                SortDir::Asc => page.cut(ages),
                SortDir::Desc => page.cut(ages.iter().rev()),
            };
            return (ids.into_iter().map(find).collect(), ages.len());
        }
        let is_wanted = |row: &&T| wanted.as_ref().is_none_or(|wanted| wanted(row));
        // Where all are looked at, to find each by its id would cost most of the time.
        let mut rows: Vec<&T> = if ages.len() == table.len() {
            table.iter().filter(is_wanted).collect()
        } else {
            ages.iter().map(find).filter(is_wanted).collect()
        };
        self.sort(&mut rows, |row| (row.created_at(), row.updated_at()));
        let total = rows.len();
        (page.cut(rows), total)
    }
}

//! `vpcep tag`, and the tags of services and endpoints.

use anyhow::{Context as _, Result};
use clap::{Subcommand, ValueEnum};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::output::{Answer, Column, or_dash};
use super::value::{Tag, TagMatch};
use crate::client::{Client, List};

/// Most rows of a search; the API gives no more at a time.
const MAX_FOUND: &str = "1000";

/// What has tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tagged {
    /// Endpoint services
    Service,
    /// Endpoints
    Endpoint,
}

impl Tagged {
    /// The word of the API.
    fn resource_type(self) -> &'static str {
        match self {
            Self::Service => "endpoint_service",
            Self::Endpoint => "endpoint",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Service => "endpoint service",
            Self::Endpoint => "endpoint",
        }
    }
}

/// What can be done with tags of all services or endpoints.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show every key and its values
    List {
        /// Of what
        #[arg(value_enum)]
        of: Tagged,
    },
    /// Find services or endpoints by their tags
    ///
    /// A tag is KEY, KEY= and values joined by commas; a key alone takes any value.
    ///
    /// Example: vpcep tag search endpoint --tag env=prod,staging --not owner=ops
    Search(SearchArgs),
}

/// Arguments of `tag search`.
#[derive(Debug, clap::Args)]
pub struct SearchArgs {
    /// Of what
    #[arg(value_enum)]
    of: Tagged,
    #[command(flatten)]
    conditions: Conditions,
}

#[derive(Debug, clap::Args, Serialize)]
struct Conditions {
    /// Only with this tag, repeatable: all of them
    #[arg(long = "tag", value_name = "KEY[=VALUE,...]")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<TagMatch>,
    /// Only with this tag, repeatable: at least one of them
    #[arg(long = "any", value_name = "KEY[=VALUE,...]")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags_any: Vec<TagMatch>,
    /// Not with this tag, repeatable: not with all of them
    #[arg(long = "not", value_name = "KEY[=VALUE,...]")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_tags: Vec<TagMatch>,
    /// Not with this tag, repeatable: with none of them
    #[arg(long = "not-any", value_name = "KEY[=VALUE,...]")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_tags_any: Vec<TagMatch>,
    /// Only without any tag
    #[arg(long = "untagged", conflicts_with_all = ["tags", "tags_any", "not_tags", "not_tags_any"])]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    without_any_tag: bool,
    /// Only those whose name contains this
    #[arg(long, value_name = "TEXT")]
    #[serde(skip)]
    name: Option<String>,
}

/// A key in use.
#[derive(Clone, Debug, Deserialize)]
struct Key {
    key: String,
    values: Vec<String>,
}

/// Something that was found.
#[derive(Clone, Debug, Deserialize)]
struct Found {
    resource_id: String,
    resource_name: Option<String>,
    #[serde(default)]
    tags: Vec<FoundTag>,
}

#[derive(Clone, Debug, Deserialize)]
struct FoundTag {
    key: String,
    #[serde(default)]
    value: String,
}

const KEYS: &[Column<Key>] =
    &[Column::text("KEY", |key| key.key.clone()), Column::text("VALUES", |key| key.values.join(" "))];

const FOUND: &[Column<Found>] = &[
    Column::whole("ID", |found| found.resource_id.clone()),
    Column::text("NAME", |found| or_dash(&found.resource_name)),
    Column::text("TAGS", |found| {
        let tags = found.tags.iter().map(|FoundTag { key, value }| format!("{key}={value}"));
        tags.collect::<Vec<_>>().join(" ")
    }),
];

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::List { of } => {
                let path = client.tenant_path(&[of.resource_type(), "tags"]);
                let keys: List<Key> = client
                    .rows(Method::GET, &path, None, "tags")
                    .await
                    .with_context(|| format!("cannot list tags of {}s", of.noun()))?;
                Ok(Answer::rows(&keys, "tags", KEYS))
            }
            Self::Search(args) => args.run(client).await,
        }
    }
}

impl SearchArgs {
    async fn run(self, client: &Client) -> Result<Answer> {
        let Self { of, conditions } = self;
        let mut body = json!(conditions);
        body["action"] = "filter".into();
        body["limit"] = MAX_FOUND.into();
        body["offset"] = "0".into();
        if let Some(name) = conditions.name {
            body["matches"] = json!([{ "key": "resource_name", "value": name }]);
        }
        let path = client.tenant_path(&[of.resource_type(), "resource_instances", "action"]);
        let found: List<Found> = client
            .rows(Method::POST, &path, Some(body), "resources")
            .await
            .with_context(|| format!("cannot search {}s", of.noun()))?;
        let shown = found.items.len() as u64;
        let answer = Answer::rows(&found, "resources", FOUND);
        Ok(match found.total_count > shown {
            true => answer.with_note(format!("{shown} of {} {}s", found.total_count, of.noun())),
            false => answer,
        })
    }
}

/// Gives tags to one thing; a key it has takes the new value.
///
/// # Errors
/// When the call fails or is refused.
pub async fn add(client: &Client, on: Tagged, id: &str, tags: &[Tag]) -> Result<Answer> {
    change(client, on, id, "create", json!(tags)).await
}

/// Takes tags from one thing: those with the key, and the value where one is
/// given.
///
/// # Errors
/// When the call fails or is refused.
pub async fn remove(client: &Client, on: Tagged, id: &str, tags: &[TagMatch]) -> Result<Answer> {
    let tags = tags.iter().map(|TagMatch { key, values }| match values.first() {
        Some(value) => json!({ "key": key, "value": value }),
        None => json!({ "key": key }),
    });
    change(client, on, id, "delete", tags.collect()).await
}

async fn change(client: &Client, on: Tagged, id: &str, action: &str, tags: Value) -> Result<Answer> {
    let path = client.tenant_path(&[on.resource_type(), id, "tags", "action"]);
    let body = json!({ "action": action, "tags": tags });
    let noun = on.noun();
    let changed = client.send(Method::POST, &path, Some(body)).await;
    changed.with_context(|| format!("cannot change the tags of {noun} {id}"))?;
    Ok(Answer::said(json!({ "id": id }), format!("changed the tags of {noun} {id}")))
}

//! What an account has been told of its services and endpoints.
//!
//! A journal has the rows as lists show them, in the forms they come to rest in:
//! where an answer shows a transient state, the journal has the one it leads to.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use crate::caller::{Caller, Key};

pub const SERVICES: &str = "/vpc-endpoint-services";
pub const ENDPOINTS: &str = "/vpc-endpoints";

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    pub services: BTreeMap<String, Value>,
    pub endpoints: BTreeMap<String, Value>,
}

impl Journal {
    /// What the server shows.
    pub fn read(caller: &mut Caller, key: &Key) -> Result<Self> {
        let mut seen = Self::default();
        for row in rows(caller, key, SERVICES, "endpoint_services")? {
            let id = id(&row)?;
            let path = format!("{SERVICES}/{id}/permissions");
            let permissions = rows(caller, key, &path, "permissions")?;
            let mut texts: Vec<_> = permissions.iter().map(|row| row["permission"].clone()).collect();
            texts.sort_by_key(Value::to_string);
            seen.services.insert(id, service_as_shown(&row, texts).into());
        }
        for row in rows(caller, key, ENDPOINTS, "endpoints")? {
            seen.endpoints.insert(id(&row)?, endpoint_as_shown(&row).into());
        }
        Ok(seen)
    }

    /// Whether everything is in a state that stays.
    pub fn is_at_rest(&self) -> bool {
        let mut rows = self.services.values().chain(self.endpoints.values());
        rows.all(|row| row["status"] != "deleting" && row["status"] != "creating")
    }

    /// Takes over the one object of a kind that another journal has besides.
    pub fn adopt(&mut self, other: &Self, kind: Option<&str>) {
        let (own, others) = match kind {
            Some(SERVICES) => (&mut self.services, &other.services),
            Some(ENDPOINTS) => (&mut self.endpoints, &other.endpoints),
            _ => return,
        };
        let news: Vec<_> = others.iter().filter(|(id, _)| !own.contains_key(*id)).collect();
        if let [(id, row)] = news.as_slice() {
            own.insert((*id).clone(), (*row).clone());
        }
    }

    /// Markers of the endpoints.
    pub fn markers(&self) -> impl Iterator<Item = u64> {
        self.endpoints.values().filter_map(|row| row["marker_id"].as_u64())
    }

    /// Every key of the tags of endpoints, with its values.
    pub fn tags_of_endpoints(&self) -> Value {
        let mut tags: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let all = self.endpoints.values().filter_map(|row| row["tags"].as_array()).flatten();
        for (key, value) in all.filter_map(|tag| tag["key"].as_str().zip(tag["value"].as_str())) {
            tags.entry(key).or_default().push(value);
        }
        let summary = tags.into_iter().map(|(key, mut values)| {
            values.sort_unstable();
            values.dedup();
            json!({"key": key, "values": values})
        });
        json!({"tags": summary.collect::<Vec<_>>()})
    }
}

/// A new service as the journal has it.
pub fn service(row: &Value) -> Value {
    Value::Object(at_rest(service_as_shown(row, Vec::new()), "available"))
}

fn service_as_shown(row: &Value, permissions: Vec<Value>) -> Map<String, Value> {
    let fields = ["port_id", "service_name", "approval_enabled", "ports", "tags", "status"];
    let mut fields = fields_of(row, &fields);
    fields.insert("permissions".into(), permissions.into());
    fields
}

/// A new endpoint as the journal has it.
pub fn endpoint(row: &Value) -> Value {
    Value::Object(at_rest(endpoint_as_shown(row), "accepted"))
}

fn endpoint_as_shown(row: &Value) -> Map<String, Value> {
    let fields = ["marker_id", "endpoint_service_id", "vpc_id", "subnet_id", "tags", "whitelist", "status"];
    fields_of(row, &fields)
}

fn fields_of(row: &Value, fields: &[&str]) -> Map<String, Value> {
    fields.iter().map(|field| ((*field).to_owned(), row[*field].clone())).collect()
}

/// With the state that `creating` leads to.
fn at_rest(mut fields: Map<String, Value>, rest: &str) -> Map<String, Value> {
    if fields["status"] == "creating" {
        fields.insert("status".into(), rest.into());
    }
    fields
}

/// All rows of a list.
pub fn rows(caller: &mut Caller, key: &Key, path: &str, list: &str) -> Result<Vec<Value>> {
    let answer = caller.call(key, "GET", path, "limit=500", "")?;
    let rows = answer[list].as_array().with_context(|| format!("{path} has no {list}"))?;
    ensure!(answer["total_count"] == rows.len(), "the count of {path} is wrong: {answer}");
    Ok(rows.clone())
}

pub fn id(object: &Value) -> Result<String> {
    object["id"].as_str().map(Into::into).with_context(|| format!("no id in {object}"))
}

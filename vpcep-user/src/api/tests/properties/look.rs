//! What the server shows, read into the forms of [`super::view`], with the names of
//! the story for ids.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::super::{Client, ENDPOINTS, SERVICES, id};
use super::play::Player;
use super::steps::{Account, Whom};
use super::tags::Tags;
use super::view::{EndpointView, ServiceView, View};

impl Player<'_> {
    /// How something is called in the story; its id if it is not in it.
    pub fn name(&self, id: &str) -> String {
        let services = self.services.iter().zip(self.model.services.iter().map(|service| &service.name));
        let endpoints = self.endpoints.iter().zip(self.model.endpoints.iter().map(|endpoint| &endpoint.name));
        let mut known = services.chain(endpoints);
        known.find(|(known, _)| *known == id).map_or_else(|| id.to_owned(), |(_, name)| name.clone())
    }

    /// What an account sees of what is its own.
    pub async fn look(&mut self, account: Account) -> Result<View> {
        let client = self.tenants[&account].client.clone();
        let mut view = View::default();
        for row in rows(&client, SERVICES, "endpoint_services").await? {
            view.services.insert(self.name(&id(&row)), self.look_at_service(&client, &row).await?);
        }
        for row in rows(&client, ENDPOINTS, "endpoints").await? {
            let name = self.name(&id(&row));
            let marker = row["marker_id"].as_u64().context("a marker is a number")?;
            let known = *self.markers.entry(name.clone()).or_insert(marker);
            ensure!(known == marker, "the marker of {name} was {known}: {row}");
            view.endpoints.insert(name, self.endpoint_view(&row));
        }
        let quotas = get(&client, "/v1/{p}/quotas").await?;
        for row in quotas["quotas"]["resources"].as_array().context("quotas are a list")? {
            let number = |field: &str| row[field].as_u64().and_then(|number| usize::try_from(number).ok());
            view.quotas.push(number("used").zip(number("quota")).context("quotas are numbers")?);
        }
        Ok(view)
    }

    async fn look_at_service(&self, client: &Client, row: &Value) -> Result<ServiceView> {
        let path = |rest: &str| format!("{SERVICES}/{}/{rest}", id(row));
        let mut connections = BTreeMap::new();
        for row in rows(client, &path("connections"), "connections").await? {
            let owner = Account::BOTH.into_iter().find(|account| {
                let domain = &self.tenants[account].client.domain;
                row["domain_id"] == domain.as_str()
            });
            let owner = owner.map_or_else(|| text(&row["domain_id"]), |account| format!("{account:?}"));
            connections.insert(self.name(&id(&row)), (text(&row["status"]), owner));
        }
        let permissions = rows(client, &path("permissions"), "permissions").await?;
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        Ok(ServiceView {
            full_name: self.full_name(&row["service_name"]),
            status: text(&row["status"]),
            approval: row["approval_enabled"] == true,
            port: u16::try_from(number(&row["ports"][0]["server_port"]))?,
            permissions: permissions.iter().map(|row| self.whom(&row["permission"])).collect(),
            connection_count: usize::try_from(number(&row["connection_count"]))?,
            connections,
            tags: tags(row),
        })
    }

    fn whom(&self, permission: &Value) -> String {
        let accounts = Account::BOTH.into_iter();
        let of_accounts = accounts.flat_map(|account| [Whom::Account(account), Whom::Capitals(account)]);
        let mut all = of_accounts.chain([Whom::Everyone, Whom::EveryDomain, Whom::Stranger]);
        let known = all.find(|whom| *permission == self.permission(*whom));
        known.map_or_else(|| text(permission), |whom| format!("{whom:?}"))
    }

    /// A full name, with the name of the story for the id.
    fn full_name(&self, name: &Value) -> String {
        let name = text(name);
        let known = self.services.iter().find(|id| name.ends_with(*id));
        known.map_or_else(|| name.clone(), |id| name.replace(id, &self.name(id)))
    }

    fn endpoint_view(&self, row: &Value) -> EndpointView {
        let clients = || row["whitelist"].as_array().into_iter().flatten().map(text).collect();
        EndpointView {
            status: text(&row["status"]),
            address: row["ip"].as_str().map(Into::into),
            service: self.name(&text(&row["endpoint_service_id"])),
            service_name: self.full_name(&row["endpoint_service_name"]),
            clients: (row["enable_whitelist"] == true).then(clients),
            tags: tags(row),
            error: row["error"][0]["error_code"].as_str().map(Into::into),
        }
    }
}

/// A call that reads, and succeeds.
pub async fn get(client: &Client, path: &str) -> Result<Value> {
    let (status, answer) = client.call("GET", path, Value::Null).await;
    ensure!(status == 200, "GET {path}: {status} {answer}");
    Ok(answer)
}

/// All rows of a list.
async fn rows(client: &Client, path: &str, list: &str) -> Result<Vec<Value>> {
    let answer = get(client, &format!("{path}?limit=500")).await?;
    let rows = answer[list].as_array().with_context(|| format!("{path} has no {list}"))?.clone();
    ensure!(answer["total_count"] == rows.len(), "the count of {path} is wrong: {answer}");
    Ok(rows)
}

fn tags(row: &Value) -> Tags {
    let tags = row["tags"].as_array().into_iter().flatten();
    tags.map(|tag| (text(&tag["key"]), text(&tag["value"]))).collect()
}

/// A text as it is, and anything else as it is written.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}

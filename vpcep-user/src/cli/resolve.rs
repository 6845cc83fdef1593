//! From what a person calls a thing to the thing.
//!
//! An id is used as it is. Everything else is looked for among the things the
//! caller may see; no match and several matches are errors that say how to go
//! on. The whitelist's way of naming accounts is here too.

use anyhow::{Context as _, Result, bail};
use http::Method;

use super::value::{Permission, Reference, domain_permission};
use crate::client::{
    Account, Attachment, Backend, Client, Connection, Endpoint, Object, Resource, RouteTable, Service,
    ServiceDescription, Subnet, User, Vpc, VpcPort,
};
use crate::model::{self, DomainId};

/// Code of the API for what is not there: what a name is looked up by is vpcep's
/// own affair, and scripts see one code for a name and for an id.
const NOT_FOUND: &str = "EndPoint.0005";

/// A resource that people name.
pub trait Named: Resource {
    /// How to see those there are.
    const LIST_COMMAND: &'static str;

    /// Its id.
    fn id(&self) -> &str;

    /// Whether `name` is one of its names.
    fn is_named(&self, name: &str) -> bool;
}

/// The id of the thing that `reference` names, among those that match
/// `filters`. An id is not looked up.
///
/// # Errors
/// When a call fails, and when nothing or more than one thing has the name.
pub async fn id_of<T: Named>(
    client: &Client,
    reference: &Reference,
    filters: &[(&str, &str)],
) -> Result<String> {
    let noun = T::KIND.noun;
    let name = match reference {
        Reference::Id(id) => return Ok(id.clone()),
        Reference::Name(name) => name,
    };
    let list = client.list::<T>(filters).await.with_context(|| format!("cannot look up {noun} {name:?}"))?;
    let matches: Vec<&str> =
        list.items.iter().map(|item| &item.data).filter(|thing| thing.is_named(name)).map(T::id).collect();
    match matches[..] {
        [id] => Ok(id.to_owned()),
        [] => bail!(
            "{NOT_FOUND}: there is no {noun} {name:?}: give a name or id as `{}` shows them",
            T::LIST_COMMAND
        ),
        _ => bail!("the name {name:?} is ambiguous, give the id of one {noun}: {}", matches.join(", ")),
    }
}

/// The thing that `reference` names, among those that match `filters`.
///
/// # Errors
/// Those of [`id_of`], and when there is nothing with the id.
pub async fn find<T: Named>(
    client: &Client,
    reference: &Reference,
    filters: &[(&str, &str)],
) -> Result<Object<T>> {
    let id = id_of::<T>(client, reference, filters).await?;
    client.get(&id).await.with_context(|| format!("cannot look up {} {id}", T::KIND.noun))
}

/// The id of a service to connect to, which may be anyone's: by id, by full
/// name, or by the short name of an own one.
///
/// # Errors
/// When a call fails and when there is no such service.
pub async fn service_to_connect(client: &Client, reference: &Reference) -> Result<String> {
    match reference {
        Reference::Name(name) if name.contains('.') => describe(client, name).await,
        _ => id_of::<Service>(client, reference, &[]).await,
    }
}

async fn describe(client: &Client, full_name: &str) -> Result<String> {
    let path = client.path_of::<ServiceDescription>(&["describe"]).query("endpoint_service_name", full_name);
    let description = client.call::<ServiceDescription>(Method::GET, &path, None).await;
    let description = description.with_context(|| format!("cannot find endpoint service {full_name:?}"))?;
    Ok(description.data.id)
}

/// The id of an endpoint of a service, which may be anyone's: by id or by
/// marker.
///
/// # Errors
/// When a call fails and when the service has no such endpoint.
pub async fn endpoint_of_service(client: &Client, service_id: &str, reference: &Reference) -> Result<String> {
    let marker = match reference {
        Reference::Id(id) => return Ok(id.clone()),
        Reference::Name(marker) => marker,
    };
    let none = || {
        format!(
            "{NOT_FOUND}: the service has no endpoint {marker:?}: give its id or marker_id as `vpcep service connections` shows them"
        )
    };
    if !marker.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!(none());
    }
    let path = client.path_of::<Service>(&[service_id, "connections"]).query("marker_id", marker);
    let found = client.rows::<Connection>(Method::GET, &path, None, "connections").await;
    let found = found.with_context(|| format!("cannot look up endpoint {marker}"))?;
    let connection = found.items.into_iter().find(|item| item.data.marker_id.to_string() == *marker);
    Ok(connection.with_context(none)?.data.id)
}

/// The permission as the API writes it. The operator may name accounts, which
/// only the operator can look up.
///
/// # Errors
/// When a call fails and when a name is neither an account nor a domain id.
pub async fn permission(client: &Client, permission: &Permission) -> Result<model::Permission> {
    let bare = match permission {
        Permission::Complete(permission) => return Ok(permission.clone()),
        Permission::Bare(bare) => bare.as_str(),
    };
    let is_id = bare.parse::<DomainId>().is_ok();
    if is_id && !client.is_operator() {
        return Ok(domain_permission(bare)?);
    }
    match client.get::<Account>(bare).await {
        Ok(account) => Ok(domain_permission(&account.data.domain_id)?),
        // The domain of an account that is still to be made, or of another region.
        Err(error) if error.is_not_found() && is_id => Ok(domain_permission(bare)?),
        Err(error) if error.is_forbidden() => Err(error).with_context(|| {
            format!("cannot use {bare:?}: the operator alone knows account names, give the domain id")
        }),
        Err(error) => Err(error).with_context(|| format!("cannot look up account {bare:?}")),
    }
}

impl Named for Vpc {
    const LIST_COMMAND: &'static str = "vpcep vpc list";

    fn id(&self) -> &str {
        &self.id
    }

    fn is_named(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Named for Subnet {
    const LIST_COMMAND: &'static str = "vpcep subnet list";

    fn id(&self) -> &str {
        &self.id
    }

    fn is_named(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Named for Backend {
    const LIST_COMMAND: &'static str = "vpcep backend list";

    fn id(&self) -> &str {
        &self.id
    }

    fn is_named(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Named for RouteTable {
    const LIST_COMMAND: &'static str = "vpcep route-table list";

    fn id(&self) -> &str {
        &self.id
    }

    fn is_named(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Named for VpcPort {
    const LIST_COMMAND: &'static str = "vpcep port list";

    fn id(&self) -> &str {
        &self.id
    }

    fn is_named(&self, name: &str) -> bool {
        self.name == name
    }
}

/// Named by its name, alone or before `@` and the account's. Its id has not the
/// form of others'.
impl Named for User {
    const LIST_COMMAND: &'static str = "vpcep user list";

    fn id(&self) -> &str {
        &self.id
    }

    fn is_named(&self, name: &str) -> bool {
        self.id == name || self.name == name || format!("{}@{}", self.name, self.account) == name
    }
}

/// Named by its interface, with the VLAN id where there is one: `eth1`,
/// `eth1.100`.
impl Named for Attachment {
    const LIST_COMMAND: &'static str = "vpcep attachment list";

    fn id(&self) -> &str {
        &self.id
    }

    fn is_named(&self, name: &str) -> bool {
        match self.vlan {
            Some(vlan) => format!("{}.{vlan}", self.interface) == name,
            None => self.interface == name,
        }
    }
}

/// Named by its full name or by the middle part of it.
impl Named for Service {
    const LIST_COMMAND: &'static str = "vpcep service list";

    fn id(&self) -> &str {
        &self.id
    }

    fn is_named(&self, name: &str) -> bool {
        self.service_name == name || self.short_name() == Some(name)
    }
}

/// Named by its marker.
impl Named for Endpoint {
    const LIST_COMMAND: &'static str = "vpcep endpoint list";

    fn id(&self) -> &str {
        &self.id
    }

    fn is_named(&self, name: &str) -> bool {
        self.marker_id.to_string() == name
    }
}

#[cfg(test)]
mod tests;

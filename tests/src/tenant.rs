//! Accounts and what they own, made through the command line as their users
//! would: every helper here is one or two `vpcep` commands.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cli::{number_at, text_field};
use crate::world::{Host, Network};
use crate::{Cli, World, wait_until};

/// Resources work within a second of being asked for; the rest is for a slow
/// machine.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// An account and its command line.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Name of the account.
    pub name: String,
    /// Its domain, for whitelists.
    pub domain_id: String,
    /// The command line with its token.
    pub cli: Cli,
    operator: Cli,
}

/// A VPC of a tenant, with its one subnet, attached to the gateway.
#[derive(Clone, Debug)]
pub struct Vpc {
    /// Its id.
    pub id: String,
    /// Id of its subnet.
    pub subnet_id: String,
    /// The host in it.
    pub host: Host,
}

/// What a service offers.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Name of the service, and of its backend.
    pub name: &'a str,
    /// Port mappings, `CLIENT:SERVER`.
    pub ports: &'a [&'a str],
    /// Whether new endpoints wait for approval.
    pub approval: bool,
}

/// An endpoint service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its id.
    pub id: String,
    /// Its full name, by which consumers find it.
    pub full_name: String,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its id.
    pub id: String,
}

impl World {
    /// A new account.
    ///
    /// # Errors
    /// When the operator's command is refused.
    pub fn tenant(&self, name: &str) -> Result<Tenant> {
        let operator = self.operator()?;
        let account = operator.json(&["account", "create", name])?;
        Ok(Tenant {
            name: name.to_owned(),
            domain_id: text_field(&account, "domain_id")?,
            cli: operator.with_token(&text_field(&account, "token")?),
            operator,
        })
    }

    /// A VPC of `tenant` with a host that has these addresses, attached to the
    /// gateway in the world's mode.
    ///
    /// # Errors
    /// When a command is refused or the attachment does not become active.
    pub fn vpc(&mut self, tenant: &Tenant, name: &str, hosts: &[&str]) -> Result<Vpc> {
        let host = self.add_host(&Network::around(hosts)?)?;
        let network = &host.network;
        let cidr = network.cidr.as_str();
        let id = tenant.cli.text(&["vpc", "create", name, "--cidr", cidr], "id")?;
        let subnet_id = tenant.cli.text(&["subnet", "create", name, "--vpc", &id, "--cidr", cidr], "id")?;
        let address = format!("{}/{}", network.gateway, network.prefix_len);
        let interface = ["--vpc", &id, "--interface", &host.gateway_interface];
        let how = ["--address", &address, "--mode", self.mode().as_str(), "--wait"];
        self.operator()?.json(&[&["attachment", "create"], &interface[..], &how[..]].concat())?;
        Ok(Vpc { id, subnet_id, host })
    }

    /// A provider's VPC: as [`World::vpc`], and its host routes answers to
    /// consumers back to the gateway.
    ///
    /// # Errors
    /// As [`World::vpc`].
    pub fn provider_vpc(&mut self, tenant: &Tenant, name: &str, hosts: &[&str]) -> Result<Vpc> {
        let vpc = self.vpc(tenant, name, hosts)?;
        vpc.host.netns.add_route(SNAT_RANGE, &vpc.host.network.gateway)?;
        Ok(vpc)
    }
}

/// Sources that backends see.
pub const SNAT_RANGE: &str = "198.19.128.0/17";

impl Tenant {
    /// Offers the host of `vpc` as a service.
    ///
    /// # Errors
    /// When a command is refused.
    pub fn offer(&self, vpc: &Vpc, offer: Offer<'_>) -> Result<Service> {
        let address = vpc.host.address();
        let backend = ["--vpc", &vpc.id, "--type", "vm", "--address", address];
        let backend = self.cli.text(&[&["backend", "create", offer.name], &backend[..]].concat(), "id")?;
        let approval = if offer.approval { "on" } else { "off" };
        let mut arguments = vec!["service", "create", "--vpc", &vpc.id, "--backend", &backend];
        arguments.extend(["--name", offer.name, "--approval", approval, "--wait"]);
        for port in offer.ports {
            arguments.extend(["--port", port]);
        }
        let service = self.cli.json(&arguments)?;
        let full_name = text_field(&service, "service_name")?;
        Ok(Service { id: text_field(&service, "id")?, full_name })
    }

    /// Puts `consumer` on the whitelist of a service.
    ///
    /// # Errors
    /// When the command is refused.
    pub fn allow(&self, service: &Service, consumer: &Tenant) -> Result<()> {
        let permission = format!("iam:domain::{}", consumer.domain_id);
        self.cli.json(&["service", "allow", &service.id, &permission]).map(drop)
    }

    /// Accepts an endpoint's connection.
    ///
    /// # Errors
    /// When the command is refused.
    pub fn accept(&self, service: &Service, endpoint: &Endpoint) -> Result<()> {
        self.cli.json(&["service", "accept", &service.id, &endpoint.id]).map(drop)
    }

    /// Rejects an endpoint's connection.
    ///
    /// # Errors
    /// When the command is refused.
    pub fn reject(&self, service: &Service, endpoint: &Endpoint) -> Result<()> {
        self.cli.json(&["service", "reject", &service.id, &endpoint.id]).map(drop)
    }

    /// Makes an endpoint in the subnet of `vpc`; `extra` are more arguments of
    /// `vpcep endpoint create`. Does not wait for it to be accepted.
    ///
    /// # Errors
    /// When the command is refused.
    pub fn connect(&self, vpc: &Vpc, service: &Service, extra: &[&str]) -> Result<Endpoint> {
        let id = self.cli.text(&[&endpoint_create(vpc, service)[..], extra].concat(), "id")?;
        Ok(Endpoint { id })
    }

    /// The endpoint as the API shows it.
    ///
    /// # Errors
    /// When the command is refused.
    pub fn show(&self, endpoint: &Endpoint) -> Result<Value> {
        self.cli.json(&["endpoint", "show", &endpoint.id])
    }

    /// Waits until the endpoint has a status, and returns it as shown then.
    ///
    /// # Errors
    /// When it does not get there in time.
    pub fn await_status(&self, endpoint: &Endpoint, status: &str) -> Result<Value> {
        let mut shown = Value::Null;
        let waited = wait_until(&format!("the endpoint is {status}"), CHANGE_TIMEOUT, || {
            shown = self.show(endpoint)?;
            Ok(shown["status"] == status)
        });
        waited.with_context(|| format!("last seen: {shown}"))?;
        Ok(shown)
    }

    /// Waits until the endpoint is accepted and returns its address.
    ///
    /// # Errors
    /// When it is not in time, or has no address then.
    pub fn await_address(&self, endpoint: &Endpoint) -> Result<String> {
        text_field(&self.await_status(endpoint, "accepted")?, "ip")
    }

    /// Counters of the endpoint.
    ///
    /// # Errors
    /// When the command is refused or the endpoint has none.
    pub fn stats(&self, endpoint: &Endpoint) -> Result<Value> {
        let answer = self.cli.json(&["stats", "--endpoint", &endpoint.id])?;
        answer.pointer("/stats/0").cloned().with_context(|| format!("no counters in {answer}"))
    }

    /// Concurrent connections of the endpoint.
    ///
    /// # Errors
    /// As [`Tenant::stats`].
    pub fn connections(&self, endpoint: &Endpoint) -> Result<u64> {
        number_at(&self.stats(endpoint)?, "/connections/current")
    }

    /// Waits until the endpoint has exactly so many connections.
    ///
    /// # Errors
    /// When it does not get there in time.
    pub fn await_connections(&self, endpoint: &Endpoint, count: u64, timeout: Duration) -> Result<()> {
        let mut seen = 0;
        let waited = wait_until(&format!("the endpoint has {count} connections"), timeout, || {
            seen = self.connections(endpoint)?;
            Ok(seen == count)
        });
        waited.with_context(|| format!("last seen: {seen}"))
    }

    /// Sets the quota `TYPE=N` of this account.
    ///
    /// # Errors
    /// When the operator's command is refused.
    pub fn set_quota(&self, quota: &str) -> Result<()> {
        self.operator.json(&["--account", &self.name, "quota", "set", quota]).map(drop)
    }
}

/// The command that connects a VPC to a service.
pub fn endpoint_create<'a>(vpc: &'a Vpc, service: &'a Service) -> [&'a str; 8] {
    let Vpc { id, subnet_id, .. } = vpc;
    ["endpoint", "create", "--service", &service.full_name, "--vpc", id, "--subnet", subnet_id]
}

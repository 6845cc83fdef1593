//! The making of an endpoint.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use super::policy::Policy;
use super::{progress, routes, texts};
use crate::cli::output::Answer;
use crate::cli::resolve::{id_of, service_to_connect};
use crate::cli::value::{Reference, Tag};
use crate::cli::wait::WaitArgs;
use crate::client::{Client, Endpoint, Subnet, Vpc};
use crate::model::{Description, WhitelistEntry};

/// Arguments of `endpoint create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Service to connect to: full name, id, or name of one of yours
    #[arg(long)]
    service: Reference,
    /// VPC of the clients, by name or id
    #[arg(long)]
    vpc: Reference,
    /// Subnet of that VPC to take the address from, by name or id
    #[arg(long, required_unless_present = "gateway")]
    subnet: Option<Reference>,
    /// The service is a gateway: it is reached by routes, not by an address
    #[arg(long, conflicts_with_all = ["subnet", "ip", "dns"])]
    gateway: bool,
    /// Route table to bind to, by name or id, repeatable; the VPC's default one when none is given
    #[arg(long = "route-table", value_name = "ROUTE_TABLE", requires = "gateway", conflicts_with = "subnet")]
    route_tables: Vec<Reference>,
    /// The address; a free one is chosen when none is given
    #[arg(long, value_name = "IP")]
    ip: Option<Ipv4Addr>,
    /// Give it a private domain name, which `vpcep endpoint hosts` shows
    #[arg(long)]
    dns: bool,
    /// Only these clients may use the endpoint, repeatable; everyone may when none is given
    #[arg(long, value_name = "CIDR")]
    allow_from: Vec<WhitelistEntry>,
    /// Policy in JSON, where the service takes one: statements or a document; - is standard input
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A tag, repeatable (at most 20)
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<Tag>,
    /// Free text: at most 512 characters, without '<' and '>'
    #[arg(long, value_name = "TEXT")]
    description: Option<Description>,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Serialize)]
struct NewEndpoint {
    endpoint_service_id: String,
    vpc_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subnet_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port_ip: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    enable_dns: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routetables: Vec<String>,
    whitelist: Vec<String>,
    enable_whitelist: bool,
    #[serde(flatten)]
    policy: Option<Policy>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl CreateArgs {
    /// Makes it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        let policy = self.policy.as_deref().map(Policy::read).transpose()?;
        let endpoint_service_id = service_to_connect(client, &self.service).await?;
        let vpc_id = id_of::<Vpc>(client, &self.vpc, &[]).await?;
        let subnet_id = match &self.subnet {
            Some(subnet) => Some(id_of::<Subnet>(client, subnet, &[("vpc_id", &vpc_id)]).await?),
            None => None,
        };
        let body = NewEndpoint {
            endpoint_service_id,
            subnet_id,
            port_ip: self.ip,
            enable_dns: self.dns,
            routetables: routes::ids(client, &vpc_id, &self.route_tables).await?,
            vpc_id,
            enable_whitelist: !self.allow_from.is_empty(),
            whitelist: texts(&self.allow_from),
            policy,
            tags: self.tags,
            description: self.description.map(|text| text.as_str().to_owned()),
        };
        let endpoint = client.create::<Endpoint>(&body).await.context("cannot create the endpoint")?;
        let id = endpoint.data.id.clone();
        Ok(Answer::object(self.wait.until_done(client, &id, endpoint, progress).await?))
    }
}

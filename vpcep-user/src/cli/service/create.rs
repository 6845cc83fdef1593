//! The making of an endpoint service.

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{IdleReset, ProxyProfile, Switch, TcpProxy, progress};
use crate::cli::UsageError;
use crate::cli::output::Answer;
use crate::cli::resolve::{find, id_of};
use crate::cli::value::{self, PortMapping, Reference, Tag};
use crate::cli::wait::WaitArgs;
use crate::client::{Backend, Client, Service, Vpc};
use crate::model::{Cidr, Description, ServiceName};

/// Arguments of `service create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What endpoints of it are
    #[arg(long = "type", value_enum, default_value_t)]
    kind: Kind,
    /// VPC of the backend, or the one in which the prefixes are reached, by name or id
    #[arg(long)]
    vpc: Reference,
    /// Backend in that VPC, by name or id (interface)
    #[arg(long)]
    backend: Option<Reference>,
    /// Port of the endpoint and port of the backend it leads to, repeatable (interface, 1 to 200)
    #[arg(long = "port", value_name = "CLIENT:SERVER[/tcp|/udp]")]
    ports: Vec<PortMapping>,
    /// Addresses that are reached through it, repeatable (gateway, 1 to 64)
    #[arg(long = "prefix", value_name = "CIDR")]
    prefixes: Vec<Cidr>,
    /// Middle part of the full name: at most 16 letters, digits, '_' and '-'
    #[arg(long)]
    name: Option<ServiceName>,
    /// Whether new endpoints wait to be accepted
    #[arg(long, value_enum, default_value_t)]
    approval: Switch,
    /// Everyone may connect to it, and sees it (operator)
    #[arg(long)]
    public: bool,
    /// Endpoints may have policies, which what is behind the service enforces (operator)
    #[arg(long)]
    policy: bool,
    /// Seconds that TCP which is established, or UDP that both sides have sent, may be idle: 10 to
    /// 360000, or 0, the default, for the gateway's setting
    #[arg(long, value_name = "SECS", value_parser = value::idle_timeout)]
    idle_timeout: Option<u32>,
    /// Who learns that an established TCP connection was idle for too long; on when absent
    #[arg(long, value_enum)]
    idle_reset: Option<IdleReset>,
    /// How servers learn the client's address, over TCP. For new connections (interface)
    #[arg(long, value_enum)]
    tcp_proxy: Option<TcpProxy>,
    /// In whose form PROXY headers name the endpoint. For new connections
    #[arg(long, value_enum)]
    proxy_profile: Option<ProxyProfile>,
    /// A tag, repeatable (at most 20)
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<Tag>,
    /// Free text: at most 512 characters, without '<' and '>'
    #[arg(long, value_name = "TEXT")]
    description: Option<Description>,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// An address in the consumer's subnet that leads to a backend
    #[default]
    Interface,
    /// Routes of the consumer's VPC to prefixes (operator)
    Gateway,
}

#[derive(Serialize)]
struct NewService {
    vpc_id: String,
    #[serde(skip_serializing_if = "is_interface")]
    service_type: Kind,
    #[serde(flatten)]
    backend: Option<NewBackend>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prefixes: Vec<String>,
    approval_enabled: Switch,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    public: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    enable_policy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_timeout: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_reset: Option<IdleReset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_proxy: Option<TcpProxy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_profile: Option<ProxyProfile>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Serialize)]
struct NewBackend {
    port_id: String,
    server_type: String,
    ports: Vec<PortMapping>,
}

/// The default on the wire as well.
fn is_interface(kind: &Kind) -> bool {
    *kind == Kind::Interface
}

impl CreateArgs {
    /// Refuses what the type of service does not have, and the lack of what it
    /// has.
    pub fn check(&self) -> Result<(), UsageError> {
        let wrong = |argument, reason| Err(UsageError { argument, reason });
        let Self { kind, backend, ports, prefixes, .. } = self;
        match kind {
            Kind::Interface if backend.is_none() => {
                wrong("--backend", "name what serves; --type gateway has none")
            }
            Kind::Interface if ports.is_empty() => {
                wrong("--port", "give at least one; --type gateway has none")
            }
            Kind::Interface if !prefixes.is_empty() => wrong("--prefix", "only --type gateway has prefixes"),
            Kind::Gateway if backend.is_some() => wrong("--backend", "--type gateway has prefixes instead"),
            Kind::Gateway if !ports.is_empty() => wrong("--port", "--type gateway has prefixes instead"),
            Kind::Gateway if prefixes.is_empty() => wrong("--prefix", "--type gateway needs at least one"),
            Kind::Interface | Kind::Gateway => Ok(()),
        }
    }

    /// Makes it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        let vpc_id = id_of::<Vpc>(client, &self.vpc, &[]).await?;
        let backend = match &self.backend {
            Some(backend) => {
                let found = find::<Backend>(client, backend, &[("vpc_id", &vpc_id)]).await?.data;
                Some(NewBackend { port_id: found.port_id, server_type: found.server_type, ports: self.ports })
            }
            None => None,
        };
        let body = NewService {
            vpc_id,
            service_type: self.kind,
            backend,
            prefixes: self.prefixes.iter().map(Cidr::to_string).collect(),
            approval_enabled: self.approval,
            public: self.public,
            enable_policy: self.policy,
            idle_timeout: self.idle_timeout,
            idle_reset: self.idle_reset,
            tcp_proxy: self.tcp_proxy,
            proxy_profile: self.proxy_profile,
            tags: self.tags,
            service_name: self.name.map(|name| name.as_str().to_owned()),
            description: self.description.map(|text| text.as_str().to_owned()),
        };
        let service = client.create::<Service>(&body).await.context("cannot create the endpoint service")?;
        let id = service.data.id.clone();
        Ok(Answer::object(self.wait.until_done(client, &id, service, progress).await?))
    }
}

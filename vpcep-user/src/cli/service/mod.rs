//! `vpcep service`: endpoint services from the provider's side.
//!
//! The service itself is here, its making in [`create`]; who may connect is in
//! [`permission`], who is connected in [`connection`].

mod connection;
mod create;
mod permission;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::UsageError;
use super::output::{Answer, Column, or_dash};
use super::resolve::{find, id_of};
use super::tag::{self, Tagged};
use super::value::{self, PortMapping, Reference, Tag, TagMatch};
use super::wait::{Progress, WaitArgs, reason};
use crate::client::{
    Backend, Client, Port, PublicService, Resource as _, Service, ServiceDescription, ServiceStatus,
};
use crate::model::{Description, ServiceName};
use create::CreateArgs;

/// What can be done with endpoint services.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Offer a backend to others as an endpoint service; the operator also offers routes (gateway)
    ///
    /// Examples:
    ///   vpcep service create --vpc net2 --backend web --port 80:8080 --port 443:8443 --name shop
    ///   vpcep service create --type gateway --vpc storage --prefix 100.125.0.0/16 --name obs --public
    #[command(verbatim_doc_comment)]
    Create(CreateArgs),
    /// Show your services
    List(ListArgs),
    /// Show one of your services
    Show {
        /// Id, full name or name
        service: Reference,
    },
    /// Change a service; what is not given stays
    ///
    /// Example: vpcep service update shop --approval off
    Update(UpdateArgs),
    /// Give a service another name, the middle part of the full one
    Rename {
        /// Id, full name or name
        service: Reference,
        /// The new name: at most 16 letters, digits, '_' and '-'
        name: ServiceName,
    },
    /// Give a service tags; a key it has takes the new value
    ///
    /// Example: vpcep service tag shop env=prod owner=web
    Tag {
        /// Id, full name or name
        service: Reference,
        /// A tag
        #[arg(required = true, value_name = "KEY=VALUE")]
        tags: Vec<Tag>,
    },
    /// Take tags from a service, by key or by key and value
    Untag {
        /// Id, full name or name
        service: Reference,
        /// A tag
        #[arg(required = true, value_name = "KEY[=VALUE]")]
        tags: Vec<TagMatch>,
    },
    /// Delete a service to which no endpoint is connected
    Delete {
        /// Id, full name or name
        service: Reference,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Look up anyone's service by its full name; exit 1 when there is none
    ///
    /// Example: vpcep service find region1.shop.0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d
    Find {
        /// Full name, region.NAME.ID, or the id
        full_name: Reference,
    },
    /// Show the services that everyone may connect to
    Public,
    /// Let accounts connect to a service
    ///
    /// Example: vpcep service allow shop acme 0123456789abcdef0123456789abcdef
    Allow {
        /// Id, full name or name
        service: Reference,
        /// Domain id, account name (operator), iam:domain::ID, organizations:orgPath::PATH or * for everyone
        #[arg(required = true, value_name = "PERMISSION")]
        permissions: Vec<value::Permission>,
        /// What they are for: at most 512 characters, without '<' and '>'
        #[arg(long, value_name = "TEXT")]
        description: Option<Description>,
    },
    /// Take permissions back; endpoints already connected stay
    ///
    /// Example: vpcep service disallow shop acme
    Disallow {
        /// Id, full name or name
        service: Reference,
        /// Id, as `vpcep service permissions` shows it, or as it was given to allow
        #[arg(required = true, value_name = "PERMISSION")]
        permissions: Vec<value::Permission>,
    },
    /// Show who may connect besides your account
    Permissions {
        /// Id, full name or name
        service: Reference,
    },
    /// Change the description of a permission
    DescribePermission {
        /// Id, full name or name of the service
        service: Reference,
        /// Id of the permission
        permission_id: Reference,
        /// At most 512 characters, without '<' and '>'
        description: Description,
    },
    /// Show the endpoints of a service, whoever owns them
    Connections {
        /// Id, full name or name
        service: Reference,
    },
    /// Change what you note of an endpoint
    DescribeConnection {
        /// Id, full name or name
        service: Reference,
        /// Id or marker_id of the endpoint
        endpoint: Reference,
        /// At most 512 characters, without '<' and '>'
        description: Description,
    },
    /// Accept endpoints that wait or were rejected
    ///
    /// Example: vpcep service accept shop 16777510
    Accept {
        /// Id, full name or name
        service: Reference,
        /// Id or marker_id of an endpoint
        #[arg(required = true, value_name = "ENDPOINT")]
        endpoints: Vec<Reference>,
    },
    /// Reject endpoints; their traffic stops at once and their address is kept
    Reject {
        /// Id, full name or name
        service: Reference,
        /// Id or marker_id of an endpoint
        #[arg(required = true, value_name = "ENDPOINT")]
        endpoints: Vec<Reference>,
    },
}

/// Arguments of `service list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only services whose full name contains this
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only services with this status
    #[arg(long, value_parser = ["creating", "available", "failed", "deleting"])]
    status: Option<String>,
}

/// Arguments of `service update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Id, full name or name
    service: Reference,
    #[command(flatten)]
    changes: Changes,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Changes {
    /// New middle part of the full name: at most 16 letters, digits, '_' and '-'
    #[arg(long)]
    name: Option<ServiceName>,
    /// Whether new endpoints wait to be accepted; those that wait already stay
    #[arg(long, value_enum)]
    approval: Option<Switch>,
    /// Port mapping, repeatable: all that are given replace all there were
    #[arg(long = "port", value_name = "CLIENT:SERVER[/tcp|/udp]")]
    ports: Vec<PortMapping>,
    /// Other backend in the same VPC, by name or id
    #[arg(long)]
    backend: Option<Reference>,
    /// Seconds that TCP which is established, or UDP that both sides have sent, may be idle: 10 to
    /// 360000, or 0 for the gateway's setting. Also for open connections
    #[arg(long, value_name = "SECS", value_parser = value::idle_timeout)]
    idle_timeout: Option<u32>,
    /// Who learns that an established TCP connection was idle for too long
    #[arg(long, value_enum)]
    idle_reset: Option<IdleReset>,
    /// How servers learn the client's address, over TCP. For new connections (interface)
    #[arg(long, value_enum)]
    tcp_proxy: Option<TcpProxy>,
    /// In whose form PROXY headers name the endpoint. For new connections
    #[arg(long, value_enum)]
    proxy_profile: Option<ProxyProfile>,
    /// Free text: at most 512 characters, without '<' and '>'
    #[arg(long, value_name = "TEXT")]
    description: Option<Description>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
enum TcpProxy {
    /// They do not
    Close,
    /// By a TCP option of the handshake
    ToaOpen,
    /// By a PROXY protocol header, version 2
    ProxyOpen,
    /// By both
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum ProxyProfile {
    /// vpcep's: the marker
    Own,
    /// AWS PrivateLink's: the endpoint's id
    Aws,
    /// Private Service Connect's: the marker
    Gcp,
    /// Azure Private Link's: the marker
    Azure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum IdleReset {
    /// Both ends get a reset
    On,
    /// Each end gets one when it next sends something
    Off,
}

impl Serialize for IdleReset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(*self == Self::On)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// They wait
    #[default]
    On,
    /// They are accepted by themselves
    Off,
}

impl Serialize for Switch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(*self == Self::On)
    }
}

#[derive(Serialize)]
struct ServiceChanges {
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_enabled: Option<Switch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<PortMapping>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_timeout: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_reset: Option<IdleReset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_proxy: Option<TcpProxy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_profile: Option<ProxyProfile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

const COLUMNS: &[Column<Service>] = &[
    Column::whole("ID", |service| service.id.clone()),
    Column::text("NAME", |service| service.short_name().unwrap_or("-").to_owned()),
    Column::whole("STATUS", |service| service.status.to_string()),
    Column::whole("TYPE", |service| or_dash(&service.server_type)),
    Column::text("PORTS", |service| ports_text(&service.ports)),
    Column::whole("APPROVAL", |service| if service.approval_enabled { "on" } else { "off" }.to_owned()),
    Column::whole("CONNECTED", |service| or_dash(&service.connection_count)),
    Column::whole("VPC ID", |service| service.vpc_id.clone()),
];

const PUBLIC_COLUMNS: &[Column<PublicService>] = &[
    Column::whole("NAME", |service| service.service_name.clone()),
    Column::whole("TYPE", |service| service.service_type.clone()),
    Column::text("OWNER", |service| service.owner.clone()),
];

fn ports_text(ports: &[Port]) -> String {
    let texts = ports.iter().map(|Port { client_port, server_port, protocol }| {
        format!("{client_port}:{server_port}/{}", protocol.to_lowercase())
    });
    texts.collect::<Vec<_>>().join(" ")
}

impl Command {
    /// Refuses arguments that do not go together.
    pub fn check(&self) -> Result<(), UsageError> {
        match self {
            Self::Create(args) => args.check(),
            _ => Ok(()),
        }
    }

    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        use connection::Decision;
        match self {
            Self::Create(args) => args.run(client).await,
            Self::List(args) => args.run(client).await,
            Self::Show { service } => Ok(Answer::object(find::<Service>(client, &service, &[]).await?)),
            Self::Update(args) => args.run(client).await,
            Self::Rename { service, name } => rename(client, &service, &name).await,
            Self::Tag { service, tags } => {
                let id = id_of::<Service>(client, &service, &[]).await?;
                tag::add(client, Tagged::Service, &id, &tags).await
            }
            Self::Untag { service, tags } => {
                let id = id_of::<Service>(client, &service, &[]).await?;
                tag::remove(client, Tagged::Service, &id, &tags).await
            }
            Self::Delete { service, wait } => delete(client, &service, wait).await,
            Self::Find { full_name } => describe(client, &full_name).await,
            Self::Public => public(client).await,
            Self::Allow { service, permissions, description } => {
                permission::add(client, &service, &permissions, description.as_ref()).await
            }
            Self::Disallow { service, permissions } => {
                permission::remove(client, &service, &permissions).await
            }
            Self::Permissions { service } => permission::list(client, &service).await,
            Self::DescribePermission { service, permission_id, description } => {
                permission::describe(client, &service, &permission_id, &description).await
            }
            Self::Connections { service } => connection::list(client, &service).await,
            Self::DescribeConnection { service, endpoint, description } => {
                connection::describe(client, &service, &endpoint, &description).await
            }
            Self::Accept { service, endpoints } => {
                connection::decide(client, &service, &endpoints, Decision::Accept).await
            }
            Self::Reject { service, endpoints } => {
                connection::decide(client, &service, &endpoints, Decision::Reject).await
            }
        }
    }
}

impl ListArgs {
    async fn run(self, client: &Client) -> Result<Answer> {
        let name = self.name.iter().map(|name| ("endpoint_service_name", name.as_str()));
        let status = self.status.iter().map(|status| ("status", status.as_str()));
        let filters: Vec<_> = name.chain(status).collect();
        let services = client.list(&filters).await.context("cannot list endpoint services")?;
        Ok(Answer::list::<Service>(&services, COLUMNS))
    }
}

impl UpdateArgs {
    async fn run(self, client: &Client) -> Result<Answer> {
        let Self { service, changes } = self;
        let Changes {
            name,
            approval,
            ports,
            backend,
            idle_timeout,
            idle_reset,
            tcp_proxy,
            proxy_profile,
            description,
        } = changes;
        let id = id_of::<Service>(client, &service, &[]).await?;
        let port_id = match backend {
            Some(backend) => {
                let vpc_id = find::<Service>(client, &Reference::Id(id.clone()), &[]).await?.data.vpc_id;
                Some(find::<Backend>(client, &backend, &[("vpc_id", &vpc_id)]).await?.data.port_id)
            }
            None => None,
        };
        let changes = ServiceChanges {
            service_name: name.map(|name| name.as_str().to_owned()),
            approval_enabled: approval,
            ports,
            port_id,
            idle_timeout,
            idle_reset,
            tcp_proxy,
            proxy_profile,
            description: description.map(|text| text.as_str().to_owned()),
        };
        let updated = client.update::<Service>(&id, &changes).await;
        Ok(Answer::object(updated.with_context(|| format!("cannot update endpoint service {service}"))?))
    }
}

async fn rename(client: &Client, service: &Reference, name: &ServiceName) -> Result<Answer> {
    let id = id_of::<Service>(client, service, &[]).await?;
    let path = client.path_of::<Service>(&[&id, "name"]);
    let body = json!({ "endpoint_service_name": name.as_str() });
    let renamed = client.send(Method::PUT, &path, Some(body)).await;
    Ok(Answer::record(renamed.with_context(|| format!("cannot rename endpoint service {service}"))?))
}

async fn delete(client: &Client, service: &Reference, wait: WaitArgs) -> Result<Answer> {
    let id = id_of::<Service>(client, service, &[]).await?;
    let deleted = client.delete::<Service>(&id).await;
    deleted.with_context(|| format!("cannot delete endpoint service {service}"))?;
    wait.until_gone::<Service>(client, &id).await?;
    Ok(Answer::deleted("endpoint service", &id))
}

async fn public(client: &Client) -> Result<Answer> {
    let path = client.path_of::<Service>(&["public"]);
    let services = client.all_rows::<PublicService>(&path, Service::KIND.plural).await;
    let services = services.context("cannot list public endpoint services")?;
    Ok(Answer::rows(&services, Service::KIND.plural, PUBLIC_COLUMNS))
}

async fn describe(client: &Client, full_name: &Reference) -> Result<Answer> {
    let parameter = match full_name {
        Reference::Id(_) => "id",
        Reference::Name(_) => "endpoint_service_name",
    };
    let path = client.path_of::<ServiceDescription>(&["describe"]).query(parameter, full_name.as_str());
    let found = client.call::<ServiceDescription>(Method::GET, &path, None).await;
    Ok(Answer::object(found.with_context(|| format!("cannot find endpoint service {full_name}"))?))
}

fn progress(service: &Service) -> Progress {
    match service.status {
        ServiceStatus::Available => Progress::Done,
        ServiceStatus::Creating => Progress::Pending("is still creating".to_owned()),
        ServiceStatus::Failed => Progress::Failed(format!("failed: {}", reason(service.error.as_ref()))),
        ServiceStatus::Deleting => Progress::Failed("is being deleted".to_owned()),
    }
}

//! `vpcep service`: endpoint services from the provider's side.
//!
//! The service itself is here; who may connect is in [`permission`], who is
//! connected in [`connection`].

mod connection;
mod permission;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde::{Serialize, Serializer};

use super::output::{Answer, Column, or_dash};
use super::resolve::{find, id_of};
use super::value::{self, PortMapping, Reference};
use super::wait::{Progress, WaitArgs, reason};
use crate::client::{Backend, Client, Port, Service, ServiceDescription, ServiceStatus, Vpc};
use crate::model::{Description, ServiceName};

/// What can be done with endpoint services.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Offer a backend to others as an endpoint service
    ///
    /// Example: vpcep service create --vpc net2 --backend web --port 80:8080 --port 443:8443 --name shop
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
    /// Let accounts connect to a service
    ///
    /// Example: vpcep service allow shop acme 0123456789abcdef0123456789abcdef
    Allow {
        /// Id, full name or name
        service: Reference,
        /// Domain id, account name (operator), iam:domain::ID, organizations:orgPath::PATH or * for everyone
        #[arg(required = true, value_name = "PERMISSION")]
        permissions: Vec<value::Permission>,
    },
    /// Take permissions back; endpoints already connected stay
    ///
    /// Example: vpcep service disallow shop acme
    Disallow {
        /// Id, full name or name
        service: Reference,
        /// As `vpcep service permissions` shows it, or as it was given to allow
        #[arg(required = true, value_name = "PERMISSION")]
        permissions: Vec<value::Permission>,
    },
    /// Show who may connect besides your account
    Permissions {
        /// Id, full name or name
        service: Reference,
    },
    /// Show the endpoints of a service, whoever owns them
    Connections {
        /// Id, full name or name
        service: Reference,
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

/// Arguments of `service create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// VPC of the backend, by name or id
    #[arg(long)]
    vpc: Reference,
    /// Backend in that VPC, by name or id
    #[arg(long)]
    backend: Reference,
    /// Port of the endpoint and port of the backend it leads to, repeatable (1 to 200)
    #[arg(long = "port", required = true, value_name = "CLIENT:SERVER[/tcp|/udp]")]
    ports: Vec<PortMapping>,
    /// Middle part of the full name: at most 16 letters, digits, '_' and '-'
    #[arg(long)]
    name: Option<ServiceName>,
    /// Whether new endpoints wait to be accepted
    #[arg(long, value_enum, default_value_t)]
    approval: Switch,
    /// Free text: at most 512 characters, without '<' and '>'
    #[arg(long, value_name = "TEXT")]
    description: Option<Description>,
    #[command(flatten)]
    wait: WaitArgs,
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
    /// Free text: at most 512 characters, without '<' and '>'
    #[arg(long, value_name = "TEXT")]
    description: Option<Description>,
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
struct NewService {
    vpc_id: String,
    port_id: String,
    server_type: String,
    ports: Vec<PortMapping>,
    approval_enabled: Switch,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
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
    description: Option<String>,
}

const COLUMNS: &[Column<Service>] = &[
    Column::whole("ID", |service| service.id.clone()),
    Column::text("NAME", |service| service.short_name().unwrap_or("-").to_owned()),
    Column::whole("STATUS", |service| service.status.to_string()),
    Column::whole("TYPE", |service| service.server_type.clone()),
    Column::text("PORTS", |service| ports_text(&service.ports)),
    Column::whole("APPROVAL", |service| if service.approval_enabled { "on" } else { "off" }.to_owned()),
    Column::whole("CONNECTED", |service| or_dash(&service.connection_count)),
    Column::whole("VPC ID", |service| service.vpc_id.clone()),
];

fn ports_text(ports: &[Port]) -> String {
    let texts = ports.iter().map(|Port { client_port, server_port, protocol }| {
        format!("{client_port}:{server_port}/{}", protocol.to_lowercase())
    });
    texts.collect::<Vec<_>>().join(" ")
}

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Create(args) => args.run(client).await,
            Self::List(args) => args.run(client).await,
            Self::Show { service } => Ok(Answer::object(find::<Service>(client, &service, &[]).await?)),
            Self::Update(args) => args.run(client).await,
            Self::Delete { service, wait } => {
                let id = id_of::<Service>(client, &service, &[]).await?;
                let deleted = client.delete::<Service>(&id).await;
                deleted.with_context(|| format!("cannot delete endpoint service {service}"))?;
                wait.until_gone::<Service>(client, &id).await?;
                Ok(Answer::deleted("endpoint service", &id))
            }
            Self::Find { full_name } => describe(client, &full_name).await,
            Self::Allow { service, permissions } => {
                permission::change(client, &service, &permissions, permission::Action::Add).await
            }
            Self::Disallow { service, permissions } => {
                permission::change(client, &service, &permissions, permission::Action::Remove).await
            }
            Self::Permissions { service } => permission::list(client, &service).await,
            Self::Connections { service } => connection::list(client, &service).await,
            Self::Accept { service, endpoints } => {
                connection::decide(client, &service, &endpoints, connection::Decision::Accept).await
            }
            Self::Reject { service, endpoints } => {
                connection::decide(client, &service, &endpoints, connection::Decision::Reject).await
            }
        }
    }
}

impl CreateArgs {
    async fn run(self, client: &Client) -> Result<Answer> {
        let Self { vpc, backend, ports, name, approval, description, wait } = self;
        let vpc_id = id_of::<Vpc>(client, &vpc, &[]).await?;
        let backend = find::<Backend>(client, &backend, &[("vpc_id", &vpc_id)]).await?.data;
        let body = NewService {
            vpc_id,
            port_id: backend.port_id,
            server_type: backend.server_type,
            ports,
            approval_enabled: approval,
            service_name: name.map(|name| name.as_str().to_owned()),
            description: description.map(|text| text.as_str().to_owned()),
        };
        let service = client.create::<Service>(&body).await.context("cannot create the endpoint service")?;
        let id = service.data.id.clone();
        Ok(Answer::object(wait.until_done(client, &id, service, progress).await?))
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
        let Self { service, changes: Changes { name, approval, ports, backend, description } } = self;
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
            description: description.map(|text| text.as_str().to_owned()),
        };
        let updated = client.update::<Service>(&id, &changes).await;
        Ok(Answer::object(updated.with_context(|| format!("cannot update endpoint service {service}"))?))
    }
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

//! `vpcep backend`: what really serves behind an endpoint service.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::UsageError;
use super::output::{Answer, Column};
use super::resolve::{find, id_of};
use super::value::{Member, Reference, name};
use super::vpc;
use crate::client::{Backend, BackendMember, Client, Vpc};
use crate::model::Name;

/// What can be done with backends.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a backend; its port_id is what services name it by
    ///
    /// Examples:
    ///   vpcep backend create web --vpc net2 --type vm --address 192.168.24.7
    ///   vpcep backend create pool --vpc net2 --type lb --address 192.168.24.100
    ///     --member 192.168.24.7:8080 --member 192.168.24.8:8080,weight=2
    #[command(verbatim_doc_comment)]
    Create(CreateArgs),
    /// Show all backends, or those of one VPC
    List {
        #[command(flatten)]
        of: vpc::Filter,
    },
    /// Show one backend
    Show {
        /// Name or id
        backend: Reference,
        #[command(flatten)]
        of: vpc::Filter,
    },
    /// Delete a backend that no service uses
    Delete {
        /// Name or id
        backend: Reference,
        #[command(flatten)]
        of: vpc::Filter,
    },
}

/// Arguments of `backend create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the backend: 1 to 64 of letters, digits, '_', '-' and '.'
    #[arg(value_parser = name)]
    name: Name,
    /// VPC it is in, by name or id
    #[arg(long)]
    vpc: Reference,
    /// What it is
    #[arg(long = "type", value_enum, ignore_case = true, value_name = "TYPE")]
    server_type: ServerType,
    /// Its IPv4 address in the VPC
    #[arg(long, value_name = "IP")]
    address: Ipv4Addr,
    /// Member of a load balancer, repeatable: port 0 keeps the service's server port; weight 1 to
    /// 100 (default 1) is its share of new connections. Without members connections go to --address
    #[arg(long = "member", value_name = "IP:PORT[,weight=N]")]
    members: Vec<Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum ServerType {
    /// A virtual machine
    Vm,
    /// A bare-metal server
    Bms,
    /// A virtual IP that moves between servers
    Vip,
    /// A load balancer over members
    Lb,
}

#[derive(Serialize)]
struct NewBackend {
    name: String,
    vpc_id: String,
    #[serde(rename = "type")]
    server_type: ServerType,
    address: Ipv4Addr,
    members: Vec<Member>,
}

const COLUMNS: &[Column<Backend>] = &[
    Column::whole("ID", |backend| backend.id.clone()),
    Column::text("NAME", |backend| backend.name.clone()),
    Column::whole("TYPE", |backend| backend.server_type.clone()),
    Column::whole("ADDRESS", |backend| backend.address.clone()),
    Column::text("MEMBERS", |backend| members_text(&backend.members)),
    Column::whole("VPC ID", |backend| backend.vpc_id.clone()),
];

fn members_text(members: &[BackendMember]) -> String {
    let texts = members.iter().map(|BackendMember { address, port, weight }| match weight {
        1 => format!("{address}:{port}"),
        _ => format!("{address}:{port},weight={weight}"),
    });
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(" ") }
}

impl Command {
    /// Refuses members of what is no load balancer.
    pub fn check(&self) -> Result<(), UsageError> {
        match self {
            Self::Create(CreateArgs { server_type, members, .. })
                if *server_type != ServerType::Lb && !members.is_empty() =>
            {
                Err(UsageError {
                    argument: "--member",
                    reason: "only a load balancer has members: give --type lb, or the one server as --address",
                })
            }
            _ => Ok(()),
        }
    }

    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Create(args) => args.run(client).await,
            Self::List { of } => {
                let filters = of.resolve(client).await?;
                let backends = client.list(&filters.pairs()).await.context("cannot list backends")?;
                Ok(Answer::list::<Backend>(&backends, COLUMNS))
            }
            Self::Show { backend, of } => {
                let filters = of.resolve(client).await?;
                Ok(Answer::object(find::<Backend>(client, &backend, &filters.pairs()).await?))
            }
            Self::Delete { backend, of } => {
                let filters = of.resolve(client).await?;
                let id = id_of::<Backend>(client, &backend, &filters.pairs()).await?;
                let deleted = client.delete::<Backend>(&id).await;
                deleted.with_context(|| format!("cannot delete backend {backend}"))?;
                Ok(Answer::deleted("backend", &id))
            }
        }
    }
}

impl CreateArgs {
    async fn run(self, client: &Client) -> Result<Answer> {
        let Self { name, vpc, server_type, address, members } = self;
        let vpc_id = id_of::<Vpc>(client, &vpc, &[]).await?;
        let body = NewBackend { name: name.to_string(), vpc_id, server_type, address, members };
        let backend = client.create::<Backend>(&body).await;
        Ok(Answer::object(backend.context("cannot create the backend")?))
    }
}

//! `vpcep backend`: what really serves behind an endpoint service.

mod health;
mod member;

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::health::BalancingArgs;
use crate::cli::UsageError;
use crate::cli::output::{Answer, Column};
use crate::cli::resolve::{find, id_of};
use crate::cli::value::{Member, Reference, name};
use crate::cli::vpc;
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
    ///     --health-check http:8080/healthz --interval 5
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
    /// Change a backend: its name, or how a load balancer chooses and checks its members
    ///
    /// A health check is given as a whole: what is not, has its default.
    ///
    /// Example: vpcep backend update pool --health-check tcp --unhealthy 2
    Update(UpdateArgs),
    /// Members of a load balancer: add, remove, drain, activate, set-weight
    #[command(subcommand)]
    Member(member::Command),
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
    #[command(flatten)]
    balancing: BalancingArgs,
}

/// Arguments of `backend update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Name or id
    backend: Reference,
    #[command(flatten)]
    of: vpc::Filter,
    /// Its new name: 1 to 64 of letters, digits, '_', '-' and '.'
    #[arg(long, value_parser = name)]
    name: Option<Name>,
    #[command(flatten)]
    balancing: BalancingArgs,
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

const COLUMNS: &[Column<Backend>] = &[
    Column::whole("ID", |backend| backend.id.clone()),
    Column::text("NAME", |backend| backend.name.clone()),
    Column::whole("TYPE", |backend| backend.server_type.clone()),
    Column::whole("ADDRESS", |backend| backend.address.clone()),
    Column::text("MEMBERS", |backend| members_text(&backend.members)),
    Column::whole("VPC ID", |backend| backend.vpc_id.clone()),
];

fn members_text(members: &[BackendMember]) -> String {
    let texts = members.iter().map(|BackendMember { address, port, weight, state }| {
        let weight = if *weight == 1 { String::new() } else { format!(",weight={weight}") };
        let state = if state == "active" { String::new() } else { format!(" ({state})") };
        format!("{address}:{port}{weight}{state}")
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
            Self::Create(CreateArgs { server_type, balancing, .. })
                if *server_type != ServerType::Lb && !balancing.is_empty() =>
            {
                Err(UsageError {
                    argument: "--algorithm, --health-check",
                    reason: "only a load balancer has members: give --type lb",
                })
            }
            Self::Update(UpdateArgs { name: None, balancing, .. }) if balancing.is_empty() => {
                Err(UsageError {
                    argument: "--name, --algorithm, --health-check",
                    reason: "give one at least",
                })
            }
            _ => Ok(()),
        }
    }

    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Create(args) => args.run(client).await,
            Self::Update(args) => args.run(client).await,
            Self::Member(command) => command.run(client).await,
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
        let Self { name, vpc, server_type, address, members, balancing } = self;
        let vpc_id = id_of::<Vpc>(client, &vpc, &[]).await?;
        let fields = [
            ("name", json!(name.as_str())),
            ("vpc_id", json!(vpc_id)),
            ("type", json!(server_type)),
            ("address", json!(address)),
            ("members", json!(members)),
        ];
        let mut body: Map<String, Value> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        balancing.write_into(&mut body);
        let backend = client.create::<Backend>(&body).await;
        Ok(Answer::object(backend.context("cannot create the backend")?))
    }
}

impl UpdateArgs {
    async fn run(self, client: &Client) -> Result<Answer> {
        let Self { backend, of, name, balancing } = self;
        let filters = of.resolve(client).await?;
        let id = id_of::<Backend>(client, &backend, &filters.pairs()).await?;
        let mut body = Map::new();
        if let Some(name) = name {
            body.insert("name".into(), json!(name.as_str()));
        }
        balancing.write_into(&mut body);
        let updated = client.update::<Backend>(&id, &json!({ "backend": body })).await;
        Ok(Answer::object(updated.with_context(|| format!("cannot change backend {backend}"))?))
    }
}

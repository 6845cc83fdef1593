//! `vpcep endpoint`: the consumer's own addresses for services, and routes to them.
//!
//! The endpoint itself is here, its making in [`create`]; the routes of a gateway
//! endpoint are in [`routes`], its policy in [`policy`].

mod create;
mod policy;
mod routes;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde::Serialize;
use serde_json::json;

use super::output::{Answer, Column, or_dash};
use super::resolve::{find, id_of};
use super::tag::{self, Tagged};
use super::value::{Reference, Tag, TagMatch};
use super::vpc;
use super::wait::{Progress, WaitArgs, reason};
use crate::client::{Client, Endpoint, EndpointStatus, Host, List, Vpc};
use crate::model::WhitelistEntry;
use create::CreateArgs;

/// What can be done with endpoints.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an endpoint: an address in a subnet, or routes, that lead to a service
    ///
    /// Examples:
    ///   vpcep endpoint create --service region1.shop.SERVICE_ID --vpc net1 --subnet front --wait
    ///   vpcep endpoint create --service region1.obs.SERVICE_ID --vpc net1 --gateway
    #[command(verbatim_doc_comment)]
    Create(CreateArgs),
    /// Show your endpoints, or those in one VPC
    List {
        #[command(flatten)]
        of: vpc::Filter,
    },
    /// Show one endpoint
    Show {
        /// Id or marker_id
        endpoint: Reference,
    },
    /// Change who may use an endpoint, or what refused clients get
    ///
    /// Example: vpcep endpoint update 16777510 --allow-from 10.0.0.0/28 10.0.0.200
    // The usage that clap makes up puts the endpoint where --allow-from would take it.
    #[command(
        override_usage = "vpcep endpoint update <ENDPOINT> <--allow-from <CIDR>...|--allow-all|--refusal <REFUSAL>>"
    )]
    Update(UpdateArgs),
    /// Give an endpoint tags; a key it has takes the new value
    ///
    /// Example: vpcep endpoint tag 16777510 env=prod owner=web
    Tag {
        /// Id or marker_id
        endpoint: Reference,
        /// A tag
        #[arg(required = true, value_name = "KEY=VALUE")]
        tags: Vec<Tag>,
    },
    /// Take tags from an endpoint, by key or by key and value
    Untag {
        /// Id or marker_id
        endpoint: Reference,
        /// A tag
        #[arg(required = true, value_name = "KEY[=VALUE]")]
        tags: Vec<TagMatch>,
    },
    /// Bind a gateway endpoint to these route tables, and to no others
    Bind {
        /// Id or marker_id
        endpoint: Reference,
        /// Route tables of its VPC, by name or id
        #[arg(required = true, value_name = "ROUTE_TABLE")]
        route_tables: Vec<Reference>,
    },
    /// Set the policy of an endpoint, where its service takes one
    ///
    /// Example: vpcep endpoint set-policy 16777510 read-only.json
    SetPolicy {
        /// Id or marker_id
        endpoint: Reference,
        /// JSON: an array of statements, or a policy document; - is standard input
        file: PathBuf,
    },
    /// Take the policy off an endpoint: everything is allowed
    ClearPolicy {
        /// Id or marker_id
        endpoint: Reference,
    },
    /// Show the private domain names in a VPC and their addresses, in the form of hosts(5)
    Hosts {
        /// VPC, by name or id
        #[arg(long)]
        vpc: Reference,
    },
    /// Delete an endpoint in any state; its flows end
    Delete {
        /// Id or marker_id
        endpoint: Reference,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

/// Arguments of `endpoint update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Id or marker_id
    endpoint: Reference,
    #[command(flatten)]
    changes: Changes,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Changes {
    /// Only these clients may use the endpoint from now on; they replace those there were
    #[arg(long, value_name = "CIDR", num_args = 1.., conflicts_with = "allow_all")]
    allow_from: Vec<WhitelistEntry>,
    /// Every client may use the endpoint from now on
    #[arg(long)]
    allow_all: bool,
    /// What a refused client gets (operator)
    #[arg(long, value_enum)]
    refusal: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Refusal {
    /// A TCP reset, for UDP an ICMP error: the client knows at once
    Reset,
    /// An ICMP error, also for TCP: the client knows at once, and that it is a policy
    Icmp,
    /// Nothing: the client times out
    Silent,
}

const COLUMNS: &[Column<Endpoint>] = &[
    Column::whole("ID", |endpoint| endpoint.id.clone()),
    Column::whole("MARKER ID", |endpoint| endpoint.marker_id.to_string()),
    Column::whole("IP", |endpoint| or_dash(&endpoint.ip)),
    Column::whole("STATUS", |endpoint| endpoint.status.to_string()),
    Column::text("SERVICE", |endpoint| endpoint.endpoint_service_name.clone()),
    Column::text("ALLOWED", allowed_text),
    Column::whole("VPC ID", |endpoint| endpoint.vpc_id.clone()),
];

/// With the header as a comment a table is a hosts file.
const HOST_COLUMNS: &[Column<Host>] = &[
    Column::whole("# ADDRESS", |host| host.address.clone()),
    Column::whole("NAME", |host| host.name.clone()),
];

fn allowed_text(endpoint: &Endpoint) -> String {
    match (endpoint.enable_whitelist, endpoint.whitelist.is_empty()) {
        (false, _) => "everyone".to_owned(),
        (true, true) => "no one".to_owned(),
        (true, false) => endpoint.whitelist.join(" "),
    }
}

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Create(args) => args.run(client).await,
            Self::List { of } => {
                let filters = of.resolve(client).await?;
                let endpoints = client.list(&filters.pairs()).await.context("cannot list endpoints")?;
                Ok(Answer::list::<Endpoint>(&endpoints, COLUMNS))
            }
            Self::Show { endpoint } => Ok(Answer::object(find::<Endpoint>(client, &endpoint, &[]).await?)),
            Self::Update(args) => args.run(client).await,
            Self::Tag { endpoint, tags } => {
                let id = id_of::<Endpoint>(client, &endpoint, &[]).await?;
                tag::add(client, Tagged::Endpoint, &id, &tags).await
            }
            Self::Untag { endpoint, tags } => {
                let id = id_of::<Endpoint>(client, &endpoint, &[]).await?;
                tag::remove(client, Tagged::Endpoint, &id, &tags).await
            }
            Self::Bind { endpoint, route_tables } => routes::bind(client, &endpoint, &route_tables).await,
            Self::SetPolicy { endpoint, file } => policy::set(client, &endpoint, &file).await,
            Self::ClearPolicy { endpoint } => policy::clear(client, &endpoint).await,
            Self::Hosts { vpc } => hosts(client, &vpc).await,
            Self::Delete { endpoint, wait } => {
                let id = id_of::<Endpoint>(client, &endpoint, &[]).await?;
                let deleted = client.delete::<Endpoint>(&id).await;
                deleted.with_context(|| format!("cannot delete endpoint {endpoint}"))?;
                wait.until_gone::<Endpoint>(client, &id).await?;
                Ok(Answer::deleted("endpoint", &id))
            }
        }
    }
}

impl UpdateArgs {
    async fn run(self, client: &Client) -> Result<Answer> {
        let Self { endpoint, changes: Changes { allow_from, allow_all, refusal } } = self;
        let id = id_of::<Endpoint>(client, &endpoint, &[]).await?;
        let context = || format!("cannot update endpoint {endpoint}");
        let mut updated = None;
        if allow_all || !allow_from.is_empty() {
            let body = json!({ "whitelist": texts(&allow_from), "enable_whitelist": !allow_all });
            updated = Some(client.update::<Endpoint>(&id, &body).await.with_context(context)?);
        }
        if let Some(refusal) = refusal {
            let path = Client::operator_path(&["endpoints", &id]);
            let body = json!({ "refusal": refusal });
            let call = client.call::<Endpoint>(Method::PUT, &path, Some(body)).await;
            updated = Some(call.with_context(context)?);
        }
        Ok(Answer::object(updated.expect("clap requires one of the changes")))
    }
}

async fn hosts(client: &Client, vpc: &Reference) -> Result<Answer> {
    let vpc_id = id_of::<Vpc>(client, vpc, &[]).await?;
    let path = client.path_of::<Vpc>(&[&vpc_id, "hosts"]);
    let hosts: List<Host> = client
        .rows(Method::GET, &path, None, "hosts")
        .await
        .with_context(|| format!("cannot list the names in VPC {vpc}"))?;
    Ok(Answer::rows(&hosts, "hosts", HOST_COLUMNS))
}

fn texts(entries: &[WhitelistEntry]) -> Vec<String> {
    entries.iter().map(WhitelistEntry::to_string).collect()
}

fn progress(endpoint: &Endpoint) -> Progress {
    match endpoint.status {
        EndpointStatus::Accepted => Progress::Done,
        EndpointStatus::PendingAcceptance => Progress::Pending(format!(
            "is still pendingAcceptance (the owner of the service must run `vpcep service accept {} {}`)",
            endpoint.endpoint_service_id, endpoint.id
        )),
        EndpointStatus::Creating => Progress::Pending("is still creating".to_owned()),
        EndpointStatus::Rejected => Progress::Failed("was rejected by the owner of the service".to_owned()),
        EndpointStatus::Failed => Progress::Failed(format!("failed: {}", reason(endpoint.error.as_ref()))),
        EndpointStatus::Deleting => Progress::Failed("is being deleted".to_owned()),
    }
}

//! `vpcep endpoint`: the consumer's own addresses for services.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde::Serialize;
use serde_json::json;

use super::output::{Answer, Column, or_dash};
use super::resolve::{find, id_of, service_to_connect};
use super::value::Reference;
use super::vpc;
use super::wait::{Progress, WaitArgs, reason};
use crate::client::{Client, Endpoint, EndpointStatus, Subnet, Vpc};
use crate::model::{Description, WhitelistEntry};

/// What can be done with endpoints.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an endpoint: an address in a subnet that leads to a service
    ///
    /// Example: vpcep endpoint create --service region1.shop.SERVICE_ID --vpc net1 --subnet front --wait
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
    /// Delete an endpoint in any state; its flows end
    Delete {
        /// Id or marker_id
        endpoint: Reference,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

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
    #[arg(long)]
    subnet: Reference,
    /// The address; a free one is chosen when none is given
    #[arg(long, value_name = "IP")]
    ip: Option<Ipv4Addr>,
    /// Only these clients may use the endpoint, repeatable; everyone may when none is given
    #[arg(long, value_name = "CIDR")]
    allow_from: Vec<WhitelistEntry>,
    /// Free text: at most 512 characters, without '<' and '>'
    #[arg(long, value_name = "TEXT")]
    description: Option<Description>,
    #[command(flatten)]
    wait: WaitArgs,
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
    /// A TCP reset: the client knows at once
    Reset,
    /// Nothing: the client times out
    Silent,
}

#[derive(Serialize)]
struct NewEndpoint {
    endpoint_service_id: String,
    vpc_id: String,
    subnet_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port_ip: Option<Ipv4Addr>,
    whitelist: Vec<String>,
    enable_whitelist: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
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

impl CreateArgs {
    async fn run(self, client: &Client) -> Result<Answer> {
        let Self { service, vpc, subnet, ip, allow_from, description, wait } = self;
        let endpoint_service_id = service_to_connect(client, &service).await?;
        let vpc_id = id_of::<Vpc>(client, &vpc, &[]).await?;
        let subnet_id = id_of::<Subnet>(client, &subnet, &[("vpc_id", &vpc_id)]).await?;
        let body = NewEndpoint {
            endpoint_service_id,
            vpc_id,
            subnet_id,
            port_ip: ip,
            enable_whitelist: !allow_from.is_empty(),
            whitelist: texts(&allow_from),
            description: description.map(|text| text.as_str().to_owned()),
        };
        let endpoint = client.create::<Endpoint>(&body).await.context("cannot create the endpoint")?;
        let id = endpoint.data.id.clone();
        Ok(Answer::object(wait.until_done(client, &id, endpoint, progress).await?))
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

//! `vpcep backend member`: the servers behind a load balancer, one by one.

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::cli::output::Answer;
use crate::cli::resolve::id_of;
use crate::cli::value::{Member, Reference};
use crate::cli::vpc;
use crate::client::{Backend, Client};
use crate::model::MemberName;

/// What can be done with members.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a member, which gets new connections at once
    ///
    /// Example: vpcep backend member add pool 192.168.24.9:8080,weight=2
    Add {
        #[command(flatten)]
        of: BackendArgs,
        /// Its address and port; port 0 keeps the service's server port
        #[arg(value_name = "IP:PORT[,weight=N]")]
        member: Member,
    },
    /// Remove a member; its connections go on until they end
    Remove(MemberArgs),
    /// Give a member no more new connections; it keeps those it has
    Drain(MemberArgs),
    /// Give a drained member new connections again
    Activate(MemberArgs),
    /// Set a member's share of new connections
    SetWeight {
        #[command(flatten)]
        of: MemberArgs,
        /// 1 to 100, relative to the other members
        #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
        weight: u8,
    },
}

/// Which load balancer.
#[derive(Debug, Args)]
pub struct BackendArgs {
    /// Load balancer, by name or id
    backend: Reference,
    #[command(flatten)]
    of: vpc::Filter,
}

/// Which member of which load balancer.
#[derive(Debug, Args)]
pub struct MemberArgs {
    #[command(flatten)]
    of: BackendArgs,
    /// The member; port 0 is one without a port of its own
    #[arg(value_name = "IP:PORT")]
    member: MemberName,
}

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Add { of, member } => {
                let id = of.id(client).await?;
                let path = client.path_of::<Backend>(&[&id, "members"]);
                let body = json!({ "member": member });
                let changed = client.call::<Backend>(Method::POST, &path, Some(body)).await;
                Ok(Answer::object(changed.with_context(|| format!("cannot add a member to {}", of.backend))?))
            }
            Self::Remove(of) => of.change(client, Method::DELETE, None).await,
            Self::Drain(of) => of.put(client, json!({ "draining": true })).await,
            Self::Activate(of) => of.put(client, json!({ "draining": false })).await,
            Self::SetWeight { of, weight } => of.put(client, json!({ "weight": weight })).await,
        }
    }
}

impl BackendArgs {
    async fn id(&self, client: &Client) -> Result<String> {
        let filters = self.of.resolve(client).await?;
        id_of::<Backend>(client, &self.backend, &filters.pairs()).await
    }
}

impl MemberArgs {
    async fn put(self, client: &Client, change: Value) -> Result<Answer> {
        self.change(client, Method::PUT, Some(json!({ "member": change }))).await
    }

    async fn change(self, client: &Client, method: Method, body: Option<Value>) -> Result<Answer> {
        let id = self.of.id(client).await?;
        let (member, backend) = (self.member.to_string(), &self.of.backend);
        let path = client.path_of::<Backend>(&[&id, "members", &member]);
        let changed = client.call::<Backend>(method, &path, body).await;
        Ok(Answer::object(changed.with_context(|| format!("cannot change member {member} of {backend}"))?))
    }
}

//! `vpcep vpc`: private networks. Ranges of different VPCs may overlap.

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use serde_json::json;

use super::output::{Answer, Column};
use super::resolve::{find, id_of};
use super::value::{Reference, name};
use crate::client::{Client, Vpc};
use crate::model::{Cidr, Name};

/// What can be done with VPCs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a VPC
    ///
    /// Example: vpcep vpc create net1 --cidr 10.0.0.0/16
    Create {
        /// Name of the VPC: 1 to 64 of letters, digits, '_', '-' and '.'
        #[arg(value_parser = name)]
        name: Name,
        /// Its IPv4 range, such as 10.0.0.0/16; may equal or overlap that of another VPC
        #[arg(long)]
        cidr: Cidr,
    },
    /// Show all VPCs
    List,
    /// Show one VPC
    Show {
        /// Name or id
        vpc: Reference,
    },
    /// Delete a VPC with nothing left in it
    Delete {
        /// Name or id
        vpc: Reference,
    },
}

/// Restricts what is listed or looked up to one VPC.
#[derive(Debug, Args)]
pub struct Filter {
    /// Only in this VPC, by name or id
    #[arg(long)]
    vpc: Option<Reference>,
}

/// The same with the VPC's id.
#[derive(Debug)]
pub struct ResolvedFilter {
    vpc_id: Option<String>,
}

impl Filter {
    /// Looks the VPC up.
    pub async fn resolve(&self, client: &Client) -> Result<ResolvedFilter> {
        let vpc_id = match &self.vpc {
            Some(vpc) => Some(id_of::<Vpc>(client, vpc, &[]).await?),
            None => None,
        };
        Ok(ResolvedFilter { vpc_id })
    }
}

impl ResolvedFilter {
    /// Query parameters of a list.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.vpc_id.iter().map(|id| ("vpc_id", id.as_str())).collect()
    }
}

const COLUMNS: &[Column<Vpc>] = &[
    Column::whole("ID", |vpc| vpc.id.clone()),
    Column::text("NAME", |vpc| vpc.name.clone()),
    Column::whole("CIDR", |vpc| vpc.cidr.clone()),
    Column::whole("STATUS", |vpc| vpc.status.clone()),
    Column::whole("PROJECT ID", |vpc| vpc.project_id.clone()),
];

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Create { name, cidr } => {
                let body = json!({ "name": name.as_str(), "cidr": cidr.to_string() });
                let vpc = client.create::<Vpc>(&body).await;
                Ok(Answer::object(vpc.context("cannot create the VPC")?))
            }
            Self::List => {
                let vpcs = client.list(&[]).await.context("cannot list VPCs")?;
                Ok(Answer::list::<Vpc>(&vpcs, COLUMNS))
            }
            Self::Show { vpc } => Ok(Answer::object(find::<Vpc>(client, &vpc, &[]).await?)),
            Self::Delete { vpc } => {
                let id = id_of::<Vpc>(client, &vpc, &[]).await?;
                client.delete::<Vpc>(&id).await.with_context(|| format!("cannot delete VPC {vpc}"))?;
                Ok(Answer::deleted("VPC", &id))
            }
        }
    }
}

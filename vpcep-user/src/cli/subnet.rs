//! `vpcep subnet`: ranges of a VPC, from which endpoints take their addresses.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::json;

use super::output::{Answer, Column};
use super::resolve::{find, id_of};
use super::value::{Reference, name};
use super::vpc;
use crate::client::{Client, Subnet, Vpc};
use crate::model::{Cidr, Name};

/// What can be done with subnets.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a subnet
    ///
    /// Example: vpcep subnet create front --vpc net1 --cidr 10.0.0.0/24
    Create {
        /// Name of the subnet: 1 to 64 of letters, digits, '_', '-' and '.'
        #[arg(value_parser = name)]
        name: Name,
        /// VPC it lies in, by name or id
        #[arg(long)]
        vpc: Reference,
        /// Its IPv4 range within that of the VPC, such as 10.0.0.0/24
        #[arg(long)]
        cidr: Cidr,
    },
    /// Show all subnets, or those of one VPC
    List {
        #[command(flatten)]
        of: vpc::Filter,
    },
    /// Show one subnet
    Show {
        /// Name or id
        subnet: Reference,
        #[command(flatten)]
        of: vpc::Filter,
    },
    /// Delete a subnet in which no endpoint is left
    Delete {
        /// Name or id
        subnet: Reference,
        #[command(flatten)]
        of: vpc::Filter,
    },
}

const COLUMNS: &[Column<Subnet>] = &[
    Column::whole("ID", |subnet| subnet.id.clone()),
    Column::text("NAME", |subnet| subnet.name.clone()),
    Column::whole("CIDR", |subnet| subnet.cidr.clone()),
    Column::whole("VPC ID", |subnet| subnet.vpc_id.clone()),
    Column::whole("STATUS", |subnet| subnet.status.clone()),
];

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Create { name, vpc, cidr } => {
                let vpc_id = id_of::<Vpc>(client, &vpc, &[]).await?;
                let body = json!({ "name": name.as_str(), "cidr": cidr.to_string(), "vpc_id": vpc_id });
                let subnet = client.create::<Subnet>(&body).await;
                Ok(Answer::object(subnet.context("cannot create the subnet")?))
            }
            Self::List { of } => {
                let filters = of.resolve(client).await?;
                let subnets = client.list(&filters.pairs()).await.context("cannot list subnets")?;
                Ok(Answer::list::<Subnet>(&subnets, COLUMNS))
            }
            Self::Show { subnet, of } => {
                let filters = of.resolve(client).await?;
                Ok(Answer::object(find::<Subnet>(client, &subnet, &filters.pairs()).await?))
            }
            Self::Delete { subnet, of } => {
                let filters = of.resolve(client).await?;
                let id = id_of::<Subnet>(client, &subnet, &filters.pairs()).await?;
                let deleted = client.delete::<Subnet>(&id).await;
                deleted.with_context(|| format!("cannot delete subnet {subnet}"))?;
                Ok(Answer::deleted("subnet", &id))
            }
        }
    }
}

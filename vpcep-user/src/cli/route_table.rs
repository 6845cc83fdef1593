//! `vpcep route-table`: where the routes of gateway endpoints go.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::json;

use super::output::{Answer, Column};
use super::resolve::{find, id_of};
use super::value::{Reference, name};
use super::vpc;
use crate::client::{Client, RouteTable, Subnet, Vpc};
use crate::model::Name;

/// What can be done with route tables.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a route table of some subnets; each VPC has a default one for the others
    ///
    /// Example: vpcep route-table create storage --vpc net1 --subnet front
    Create {
        /// Name of the route table: 1 to 64 of letters, digits, '_', '-' and '.'
        #[arg(value_parser = name)]
        name: Name,
        /// VPC, by name or id
        #[arg(long)]
        vpc: Reference,
        /// Subnet that uses it, by name or id, repeatable
        #[arg(long = "subnet", value_name = "SUBNET")]
        subnets: Vec<Reference>,
    },
    /// Show all route tables, or those of one VPC
    List {
        #[command(flatten)]
        of: vpc::Filter,
    },
    /// Show one route table
    Show {
        /// Name or id
        route_table: Reference,
    },
    /// Delete a route table that no endpoint is bound to
    Delete {
        /// Name or id
        route_table: Reference,
    },
}

const COLUMNS: &[Column<RouteTable>] = &[
    Column::whole("ID", |table| table.id.clone()),
    Column::text("NAME", |table| table.name.clone()),
    Column::whole("DEFAULT", |table| if table.default { "yes" } else { "no" }.to_owned()),
    Column::whole("SUBNETS", |table| table.subnets.len().to_string()),
    Column::whole("VPC ID", |table| table.vpc_id.clone()),
];

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Create { name, vpc, subnets } => {
                let vpc_id = id_of::<Vpc>(client, &vpc, &[]).await?;
                let mut ids = Vec::with_capacity(subnets.len());
                for subnet in &subnets {
                    let id = id_of::<Subnet>(client, subnet, &[("vpc_id", &vpc_id)]).await?;
                    ids.push(json!({ "id": id }));
                }
                let body = json!({ "name": name.as_str(), "vpc_id": vpc_id, "subnets": ids });
                let table = client.create::<RouteTable>(&body).await;
                Ok(Answer::object(table.context("cannot create the route table")?))
            }
            Self::List { of } => {
                let filters = of.resolve(client).await?;
                let tables = client.list(&filters.pairs()).await.context("cannot list route tables")?;
                Ok(Answer::list::<RouteTable>(&tables, COLUMNS))
            }
            Self::Show { route_table } => {
                Ok(Answer::object(find::<RouteTable>(client, &route_table, &[]).await?))
            }
            Self::Delete { route_table } => {
                let id = id_of::<RouteTable>(client, &route_table, &[]).await?;
                let deleted = client.delete::<RouteTable>(&id).await;
                deleted.with_context(|| format!("cannot delete route table {route_table}"))?;
                Ok(Answer::deleted("route table", &id))
            }
        }
    }
}

//! `vpcep route-table`: where the routes of gateway endpoints go.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

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
    /// Give subnets to a route table; they use it instead of the one they used
    Associate {
        /// Name or id
        route_table: Reference,
        /// Subnet of its VPC, by name or id
        #[arg(required = true, value_name = "SUBNET")]
        subnets: Vec<Reference>,
    },
    /// Take subnets from a route table; they use the VPC's default one
    Disassociate {
        /// Name or id
        route_table: Reference,
        /// Subnet of its VPC, by name or id
        #[arg(required = true, value_name = "SUBNET")]
        subnets: Vec<Reference>,
    },
    /// Delete a route table that no subnet uses and no endpoint is bound to
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
                let ids = subnet_ids(client, &vpc_id, &subnets).await?;
                let subnets: Vec<Value> = ids.into_iter().map(|id| json!({ "id": id })).collect();
                let body = json!({ "name": name.as_str(), "vpc_id": vpc_id, "subnets": subnets });
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
            Self::Associate { route_table, subnets } => {
                change_subnets(client, &route_table, &subnets, "associate").await
            }
            Self::Disassociate { route_table, subnets } => {
                change_subnets(client, &route_table, &subnets, "disassociate").await
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

async fn subnet_ids(client: &Client, vpc_id: &str, subnets: &[Reference]) -> Result<Vec<String>> {
    let mut ids = Vec::with_capacity(subnets.len());
    for subnet in subnets {
        ids.push(id_of::<Subnet>(client, subnet, &[("vpc_id", vpc_id)]).await?);
    }
    Ok(ids)
}

async fn change_subnets(
    client: &Client,
    route_table: &Reference,
    subnets: &[Reference],
    action: &str,
) -> Result<Answer> {
    let table = find::<RouteTable>(client, route_table, &[]).await?.data;
    let ids = subnet_ids(client, &table.vpc_id, subnets).await?;
    let path = client.path_of::<RouteTable>(&[&table.id, "action"]);
    let body = json!({ "routetable": { "subnets": { action: ids } } });
    let changed = client.call::<RouteTable>(Method::POST, &path, Some(body)).await;
    Ok(Answer::object(
        changed.with_context(|| format!("cannot {action} subnets of route table {route_table}"))?,
    ))
}

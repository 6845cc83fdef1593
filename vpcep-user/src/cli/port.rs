//! `vpcep port`: backends as the cloud's own tools see them.
//!
//! A port is a backend at an address of a subnet; `vpcep backend` is the other
//! view of the same things.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{Answer, Column, or_dash};
use super::resolve::{find, id_of};
use super::value::{Reference, name};
use crate::client::{Client, Subnet, VpcPort};
use crate::model::Name;

/// Owner of a port that is a virtual IP.
const VIRTUAL_IP: &str = "neutron:VIP_PORT";

/// What can be done with ports.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a port at an address of a subnet
    ///
    /// Example: vpcep port create web --subnet racks --address 192.168.24.10
    Create {
        /// Name of the port: 1 to 64 of letters, digits, '_', '-' and '.'
        #[arg(value_parser = name)]
        name: Name,
        /// Subnet, by name or id
        #[arg(long)]
        subnet: Reference,
        /// The address; a free one is chosen when none is given
        #[arg(long, value_name = "IP")]
        address: Option<Ipv4Addr>,
        /// It is a virtual IP
        #[arg(long)]
        vip: bool,
    },
    /// Show all ports, or those in one subnet
    List {
        /// Only in this subnet, by name or id
        #[arg(long)]
        subnet: Option<Reference>,
    },
    /// Show one port
    Show {
        /// Name or id
        port: Reference,
    },
    /// Delete a port that no service needs
    Delete {
        /// Name or id
        port: Reference,
    },
}

const COLUMNS: &[Column<VpcPort>] = &[
    Column::whole("ID", |port| port.id.clone()),
    Column::text("NAME", |port| port.name.clone()),
    Column::whole("ADDRESS", |port| {
        port.fixed_ips.iter().map(|ip| ip.ip_address.clone()).collect::<Vec<_>>().join(" ")
    }),
    Column::text("OWNER", |port| port.device_owner.clone()),
    Column::whole("STATUS", |port| port.status.clone()),
    Column::whole("SUBNET ID", |port| or_dash(&port.network_id)),
];

fn new_port(name: &Name, subnet_id: &str, address: Option<Ipv4Addr>, is_virtual: bool) -> Value {
    let mut body = json!({ "name": name.as_str(), "network_id": subnet_id });
    if let Some(address) = address {
        body["fixed_ips"] = json!([{ "ip_address": address }]);
    }
    if is_virtual {
        body["device_owner"] = VIRTUAL_IP.into();
    }
    body
}

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Create { name, subnet, address, vip } => {
                let subnet_id = id_of::<Subnet>(client, &subnet, &[]).await?;
                let port = client.create::<VpcPort>(&new_port(&name, &subnet_id, address, vip)).await;
                Ok(Answer::object(port.context("cannot create the port")?))
            }
            Self::List { subnet } => {
                let subnet_id = match &subnet {
                    Some(subnet) => Some(id_of::<Subnet>(client, subnet, &[]).await?),
                    None => None,
                };
                let filters: Vec<_> = subnet_id.iter().map(|id| ("network_id", id.as_str())).collect();
                let ports = client.list(&filters).await.context("cannot list ports")?;
                Ok(Answer::list::<VpcPort>(&ports, COLUMNS))
            }
            Self::Show { port } => Ok(Answer::object(find::<VpcPort>(client, &port, &[]).await?)),
            Self::Delete { port } => {
                let id = id_of::<VpcPort>(client, &port, &[]).await?;
                client.delete::<VpcPort>(&id).await.with_context(|| format!("cannot delete port {port}"))?;
                Ok(Answer::deleted("port", &id))
            }
        }
    }
}

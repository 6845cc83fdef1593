//! What is in a VPC beside its subnets, as far as the command line reads it.

use serde::Deserialize;

use super::objects::resource;
use super::{Door, Kind, Resource};

resource!(RouteTable, "route table", Tenant, "routetables", "routetables", Some("routetable"));
resource!(VpcPort, "port", Tenant, "ports", "ports", Some("port"));

/// A route table of a VPC, which gateway endpoints are bound to.
#[derive(Clone, Debug, Deserialize)]
pub struct RouteTable {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is the VPC's default one.
    #[serde(default)]
    pub default: bool,
    /// The VPC.
    pub vpc_id: String,
    /// The subnets that use it.
    #[serde(default)]
    pub subnets: Vec<SubnetReference>,
}

/// A subnet, by its id.
#[derive(Clone, Debug, Deserialize)]
pub struct SubnetReference {
    /// Its id.
    pub id: String,
}

/// A network interface: the other view of a backend.
#[derive(Clone, Debug, Deserialize)]
pub struct VpcPort {
    /// Its id, which services name as `port_id`.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The subnet it is in; a backend may be outside of all.
    pub network_id: Option<String>,
    /// Its addresses.
    #[serde(default)]
    pub fixed_ips: Vec<FixedIp>,
    /// What it belongs to.
    #[serde(default)]
    pub device_owner: String,
    /// Whether it is in use.
    #[serde(default)]
    pub status: String,
}

/// An address of a port.
#[derive(Clone, Debug, Deserialize)]
pub struct FixedIp {
    /// The address.
    pub ip_address: String,
}

/// A private domain name and what it stands for.
#[derive(Clone, Debug, Deserialize)]
pub struct Host {
    /// The name.
    pub name: String,
    /// The endpoint's address.
    pub address: String,
}

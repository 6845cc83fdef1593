//! VPCs and subnets.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::error::ControlError;
use super::quotas::{count, refuse_beyond};
use super::route_tables;
use super::state::{Scope, State};
use super::tx::Tx;
use crate::model::{
    Cidr, Description, DnsServers, Endpoint, Name, RouteTable, Service, Subnet, SubnetId, Vpc, VpcId,
};
use crate::store::record::Numbers;

/// What a VPC is made of.
#[derive(Clone, Debug)]
pub struct NewVpc {
    /// Its name; one made from its id if it has none.
    pub name: Option<Name>,
    /// Its range.
    pub cidr: Cidr,
    /// The owner's note.
    pub description: Description,
}

/// Makes a VPC, and its default route table. Other VPCs may have the same range.
///
/// # Errors
/// When the range overlaps one that no VPC may have, the project may not have
/// more, or no number is left.
pub fn create_vpc(tx: &mut Tx<'_>, scope: Scope, new: NewVpc) -> Result<Vpc, ControlError> {
    refuse_reserved(new.cidr)?;
    let project = scope.own_project();
    let used = count::<Vpc>(tx.state, Scope::Project(project));
    refuse_beyond("vpcs", tx.state.quotas(Some(project)).vpcs, used)?;
    let numbers = tx.state.next_numbers();
    let number = free_vpc_number(tx.state, numbers.next_vpc)?;
    let id = VpcId::random();
    let vpc = Vpc {
        id,
        project,
        name: new.name.unwrap_or_else(|| Name::of("vpc", id.as_u128())),
        cidr: new.cidr,
        number,
        description: new.description,
        created_at: tx.now,
        updated_at: tx.now,
    };
    tx.put(&Numbers { next_vpc: number.checked_add(1).unwrap_or(1), ..numbers });
    tx.put(&vpc);
    tx.put(&RouteTable::default_of(vpc.id, vpc.project, tx.now));
    Ok(vpc)
}

/// Changes a VPC; `None` keeps what is there.
///
/// # Errors
/// When it is not there.
pub fn update_vpc(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: VpcId,
    name: Option<Name>,
    description: Option<Description>,
) -> Result<Vpc, ControlError> {
    let mut vpc = tx.state.find::<Vpc>(scope, id)?.clone();
    vpc.name = name.unwrap_or(vpc.name);
    vpc.description = description.unwrap_or(vpc.description);
    Ok(tx.revise(vpc))
}

/// The first number from `next` on that no VPC has. Numbers rise and wrap
/// around, so that one is used again as late as can be: the kernel may still
/// have sessions of a deleted VPC for a while.
fn free_vpc_number(state: &State, next: u16) -> Result<u16, ControlError> {
    let taken: BTreeSet<u16> = state.vpcs.iter().map(|vpc| vpc.number).collect();
    let mut candidates = (next.max(1)..=u16::MAX).chain(1..next);
    let exhausted = || ControlError::NumbersExhausted { what: "vpc", limit: u16::MAX.into() };
    candidates.find(|number| !taken.contains(number)).ok_or_else(exhausted)
}

/// Refuses our own sources, and addresses that hosts of a network cannot have
/// (RFC 6890): neither kernels nor routers would carry their packets.
pub(super) fn refuse_reserved(cidr: Cidr) -> Result<(), ControlError> {
    if cidr.overlaps(Cidr::RESERVED) {
        let owner = "the sources vpcep uses towards backends".to_owned();
        return Err(ControlError::Overlap { cidr, other: Cidr::RESERVED, owner });
    }
    let special = [
        ([0, 0, 0, 0], 8, "\"this network\" (RFC 791)"),
        ([127, 0, 0, 0], 8, "loopback addresses (RFC 1122)"),
        ([169, 254, 0, 0], 16, "link-local addresses (RFC 3927)"),
        ([224, 0, 0, 0], 4, "multicast addresses (RFC 5771)"),
        ([240, 0, 0, 0], 4, "reserved addresses and broadcast (RFC 1112)"),
    ];
    for (network, len, owner) in special {
        let other = Cidr::containing(network.into(), len);
        if cidr.overlaps(other) {
            return Err(ControlError::Overlap { cidr, other, owner: owner.into() });
        }
    }
    Ok(())
}

/// Deletes a VPC, with its default route table.
///
/// # Errors
/// When it is not there or something refers to it.
pub fn delete_vpc(tx: &mut Tx<'_>, scope: Scope, id: VpcId) -> Result<(), ControlError> {
    let state = tx.state;
    let project = Scope::Project(state.find::<Vpc>(scope, id)?.project);
    refuse_in_use(
        "vpc",
        &id.to_string(),
        &[
            ("route tables", state.route_tables.iter().filter(|t| t.vpc == id && !t.is_default).count()),
            ("subnets", state.subnets.iter().filter(|s| s.vpc == id).count()),
            ("attachments", state.attachments.iter().filter(|a| a.vpc == id).count()),
            ("backends", state.backends.iter().filter(|b| b.vpc == id).count()),
            ("endpoint services", state.listed::<Service>(project).filter(|s| s.vpc == id).count()),
            ("endpoints", state.listed::<Endpoint>(project).filter(|e| e.vpc == id).count()),
        ],
    )?;
    if let Some(table) = route_tables::default_of(state, id) {
        tx.delete::<RouteTable>(table.id);
    }
    tx.delete::<Vpc>(id);
    Ok(())
}

/// Refuses when any of the counts is not zero, naming those.
pub(super) fn refuse_in_use(
    what: &'static str,
    id: &str,
    users: &[(&str, usize)],
) -> Result<(), ControlError> {
    let users: Vec<_> = users.iter().filter(|(_, n)| *n > 0).map(|(kind, n)| format!("{n} {kind}")).collect();
    if users.is_empty() {
        return Ok(());
    }
    Err(ControlError::InUse { what, id: id.into(), users: users.join(", ") })
}

/// The VPC a request names, which must be one the caller may see.
///
/// # Errors
/// When there is none.
pub fn named_vpc(state: &State, scope: Scope, id: VpcId) -> Result<&Vpc, ControlError> {
    state.find(scope, id).map_err(|_| ControlError::NoSuchVpc { id: id.to_string() })
}

/// What a subnet is made of.
#[derive(Clone, Debug)]
pub struct NewSubnet {
    /// The VPC it is part of.
    pub vpc: VpcId,
    /// Its name.
    pub name: Name,
    /// Its range.
    pub cidr: Cidr,
    /// The router of its hosts.
    pub gateway: Option<Ipv4Addr>,
    /// Whether its hosts ask for their address.
    pub dhcp_enabled: bool,
    /// Name servers of its hosts.
    pub dns: DnsServers,
    /// Where it is.
    pub availability_zone: Option<Name>,
    /// The owner's note.
    pub description: Description,
}

/// Makes a subnet of a VPC; it belongs to the VPC's project.
///
/// # Errors
/// When the range is not inside the VPC's or overlaps another subnet of it, or
/// the router is not in the range, or the project may not have more.
pub fn create_subnet(tx: &mut Tx<'_>, scope: Scope, new: NewSubnet) -> Result<Subnet, ControlError> {
    let NewSubnet { vpc, name, cidr, gateway, dhcp_enabled, dns, availability_zone, description } = new;
    let vpc = named_vpc(tx.state, scope, vpc)?;
    refuse_reserved(cidr)?;
    if !vpc.cidr.covers(cidr) {
        return Err(ControlError::OutsideVpc { cidr, outer: vpc.cidr });
    }
    if let Some(other) = tx.state.subnets.iter().find(|s| s.vpc == vpc.id && s.cidr.overlaps(cidr)) {
        let owner = format!("subnet {} of the same vpc", other.name);
        return Err(ControlError::Overlap { cidr, other: other.cidr, owner });
    }
    if let Some(address) = gateway.filter(|address| !cidr.is_host(*address)) {
        return Err(ControlError::AddressOutside { field: "gateway_ip", address, network: cidr });
    }
    let used = count::<Subnet>(tx.state, Scope::Project(vpc.project));
    refuse_beyond("subnets", tx.state.quotas(Some(vpc.project)).subnets, used)?;
    let subnet = Subnet {
        id: SubnetId::random(),
        vpc: vpc.id,
        project: vpc.project,
        name,
        cidr,
        gateway,
        dhcp_enabled,
        dns,
        availability_zone,
        description,
        created_at: tx.now,
        updated_at: tx.now,
    };
    tx.put(&subnet);
    Ok(subnet)
}

/// Changes to a subnet; `None` keeps what is there.
#[derive(Clone, Debug, Default)]
pub struct SubnetChange {
    /// Its name.
    pub name: Option<Name>,
    /// Whether its hosts ask for their address.
    pub dhcp_enabled: Option<bool>,
    /// All of its name servers.
    pub dns: Option<DnsServers>,
    /// The owner's note.
    pub description: Option<Description>,
}

/// Changes a subnet.
///
/// # Errors
/// When it is not there.
pub fn update_subnet(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: SubnetId,
    change: SubnetChange,
) -> Result<Subnet, ControlError> {
    let SubnetChange { name, dhcp_enabled, dns, description } = change;
    let mut subnet = tx.state.find::<Subnet>(scope, id)?.clone();
    subnet.name = name.unwrap_or(subnet.name);
    subnet.dhcp_enabled = dhcp_enabled.unwrap_or(subnet.dhcp_enabled);
    subnet.dns = dns.unwrap_or(subnet.dns);
    subnet.description = description.unwrap_or(subnet.description);
    Ok(tx.revise(subnet))
}

/// Deletes a subnet.
///
/// # Errors
/// When it is not there or an endpoint has an address from it.
pub fn delete_subnet(tx: &mut Tx<'_>, scope: Scope, id: SubnetId) -> Result<(), ControlError> {
    let state = tx.state;
    let subnet = state.find::<Subnet>(scope, id)?;
    let endpoints = state.listed::<Endpoint>(Scope::Project(subnet.project));
    let endpoints = endpoints.filter(|e| e.subnet() == Some(id)).count();
    refuse_in_use("subnet", &id.to_string(), &[("endpoints", endpoints)])?;
    route_tables::forget_subnet(tx, subnet);
    tx.delete::<Subnet>(id);
    Ok(())
}

/// The subnet of a VPC that has an address.
#[must_use]
pub fn subnet_of(state: &State, vpc: VpcId, address: Ipv4Addr) -> Option<&Subnet> {
    state.subnets.iter().find(|subnet| subnet.vpc == vpc && subnet.cidr.contains(address))
}

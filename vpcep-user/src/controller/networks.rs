//! VPCs and subnets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use super::error::ControlError;
use super::state::{Scope, State, Tx};
use crate::model::{Cidr, Name, Subnet, SubnetId, Vpc, VpcId};
use crate::store::record::Numbers;

/// Makes a VPC. Other VPCs may have the same range.
///
/// # Errors
/// When the range overlaps one that no VPC may have, or no number is left.
pub fn create_vpc(tx: &mut Tx<'_>, scope: Scope, name: Name, cidr: Cidr) -> Result<Vpc, ControlError> {
    refuse_reserved(cidr)?;
    refuse_special(cidr)?;
    let numbers = tx.state.next_numbers();
    let number = free_vpc_number(tx.state, numbers.next_vpc)?;
    let vpc =
        Vpc { id: VpcId::random(), project: scope.own_project(), name, cidr, number, created_at: tx.now };
    tx.put(&Numbers { next_vpc: number.checked_add(1).unwrap_or(1), ..numbers });
    tx.put(&vpc);
    Ok(vpc)
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

fn refuse_reserved(cidr: Cidr) -> Result<(), ControlError> {
    if cidr.overlaps(Cidr::RESERVED) {
        let owner = "the sources vpcep uses towards backends".to_owned();
        return Err(ControlError::Overlap { cidr, other: Cidr::RESERVED, owner });
    }
    Ok(())
}

/// Refuses addresses that hosts of a network cannot have (RFC 6890): neither
/// kernels nor routers would carry their packets.
fn refuse_special(cidr: Cidr) -> Result<(), ControlError> {
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

/// Deletes a VPC.
///
/// # Errors
/// When it is not there or something refers to it.
pub fn delete_vpc(tx: &mut Tx<'_>, scope: Scope, id: VpcId) -> Result<(), ControlError> {
    let state = tx.state;
    state.find::<Vpc>(scope, id)?;
    refuse_in_use(
        "vpc",
        &id.to_string(),
        &[
            ("subnets", state.subnets.iter().filter(|s| s.vpc == id).count()),
            ("attachments", state.attachments.iter().filter(|a| a.vpc == id).count()),
            ("backends", state.backends.iter().filter(|b| b.vpc == id).count()),
            ("endpoint services", state.services.iter().filter(|s| s.vpc == id).count()),
            ("endpoints", state.endpoints.iter().filter(|e| e.vpc == id).count()),
        ],
    )?;
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

/// Makes a subnet of a VPC; it belongs to the VPC's project.
///
/// # Errors
/// When the range is not inside the VPC's or overlaps another subnet of it.
pub fn create_subnet(
    tx: &mut Tx<'_>,
    scope: Scope,
    vpc: VpcId,
    name: Name,
    cidr: Cidr,
) -> Result<Subnet, ControlError> {
    let vpc = named_vpc(tx.state, scope, vpc)?;
    refuse_reserved(cidr)?;
    if !vpc.cidr.covers(cidr) {
        return Err(ControlError::OutsideVpc { cidr, outer: vpc.cidr });
    }
    if let Some(other) = tx.state.subnets.iter().find(|s| s.vpc == vpc.id && s.cidr.overlaps(cidr)) {
        let owner = format!("subnet {} of the same vpc", other.name);
        return Err(ControlError::Overlap { cidr, other: other.cidr, owner });
    }
    let subnet =
        Subnet { id: SubnetId::random(), vpc: vpc.id, project: vpc.project, name, cidr, created_at: tx.now };
    tx.put(&subnet);
    Ok(subnet)
}

/// Deletes a subnet.
///
/// # Errors
/// When it is not there or an endpoint has an address from it.
pub fn delete_subnet(tx: &mut Tx<'_>, scope: Scope, id: SubnetId) -> Result<(), ControlError> {
    tx.state.find::<Subnet>(scope, id)?;
    let endpoints = tx.state.endpoints.iter().filter(|e| e.subnet == id).count();
    refuse_in_use("subnet", &id.to_string(), &[("endpoints", endpoints)])?;
    tx.delete::<Subnet>(id);
    Ok(())
}

/// Who may have an address in a VPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressOwner {
    /// The gateway itself.
    Gateway,
    /// The router the attachment names.
    Router,
    /// An endpoint.
    Endpoint,
    /// A backend, or a member of one.
    Backend,
}

impl fmt::Display for AddressOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "the gateway",
            Self::Router => "the router of the attachment",
            Self::Endpoint => "an endpoint",
            Self::Backend => "a backend",
        })
    }
}

/// Who has an address in a VPC.
#[must_use]
pub fn address_owner(state: &State, vpc: VpcId, address: Ipv4Addr) -> Option<AddressOwner> {
    match fixed_addresses(state, vpc).get(&address) {
        Some(&owner @ (AddressOwner::Gateway | AddressOwner::Router)) => Some(owner),
        _ if state.index.has_endpoint_address(vpc, address) => Some(AddressOwner::Endpoint),
        backend => backend.copied(),
    }
}

/// Who has which address in a VPC, but for endpoints, of which there are many.
#[must_use]
pub fn fixed_addresses(state: &State, vpc: VpcId) -> BTreeMap<Ipv4Addr, AddressOwner> {
    let mut taken = BTreeMap::new();
    for backend in state.backends.iter().filter(|b| b.vpc == vpc) {
        taken.extend(backend.addresses().map(|address| (address, AddressOwner::Backend)));
    }
    for attachment in state.attachments.iter().filter(|a| a.vpc == vpc) {
        taken.extend(attachment.next_hop.map(|hop| (hop, AddressOwner::Router)));
        taken.insert(attachment.address.address(), AddressOwner::Gateway);
    }
    taken
}

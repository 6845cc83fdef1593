//! Who has which address in a VPC, and which are free.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use super::error::ControlError;
use super::state::State;
use crate::model::{Subnet, VpcId};

/// Who may have an address in a VPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressOwner {
    /// The gateway itself.
    Gateway,
    /// The router the attachment names.
    Router,
    /// The router a subnet names.
    SubnetRouter,
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
            Self::SubnetRouter => "the router of the subnet (gateway_ip)",
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
fn fixed_addresses(state: &State, vpc: VpcId) -> BTreeMap<Ipv4Addr, AddressOwner> {
    let mut taken = BTreeMap::new();
    for subnet in state.subnets.iter().filter(|s| s.vpc == vpc) {
        taken.extend(subnet.gateway.map(|router| (router, AddressOwner::SubnetRouter)));
    }
    for backend in state.backends.iter().filter(|b| b.vpc == vpc) {
        taken.extend(backend.addresses().map(|address| (address, AddressOwner::Backend)));
    }
    for attachment in state.attachments.iter().filter(|a| a.vpc == vpc) {
        taken.extend(attachment.next_hop.map(|hop| (hop, AddressOwner::Router)));
        taken.insert(attachment.address.address(), AddressOwner::Gateway);
    }
    taken
}

/// The address asked for, if it can be had, or else the highest free one;
/// `field` names it in the error.
///
/// # Errors
/// When it is not a host's of the subnet, somebody has it, or none is free.
pub fn choose_address(
    state: &State,
    subnet: &Subnet,
    field: &'static str,
    asked: Option<Ipv4Addr>,
) -> Result<Ipv4Addr, ControlError> {
    let Some(address) = asked else {
        return free_address(state, subnet).ok_or(ControlError::SubnetFull { subnet: subnet.cidr });
    };
    if !subnet.cidr.is_host(address) {
        return Err(ControlError::OutsideSubnet { field, address, subnet: subnet.cidr });
    }
    match address_owner(state, subnet.vpc, address) {
        Some(owner) => Err(ControlError::AddressInUse { address, owner }),
        None => Ok(address),
    }
}

/// The highest address of a subnet that nobody has, as far as the model knows.
///
/// People number their machines from the bottom, and routers live at either end:
/// the first and the last host's address are given only to who asks for them.
fn free_address(state: &State, subnet: &Subnet) -> Option<Ipv4Addr> {
    let mut hosts = subnet.cidr.hosts();
    let (lowest, highest) = (hosts.next()?, hosts.next_back()?);
    let fixed = fixed_addresses(state, subnet.vpc);
    let mut limit = highest;
    loop {
        limit = u32::from(limit).checked_sub(1)?.into();
        limit = state.index.highest_without_endpoint(subnet.vpc, limit)?;
        if limit <= lowest {
            return None;
        }
        if !fixed.contains_key(&limit) {
            return Some(limit);
        }
    }
}

//! Endpoints, as the consumer makes and changes them.

use std::net::Ipv4Addr;

use super::connections::{Acted, step};
use super::error::ControlError;
use super::networks::{address_owner, fixed_addresses, named_vpc};
use super::state::{Scope, State, Tx};
use crate::model::connection::{Event, Refused, State as ConnectionState};
use crate::model::{
    Connection, Description, Endpoint, EndpointId, Service, ServiceId, ServiceStatus, Subnet, SubnetId,
    VpcId, Whitelist, WhitelistEntry,
};
use crate::reconcile::desired::Refusal;
use crate::store::record::Numbers;

/// What an endpoint is made of.
#[derive(Clone, Debug)]
pub struct NewEndpoint {
    /// The service.
    pub service: ServiceId,
    /// The consumer's VPC.
    pub vpc: VpcId,
    /// Where its address is from.
    pub subnet: SubnetId,
    /// Its address, if the caller wants a certain one.
    pub address: Option<Ipv4Addr>,
    /// Which clients may use it.
    pub whitelist: Whitelist,
    /// The consumer's note.
    pub description: Description,
}

/// Makes an endpoint. Its address is chosen now and shown once it is accepted.
///
/// # Errors
/// When the service is not there, not available or does not admit the account;
/// when VPC, subnet and address do not fit; when the project may not have more.
pub fn create(tx: &mut Tx<'_>, scope: Scope, new: NewEndpoint) -> Result<Endpoint, ControlError> {
    let state = tx.state;
    let vpc = named_vpc(state, scope, new.vpc)?;
    let subnet = state
        .find::<Subnet>(Scope::Project(vpc.project), new.subnet)
        .map_err(|_| ControlError::NoSuchSubnet { id: new.subnet.to_string() })?;
    if subnet.vpc != vpc.id {
        return Err(ControlError::SubnetElsewhere { subnet: subnet.id.to_string(), vpc: vpc.id.to_string() });
    }
    let service = connectable(state, vpc.project, new.service)?;
    let limit = state.quotas(Some(vpc.project)).endpoints;
    if state.index.endpoints.visible(Scope::Project(vpc.project)).len() >= limit as usize {
        return Err(ControlError::Quota { what: "endpoints", limit });
    }
    let address = choose_address(state, subnet, new.address)?;
    let numbers = state.next_numbers();
    let marker = free_marker(state, numbers.next_marker)?;
    let endpoint = Endpoint {
        id: EndpointId::random(),
        project: vpc.project,
        service: service.id,
        vpc: vpc.id,
        subnet: subnet.id,
        address,
        marker,
        whitelist: new.whitelist,
        refusal: Refusal::default(),
        description: new.description,
        connection_description: Description::default(),
        connection: Connection::new(service.approval_enabled, tx.now),
        created_at: tx.now,
        updated_at: tx.now,
    };
    tx.put(&Numbers { next_marker: marker.checked_add(1).unwrap_or(1), ..numbers });
    tx.put(&endpoint);
    Ok(endpoint)
}

/// The service an endpoint names, when the project's account may connect to it.
fn connectable(
    state: &State,
    consumer: crate::model::ProjectId,
    id: ServiceId,
) -> Result<&Service, ControlError> {
    let service = state.services.get(id).ok_or_else(|| ControlError::NoSuchService { id: id.to_string() })?;
    if !service.admits(state.domain_of(service.project), state.domain_of(consumer)) {
        return Err(ControlError::NotWhitelisted { id });
    }
    if service.status != ServiceStatus::Available {
        return Err(ControlError::ServiceNotAvailable { id, status: service.status.as_str() });
    }
    Ok(service)
}

/// The address asked for, if it can be had, or else the highest free one.
fn choose_address(state: &State, subnet: &Subnet, asked: Option<Ipv4Addr>) -> Result<Ipv4Addr, ControlError> {
    let Some(address) = asked else {
        return free_address(state, subnet).ok_or(ControlError::SubnetFull { subnet: subnet.cidr });
    };
    if !subnet.cidr.is_host(address) {
        return Err(ControlError::PortIpOutside { address, subnet: subnet.cidr });
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

/// The first marker from `next` on that no endpoint has.
fn free_marker(state: &State, next: u32) -> Result<u32, ControlError> {
    let mut candidates = (next.max(1)..=u32::MAX).chain(1..next);
    let exhausted = || ControlError::NumbersExhausted { what: "endpoint", limit: u32::MAX };
    candidates.find(|marker| !state.index.has_marker(*marker)).ok_or_else(exhausted)
}

/// Changes the whitelist; `None` keeps what is there.
///
/// # Errors
/// When the endpoint is not there or is being deleted, or the list is too long.
pub fn update_whitelist(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: EndpointId,
    enabled: Option<bool>,
    entries: Option<Vec<WhitelistEntry>>,
) -> Result<Endpoint, ControlError> {
    let mut endpoint = changeable(tx.state, scope, id)?.clone();
    let enabled = enabled.unwrap_or(endpoint.whitelist.is_enabled());
    let entries = entries.unwrap_or_else(|| endpoint.whitelist.entries().to_vec());
    endpoint.whitelist = Whitelist::new(enabled, entries)?;
    endpoint.updated_at = tx.now;
    tx.put(&endpoint);
    Ok(endpoint)
}

/// Changes what a refused client gets.
///
/// # Errors
/// When the endpoint is not there or is being deleted.
pub fn set_refusal(tx: &mut Tx<'_>, id: EndpointId, refusal: Refusal) -> Result<Endpoint, ControlError> {
    let endpoint = changeable(tx.state, Scope::Every, id)?;
    let endpoint = Endpoint { refusal, updated_at: tx.now, ..endpoint.clone() };
    tx.put(&endpoint);
    Ok(endpoint)
}

fn changeable(state: &State, scope: Scope, id: EndpointId) -> Result<&Endpoint, ControlError> {
    let endpoint = state.find::<Endpoint>(scope, id)?;
    if endpoint.connection.state == ConnectionState::Deleting {
        return Err(ControlError::Connection { endpoint: id.to_string(), source: Refused::Deleting });
    }
    Ok(endpoint)
}

/// Deletes an endpoint, in any state; it is gone when a pass has covered that.
///
/// # Errors
/// When it is not there.
pub fn delete(tx: &mut Tx<'_>, scope: Scope, id: EndpointId) -> Result<Acted, ControlError> {
    let endpoint = tx.state.find::<Endpoint>(scope, id)?;
    step(tx, endpoint, Event::Delete)
}

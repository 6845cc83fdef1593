//! Endpoints, as the consumer makes and changes them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::addresses::choose_address;
use super::connections::{Acted, step};
use super::error::ControlError;
use super::networks::named_vpc;
use super::quotas::refuse_beyond;
use super::route_tables;
use super::state::{Scope, State};
use super::tx::Tx;
use crate::model::connection::{Event, Refused, State as ConnectionState};
use crate::model::{
    Connection, Description, Endpoint, EndpointId, EndpointKind, Policy, ProjectId, RouteTableId, Service,
    ServiceId, ServiceKind, ServiceStatus, Subnet, SubnetId, Tags, Vpc, VpcId, Whitelist, WhitelistEntry,
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
    /// Where its address is from; an endpoint of an interface service needs one.
    pub subnet: Option<SubnetId>,
    /// Its address, if the caller wants a certain one.
    pub address: Option<Ipv4Addr>,
    /// Whether it has a name of its own in the VPC; one without address never has.
    pub has_name: bool,
    /// The tables that lead to an endpoint of a gateway service; without any, the
    /// VPC's default one.
    pub route_tables: Vec<RouteTableId>,
    /// Which clients may use it.
    pub whitelist: Whitelist,
    /// What its users may do at the service.
    pub policy: Policy,
    /// The consumer's tags.
    pub tags: Tags,
    /// The consumer's note.
    pub description: Description,
}

/// Most route tables of one endpoint.
pub const MAX_ROUTE_TABLES: usize = 64;

/// Makes an endpoint. Its address is chosen now and shown once it is accepted.
///
/// # Errors
/// When the service is not there, not available or does not admit the account;
/// when VPC, subnet, address and route tables do not fit each other or the type
/// of the service; when the service takes no policy; when the project may not
/// have more.
pub fn create(tx: &mut Tx<'_>, scope: Scope, new: NewEndpoint) -> Result<Endpoint, ControlError> {
    let state = tx.state;
    let vpc = named_vpc(state, scope, new.vpc)?;
    let service = connectable(state, vpc.project, new.service)?;
    let kind = match &service.kind {
        ServiceKind::Interface { .. } => at_address(state, vpc, &new)?,
        ServiceKind::Gateway { .. } => by_routes(state, vpc, service, &new)?,
    };
    if !new.policy.is_empty() {
        refuse_without_policy(service)?;
    }
    let limit = state.quotas(Some(vpc.project)).endpoints;
    refuse_beyond("endpoints", limit, state.index.endpoints.visible(Scope::Project(vpc.project)).len())?;
    let numbers = state.next_numbers();
    let marker = free_marker(state, numbers.next_marker)?;
    let endpoint = Endpoint {
        id: EndpointId::random(),
        project: vpc.project,
        service: service.id,
        vpc: vpc.id,
        kind,
        marker,
        whitelist: new.whitelist,
        refusal: Refusal::default(),
        policy: new.policy,
        tags: new.tags,
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

/// How an endpoint of an interface service is reached.
fn at_address(state: &State, vpc: &Vpc, new: &NewEndpoint) -> Result<EndpointKind, ControlError> {
    refuse_field("routetables", !new.route_tables.is_empty(), new.service, "interface")?;
    let id = new.subnet.ok_or(ControlError::SubnetMissing)?;
    let subnet = state
        .find::<Subnet>(Scope::Project(vpc.project), id)
        .map_err(|_| ControlError::NoSuchSubnet { id: id.to_string() })?;
    if subnet.vpc != vpc.id {
        return Err(ControlError::SubnetElsewhere { subnet: subnet.id.to_string(), vpc: vpc.id.to_string() });
    }
    let address = choose_address(state, subnet, "port_ip", new.address)?;
    Ok(EndpointKind::Interface { subnet: subnet.id, address, has_name: new.has_name })
}

/// How an endpoint of a gateway service is reached.
fn by_routes(
    state: &State,
    vpc: &Vpc,
    service: &Service,
    new: &NewEndpoint,
) -> Result<EndpointKind, ControlError> {
    refuse_field("subnet_id", new.subnet.is_some(), service.id, "gateway")?;
    refuse_field("port_ip", new.address.is_some(), service.id, "gateway")?;
    let mut route_tables = distinct(&new.route_tables)?;
    if route_tables.is_empty() {
        let default = route_tables::default_of(state, vpc.id);
        route_tables.push(default.ok_or(ControlError::NoRouteTables)?.id);
    }
    for table in &route_tables {
        route_tables::check_routes(state, vpc.id, *table, None, service.kind.prefixes())?;
    }
    Ok(EndpointKind::Gateway { route_tables })
}

fn refuse_field(
    field: &'static str,
    is_given: bool,
    service: ServiceId,
    kind: &'static str,
) -> Result<(), ControlError> {
    if is_given {
        let (what, id) = ("endpoint service", service.to_string());
        return Err(ControlError::WrongKind { field, what, id, kind });
    }
    Ok(())
}

/// Each table once, in the order given.
fn distinct(tables: &[RouteTableId]) -> Result<Vec<RouteTableId>, ControlError> {
    let mut seen = BTreeSet::new();
    let tables: Vec<_> = tables.iter().filter(|table| seen.insert(**table)).copied().collect();
    match tables.len() {
        count if count > MAX_ROUTE_TABLES => {
            Err(ControlError::TooMany { field: "routetables", count, limit: MAX_ROUTE_TABLES })
        }
        _ => Ok(tables),
    }
}

fn refuse_without_policy(service: &Service) -> Result<(), ControlError> {
    if service.enable_policy { Ok(()) } else { Err(ControlError::NoPolicy { id: service.id }) }
}

/// The service an endpoint names, when the project's account may connect to it.
fn connectable(state: &State, consumer: ProjectId, id: ServiceId) -> Result<&Service, ControlError> {
    let service = state.services.get(id).ok_or_else(|| ControlError::NoSuchService { id: id.to_string() })?;
    if !service.admits(state.domain_of(service.project), state.domain_of(consumer)) {
        return Err(ControlError::NotWhitelisted { id });
    }
    if service.status != ServiceStatus::Available {
        return Err(ControlError::ServiceNotAvailable { id, status: service.status.as_str() });
    }
    Ok(service)
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
    Ok(tx.revise(endpoint))
}

/// Changes what a refused client gets.
///
/// # Errors
/// When the endpoint is not there or is being deleted.
pub fn set_refusal(tx: &mut Tx<'_>, id: EndpointId, refusal: Refusal) -> Result<Endpoint, ControlError> {
    let endpoint = changeable(tx.state, Scope::Every, id)?;
    let endpoint = Endpoint { refusal, ..endpoint.clone() };
    Ok(tx.revise(endpoint))
}

/// An endpoint that may be changed: any but one on its way out.
pub(super) fn changeable(state: &State, scope: Scope, id: EndpointId) -> Result<&Endpoint, ControlError> {
    let endpoint = state.find::<Endpoint>(scope, id)?;
    if endpoint.connection.state == ConnectionState::Deleting {
        return Err(ControlError::Connection { endpoint: id.to_string(), source: Refused::Deleting });
    }
    Ok(endpoint)
}

/// The route tables of an endpoint after a change, and those it could not have.
#[derive(Debug)]
pub struct Bound {
    /// The endpoint as it is now.
    pub endpoint: Endpoint,
    /// Tables that do not lead to it, and why.
    pub failed: Vec<(RouteTableId, ControlError)>,
}

/// Gives a gateway endpoint other route tables. Those that cannot lead to it are
/// left out, unless none is left.
///
/// # Errors
/// When the endpoint is not there, is being deleted or is not a gateway one, or
/// no table can lead to it.
pub fn set_route_tables(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: EndpointId,
    tables: &[RouteTableId],
) -> Result<Bound, ControlError> {
    let state = tx.state;
    let mut endpoint = changeable(state, scope, id)?.clone();
    if let EndpointKind::Interface { .. } = endpoint.kind {
        let (what, kind) = ("endpoint", endpoint.kind.as_str());
        return Err(ControlError::WrongKind { field: "routetables", what, id: id.to_string(), kind });
    }
    let prefixes = state.services.get(endpoint.service).map_or(&[][..], |service| service.kind.prefixes());
    let (mut bound, mut failed) = (Vec::new(), Vec::new());
    for table in distinct(tables)? {
        match route_tables::check_routes(state, endpoint.vpc, table, Some(id), prefixes) {
            Ok(()) => bound.push(table),
            Err(error) => failed.push((table, error)),
        }
    }
    if bound.is_empty() {
        return Err(failed.into_iter().next().map_or(ControlError::NoRouteTables, |(_, error)| error));
    }
    endpoint.kind = EndpointKind::Gateway { route_tables: bound };
    Ok(Bound { endpoint: tx.revise(endpoint), failed })
}

/// Gives an endpoint another policy; the empty one allows everything.
///
/// # Errors
/// When the endpoint is not there or is being deleted, or its service takes no
/// policy or is gone.
pub fn set_policy(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: EndpointId,
    policy: Policy,
) -> Result<Endpoint, ControlError> {
    let endpoint = changeable(tx.state, scope, id)?;
    let service = tx.state.services.get(endpoint.service);
    refuse_without_policy(
        service.ok_or_else(|| ControlError::NoSuchService { id: endpoint.service.to_string() })?,
    )?;
    let endpoint = Endpoint { policy, ..endpoint.clone() };
    Ok(tx.revise(endpoint))
}

/// Names of a VPC's endpoints that carry traffic, with their addresses: what a
/// resolver of the VPC should answer.
///
/// # Errors
/// When the VPC is not there.
pub fn hosts(state: &State, scope: Scope, vpc: VpcId) -> Result<Vec<(String, Ipv4Addr)>, ControlError> {
    let project = Scope::Project(state.find::<Vpc>(scope, vpc)?.project);
    let accepted = state
        .listed::<Endpoint>(project)
        .filter(|endpoint| endpoint.vpc == vpc && endpoint.connection.state == ConnectionState::Accepted);
    Ok(accepted.filter_map(|endpoint| Some((state.dns_name(endpoint)?, endpoint.address()?))).collect())
}

/// Deletes an endpoint, in any state; it is gone when a pass has covered that.
///
/// # Errors
/// When it is not there.
pub fn delete(tx: &mut Tx<'_>, scope: Scope, id: EndpointId) -> Result<Acted, ControlError> {
    let endpoint = tx.state.find::<Endpoint>(scope, id)?;
    step(tx, endpoint, Event::Delete)
}

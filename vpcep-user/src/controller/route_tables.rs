//! Route tables: which subnets of a VPC have which routes, and to which gateway
//! endpoints those lead.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::error::ControlError;
use super::networks::{named_vpc, refuse_in_use};
use super::state::{Scope, State};
use super::tx::Tx;
use crate::model::connection::State as ConnectionState;
use crate::model::{Cidr, Description, EndpointId, Name, RouteTable, RouteTableId, Subnet, SubnetId, VpcId};

/// What a route table is made of.
#[derive(Clone, Debug)]
pub struct NewRouteTable {
    /// The VPC whose routes it has.
    pub vpc: VpcId,
    /// Its name; one made from its id if it has none.
    pub name: Option<Name>,
    /// Subnets to take from the table they have.
    pub subnets: BTreeSet<SubnetId>,
    /// The owner's note.
    pub description: Description,
}

/// Makes a route table; it belongs to the VPC's project.
///
/// # Errors
/// When the VPC or a subnet is not there, or a subnet is another VPC's.
pub fn create(tx: &mut Tx<'_>, scope: Scope, new: NewRouteTable) -> Result<RouteTable, ControlError> {
    let vpc = named_vpc(tx.state, scope, new.vpc)?;
    check_subnets(tx.state, vpc.id, &new.subnets)?;
    let id = RouteTableId::random();
    let table = RouteTable {
        id,
        vpc: vpc.id,
        project: vpc.project,
        name: new.name.unwrap_or_else(|| Name::of("rtb", id.as_u128())),
        is_default: false,
        subnets: new.subnets,
        description: new.description,
        created_at: tx.now,
        updated_at: tx.now,
    };
    take_from_others(tx, &table, &table.subnets);
    tx.put(&table);
    Ok(table)
}

/// Gives each VPC that has none its default table.
pub(super) fn complete(tx: &mut Tx<'_>) {
    let state = tx.state;
    let defaults = state.route_tables.iter().filter(|table| table.is_default);
    let complete: BTreeSet<VpcId> = defaults.map(|table| table.vpc).collect();
    for vpc in state.vpcs.iter().filter(|vpc| !complete.contains(&vpc.id)) {
        tx.put(&RouteTable::default_of(vpc.id, vpc.project, vpc.created_at));
    }
}

/// The default table of a VPC: every VPC that is there has one.
#[must_use]
pub fn default_of(state: &State, vpc: VpcId) -> Option<&RouteTable> {
    state.route_tables.iter().find(|table| table.vpc == vpc && table.is_default)
}

/// The table that a client's packets follow: that of its subnet, or the default one.
#[must_use]
pub fn of_client(state: &State, vpc: VpcId, client: Ipv4Addr) -> Option<&RouteTable> {
    let subnet = state.subnets.iter().find(|subnet| subnet.vpc == vpc && subnet.cidr.contains(client));
    let given = subnet.and_then(|subnet| {
        state.route_tables.iter().find(|table| table.vpc == vpc && table.subnets.contains(&subnet.id))
    });
    given.or_else(|| default_of(state, vpc))
}

/// The subnets that have a table's routes; those of the default one are all that
/// no other table was given.
#[must_use]
pub fn subnets(state: &State, table: &RouteTable) -> BTreeSet<SubnetId> {
    if !table.is_default {
        return table.subnets.clone();
    }
    let given: BTreeSet<_> = state.route_tables.iter().flat_map(|table| &table.subnets).collect();
    let of_vpc = state.subnets.iter().filter(|subnet| subnet.vpc == table.vpc);
    of_vpc.map(|subnet| subnet.id).filter(|id| !given.contains(id)).collect()
}

/// Gives subnets to a table, and those it loses back to the default one. What is
/// so already is no error.
///
/// # Errors
/// When the table or a subnet is not there, a subnet is another VPC's, or the
/// default table should lose one: a subnet has a table at all times.
pub fn associate(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: RouteTableId,
    gains: &BTreeSet<SubnetId>,
    loses: &BTreeSet<SubnetId>,
) -> Result<RouteTable, ControlError> {
    let mut table = tx.state.find::<RouteTable>(scope, id)?.clone();
    check_subnets(tx.state, table.vpc, gains)?;
    check_subnets(tx.state, table.vpc, loses)?;
    if table.is_default && !loses.is_empty() {
        return Err(ControlError::DefaultRouteTable { id, refused: "lose subnets: give them to another" });
    }
    take_from_others(tx, &table, gains);
    if !table.is_default {
        table.subnets.retain(|subnet| !loses.contains(subnet));
        table.subnets.extend(gains);
    }
    Ok(tx.revise(table))
}

fn check_subnets(state: &State, vpc: VpcId, subnets: &BTreeSet<SubnetId>) -> Result<(), ControlError> {
    for id in subnets {
        let subnet = state.subnets.get(*id).filter(|subnet| subnet.vpc == vpc);
        subnet
            .ok_or_else(|| ControlError::SubnetElsewhere { subnet: id.to_string(), vpc: vpc.to_string() })?;
    }
    Ok(())
}

fn take_from_others(tx: &mut Tx<'_>, table: &RouteTable, subnets: &BTreeSet<SubnetId>) {
    let state = tx.state;
    let others = state.route_tables.iter().filter(|other| other.id != table.id);
    for other in others.filter(|other| !other.subnets.is_disjoint(subnets)) {
        let kept = other.subnets.difference(subnets).copied().collect();
        tx.put(&RouteTable { subnets: kept, updated_at: tx.now, ..other.clone() });
    }
}

/// Takes a subnet that is going out of the table it was given to.
pub(super) fn forget_subnet(tx: &mut Tx<'_>, subnet: &Subnet) {
    let state = tx.state;
    for table in state.route_tables.iter().filter(|table| table.subnets.contains(&subnet.id)) {
        let mut table = table.clone();
        table.subnets.remove(&subnet.id);
        tx.put(&RouteTable { updated_at: tx.now, ..table });
    }
}

/// Deletes a route table.
///
/// # Errors
/// When it is not there, is a VPC's default one, has subnets, or leads to an
/// endpoint.
pub fn delete(tx: &mut Tx<'_>, scope: Scope, id: RouteTableId) -> Result<(), ControlError> {
    let state = tx.state;
    let table = state.find::<RouteTable>(scope, id)?;
    if table.is_default {
        return Err(ControlError::DefaultRouteTable { id, refused: "be deleted: it goes with the vpc" });
    }
    refuse_in_use(
        "route table",
        &id.to_string(),
        &[("endpoints", state.index.endpoints_of_route_table(id).count()), ("subnets", table.subnets.len())],
    )?;
    tx.delete::<RouteTable>(id);
    Ok(())
}

/// Checks that a table of a VPC can lead to an endpoint with these networks.
///
/// # Errors
/// When the VPC has no such table, or the table leads to another endpoint with
/// a network that overlaps: a packet would have two ways.
pub(super) fn check_routes(
    state: &State,
    vpc: VpcId,
    table: RouteTableId,
    own: Option<EndpointId>,
    prefixes: &[Cidr],
) -> Result<(), ControlError> {
    let known = state.route_tables.get(table).filter(|known| known.vpc == vpc);
    known.ok_or_else(|| ControlError::NoSuchRouteTable { id: table, vpc })?;
    let others = state.index.endpoints_of_route_table(table).filter(|id| Some(*id) != own);
    for other in others.filter_map(|id| state.endpoints.get(id)) {
        let theirs = state.services.get(other.service).map_or(&[][..], |service| service.kind.prefixes());
        let clashes = prefixes.iter().any(|prefix| theirs.iter().any(|other| other.overlaps(*prefix)));
        if clashes && other.connection.state != ConnectionState::Deleting {
            return Err(ControlError::RouteTableInUse { id: table, endpoint: other.id });
        }
    }
    Ok(())
}

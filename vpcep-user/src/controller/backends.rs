//! Backend resources, which are the ports of VPCs as well.

use std::net::Ipv4Addr;

use super::addresses::{AddressOwner, address_owner, choose_address};
use super::error::ControlError;
use super::networks::{named_vpc, refuse_in_use};
use super::quotas::{count, refuse_beyond};
use super::state::{Scope, State};
use super::tx::Tx;
use crate::model::{
    Algorithm, Backend, BackendId, BackendKind, HealthCheck, Member, MemberName, ModelError, Name, ProjectId,
    Subnet, SubnetId, Vpc, VpcId,
};

/// What a backend is made of.
#[derive(Clone, Debug)]
pub struct NewBackend {
    /// The VPC it is in.
    pub vpc: VpcId,
    /// Its name.
    pub name: Name,
    /// What it is.
    pub kind: BackendKind,
    /// Its address.
    pub address: Ipv4Addr,
    /// The servers behind a load balancer.
    pub members: Vec<Member>,
    /// How it spreads connections over them.
    pub algorithm: Algorithm,
    /// How it finds out which of them serve.
    pub health_check: Option<HealthCheck>,
}

/// Makes a backend; it belongs to the VPC's project.
///
/// # Errors
/// When an address is not in the VPC or is an endpoint's or the gateway's, the
/// members do not go with the kind, or the project may not have more.
pub fn create(tx: &mut Tx<'_>, scope: Scope, new: NewBackend) -> Result<Backend, ControlError> {
    let vpc = named_vpc(tx.state, scope, new.vpc)?;
    let backend = Backend {
        id: BackendId::random(),
        vpc: vpc.id,
        project: vpc.project,
        name: new.name,
        kind: new.kind,
        address: new.address,
        members: new.members,
        algorithm: new.algorithm,
        health_check: new.health_check,
        created_at: tx.now,
        updated_at: tx.now,
    };
    backend.check()?;
    for address in backend.addresses() {
        check_address(tx.state, vpc, address)?;
    }
    refuse_another(tx.state, vpc.project)?;
    tx.put(&backend);
    Ok(backend)
}

/// Several backends may name one server, and one may be the router; a gateway or an
/// endpoint would send its own packets back to itself.
fn check_address(state: &State, vpc: &Vpc, address: Ipv4Addr) -> Result<(), ControlError> {
    if !vpc.cidr.is_host(address) {
        return Err(ControlError::AddressOutside { field: "address", address, network: vpc.cidr });
    }
    match address_owner(state, vpc.id, address) {
        Some(owner @ (AddressOwner::Gateway | AddressOwner::Endpoint)) => {
            Err(ControlError::AddressInUse { address, owner })
        }
        _ => Ok(()),
    }
}

/// What a backend may change of itself; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct BackendChange {
    /// Its name.
    pub name: Option<Name>,
    /// How it spreads connections.
    pub algorithm: Option<Algorithm>,
    /// How it checks its members; `Some(None)` ends the checks.
    pub health_check: Option<Option<HealthCheck>>,
}

/// Changes a backend.
///
/// # Errors
/// When it is not there, or the change does not go with its kind or members.
pub fn update(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: BackendId,
    change: BackendChange,
) -> Result<Backend, ControlError> {
    let BackendChange { name, algorithm, health_check } = change;
    revise(tx, scope, id, |backend| {
        backend.name = name.unwrap_or_else(|| backend.name.clone());
        backend.algorithm = algorithm.unwrap_or(backend.algorithm);
        backend.health_check = health_check.unwrap_or_else(|| backend.health_check.clone());
        Ok(())
    })
}

/// Adds a member to a load balancer.
///
/// # Errors
/// When the backend is not there or no load balancer, has the member already or as many
/// as it may, or the address is not in the VPC or is an endpoint's or the gateway's.
pub fn add_member(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: BackendId,
    member: Member,
) -> Result<Backend, ControlError> {
    let backend = tx.state.find::<Backend>(scope, id)?;
    let vpc = named_vpc(tx.state, scope, backend.vpc)?;
    check_address(tx.state, vpc, member.address)?;
    revise(tx, scope, id, |backend| {
        backend.members.push(member);
        Ok(())
    })
}

/// What may change of a member; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemberChange {
    /// Its share of new connections.
    pub weight: Option<i64>,
    /// Whether it gets no new ones.
    pub is_draining: Option<bool>,
}

/// Changes a member of a load balancer.
///
/// # Errors
/// When backend or member are not there, or the weight is none.
pub fn update_member(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: BackendId,
    name: MemberName,
    change: MemberChange,
) -> Result<Backend, ControlError> {
    revise(tx, scope, id, |backend| {
        let place = place_of(backend, name)?;
        let known = backend.members[place];
        let weight = change.weight.unwrap_or_else(|| known.weight().into());
        let is_draining = change.is_draining.unwrap_or(known.is_draining);
        backend.members[place] = Member::new(known.address, known.port, weight)?.draining(is_draining);
        Ok(())
    })
}

/// Removes a member of a load balancer. Its connections go on until they end.
///
/// # Errors
/// When backend or member are not there, or it is the last one.
pub fn remove_member(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: BackendId,
    name: MemberName,
) -> Result<Backend, ControlError> {
    revise(tx, scope, id, |backend| {
        let place = place_of(backend, name)?;
        if backend.members.len() == 1 {
            // Without members connections would go to the load balancer's own address.
            let problem =
                format!("{name} is the last member: drain it, add another first, or delete the backend");
            return Err(ModelError::Members { problem }.into());
        }
        backend.members.remove(place);
        Ok(())
    })
}

fn place_of(backend: &Backend, name: MemberName) -> Result<usize, ControlError> {
    let place = backend.members.iter().position(|member| member.name() == name);
    place.ok_or_else(|| ControlError::NotFound { kind: "member", id: name.to_string() })
}

/// Changes a backend to another that can be.
fn revise(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: BackendId,
    change: impl FnOnce(&mut Backend) -> Result<(), ControlError>,
) -> Result<Backend, ControlError> {
    let mut backend = tx.state.find::<Backend>(scope, id)?.clone();
    change(&mut backend)?;
    backend.check()?;
    Ok(tx.revise(backend))
}

/// Refuses what would be beyond the quota, however it is made.
fn refuse_another(state: &State, project: ProjectId) -> Result<(), ControlError> {
    let used = count::<Backend>(state, Scope::Project(project));
    refuse_beyond("backends", state.quotas(Some(project)).backends, used)
}

/// What a port is made of.
#[derive(Clone, Debug)]
pub struct NewPort {
    /// The subnet its address is from.
    pub subnet: SubnetId,
    /// Its name; one made from its id if it has none.
    pub name: Option<Name>,
    /// What has it.
    pub kind: BackendKind,
    /// Its address, if the caller wants a certain one.
    pub address: Option<Ipv4Addr>,
}

/// Makes a port: a backend with an address of its own in a subnet.
///
/// # Errors
/// When the subnet is not there, the address is not a host's in it or is taken,
/// or the project may not have more.
pub fn create_port(tx: &mut Tx<'_>, scope: Scope, new: NewPort) -> Result<Backend, ControlError> {
    let subnet = tx.state.find::<Subnet>(scope, new.subnet);
    let subnet = subnet.map_err(|_| ControlError::NoSuchNetwork { id: new.subnet.to_string() })?;
    let id = BackendId::random();
    let backend = Backend {
        id,
        vpc: subnet.vpc,
        project: subnet.project,
        name: new.name.unwrap_or_else(|| Name::of("port", id.as_u128())),
        kind: new.kind,
        address: choose_address(tx.state, subnet, "ip_address", new.address)?,
        members: Vec::new(),
        algorithm: Algorithm::default(),
        health_check: None,
        created_at: tx.now,
        updated_at: tx.now,
    };
    refuse_another(tx.state, subnet.project)?;
    tx.put(&backend);
    Ok(backend)
}

/// Deletes a backend.
///
/// # Errors
/// When it is not there or a service offers it.
pub fn delete(tx: &mut Tx<'_>, scope: Scope, id: BackendId) -> Result<(), ControlError> {
    tx.state.find::<Backend>(scope, id)?;
    let services = tx.state.services.iter().filter(|s| s.kind.backend() == Some(id)).count();
    refuse_in_use("backend", &id.to_string(), &[("endpoint services", services)])?;
    tx.delete::<Backend>(id);
    Ok(())
}

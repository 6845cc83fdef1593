//! Backend resources, which are the ports of VPCs as well.

use std::net::Ipv4Addr;

use super::addresses::{AddressOwner, address_owner, choose_address};
use super::error::ControlError;
use super::networks::{named_vpc, refuse_in_use};
use super::quotas::{count, refuse_beyond};
use super::state::{Scope, State};
use super::tx::Tx;
use crate::model::{Backend, BackendId, BackendKind, Member, Name, ProjectId, Subnet, SubnetId, VpcId};

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
}

/// Makes a backend; it belongs to the VPC's project.
///
/// # Errors
/// When an address is not in the VPC or is an endpoint's or the gateway's, the
/// members do not go with the kind, or the project may not have more.
pub fn create(tx: &mut Tx<'_>, scope: Scope, new: NewBackend) -> Result<Backend, ControlError> {
    let vpc = named_vpc(tx.state, scope, new.vpc)?;
    Backend::check_members(new.kind, &new.members)?;
    let backend = Backend {
        id: BackendId::random(),
        vpc: vpc.id,
        project: vpc.project,
        name: new.name,
        kind: new.kind,
        address: new.address,
        members: new.members,
        created_at: tx.now,
    };
    for address in backend.addresses() {
        if !vpc.cidr.is_host(address) {
            return Err(ControlError::AddressOutside { field: "address", address, network: vpc.cidr });
        }
        // Several backends may name one server, and one may be the router; a gateway or an
        // endpoint would send its own packets back to itself.
        if let Some(owner @ (AddressOwner::Gateway | AddressOwner::Endpoint)) =
            address_owner(tx.state, vpc.id, address)
        {
            return Err(ControlError::AddressInUse { address, owner });
        }
    }
    refuse_another(tx.state, vpc.project)?;
    tx.put(&backend);
    Ok(backend)
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
        created_at: tx.now,
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

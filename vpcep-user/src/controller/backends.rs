//! Backend resources.

use std::net::Ipv4Addr;

use super::error::ControlError;
use super::networks::{AddressOwner, address_owner, named_vpc, refuse_in_use};
use super::state::{Scope, Tx};
use crate::model::{Backend, BackendId, BackendKind, Member, Name, VpcId};

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
/// When an address is not in the VPC or is an endpoint's or the gateway's, or
/// the members do not go with the kind.
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
    tx.put(&backend);
    Ok(backend)
}

/// Deletes a backend.
///
/// # Errors
/// When it is not there or a service offers it.
pub fn delete(tx: &mut Tx<'_>, scope: Scope, id: BackendId) -> Result<(), ControlError> {
    tx.state.find::<Backend>(scope, id)?;
    let services = tx.state.services.iter().filter(|s| s.backend == id).count();
    refuse_in_use("backend", &id.to_string(), &[("endpoint services", services)])?;
    tx.delete::<Backend>(id);
    Ok(())
}

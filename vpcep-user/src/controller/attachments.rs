//! Attachments: where VPCs reach this host. The operator's alone.

use std::net::Ipv4Addr;

use super::addresses::{AddressOwner, address_owner};
use super::error::ControlError;
use super::state::State;
use super::tx::Tx;
use crate::model::{Attachment, AttachmentId, Cidr, InterfaceAddress, InterfaceName, VlanId, VpcId};
use crate::reconcile::desired::AttachMode;

/// What an attachment is made of.
#[derive(Clone, Debug)]
pub struct NewAttachment {
    /// The VPC.
    pub vpc: VpcId,
    /// The interface.
    pub interface: InterfaceName,
    /// The VLAN of it, if it carries several networks.
    pub vlan: Option<VlanId>,
    /// The gateway's own address in the VPC.
    pub address: InterfaceAddress,
    /// How programs are attached.
    pub mode: AttachMode,
    /// Router for addresses outside the on-link prefix.
    pub next_hop: Option<Ipv4Addr>,
}

/// Attaches a VPC to this host. A VPC has one attachment, and an interface (or a
/// VLAN of it) one VPC: packets must lead to exactly one network, and back.
///
/// # Errors
/// When either is attached already, or an address does not fit.
pub fn create(tx: &mut Tx<'_>, new: NewAttachment) -> Result<Attachment, ControlError> {
    let state = tx.state;
    let vpc = state.vpcs.get(new.vpc).ok_or_else(|| ControlError::NoSuchVpc { id: new.vpc.to_string() })?;
    if state.attachments.iter().any(|a| a.vpc == vpc.id) {
        let what = format!("an attachment of vpc {}", vpc.id);
        return Err(ControlError::Exists { what, detail: ": a vpc has one on each gateway host" });
    }
    if state.attachments.iter().any(|a| a.interface == new.interface && a.vlan == new.vlan) {
        let vlan = new.vlan.map_or(String::new(), |vlan| format!(" vlan {}", vlan.get()));
        let what = format!("an attachment of interface {}{vlan}", new.interface.as_str());
        return Err(ControlError::Exists { what, detail: ": an interface or VLAN carries one vpc" });
    }
    let address = new.address.address();
    if !vpc.cidr.contains(address) {
        return Err(ControlError::AddressOutside { field: "address", address, network: vpc.cidr });
    }
    // An on-link prefix that reaches beyond the VPC would look for other networks' hosts on this link.
    let on_link = new.address.network();
    if !vpc.cidr.covers(on_link) {
        return Err(ControlError::OutsideVpc { cidr: on_link, outer: vpc.cidr });
    }
    if let Some(owner @ (AddressOwner::Endpoint | AddressOwner::Backend)) =
        address_owner(state, vpc.id, address)
    {
        return Err(ControlError::AddressInUse { address, owner });
    }
    if let Some(hop) = new.next_hop {
        check_next_hop(hop, address, on_link)?;
        // A backend may be the router as well; packets sent to an endpoint would come back to us.
        if let Some(owner @ AddressOwner::Endpoint) = address_owner(state, vpc.id, hop) {
            return Err(ControlError::AddressInUse { address: hop, owner });
        }
    }
    let attachment = Attachment {
        id: AttachmentId::random(),
        vpc: vpc.id,
        interface: new.interface,
        vlan: new.vlan,
        address: new.address,
        mode: new.mode,
        next_hop: new.next_hop,
        created_at: tx.now,
    };
    tx.put(&attachment);
    Ok(attachment)
}

fn check_next_hop(hop: Ipv4Addr, own: Ipv4Addr, on_link: Cidr) -> Result<(), ControlError> {
    if hop == own {
        return Err(ControlError::AddressInUse { address: hop, owner: AddressOwner::Gateway });
    }
    if !on_link.is_host(hop) {
        return Err(ControlError::AddressOutside { field: "next_hop", address: hop, network: on_link });
    }
    Ok(())
}

/// The attachment of this id.
///
/// # Errors
/// When it is not there.
pub fn find(state: &State, id: AttachmentId) -> Result<&Attachment, ControlError> {
    state.attachments.get(id).ok_or_else(|| ControlError::NotFound { kind: "attachment", id: id.to_string() })
}

/// Detaches a VPC. With `force` also while connected endpoints have their client
/// or their server in it: their flows stop until the VPC is attached again,
/// endpoints and sessions stay. That is how a VPC moves to another interface.
///
/// # Errors
/// When it is not there, or in use and not forced.
pub fn delete(tx: &mut Tx<'_>, id: AttachmentId, force: bool) -> Result<(), ControlError> {
    let vpc = find(tx.state, id)?.vpc;
    let serves = |service| tx.state.services.get(service).is_some_and(|service| service.vpc == vpc);
    let connected = tx.state.endpoints.iter().filter(|e| e.connection.is_connected());
    let endpoints = connected.filter(|e| e.vpc == vpc || serves(e.service)).count();
    if endpoints > 0 && !force {
        return Err(ControlError::AttachmentInUse { id, endpoints });
    }
    tx.delete::<Attachment>(id);
    Ok(())
}

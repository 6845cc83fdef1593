//! From the model to what the data plane should be doing.

use std::collections::BTreeMap;

use super::state::State;
use crate::model::{Attachment, Backend, Endpoint, Port, VlanId};
use crate::reconcile::desired::{Desired, DesiredAttachment, DesiredBackend, DesiredEndpoint, DesiredPort};

/// What the data plane should be doing in this state.
pub fn desired(state: &State) -> Desired {
    let attachments = state.attachments.iter().filter_map(|a| Some((a.id, attachment(state, a)?)));
    let endpoints = state.endpoints.iter().filter_map(|e| Some((e.id, endpoint(state, e)?)));
    Desired {
        version: state.revision,
        attachments: attachments.collect(),
        endpoints: BTreeMap::from_iter(endpoints),
    }
}

fn attachment(state: &State, attachment: &Attachment) -> Option<DesiredAttachment> {
    Some(DesiredAttachment {
        vpc: state.vpcs.get(attachment.vpc)?.number,
        interface: attachment.interface.as_str().into(),
        vlan: attachment.vlan.map(VlanId::get),
        address: attachment.address.address(),
        prefix_len: attachment.address.network().prefix_len(),
        next_hop: attachment.next_hop,
        mode: attachment.mode,
    })
}

/// An endpoint as the data plane should have it; `None` when it should not: it
/// is on its way out, its service is gone and there is nothing to lead to, or it
/// is a gateway one, which this data plane does not carry.
fn endpoint(state: &State, endpoint: &Endpoint) -> Option<DesiredEndpoint> {
    if !endpoint.connection.is_in_data_plane() {
        return None;
    }
    let service = state.services.get(endpoint.service)?;
    let ports = service.kind.ports().iter().map(|mapping| DesiredPort {
        protocol: mapping.protocol.number(),
        client_port: mapping.client_port.get(),
        server_port: mapping.server_port.get(),
    });
    Some(DesiredEndpoint {
        vpc: state.vpcs.get(endpoint.vpc)?.number,
        address: endpoint.address()?,
        accepted: endpoint.connection.is_approved(),
        ports: ports.collect(),
        provider_vpc: state.vpcs.get(service.vpc)?.number,
        backends: servers(state.backends.get(service.kind.backend()?)?),
        whitelist: endpoint.whitelist.enforced(),
        connection_limit: state.quotas(Some(endpoint.project)).connections,
        refusal: endpoint.refusal,
    })
}

/// Where connections to a backend go.
pub fn servers(backend: &Backend) -> Vec<DesiredBackend> {
    if backend.members.is_empty() {
        return vec![DesiredBackend { address: backend.address, port: None, weight: 1 }];
    }
    let members = backend.members.iter().map(|member| DesiredBackend {
        address: member.address,
        port: member.port.map(Port::get),
        weight: member.weight(),
    });
    members.collect()
}

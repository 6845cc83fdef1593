//! From the model to what the data plane should be doing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::health::Health;
use super::state::State;
use crate::model::{Attachment, Backend, BackendId, Cidr, Endpoint, Port, Quotas, Service, VlanId};
use crate::reconcile::desired::{
    Desired, DesiredAttachment, DesiredBackend, DesiredEndpoint, DesiredLimits, DesiredPort, DesiredRoute,
    Servers,
};

/// Servers of backend resources, made once for all endpoints of each.
type Known = BTreeMap<BackendId, Arc<Servers>>;

/// What the data plane should be doing in this state, with members of this health.
pub fn desired(state: &State, health: &Health) -> Desired {
    let mut known = Known::new();
    let attachments = state.attachments.iter().filter_map(|a| Some((a.id, attachment(state, a)?)));
    let endpoints =
        state.endpoints.iter().filter_map(|e| Some((e.id, endpoint(state, health, &mut known, e)?)));
    Desired {
        version: state.revision,
        attachments: attachments.collect(),
        endpoints: BTreeMap::from_iter(endpoints),
        routed_subnets: routed_subnets(state),
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
/// is on its way out, or its service is gone and there is nothing to lead to.
fn endpoint(
    state: &State,
    health: &Health,
    known: &mut Known,
    endpoint: &Endpoint,
) -> Option<DesiredEndpoint> {
    if !endpoint.connection.is_in_data_plane() {
        return None;
    }
    let service = state.services.get(endpoint.service)?;
    let servers = match service.kind.backend() {
        None => None,
        Some(id) => {
            let backend = state.backends.get(id)?;
            let made = || {
                let members = servers(backend, health);
                Arc::new(Servers { id, algorithm: backend.algorithm, members })
            };
            Some(Arc::clone(known.entry(id).or_insert_with(made)))
        }
    };
    let ports = service.kind.ports().iter().map(|mapping| DesiredPort {
        protocol: mapping.protocol.number(),
        client_port: mapping.client_port.get(),
        server_port: mapping.server_port.get(),
    });
    Some(DesiredEndpoint {
        vpc: state.vpcs.get(endpoint.vpc)?.number,
        address: endpoint.address(),
        routes: routes(state, endpoint, service),
        accepted: endpoint.connection.is_approved(),
        ports: ports.collect(),
        provider_vpc: state.vpcs.get(service.vpc)?.number,
        servers,
        whitelist: endpoint.whitelist.enforced(),
        limits: limits(state.quotas(Some(endpoint.project))),
        refusal: endpoint.refusal,
        idle: service.idle,
        client_address: service.client_address,
        marker: endpoint.marker,
    })
}

fn limits(quotas: Quotas) -> DesiredLimits {
    let Quotas { connections, half_open, connection_rate, bandwidth, .. } = quotas;
    DesiredLimits { connections, half_open, connection_rate, bandwidth }
}

/// The destinations of a gateway endpoint, once for each subnet that its route tables name; the
/// default table has every subnet that none names.
fn routes(state: &State, endpoint: &Endpoint, service: &Service) -> Vec<DesiredRoute> {
    let mut routes = Vec::new();
    for table in endpoint.route_tables().iter().filter_map(|id| state.route_tables.get(*id)) {
        let named = table.subnets.iter().filter_map(|id| state.subnets.get(*id));
        let named = named.map(|subnet| Some(subnet.cidr));
        for subnet in table.is_default.then_some(None).into_iter().chain(named) {
            let to = |destination: &Cidr| DesiredRoute { subnet, destination: *destination };
            routes.extend(service.kind.prefixes().iter().map(to));
        }
    }
    routes
}

fn routed_subnets(state: &State) -> BTreeSet<(u16, Cidr)> {
    let named = state.route_tables.iter().flat_map(|table| &table.subnets);
    let named = named.filter_map(|id| state.subnets.get(*id));
    named.filter_map(|subnet| Some((state.vpcs.get(subnet.vpc)?.number, subnet.cidr))).collect()
}

/// Where connections to a backend go.
pub fn servers(backend: &Backend, health: &Health) -> Vec<DesiredBackend> {
    if backend.members.is_empty() {
        let address = backend.address;
        return vec![DesiredBackend { address, port: None, weight: 1, takes_connections: true }];
    }
    let members = backend.members.iter().map(|member| DesiredBackend {
        address: member.address,
        port: member.port.map(Port::get),
        weight: member.weight(),
        takes_connections: health.state(backend, *member).takes_connections(),
    });
    members.collect()
}

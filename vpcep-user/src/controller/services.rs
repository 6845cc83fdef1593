//! Endpoint services.

use super::error::ControlError;
use super::networks::{named_vpc, refuse_reserved};
use super::quotas::refuse_beyond;
use super::route_tables::check_routes;
use super::state::{Scope, State};
use super::tx::Tx;
use crate::model::connection::{Event, Step};
use crate::model::{
    Backend, BackendId, ClientAddress, Description, Endpoint, Idle, IdleTimeout, PortMappings, Prefixes,
    ProxyProfile, Service, ServiceId, ServiceKind, ServiceName, ServiceStatus, Tags, TcpProxy, VpcId,
};

/// What a service is made of.
#[derive(Clone, Debug)]
pub struct NewService {
    /// The VPC it is reached in.
    pub vpc: VpcId,
    /// What it offers; the kind of a backend is what the caller takes it for.
    pub kind: ServiceKind,
    /// Its name.
    pub name: Option<ServiceName>,
    /// Whether endpoints wait for the provider.
    pub approval_enabled: bool,
    /// Whether it is offered to everyone.
    pub is_public: bool,
    /// Whether endpoints may have a policy.
    pub enable_policy: bool,
    /// What becomes of idle connections.
    pub idle: Idle,
    /// How its servers learn the addresses of clients.
    pub client_address: ClientAddress,
    /// The provider's tags.
    pub tags: Tags,
    /// The provider's note.
    pub description: Description,
}

/// Changes to a service; `None` keeps what is there.
#[derive(Clone, Debug, Default)]
pub struct ServiceChange {
    /// Whether endpoints wait. Those that wait already keep waiting.
    pub approval_enabled: Option<bool>,
    /// Its name.
    pub name: Option<ServiceName>,
    /// All of its ports.
    pub ports: Option<PortMappings>,
    /// Its backend, in the same VPC.
    pub backend: Option<BackendId>,
    /// All of its networks.
    pub prefixes: Option<Prefixes>,
    /// Whether it is offered to everyone. Endpoints that are there stay.
    pub is_public: Option<bool>,
    /// Its idle time-out; `Some(None)` takes its own away. Also for open connections.
    pub idle_timeout: Option<Option<IdleTimeout>>,
    /// Whether the ends of idle connections get a reset.
    pub idle_reset: Option<bool>,
    /// How its servers learn the addresses of clients. For new connections.
    pub tcp_proxy: Option<TcpProxy>,
    /// In whose form PROXY headers name the endpoint. For new connections.
    pub proxy_profile: Option<ProxyProfile>,
    /// The provider's note.
    pub description: Option<Description>,
}

/// Makes a service. It becomes available when a pass has covered it.
///
/// # Errors
/// When the backend is not there, not in the VPC or of another kind; when a port
/// of it is offered already; when no host can have an address of the networks;
/// when a gateway service should tell servers of clients; when the project may not have more.
pub fn create(tx: &mut Tx<'_>, scope: Scope, new: NewService) -> Result<Service, ControlError> {
    let state = tx.state;
    let vpc = named_vpc(state, scope, new.vpc)?;
    match &new.kind {
        ServiceKind::Interface { backend, server_kind, ports } => {
            let backend = named_backend(state, Scope::Project(vpc.project), *backend, vpc.id)?;
            if backend.kind != *server_kind {
                let (given, found) = (*server_kind, backend.kind);
                return Err(ControlError::ServerKind { id: backend.id, given, found });
            }
            refuse_port_clash(state, None, backend.id, ports)?;
        }
        ServiceKind::Gateway { prefixes } => {
            prefixes.as_slice().iter().try_for_each(|prefix| refuse_reserved(*prefix))?;
        }
    }
    let limit = state.quotas(Some(vpc.project)).services;
    let used = state.index.services.visible(Scope::Project(vpc.project)).len();
    refuse_beyond("endpoint services", limit, used)?;
    let service = Service {
        id: ServiceId::random(),
        project: vpc.project,
        name: new.name,
        vpc: vpc.id,
        kind: new.kind,
        approval_enabled: new.approval_enabled,
        is_public: new.is_public,
        enable_policy: new.enable_policy,
        idle: new.idle,
        client_address: new.client_address,
        permissions: Vec::new(),
        tags: new.tags,
        description: new.description,
        status: ServiceStatus::Creating,
        created_at: tx.now,
        updated_at: tx.now,
    };
    refuse_untold(&service)?;
    tx.put(&service);
    Ok(service)
}

/// The destinations of a gateway service are not servers that would expect to be told anything.
fn refuse_untold(service: &Service) -> Result<(), ControlError> {
    match service.kind {
        ServiceKind::Gateway { .. } if service.client_address.means != TcpProxy::Close => {
            let (what, kind) = ("endpoint service", service.kind.as_str());
            Err(ControlError::WrongKind { field: "tcp_proxy", what, id: service.id.to_string(), kind })
        }
        ServiceKind::Gateway { .. } | ServiceKind::Interface { .. } => Ok(()),
    }
}

fn named_backend(state: &State, scope: Scope, id: BackendId, vpc: VpcId) -> Result<&Backend, ControlError> {
    let backend = state.find::<Backend>(scope, id).map_err(|_| ControlError::NoSuchBackend { id })?;
    if backend.vpc != vpc {
        return Err(ControlError::BackendElsewhere { id, vpc: vpc.to_string() });
    }
    Ok(backend)
}

/// Services that share a backend must differ in server port and protocol.
fn refuse_port_clash(
    state: &State,
    own: Option<ServiceId>,
    backend: BackendId,
    ports: &PortMappings,
) -> Result<(), ControlError> {
    for other in state.services.iter().filter(|other| Some(other.id) != own) {
        if let ServiceKind::Interface { backend: theirs, ports: taken, .. } = &other.kind
            && *theirs == backend
            && let Some(mapping) = ports.shared_server_port(taken)
        {
            return Err(ControlError::PortClash { mapping, service: other.id });
        }
    }
    Ok(())
}

/// Changes a service.
///
/// # Errors
/// When it is not there or is being deleted; when its type does not have what
/// should change; when backend, ports or networks do not fit, as for [`create`].
pub fn update(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: ServiceId,
    change: ServiceChange,
) -> Result<Service, ControlError> {
    let ServiceChange {
        approval_enabled,
        name,
        ports,
        backend,
        prefixes,
        is_public,
        idle_timeout,
        idle_reset,
        tcp_proxy,
        proxy_profile,
        description,
    } = change;
    let mut service = changeable(tx.state, scope, id)?.clone();
    match (&service.kind, ports, backend, prefixes) {
        (ServiceKind::Interface { .. }, ports, backend, None) => {
            service.kind = offered(tx.state, &service, backend, ports)?;
        }
        (ServiceKind::Gateway { .. }, None, None, prefixes) => {
            if let Some(prefixes) = prefixes {
                check_prefixes(tx.state, id, &prefixes)?;
                service.kind = ServiceKind::Gateway { prefixes };
            }
        }
        (kind, ports, backend, _) => {
            let field = match (ports, backend) {
                (Some(_), _) => "ports",
                (None, Some(_)) => "port_id",
                (None, None) => "prefixes",
            };
            let (what, kind) = ("endpoint service", kind.as_str());
            return Err(ControlError::WrongKind { field, what, id: id.to_string(), kind });
        }
    }
    service.is_public = is_public.unwrap_or(service.is_public);
    service.idle = Idle {
        timeout: idle_timeout.unwrap_or(service.idle.timeout),
        reset: idle_reset.unwrap_or(service.idle.reset),
    };
    service.client_address = ClientAddress {
        means: tcp_proxy.unwrap_or(service.client_address.means),
        profile: proxy_profile.unwrap_or(service.client_address.profile),
    };
    refuse_untold(&service)?;
    service.approval_enabled = approval_enabled.unwrap_or(service.approval_enabled);
    service.name = name.or(service.name);
    service.description = description.unwrap_or(service.description);
    Ok(tx.revise(service))
}

/// What an interface service offers after a change of its backend or ports.
fn offered(
    state: &State,
    service: &Service,
    new_backend: Option<BackendId>,
    new_ports: Option<PortMappings>,
) -> Result<ServiceKind, ControlError> {
    let mut kind = service.kind.clone();
    if let ServiceKind::Interface { backend, server_kind, ports } = &mut kind {
        if let Some(id) = new_backend {
            let named = named_backend(state, Scope::Project(service.project), id, service.vpc)?;
            (*backend, *server_kind) = (named.id, named.kind);
        }
        *ports = new_ports.unwrap_or_else(|| ports.clone());
        refuse_port_clash(state, Some(service.id), *backend, ports)?;
    }
    Ok(kind)
}

/// Checks that the endpoints of a gateway service can have these networks.
fn check_prefixes(state: &State, id: ServiceId, prefixes: &Prefixes) -> Result<(), ControlError> {
    let prefixes = prefixes.as_slice();
    prefixes.iter().try_for_each(|prefix| refuse_reserved(*prefix))?;
    for endpoint in state.endpoints_of(id) {
        for table in endpoint.route_tables() {
            check_routes(state, endpoint.vpc, *table, Some(endpoint.id), prefixes)?;
        }
    }
    Ok(())
}

/// A service that may be changed: any but one on its way out.
pub(super) fn changeable(state: &State, scope: Scope, id: ServiceId) -> Result<&Service, ControlError> {
    let service = state.find::<Service>(scope, id)?;
    if service.status == ServiceStatus::Deleting {
        return Err(ControlError::ServiceFrozen { id, status: service.status.as_str() });
    }
    Ok(service)
}

/// How many endpoints are connected to a service.
#[must_use]
pub fn connection_count(state: &State, id: ServiceId) -> usize {
    state.endpoints_of(id).filter(|endpoint| endpoint.connection.is_connected()).count()
}

/// Deletes a service; it is gone when a pass has covered that. Its endpoints that
/// are not connected fail, and stay for their owners to see and delete.
///
/// # Errors
/// When it is not there or an endpoint is connected to it.
pub fn delete(tx: &mut Tx<'_>, scope: Scope, id: ServiceId) -> Result<(), ControlError> {
    let service = tx.state.find::<Service>(scope, id)?;
    let connections = connection_count(tx.state, id);
    if connections > 0 {
        return Err(ControlError::ServiceInUse { id, connections });
    }
    for endpoint in tx.state.endpoints_of(id) {
        let event = Event::ServiceDeleted { service: tx.state.full_name(service) };
        let step = endpoint
            .connection
            .on(event, tx.now)
            .map_err(|source| ControlError::Connection { endpoint: endpoint.id.to_string(), source })?;
        if let Step::Move(connection, _) = step {
            tx.put(&Endpoint { connection, updated_at: tx.now, ..endpoint.clone() });
        }
    }
    if service.status != ServiceStatus::Deleting {
        tx.put(&Service { status: ServiceStatus::Deleting, updated_at: tx.now, ..service.clone() });
    }
    Ok(())
}

//! Endpoint services.

use super::error::ControlError;
use super::networks::named_vpc;
use super::state::{Scope, State, Tx};
use crate::model::connection::{Event, Step};
use crate::model::{
    Backend, BackendId, BackendKind, Description, Endpoint, PortMappings, Service, ServiceId, ServiceName,
    ServiceStatus, VpcId,
};

/// What a service is made of.
#[derive(Clone, Debug)]
pub struct NewService {
    /// The VPC its backend is in.
    pub vpc: VpcId,
    /// The backend.
    pub backend: BackendId,
    /// What the caller takes the backend for.
    pub server_kind: BackendKind,
    /// Its name.
    pub name: Option<ServiceName>,
    /// Its ports.
    pub ports: PortMappings,
    /// Whether endpoints wait for the provider.
    pub approval_enabled: bool,
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
    /// The provider's note.
    pub description: Option<Description>,
}

/// Makes a service. It becomes available when a pass has covered it.
///
/// # Errors
/// When the backend is not there, not in the VPC or of another kind; when a port
/// of it is offered already; when the project may not have more.
pub fn create(tx: &mut Tx<'_>, scope: Scope, new: NewService) -> Result<Service, ControlError> {
    let state = tx.state;
    let vpc = named_vpc(state, scope, new.vpc)?;
    let backend = named_backend(state, Scope::Project(vpc.project), new.backend, vpc.id)?;
    if backend.kind != new.server_kind {
        return Err(ControlError::ServerKind { id: backend.id, given: new.server_kind, found: backend.kind });
    }
    refuse_port_clash(state, None, backend.id, &new.ports)?;
    let limit = state.quotas(Some(vpc.project)).services;
    let used = state.services.iter().filter(|s| s.project == vpc.project).count();
    if used >= limit as usize {
        return Err(ControlError::Quota { what: "endpoint services", limit });
    }
    let service = Service {
        id: ServiceId::random(),
        project: vpc.project,
        name: new.name,
        vpc: vpc.id,
        backend: backend.id,
        server_kind: backend.kind,
        ports: new.ports,
        approval_enabled: new.approval_enabled,
        permissions: Vec::new(),
        description: new.description,
        status: ServiceStatus::Creating,
        created_at: tx.now,
        updated_at: tx.now,
    };
    tx.put(&service);
    Ok(service)
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
    let others = state.services.iter().filter(|s| s.backend == backend && Some(s.id) != own);
    for other in others {
        if let Some(mapping) = ports.shared_server_port(&other.ports) {
            return Err(ControlError::PortClash { mapping, service: other.id });
        }
    }
    Ok(())
}

/// Changes a service.
///
/// # Errors
/// When it is not there or is being deleted; when backend and ports do not fit, as
/// for [`create`].
pub fn update(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: ServiceId,
    change: ServiceChange,
) -> Result<Service, ControlError> {
    let ServiceChange { approval_enabled, name, ports, backend, description } = change;
    let mut service = changeable(tx.state, scope, id)?.clone();
    if let Some(backend) = backend {
        let backend = named_backend(tx.state, Scope::Project(service.project), backend, service.vpc)?;
        service.backend = backend.id;
        service.server_kind = backend.kind;
    }
    if let Some(ports) = ports {
        service.ports = ports;
    }
    refuse_port_clash(tx.state, Some(id), service.backend, &service.ports)?;
    service.approval_enabled = approval_enabled.unwrap_or(service.approval_enabled);
    service.name = name.or(service.name);
    service.description = description.unwrap_or(service.description);
    service.updated_at = tx.now;
    tx.put(&service);
    Ok(service)
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

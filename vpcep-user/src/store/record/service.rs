//! Stored form of endpoint services.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Stored, whole};
use crate::model::{
    BackendKind, ModelError, PermissionEntry, Port, PortMapping, PortMappings, Service, ServiceId,
    ServiceStatus, Timestamp,
};

/// See [`Service`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceForm {
    id: String,
    project: String,
    name: Option<String>,
    vpc: String,
    backend: String,
    server_kind: String,
    ports: Vec<PortForm>,
    approval_enabled: bool,
    permissions: Vec<PermissionForm>,
    description: String,
    status: StatusForm,
    created_at: u64,
    updated_at: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortForm {
    protocol: String,
    client_port: u16,
    server_port: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PermissionForm {
    id: String,
    permission: String,
    description: String,
    created_at: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StatusForm {
    Creating,
    Available,
    Deleting,
}

impl Stored for Service {
    const PREFIX: &'static str = "services/";
    const SCHEMA: u32 = 1;
    type Form = ServiceForm;
    type Id = ServiceId;

    fn id(&self) -> ServiceId {
        self.id
    }

    fn audited(&self) -> Option<Value> {
        whole(self)
    }
}

impl From<&PortMapping> for PortForm {
    fn from(mapping: &PortMapping) -> Self {
        let PortMapping { protocol, client_port, server_port } = mapping;
        Self {
            protocol: protocol.to_string(),
            client_port: client_port.get(),
            server_port: server_port.get(),
        }
    }
}

impl TryFrom<PortForm> for PortMapping {
    type Error = ModelError;

    fn try_from(form: PortForm) -> Result<Self, ModelError> {
        let PortForm { protocol, client_port, server_port } = form;
        Ok(Self {
            protocol: protocol.parse()?,
            client_port: Port::new("client_port", client_port.into())?,
            server_port: Port::new("server_port", server_port.into())?,
        })
    }
}

impl From<&PermissionEntry> for PermissionForm {
    fn from(entry: &PermissionEntry) -> Self {
        let PermissionEntry { id, permission, description, created_at } = entry;
        Self {
            id: id.to_string(),
            permission: permission.to_string(),
            description: description.as_str().into(),
            created_at: created_at.as_micros(),
        }
    }
}

impl TryFrom<PermissionForm> for PermissionEntry {
    type Error = ModelError;

    fn try_from(form: PermissionForm) -> Result<Self, ModelError> {
        let PermissionForm { id, permission, description, created_at } = form;
        Ok(Self {
            id: id.parse()?,
            permission: permission.parse()?,
            description: description.parse()?,
            created_at: Timestamp::from_micros(created_at),
        })
    }
}

impl From<&Service> for ServiceForm {
    fn from(service: &Service) -> Self {
        let Service {
            id,
            project,
            name,
            vpc,
            backend,
            server_kind,
            ports,
            approval_enabled,
            permissions,
            description,
            status,
            created_at,
            updated_at,
        } = service;
        Self {
            id: id.to_string(),
            project: project.to_string(),
            name: name.as_ref().map(|name| name.as_str().into()),
            vpc: vpc.to_string(),
            backend: backend.to_string(),
            server_kind: server_kind.to_string(),
            ports: ports.as_slice().iter().map(PortForm::from).collect(),
            approval_enabled: *approval_enabled,
            permissions: permissions.iter().map(PermissionForm::from).collect(),
            description: description.as_str().into(),
            status: match status {
                ServiceStatus::Creating => StatusForm::Creating,
                ServiceStatus::Available => StatusForm::Available,
                ServiceStatus::Deleting => StatusForm::Deleting,
            },
            created_at: created_at.as_micros(),
            updated_at: updated_at.as_micros(),
        }
    }
}

impl TryFrom<ServiceForm> for Service {
    type Error = ModelError;

    fn try_from(form: ServiceForm) -> Result<Self, ModelError> {
        let ServiceForm {
            id,
            project,
            name,
            vpc,
            backend,
            server_kind,
            ports,
            approval_enabled,
            permissions,
            description,
            status,
            created_at,
            updated_at,
        } = form;
        let ports = ports.into_iter().map(PortMapping::try_from).collect::<Result<_, _>>()?;
        Ok(Self {
            id: id.parse()?,
            project: project.parse()?,
            name: name.map(|name| name.parse()).transpose()?,
            vpc: vpc.parse()?,
            backend: backend.parse()?,
            server_kind: BackendKind::parse("server_kind", &server_kind)?,
            ports: PortMappings::new(ports)?,
            approval_enabled,
            permissions: permissions.into_iter().map(PermissionEntry::try_from).collect::<Result<_, _>>()?,
            description: description.parse()?,
            status: match status {
                StatusForm::Creating => ServiceStatus::Creating,
                StatusForm::Available => ServiceStatus::Available,
                StatusForm::Deleting => ServiceStatus::Deleting,
            },
            created_at: Timestamp::from_micros(created_at),
            updated_at: Timestamp::from_micros(updated_at),
        })
    }
}

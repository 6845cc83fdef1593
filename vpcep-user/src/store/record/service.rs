//! Stored form of endpoint services.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tag::{self, TagForm};
use super::{Stored, whole};
use crate::model::{
    BackendKind, ClientAddress, Idle, IdleTimeout, ModelError, PermissionEntry, Port, PortMapping,
    PortMappings, Prefixes, ProxyProfile, Service, ServiceId, ServiceKind, ServiceStatus, TcpProxy,
    Timestamp,
};

/// See [`Service`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceForm {
    id: String,
    project: String,
    name: Option<String>,
    vpc: String,
    /// Of an interface service; with `server_kind` and `ports`.
    backend: Option<String>,
    server_kind: Option<String>,
    ports: Vec<PortForm>,
    approval_enabled: bool,
    permissions: Vec<PermissionForm>,
    description: String,
    status: StatusForm,
    created_at: u64,
    updated_at: u64,
    /// Of a gateway service. Since schema 2, like what follows.
    #[serde(default)]
    prefixes: Vec<String>,
    #[serde(default)]
    is_public: bool,
    #[serde(default)]
    enable_policy: bool,
    #[serde(default)]
    tags: Vec<TagForm>,
    /// Seconds; 0 is none of its own. Since schema 3, like what follows.
    #[serde(default)]
    idle_timeout: u32,
    #[serde(default = "idle_reset")]
    idle_reset: bool,
    #[serde(default = "tcp_proxy")]
    tcp_proxy: String,
    #[serde(default = "proxy_profile")]
    proxy_profile: String,
}

fn idle_reset() -> bool {
    Idle::default().reset
}

fn tcp_proxy() -> String {
    TcpProxy::default().as_str().into()
}

fn proxy_profile() -> String {
    ProxyProfile::default().as_str().into()
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
    const SCHEMA: u32 = 3;
    const OLDEST: u32 = 1;
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
            kind,
            approval_enabled,
            is_public,
            enable_policy,
            idle,
            client_address: ClientAddress { means, profile },
            permissions,
            tags,
            description,
            status,
            created_at,
            updated_at,
        } = service;
        let server_kind = match kind {
            ServiceKind::Interface { server_kind, .. } => Some(server_kind.to_string()),
            ServiceKind::Gateway { .. } => None,
        };
        Self {
            id: id.to_string(),
            project: project.to_string(),
            name: name.as_ref().map(|name| name.as_str().into()),
            vpc: vpc.to_string(),
            backend: kind.backend().map(|id| id.to_string()),
            server_kind,
            ports: kind.ports().iter().map(PortForm::from).collect(),
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
            prefixes: kind.prefixes().iter().map(ToString::to_string).collect(),
            is_public: *is_public,
            enable_policy: *enable_policy,
            tags: tag::forms(tags),
            idle_timeout: idle.timeout_secs(),
            idle_reset: idle.reset,
            tcp_proxy: means.as_str().into(),
            proxy_profile: profile.as_str().into(),
        }
    }
}

fn kind(
    backend: Option<String>,
    server_kind: Option<String>,
    ports: Vec<PortForm>,
    prefixes: &[String],
) -> Result<ServiceKind, ModelError> {
    match (backend, server_kind, prefixes) {
        (Some(backend), Some(server_kind), []) => Ok(ServiceKind::Interface {
            backend: backend.parse()?,
            server_kind: BackendKind::parse("server_kind", &server_kind)?,
            ports: PortMappings::new(
                ports.into_iter().map(PortMapping::try_from).collect::<Result<_, _>>()?,
            )?,
        }),
        (None, None, prefixes) if ports.is_empty() => {
            let prefixes = prefixes.iter().map(|prefix| prefix.parse()).collect::<Result<_, _>>()?;
            Ok(ServiceKind::Gateway { prefixes: Prefixes::new(prefixes)? })
        }
        _ => Err(ModelError::MixedKind {
            what: "endpoint service",
            interface: "backend, server_kind and ports",
            gateway: "prefixes",
        }),
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
            prefixes,
            is_public,
            enable_policy,
            tags,
            idle_timeout,
            idle_reset,
            tcp_proxy,
            proxy_profile,
        } = form;
        Ok(Self {
            id: id.parse()?,
            project: project.parse()?,
            name: name.map(|name| name.parse()).transpose()?,
            vpc: vpc.parse()?,
            kind: kind(backend, server_kind, ports, &prefixes)?,
            approval_enabled,
            is_public,
            enable_policy,
            idle: Idle { timeout: IdleTimeout::from_secs(idle_timeout.into())?, reset: idle_reset },
            client_address: ClientAddress { means: tcp_proxy.parse()?, profile: proxy_profile.parse()? },
            permissions: permissions.into_iter().map(PermissionEntry::try_from).collect::<Result<_, _>>()?,
            tags: tag::parse(&tags)?,
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

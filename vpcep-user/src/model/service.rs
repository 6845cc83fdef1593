//! Endpoint services: a backend offered to others.

use super::{
    BackendId, BackendKind, Description, DomainId, PermissionEntry, PortMappings, ProjectId, ServiceId,
    ServiceName, Timestamp, VpcId,
};

/// An interface endpoint service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Names it.
    pub id: ServiceId,
    /// Its owner.
    pub project: ProjectId,
    /// The name part of its full name.
    pub name: Option<ServiceName>,
    /// The VPC its backend is in.
    pub vpc: VpcId,
    /// What serves.
    pub backend: BackendId,
    /// What the backend was when the service was made from it.
    pub server_kind: BackendKind,
    /// Which ports are reachable.
    pub ports: PortMappings,
    /// Whether a new endpoint waits for the provider.
    pub approval_enabled: bool,
    /// Who besides the own domain may connect.
    pub permissions: Vec<PermissionEntry>,
    /// The provider's note.
    pub description: Description,
    /// Where it is in its life.
    pub status: ServiceStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Service {
    /// Whether an account may make endpoints of a service of `owner`.
    #[must_use]
    pub fn admits(&self, owner: DomainId, consumer: DomainId) -> bool {
        owner == consumer || self.permissions.iter().any(|entry| entry.permission.admits(consumer))
    }
}

/// Where a service is in its life.
///
/// ```text
/// (create) -> Creating -> Available -> Deleting -> (gone)
///                 \____________________^
/// ```
///
/// Both arrows out of a transient state are taken when a reconcile pass has
/// covered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceStatus {
    /// Asked for, not yet seen by a reconcile pass.
    Creating,
    /// May be connected to.
    Available,
    /// Will be gone after the next reconcile pass.
    Deleting,
}

impl ServiceStatus {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::Deleting => "deleting",
        }
    }
}

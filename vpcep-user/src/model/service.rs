//! Endpoint services: a backend, or networks, offered to others.

use super::{
    BackendId, BackendKind, Cidr, ClientAddress, Description, DomainId, Idle, ModelError, PermissionEntry,
    PortMapping, PortMappings, ProjectId, ServiceId, ServiceName, Tags, Timestamp, VpcId,
};

/// An endpoint service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Names it.
    pub id: ServiceId,
    /// Its owner.
    pub project: ProjectId,
    /// The name part of its full name.
    pub name: Option<ServiceName>,
    /// The VPC it is reached in.
    pub vpc: VpcId,
    /// What it offers.
    pub kind: ServiceKind,
    /// Whether a new endpoint waits for the provider.
    pub approval_enabled: bool,
    /// Whether it is offered to everyone, and listed for everyone.
    pub is_public: bool,
    /// Whether its endpoints may have a policy, which the service enforces.
    pub enable_policy: bool,
    /// What becomes of idle connections.
    pub idle: Idle,
    /// How its servers learn the addresses of clients. Of an interface service alone.
    pub client_address: ClientAddress,
    /// Who besides the own domain may connect.
    pub permissions: Vec<PermissionEntry>,
    /// The provider's tags.
    pub tags: Tags,
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
        self.is_public
            || owner == consumer
            || self.permissions.iter().any(|entry| entry.permission.admits(consumer))
    }
}

/// What a service offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// Ports of a backend, at an address of the consumer's.
    Interface {
        /// What serves.
        backend: BackendId,
        /// What the backend was when the service was made from it.
        server_kind: BackendKind,
        /// Which ports are reachable.
        ports: PortMappings,
    },
    /// Networks, by routes of the consumer's; destinations keep their address.
    Gateway {
        /// The networks.
        prefixes: Prefixes,
    },
}

impl ServiceKind {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Interface { .. } => "interface",
            Self::Gateway { .. } => "gateway",
        }
    }

    /// What serves, if it is a backend.
    #[must_use]
    pub fn backend(&self) -> Option<BackendId> {
        match self {
            Self::Interface { backend, .. } => Some(*backend),
            Self::Gateway { .. } => None,
        }
    }

    /// Which ports of a backend are reachable.
    #[must_use]
    pub fn ports(&self) -> &[PortMapping] {
        match self {
            Self::Interface { ports, .. } => ports.as_slice(),
            Self::Gateway { .. } => &[],
        }
    }

    /// Which networks routes lead to.
    #[must_use]
    pub fn prefixes(&self) -> &[Cidr] {
        match self {
            Self::Interface { .. } => &[],
            Self::Gateway { prefixes } => prefixes.as_slice(),
        }
    }
}

/// The networks of a gateway service: 1 to [`Prefixes::MAX`], none of which
/// overlap, so that a destination is in one of them at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefixes(Vec<Cidr>);

impl Prefixes {
    /// Most networks of one service.
    pub const MAX: usize = 64;

    /// Takes networks in the order given.
    ///
    /// # Errors
    /// When there are none, too many, or two that overlap.
    pub fn new(prefixes: Vec<Cidr>) -> Result<Self, ModelError> {
        let bad = |problem| Err(ModelError::Prefixes { problem });
        if prefixes.is_empty() || prefixes.len() > Self::MAX {
            return bad(format!("{} given, expected 1 to {}", prefixes.len(), Self::MAX));
        }
        for (index, prefix) in prefixes.iter().enumerate() {
            if let Some(other) = prefixes[..index].iter().find(|other| other.overlaps(*prefix)) {
                return bad(format!("{prefix} overlaps {other}, expected networks apart from each other"));
            }
        }
        Ok(Self(prefixes))
    }

    /// The networks, in the order they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[Cidr] {
        &self.0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_a_gateway_service_lie_apart() {
        let many = |n: u8| (0..n).map(|i| format!("100.125.{i}.0/24")).collect::<Vec<_>>();
        for (texts, ok) in [
            (many(1), true),
            (many(64), true),
            (many(65), false),
            (vec![], false),
            (vec!["100.125.0.0/16".into(), "100.125.1.0/24".into()], false),
            (vec!["100.125.0.0/24".into(), "100.125.0.0/24".into()], false),
        ] {
            let prefixes = texts.iter().map(|text: &String| text.parse().unwrap()).collect();
            assert_eq!(Prefixes::new(prefixes).is_ok(), ok, "{texts:?}");
        }
    }
}

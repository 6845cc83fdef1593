//! What health checks have found, beside the model: it is not kept, and a store in
//! trouble does not keep it from changing. Checks are made by [`crate::health`].

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Backend, BackendId, HealthStatus, Member, MemberHealth, MemberName};

/// A member of a load balancer.
pub type Checked = (BackendId, MemberName);

/// The health of every member that is checked. A clone shares it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health(Arc<BTreeMap<Checked, MemberHealth>>);

/// Whether a member gets new connections, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It does.
    Active,
    /// It does, though its checks cannot tell yet.
    Checking,
    /// It does not, as whoever owns it wants. It keeps those it has.
    Draining,
    /// It does not, since its checks fail. It keeps those it has.
    Down,
}

impl MemberState {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Checking => "checking",
            Self::Draining => "draining",
            Self::Down => "down",
        }
    }

    /// Whether it gets new connections.
    #[must_use]
    pub fn takes_connections(self) -> bool {
        matches!(self, Self::Active | Self::Checking)
    }
}

impl From<BTreeMap<Checked, MemberHealth>> for Health {
    fn from(members: BTreeMap<Checked, MemberHealth>) -> Self {
        Self(Arc::new(members))
    }
}

impl Health {
    /// What is known of a member, whether it is still to be checked or not.
    #[must_use]
    pub fn last_known(&self, member: Checked) -> Option<&MemberHealth> {
        self.0.get(&member)
    }

    /// The health of a member, if it is checked.
    #[must_use]
    pub fn of(&self, backend: &Backend, member: Member) -> Option<&MemberHealth> {
        backend.health_check.as_ref().and_then(|_| self.0.get(&(backend.id, member.name())))
    }

    /// Whether a member gets new connections.
    #[must_use]
    pub fn state(&self, backend: &Backend, member: Member) -> MemberState {
        if member.is_draining {
            return MemberState::Draining;
        }
        if backend.health_check.is_none() {
            return MemberState::Active;
        }
        match self.of(backend, member).map(|health| health.status) {
            Some(HealthStatus::Up) => MemberState::Active,
            Some(HealthStatus::Checking) | None => MemberState::Checking,
            Some(HealthStatus::Down) => MemberState::Down,
        }
    }

    /// How many members are checked, and how many of them are down.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.0.len(), self.0.values().filter(|health| health.status == HealthStatus::Down).count())
    }

    /// Whether other members get new connections than in `before`.
    #[must_use]
    pub fn moves_connections_of(&self, before: &Self) -> bool {
        let down = |health: &Self| -> Vec<Checked> {
            let members = health.0.iter().filter(|(_, health)| health.status == HealthStatus::Down);
            members.map(|(member, _)| *member).collect()
        };
        down(self) != down(before)
    }
}

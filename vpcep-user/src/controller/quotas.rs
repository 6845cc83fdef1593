//! Limits on what projects have.

use super::error::ControlError;
use super::state::{Scope, State, Tx};
use crate::model::{ProjectId, QuotaChange, Quotas};
use crate::store::record::{QuotaId, QuotaRecord};

/// Limits and what is used of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The limits in force.
    pub limits: Quotas,
    /// Services there are.
    pub services: usize,
    /// Endpoints there are.
    pub endpoints: usize,
}

/// The limits in force and their use; everyone's default and the sum of all use
/// when seen by the operator.
#[must_use]
pub fn usage(state: &State, scope: Scope) -> Usage {
    let project = match scope {
        Scope::Every => None,
        Scope::Project(project) => Some(project),
    };
    Usage {
        limits: state.quotas(project),
        services: state.index.services.visible(scope).len(),
        endpoints: state.index.endpoints.visible(scope).len(),
    }
}

/// Sets limits of one project, or everyone's default. What is above a new limit
/// already stays.
///
/// # Errors
/// When there is no such project.
pub fn set(tx: &mut Tx<'_>, project: Option<ProjectId>, change: QuotaChange) -> Result<(), ControlError> {
    if let Some(id) = project.filter(|id| !tx.state.has_project(*id)) {
        return Err(ControlError::NoSuchProject { id: id.to_string() });
    }
    let before = tx.state.quotas.get(QuotaId(project)).map(|record| record.change).unwrap_or_default();
    tx.put(&QuotaRecord { project, change: before.with(change) });
    Ok(())
}

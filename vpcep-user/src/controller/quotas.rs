//! Limits on what projects have.

use super::error::ControlError;
use super::state::{Owned, Scope, State};
use super::tx::Tx;
use crate::model::{Backend, ProjectId, QuotaChange, Quotas, Subnet, Vpc};
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
    /// VPCs there are.
    pub vpcs: usize,
    /// Subnets there are.
    pub subnets: usize,
    /// Backends there are.
    pub backends: usize,
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
        vpcs: count::<Vpc>(state, scope),
        subnets: count::<Subnet>(state, scope),
        backends: count::<Backend>(state, scope),
    }
}

/// How many objects of a kind `scope` may see.
pub(super) fn count<T: Owned>(state: &State, scope: Scope) -> usize
where
    T::Id: Send,
{
    T::table(state).iter().filter(|object| scope.sees(object.project())).count()
}

/// Refuses one more of what a project has `used` of.
pub(super) fn refuse_beyond(what: &'static str, limit: u32, used: usize) -> Result<(), ControlError> {
    if used >= limit as usize {
        return Err(ControlError::Quota { what, limit });
    }
    Ok(())
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
    let change = before.with(change);
    if change != before {
        tx.put(&QuotaRecord { project, change });
    }
    Ok(())
}

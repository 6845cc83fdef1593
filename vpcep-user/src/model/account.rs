//! Accounts: whose resources there are.

use super::{DomainId, Name, ProjectId, Timestamp};

/// An account: a domain with one project.
///
/// The operator's own, [`DomainId::OPERATOR`] with [`ProjectId::OPERATOR`], is
/// always there and is no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Names the account.
    pub domain: DomainId,
    /// Its space for resources.
    pub project: ProjectId,
    /// Unique on this controller.
    pub name: Name,
    /// When it was made.
    pub created_at: Timestamp,
}

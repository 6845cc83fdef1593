//! Users, what proves to be one, and how they are found.
//!
//! Owns the rules about users ([`users`]), access keys ([`keys`]) and tokens
//! ([`tokens`]), and the way from a database of version 0.1.0 ([`migrate`]).
//! Leaves accounts to [`super::accounts`], and to [`crate::api`] how a request
//! shows its proof.

mod index;
pub mod keys;
pub mod migrate;
pub mod tokens;
pub mod users;

pub use index::Identities;

use super::state::State;
use crate::model::{Account, DomainId, ProjectId, TokenHash, User, UserId};

/// What the operator's own domain and project are called; no account has this
/// name.
pub const OPERATOR_NAME: &str = "operator";

impl State {
    /// The account a project belongs to; `None` for the operator's own.
    #[must_use]
    pub fn account_of(&self, project: ProjectId) -> Option<&Account> {
        self.accounts.get(self.index.identities.domain_of(project)?)
    }

    /// The domain a project belongs to.
    #[must_use]
    pub fn domain_of(&self, project: ProjectId) -> DomainId {
        self.index.identities.domain_of(project).unwrap_or(DomainId::OPERATOR)
    }

    /// Whether a project exists.
    #[must_use]
    pub fn has_project(&self, project: ProjectId) -> bool {
        project == ProjectId::OPERATOR || self.account_of(project).is_some()
    }

    /// The project of a domain, if there is such a domain.
    #[must_use]
    pub fn project_of(&self, domain: DomainId) -> Option<ProjectId> {
        match domain {
            DomainId::OPERATOR => Some(ProjectId::OPERATOR),
            other => self.accounts.get(other).map(|account| account.project),
        }
    }

    /// What a domain is called; a domain there is not has no name.
    #[must_use]
    pub fn domain_name(&self, domain: DomainId) -> Option<&str> {
        match domain {
            DomainId::OPERATOR => Some(OPERATOR_NAME),
            other => self.accounts.get(other).map(|account| account.name.as_str()),
        }
    }

    /// The domain of this name.
    #[must_use]
    pub fn domain_named(&self, name: &str) -> Option<DomainId> {
        let of_operator = || (name == OPERATOR_NAME).then_some(DomainId::OPERATOR);
        // Version 0.1.0 let an account have the operator's name: such a one keeps it.
        self.index.identities.account_named(name).or_else(of_operator)
    }

    /// The user of this name in a domain.
    #[must_use]
    pub fn user_named(&self, domain: DomainId, name: &str) -> Option<&User> {
        self.users.get(self.index.identities.user_named(domain, name)?)
    }

    /// The users of a domain, by name.
    pub fn users_of(&self, domain: DomainId) -> impl Iterator<Item = &User> {
        self.index.identities.users_of(domain).filter_map(|id| self.users.get(id))
    }

    /// The hashes of a user's tokens, the one that expires first in front.
    pub fn tokens_of(&self, user: UserId) -> impl Iterator<Item = TokenHash> {
        self.index.identities.tokens_of(user)
    }
}

#[cfg(test)]
mod tests;

//! Ways to accounts, users and their proofs that every request takes.

use std::borrow::Borrow;

use imbl::{OrdMap, OrdSet};

use crate::controller::index::{Index, Indexed};
use crate::model::{
    AccessKey, AccessKeyId, Account, DomainId, Name, ProjectId, Timestamp, Token, TokenHash, User, UserId,
};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    projects: OrdMap<ProjectId, DomainId>,
    accounts: OrdMap<Name, DomainId>,
    users: OrdMap<DomainId, OrdMap<Name, UserId>>,
    keys: OrdMap<UserId, OrdSet<AccessKeyId>>,
    tokens: OrdMap<UserId, OrdSet<(Timestamp, TokenHash)>>,
    expiries: OrdSet<(Timestamp, TokenHash)>,
}

impl Identities {
    /// The account a project belongs to.
    #[must_use]
    pub fn domain_of(&self, project: ProjectId) -> Option<DomainId> {
        self.projects.get(&project).copied()
    }

    /// The account of this name.
    #[must_use]
    pub fn account_named(&self, name: &str) -> Option<DomainId> {
        self.accounts.get(name).copied()
    }

    /// The user of this name in a domain.
    #[must_use]
    pub fn user_named(&self, domain: DomainId, name: &str) -> Option<UserId> {
        self.users.get(&domain)?.get(name).copied()
    }

    /// The users of a domain, by name.
    pub fn users_of(&self, domain: DomainId) -> impl Iterator<Item = UserId> {
        self.users.get(&domain).into_iter().flat_map(|users| users.values().copied())
    }

    /// The access keys of a user.
    pub fn keys_of(&self, user: UserId) -> impl Iterator<Item = AccessKeyId> {
        self.keys.get(&user).into_iter().flatten().copied()
    }

    /// The tokens of a user, the one that expires first in front.
    pub fn tokens_of(&self, user: UserId) -> impl Iterator<Item = TokenHash> {
        self.tokens.get(&user).into_iter().flatten().map(|(_, hash)| *hash)
    }

    /// How many tokens a user has.
    #[must_use]
    pub fn count_tokens_of(&self, user: UserId) -> usize {
        self.tokens.get(&user).map_or(0, OrdSet::len)
    }

    /// The tokens that have expired by `now`.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = TokenHash> {
        self.expiries.iter().take_while(move |(at, _)| *at <= now).map(|(_, hash)| *hash)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl Indexed for Account {
    fn enter(&self, index: &mut Index) {
        index.identities.projects.insert(self.project, self.domain);
        index.identities.accounts.insert(self.name.clone(), self.domain);
    }

    fn leave(&self, index: &mut Index) {
        index.identities.projects.remove(&self.project);
        index.identities.accounts.remove(&self.name);
    }
}

impl Indexed for User {
    fn enter(&self, index: &mut Index) {
        index.identities.users.entry(self.domain).or_default().insert(self.name.clone(), self.id);
    }

    fn leave(&self, index: &mut Index) {
        if let Some(users) = index.identities.users.get_mut(&self.domain) {
            users.remove(&self.name);
            if users.is_empty() {
                index.identities.users.remove(&self.domain);
            }
        }
    }
}

impl Indexed for AccessKey {
    fn enter(&self, index: &mut Index) {
        index.identities.keys.entry(self.user).or_default().insert(self.access);
    }

    fn leave(&self, index: &mut Index) {
        leave(&mut index.identities.keys, self.user, &self.access);
    }
}

impl Indexed for Token {
    fn enter(&self, index: &mut Index) {
        let entry = (self.expires_at, self.hash);
        index.identities.tokens.entry(self.user).or_default().insert(entry);
        index.identities.expiries.insert(entry);
    }

    fn leave(&self, index: &mut Index) {
        let entry = (self.expires_at, self.hash);
        leave(&mut index.identities.tokens, self.user, &entry);
        index.identities.expiries.remove(&entry);
    }
}

/// Takes one proof of a user out, and the user with the last.
fn leave<T: Clone + Ord>(of_users: &mut OrdMap<UserId, OrdSet<T>>, user: UserId, proof: &T) {
    if let Some(proofs) = of_users.get_mut(&user) {
        proofs.remove(proof);
        if proofs.is_empty() {
            of_users.remove(&user);
        }
    }
}

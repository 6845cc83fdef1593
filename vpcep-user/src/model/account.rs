//! Accounts and what proves to be one.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{DomainId, Name, ProjectId, Timestamp};

/// An account: a domain with one project.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Names the account.
    pub domain: DomainId,
    /// Its space for resources.
    pub project: ProjectId,
    /// Unique on this controller.
    pub name: Name,
    /// Public half of the key pair for signed requests.
    pub access_key: String,
    /// Secret half. Kept in clear: checking a signature needs it.
    pub secret_key: String,
    /// What is kept of the token; the token itself is shown once.
    pub token: TokenHash,
    /// When it was made.
    pub created_at: Timestamp,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// SHA-256 of a token.
///
/// Accounts are found by it: comparing hashes tells an attacker who measures
/// time nothing about the token, because its hash cannot be steered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of `token`.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// The hash with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

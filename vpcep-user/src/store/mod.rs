//! How the model is kept: a small transactional key-value store.
//!
//! Owns the trait every store implements, the suite every store must pass
//! ([`contract`]), the stored form of each object ([`record`]) and the seal on
//! secrets ([`vault`]). Leaves to
//! [`crate::controller`] what is written and why.
//!
//! The trait is what an etcd transaction offers: compare the version of each key,
//! then write all or nothing. Every commit has a revision, one more than the last;
//! the version of a record is the revision that wrote it.

#![forbid(unsafe_code)]

pub mod contract;
mod embedded;
mod identity;
pub mod record;
pub mod vault;

use std::path::PathBuf;

pub use embedded::EmbeddedStore;
pub use identity::identity;
pub use vault::Vault;

/// Number of a commit; 0 is the empty store before the first.
pub type Revision = u64;

/// A transactional key-value store. Calls block.
pub trait Store: Send + Sync {
    /// The record of this key.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, key: &str) -> Result<Option<Record>, StoreError>;

    /// Every record whose key starts with `prefix`, by key, and the revision
    /// they are of: one consistent view.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn list(&self, prefix: &str) -> Result<(Vec<Record>, Revision), StoreError>;

    /// Writes all or nothing, durably: when this returns, the writes survive
    /// the loss of power. Answers the revision of the commit.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a key does not have the expected version,
    /// an ordinary answer that changed nothing; others when the store cannot be
    /// written.
    fn commit(&self, writes: &[Write]) -> Result<Revision, StoreError>;

    /// Makes a store usable again that has failed: a database that met a full
    /// disk refuses everything from then on, also when there is room again. What a
    /// failed commit wrote may be there or not, so whoever has read before
    /// reads again. Without a failure nothing happens to what is stored.
    ///
    /// # Errors
    /// When it still cannot be used; it can be tried again.
    fn reopen(&self) -> Result<(), StoreError>;

    /// One word that names the kind of store.
    fn kind(&self) -> &'static str;
}

/// A stored record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key, such as `vpcs/5d1c6a0e-...`.
    pub key: String,
    /// The revision that wrote it.
    pub version: Revision,
    /// Its value.
    pub value: Vec<u8>,
}

/// One write of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The key; at most once in a commit.
    pub key: String,
    /// The version the write is based on; `None` means the key must not exist.
    pub expected: Option<Revision>,
    /// The new value; `None` removes the key.
    pub value: Option<Vec<u8>>,
}

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote first.
    #[error("cannot write {key}: it is at version {found:?}, the write expects {expected:?}")]
    Conflict {
        /// The key.
        key: String,
        /// The version the write was based on.
        expected: Option<Revision>,
        /// The version there.
        found: Option<Revision>,
    },
    /// Somebody else wrote in between, so what is known of the store is not what it holds.
    #[error("the store is at revision {found}, where {expected} would follow from the writes of this vpcepd")]
    Moved {
        /// The revision that would follow.
        expected: Revision,
        /// The revision there is.
        found: Revision,
    },
    /// Another process has the store open.
    #[error("cannot open {}: another vpcepd uses this state directory", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The store was written by another version of vpcep.
    #[error("cannot open {}: its format is {found}, this vpcepd reads format {expected}", path.display())]
    Format {
        /// The database file.
        path: PathBuf,
        /// Format found.
        found: u64,
        /// Format of this program.
        expected: u64,
    },
    /// The state directory or a file in it cannot be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// It failed and could not be opened again.
    #[error("cannot use the database: it failed and is not open again yet")]
    Closed,
    /// The database failed.
    #[error("cannot {action} the database")]
    Database {
        /// What was attempted.
        action: &'static str,
        /// The database's answer.
        #[source]
        source: Box<redb::Error>,
    },
}

//! The stored form of each object: JSON, with a schema version in every record.
//!
//! The forms are structs of their own: the model may change its types without a
//! change of what is on disk, and what is on disk is parsed as strictly as what
//! comes from a client. Every conversion destructures all fields, so that a new
//! one stops the build here.

mod endpoint;
mod network;
mod owner;
mod route_table;
mod service;
mod tag;
mod user;
mod version_0_1;

pub use owner::{HomeId, NumbersId, QuotaId};
pub use version_0_1::{OldAccount, old_account};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Record;
use crate::model::{ModelError, ProjectId, QuotaChange, Region, UserId};

/// An object that is kept under a key of its own.
pub trait Stored: Sized {
    /// What the keys of these objects start with; ends in `/`.
    const PREFIX: &'static str;
    /// Version of [`Stored::Form`]; raised with every change of it, so that an
    /// older vpcepd refuses a record rather than losing a part of it.
    const SCHEMA: u32;
    /// The oldest version that reads as this one: fields that came later have a
    /// default.
    const OLDEST: u32 = Self::SCHEMA;
    /// The form on disk.
    type Form: Serialize + DeserializeOwned + for<'a> From<&'a Self> + TryInto<Self, Error = ModelError>;
    /// What names the object among its kind.
    type Id: Copy + Ord + std::fmt::Display;

    /// What names this object.
    fn id(&self) -> Self::Id;

    /// The key of the object of this id.
    fn key(id: Self::Id) -> String {
        format!("{}{id}", Self::PREFIX)
    }

    /// What the audit log shows of this object: the whole form for a kind without
    /// secrets, a view of its own for others, nothing for bookkeeping. There is no
    /// default, so that every kind says which it is.
    fn audited(&self) -> Option<Value>;

    /// The user this belongs to, for kinds that do not say themselves of which
    /// account they are.
    fn holder(&self) -> Option<UserId> {
        None
    }

    /// What the audit log calls this object; another name where the id comes from
    /// a secret.
    fn audited_as(&self) -> String {
        self.id().to_string()
    }
}

/// The stored form as JSON, for kinds that hold no secret.
fn whole<T: Stored>(object: &T) -> Option<Value> {
    let form = serde_json::to_value(T::Form::from(object));
    Some(form.expect("stored forms are plain structs with string keys"))
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    schema: u32,
    object: T,
}

/// A record that cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not the JSON that was written.
    #[error("cannot read record {key}: it is not of the expected form")]
    Form {
        /// The record's key.
        key: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// Written by a later version, or one too old.
    #[error("cannot read record {key}: its schema is {found}, this vpcepd reads schema {oldest} to {newest}")]
    Schema {
        /// The record's key.
        key: String,
        /// Schema found.
        found: u32,
        /// The oldest schema of this program.
        oldest: u32,
        /// The newest.
        newest: u32,
    },
    /// A value that cannot exist.
    #[error("cannot read record {key}")]
    Value {
        /// The record's key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: ModelError,
    },
}

/// The bytes that are stored for `object`.
#[must_use]
pub fn encode<T: Stored>(object: &T) -> Vec<u8> {
    let envelope = Envelope { schema: T::SCHEMA, object: T::Form::from(object) };
    serde_json::to_vec(&envelope).expect("stored forms are plain structs with string keys")
}

/// The object of a record.
///
/// # Errors
/// When the record is not what [`encode`] writes.
pub fn decode<T: Stored>(record: &Record) -> Result<T, RecordError> {
    let key = || record.key.clone();
    // The schema first: a form this version does not know would fail to parse with a misleading message.
    let found = schema_of(record)?;
    if !(T::OLDEST..=T::SCHEMA).contains(&found) {
        let (oldest, newest) = (T::OLDEST, T::SCHEMA);
        return Err(RecordError::Schema { key: key(), found, oldest, newest });
    }
    let envelope: Envelope<T::Form> =
        serde_json::from_slice(&record.value).map_err(|source| RecordError::Form { key: key(), source })?;
    envelope.object.try_into().map_err(|source| RecordError::Value { key: key(), source })
}

/// The schema a record was written with.
fn schema_of(record: &Record) -> Result<u32, RecordError> {
    #[derive(Deserialize)]
    struct SchemaOnly {
        schema: u32,
    }
    let parsed: Result<SchemaOnly, _> = serde_json::from_slice(&record.value);
    parsed.map(|only| only.schema).map_err(|source| RecordError::Form { key: record.key.clone(), source })
}

/// The limits the operator set, for one project or for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaRecord {
    /// Whose; `None` is everyone's default.
    pub project: Option<ProjectId>,
    /// The limits.
    pub change: QuotaChange,
}

/// The next numbers to give out. One record, so that they rise with the commit
/// that uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Number of the next VPC (1..=65535); wraps around.
    pub next_vpc: u16,
    /// Marker of the next endpoint; wraps around.
    pub next_marker: u32,
}

/// Where the store is at home. Full names begin with the region, and consumers
/// have kept them: it is decided once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The region of everything in the store.
    pub region: Region,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { next_vpc: 1, next_marker: 1 }
    }
}

#[cfg(test)]
mod tests;

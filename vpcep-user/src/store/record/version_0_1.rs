//! What version 0.1.0 kept differently: an account was its own only user, with
//! one key pair in clear and one token that never expired.

use serde::Deserialize;

use super::{Envelope, RecordError, schema_of};
use crate::model::{AccessKeyId, Account, ModelError, Name, Secret, Timestamp, TokenHash};
use crate::store::Record;

/// Schema of such a record.
const SCHEMA: u32 = 1;

/// An account as version 0.1.0 kept it.
pub struct OldAccount {
    /// What is still the account's.
    pub account: Account,
    /// Now its first user's.
    pub access: AccessKeyId,
    /// The secret half.
    pub secret: Secret,
    /// Hash of its token.
    pub token: TokenHash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    domain: String,
    project: String,
    name: String,
    access_key: String,
    secret_key: String,
    token_sha256: [u8; 32],
    created_at: u64,
}

impl TryFrom<Form> for OldAccount {
    type Error = ModelError;

    fn try_from(form: Form) -> Result<Self, ModelError> {
        let Form { domain, project, name, access_key, secret_key, token_sha256, created_at } = form;
        Ok(Self {
            account: Account {
                domain: domain.parse()?,
                project: project.parse()?,
                name: Name::new("name", &name)?,
                created_at: Timestamp::from_micros(created_at),
            },
            access: access_key.parse()?,
            secret: Secret::new(secret_key),
            token: TokenHash::from_bytes(token_sha256),
        })
    }
}

/// The account of a record, if it is one of version 0.1.0.
///
/// # Errors
/// When the record cannot be read.
pub fn old_account(record: &Record) -> Result<Option<OldAccount>, RecordError> {
    if schema_of(record)? != SCHEMA {
        return Ok(None);
    }
    let key = || record.key.clone();
    let envelope: Envelope<Form> =
        serde_json::from_slice(&record.value).map_err(|source| RecordError::Form { key: key(), source })?;
    envelope.object.try_into().map(Some).map_err(|source| RecordError::Value { key: key(), source })
}

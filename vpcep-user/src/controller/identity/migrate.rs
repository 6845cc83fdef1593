//! A database of version 0.1.0 becomes one of this version.
//!
//! An account then had one key pair and one token of its own. Both become those
//! of a first user with the account's name. The key is sealed; the token, which
//! had no end, gets one lifetime from now.

use std::time::Duration;

use tracing::info;

use crate::controller::LoadError;
use crate::model::{AccessKey, Account, Description, Role, Timestamp, Token, User, UserId};
use crate::store::record::{self, OldAccount, Stored};
use crate::store::{Record, Store, Vault, Write};

/// Rewrites what version 0.1.0 has kept of accounts, all or nothing. Does
/// nothing to a database that has none of it.
///
/// # Errors
/// When the store cannot be read or written, or a record in it cannot be read.
pub fn migrate(
    store: &dyn Store,
    vault: &Vault,
    now: Timestamp,
    token_lifetime: Duration,
) -> Result<(), LoadError> {
    let expires_at = now.after(token_lifetime);
    let (records, _) = store.list(Account::PREFIX)?;
    let mut writes = Vec::new();
    let mut accounts = Vec::new();
    for found in &records {
        if let Some(old) = record::old_account(found)? {
            accounts.push(old.account.name.to_string());
            writes.extend(rewritten(found, old, vault, now, expires_at));
        }
    }
    if writes.is_empty() {
        return Ok(());
    }
    store.commit(&writes)?;
    for account in accounts {
        info!(
            account,
            %expires_at,
            "an account of version 0.1.0 has a user of its name now; its token, which had no end, has this one"
        );
    }
    Ok(())
}

fn rewritten(
    found: &Record,
    old: OldAccount,
    vault: &Vault,
    now: Timestamp,
    expires_at: Timestamp,
) -> [Write; 4] {
    let OldAccount { account, access, secret, token } = old;
    let user = User {
        id: UserId::random(),
        domain: account.domain,
        name: account.name.clone(),
        role: Role::Member,
        password: None,
        created_at: account.created_at,
    };
    let key = AccessKey {
        access,
        user: user.id,
        secret: vault.seal(access, &secret),
        description: Description::default(),
        created_at: account.created_at,
    };
    let token = Token { hash: token, user: user.id, issued_at: now, expires_at };
    let account = Write {
        key: found.key.clone(),
        expected: Some(found.version),
        value: Some(record::encode(&account)),
    };
    [account, made(&user), made(&key), made(&token)]
}

fn made<T: Stored>(object: &T) -> Write {
    Write { key: T::key(object.id()), expected: None, value: Some(record::encode(object)) }
}

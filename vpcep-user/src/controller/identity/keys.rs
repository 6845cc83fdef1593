//! Access keys: pairs with which users sign requests.

use crate::controller::{ControlError, State, Tx};
use crate::model::{AccessKey, AccessKeyId, Description, Secret, UserId};
use crate::store::Vault;

/// Most access keys a user has: enough to change them one by one on several
/// machines.
pub const MAX_KEYS: usize = 10;

/// A new access key with its secret, which is shown this once.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What is kept of it.
    pub key: AccessKey,
    /// The secret half.
    pub secret: Secret,
}

/// Makes a key pair for a user.
///
/// # Errors
/// When the user has as many as it may have.
pub fn create(
    tx: &mut Tx<'_>,
    vault: &Vault,
    user: UserId,
    description: Description,
) -> Result<NewKey, ControlError> {
    if tx.state.index.identities.keys_of(user).count() >= MAX_KEYS {
        return Err(ControlError::TooManyKeys { limit: MAX_KEYS });
    }
    let access: AccessKeyId = Secret::random::<10>()
        .reveal()
        .to_ascii_uppercase()
        .parse()
        .expect("ten bytes are twenty hexadecimal digits");
    let secret = Secret::random::<20>();
    let sealed = vault.seal(access, &secret);
    let key = AccessKey { access, user, secret: sealed, description, created_at: tx.now };
    tx.put(&key);
    Ok(NewKey { key, secret })
}

/// The access keys that whoever may see those of `user` sees; of everyone for
/// `None`. Oldest first.
#[must_use]
pub fn list(state: &State, user: Option<UserId>) -> Vec<&AccessKey> {
    let mut keys: Vec<_> = match user {
        Some(user) => {
            state.index.identities.keys_of(user).filter_map(|access| state.keys.get(access)).collect()
        }
        None => state.keys.iter().collect(),
    };
    keys.sort_by_key(|key| (key.created_at, key.access));
    keys
}

/// One access key, if it is `user`'s; anyone's for `None`.
///
/// # Errors
/// When it is not there or somebody else's, which look the same.
pub fn find<'a>(state: &'a State, user: Option<UserId>, access: &str) -> Result<&'a AccessKey, ControlError> {
    let found = access.parse().ok().and_then(|access| state.keys.get(access));
    found
        .filter(|key| user.is_none_or(|user| key.user == user))
        .ok_or_else(|| ControlError::NotFound { kind: "access key", id: access.into() })
}

/// Deletes an access key. Requests signed with it are refused from then on.
///
/// # Errors
/// As [`find`].
pub fn delete(tx: &mut Tx<'_>, user: Option<UserId>, access: &str) -> Result<(), ControlError> {
    let access = find(tx.state, user, access)?.access;
    tx.delete::<AccessKey>(access);
    Ok(())
}

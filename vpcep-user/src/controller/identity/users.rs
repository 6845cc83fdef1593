//! Users of accounts.

use super::tokens;
use crate::controller::{ControlError, State, Tx};
use crate::model::{AccessKey, DomainId, Name, PasswordHash, Role, User, UserId};

/// A user to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The account.
    pub domain: DomainId,
    /// Unique in it.
    pub name: Name,
    /// What the user may do.
    pub role: Role,
    /// `None`: no password opens it.
    pub password: Option<PasswordHash>,
}

/// Makes a user, of an account that is there or is made in the same operation.
///
/// # Errors
/// When the name is taken, or the role is not one of this domain.
pub fn create(tx: &mut Tx<'_>, new: NewUser) -> Result<User, ControlError> {
    let NewUser { domain, name, role, password } = new;
    check_role(domain, role)?;
    if tx.state.user_named(domain, name.as_str()).is_some() {
        return Err(ControlError::Exists { what: format!("user {name}"), detail: " in this account" });
    }
    let user = User { id: UserId::random(), domain, name, role, password, created_at: tx.now };
    tx.put(&user);
    Ok(user)
}

fn check_role(domain: DomainId, role: Role) -> Result<(), ControlError> {
    if role == Role::Operator && domain != DomainId::OPERATOR {
        return Err(ControlError::OperatorElsewhere);
    }
    Ok(())
}

/// The user of this id.
///
/// # Errors
/// When there is none.
pub fn find(state: &State, id: UserId) -> Result<&User, ControlError> {
    state.users.get(id).ok_or_else(|| ControlError::NotFound { kind: "user", id: id.to_string() })
}

/// Checks that a password is still good that was checked against the user `seen`:
/// that takes time, in which the operator may have set another.
///
/// # Errors
/// When the user has another password or is gone.
pub fn check_proof(state: &State, seen: &User) -> Result<(), ControlError> {
    let is_good = state.users.get(seen.id).is_some_and(|user| user.password == seen.password);
    if is_good { Ok(()) } else { Err(ControlError::ProofOver) }
}

/// What to change of a user; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// Another role.
    pub role: Option<Role>,
    /// Another password.
    pub password: Option<PasswordHash>,
}

/// Changes a user. A new password ends the user's tokens: whoever had the old
/// one may have some.
///
/// # Errors
/// When it is not there, or the role is not one of its domain.
pub fn update(tx: &mut Tx<'_>, id: UserId, change: UserChange) -> Result<User, ControlError> {
    let UserChange { role, password } = change;
    let before = find(tx.state, id)?;
    let mut user = before.clone();
    if let Some(role) = role {
        check_role(user.domain, role)?;
        user.role = role;
    }
    if password.is_some() {
        user.password = password;
        tokens::revoke_of_user(tx, id);
    }
    if user != *before {
        tx.put(&user);
    }
    Ok(user)
}

/// Deletes a user with its keys and tokens.
///
/// # Errors
/// When it is not there.
pub fn delete(tx: &mut Tx<'_>, id: UserId) -> Result<(), ControlError> {
    find(tx.state, id)?;
    for access in tx.state.index.identities.keys_of(id) {
        tx.delete::<AccessKey>(access);
    }
    tokens::revoke_of_user(tx, id);
    tx.delete::<User>(id);
    Ok(())
}

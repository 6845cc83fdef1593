//! Accounts. The operator's alone.

use std::time::Duration;

use super::error::ControlError;
use super::identity::OPERATOR_NAME;
use super::identity::keys::{self, NewKey};
use super::identity::tokens::{self, Issued};
use super::identity::users::{self, NewUser};
use super::networks::refuse_in_use;
use super::state::{Scope, State};
use super::tx::Tx;
use crate::model::{Account, Description, DomainId, Name, PasswordHash, ProjectId, Role, User};
use crate::store::Vault;
use crate::store::record::{QuotaId, QuotaRecord};

/// An account with its first user and that user's proofs, which are shown this
/// once.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The account.
    pub account: Account,
    /// A member with the account's name.
    pub user: User,
    /// The user's key pair.
    pub key: NewKey,
    /// The user's token.
    pub token: Issued,
}

/// Makes an account with a first user, who gets a token, a key pair and, if one
/// is given, a password.
///
/// # Errors
/// When the name is taken, or could be taken for an id.
pub fn create(
    tx: &mut Tx<'_>,
    vault: &Vault,
    name: Name,
    password: Option<PasswordHash>,
    token_lifetime: Duration,
) -> Result<NewAccount, ControlError> {
    if is_id(name.as_str()) {
        return Err(ControlError::NameIsId { name });
    }
    if tx.state.domain_named(name.as_str()).is_some() {
        let detail = if name.as_str() == OPERATOR_NAME { ": it is the operator's own" } else { "" };
        return Err(ControlError::Exists { what: format!("account {name}"), detail });
    }
    let account = Account {
        domain: DomainId::random(),
        project: ProjectId::random(),
        name: name.clone(),
        created_at: tx.now,
    };
    tx.put(&account);
    let user = users::create(tx, NewUser { domain: account.domain, name, role: Role::Member, password })?;
    let key = keys::create(tx, vault, user.id, Description::default())?;
    let token = tokens::issue(tx, user.id, token_lifetime);
    Ok(NewAccount { account, user, key, token })
}

/// The user that was made with an account.
///
/// # Errors
/// When it has been deleted.
pub fn first_user<'a>(state: &'a State, account: &Account) -> Result<&'a User, ControlError> {
    state.user_named(account.domain, account.name.as_str()).ok_or_else(|| ControlError::NotFound {
        kind: "user",
        id: format!("{0} of account {0}", account.name),
    })
}

/// Gives an account's first user another token. Those it had are worth nothing
/// as soon as this is done.
///
/// # Errors
/// When the account or its first user is not there.
pub fn renew_token(
    tx: &mut Tx<'_>,
    named: &str,
    lifetime: Duration,
) -> Result<(Account, Issued), ControlError> {
    let account = find(tx.state, named)?;
    let user = first_user(tx.state, account)?;
    tokens::revoke_of_user(tx, user.id);
    let token = tokens::issue(tx, user.id, lifetime);
    Ok((account.clone(), token))
}

/// Whether a text is a domain or project id in form; both have the same.
fn is_id(text: &str) -> bool {
    text.parse::<DomainId>().is_ok()
}

/// The account of this domain id, project id or name. An id comes first: no name
/// can stand in for another account's id.
///
/// # Errors
/// When there is none.
pub fn find<'a>(state: &'a State, named: &str) -> Result<&'a Account, ControlError> {
    let domain = named.parse::<DomainId>().ok().and_then(|id| state.accounts.get(id));
    let of_project = || state.account_of(named.parse().ok()?);
    let of_name = || state.accounts.get(state.domain_named(named)?);
    let account = domain.or_else(of_project).or_else(of_name);
    account.ok_or_else(|| ControlError::NotFound { kind: "account", id: named.into() })
}

/// The domain of an account, or the operator's own by its name or id.
///
/// # Errors
/// When there is none.
pub fn find_domain(state: &State, named: &str) -> Result<DomainId, ControlError> {
    match find(state, named) {
        Ok(account) => Ok(account.domain),
        Err(_) if named == OPERATOR_NAME || named.parse() == Ok(DomainId::OPERATOR) => Ok(DomainId::OPERATOR),
        Err(error) => Err(error),
    }
}

/// Deletes an account with its users and the limits set for it.
///
/// # Errors
/// When it is not there or still owns anything.
pub fn delete(tx: &mut Tx<'_>, named: &str) -> Result<(), ControlError> {
    let state = tx.state;
    let account = find(state, named)?;
    let own = account.project;
    refuse_in_use(
        "account",
        account.name.as_str(),
        &[
            ("endpoints", state.index.endpoints.visible(Scope::Project(own)).len()),
            ("endpoint services", state.index.services.visible(Scope::Project(own)).len()),
            ("backends", state.backends.iter().filter(|b| b.project == own).count()),
            ("route tables", state.route_tables.iter().filter(|t| t.project == own && !t.is_default).count()),
            ("subnets", state.subnets.iter().filter(|s| s.project == own).count()),
            ("vpcs", state.vpcs.iter().filter(|v| v.project == own).count()),
        ],
    )?;
    if state.quotas.get(QuotaId(Some(own))).is_some() {
        tx.delete::<QuotaRecord>(QuotaId(Some(own)));
    }
    for user in state.users_of(account.domain) {
        users::delete(tx, user.id)?;
    }
    tx.delete::<Account>(account.domain);
    Ok(())
}

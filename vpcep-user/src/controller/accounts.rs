//! Accounts. The operator's alone.

use super::error::ControlError;
use super::networks::refuse_in_use;
use super::state::{State, Tx};
use crate::model::{Account, DomainId, Name, ProjectId, TokenHash};
use crate::store::record::{QuotaId, QuotaRecord};

/// An account with its new token, which is shown this once.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The account.
    pub account: Account,
    /// Its token; only the hash is kept.
    pub token: String,
}

/// Makes an account with a token and a key pair.
///
/// # Errors
/// When the name is taken, or could be taken for an id.
pub fn create(tx: &mut Tx<'_>, name: Name) -> Result<NewToken, ControlError> {
    if is_id(name.as_str()) {
        return Err(ControlError::NameIsId { name });
    }
    if tx.state.accounts.iter().any(|account| account.name == name) {
        return Err(ControlError::Exists { what: format!("account {name}"), detail: "" });
    }
    let token = random_hex::<32>();
    let account = Account {
        domain: DomainId::random(),
        project: ProjectId::random(),
        name,
        access_key: random_hex::<10>().to_ascii_uppercase(),
        secret_key: random_hex::<20>(),
        token: TokenHash::of(&token),
        created_at: tx.now,
    };
    tx.put(&account);
    Ok(NewToken { account, token })
}

/// Gives an account another token. The one it had is worth nothing as soon as
/// this is done.
///
/// # Errors
/// When the account is not there.
pub fn renew_token(tx: &mut Tx<'_>, named: &str) -> Result<NewToken, ControlError> {
    let token = random_hex::<32>();
    let account = Account { token: TokenHash::of(&token), ..find(tx.state, named)?.clone() };
    tx.put(&account);
    Ok(NewToken { account, token })
}

/// Whether a text is a domain or project id in form; both have the same.
fn is_id(text: &str) -> bool {
    text.parse::<DomainId>().is_ok()
}

/// `N` random bytes in hexadecimal.
fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("getrandom(2) does not fail once the kernel has booted");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The account of this domain id, project id or name. An id comes first: no name
/// can stand in for another account's id.
///
/// # Errors
/// When there is none.
pub fn find<'a>(state: &'a State, named: &str) -> Result<&'a Account, ControlError> {
    let domain = named.parse::<DomainId>().ok().and_then(|id| state.accounts.get(id));
    let of_project = || {
        let project = named.parse::<ProjectId>().ok()?;
        state.accounts.iter().find(|account| account.project == project)
    };
    let of_name = || state.accounts.iter().find(|account| account.name.as_str() == named);
    let account = domain.or_else(of_project).or_else(of_name);
    account.ok_or_else(|| ControlError::NotFound { kind: "account", id: named.into() })
}

/// Deletes an account and the limits set for it.
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
            ("endpoints", state.endpoints.iter().filter(|e| e.project == own).count()),
            ("endpoint services", state.services.iter().filter(|s| s.project == own).count()),
            ("backends", state.backends.iter().filter(|b| b.project == own).count()),
            ("subnets", state.subnets.iter().filter(|s| s.project == own).count()),
            ("vpcs", state.vpcs.iter().filter(|v| v.project == own).count()),
        ],
    )?;
    if state.quotas.get(QuotaId(Some(own))).is_some() {
        tx.delete::<QuotaRecord>(QuotaId(Some(own)));
    }
    tx.delete::<Account>(account.domain);
    Ok(())
}

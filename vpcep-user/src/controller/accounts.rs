//! Accounts. The operator's alone.

use super::error::ControlError;
use super::networks::refuse_in_use;
use super::state::{State, Tx};
use crate::model::{Account, DomainId, Name, ProjectId, TokenHash};
use crate::store::record::{QuotaId, QuotaRecord};

/// A new account, with what is shown this once.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The account.
    pub account: Account,
    /// Its token; only the hash is kept.
    pub token: String,
}

/// Makes an account with a token and a key pair.
///
/// # Errors
/// When the name is taken.
pub fn create(tx: &mut Tx<'_>, name: Name) -> Result<NewAccount, ControlError> {
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
    Ok(NewAccount { account, token })
}

/// `N` random bytes in hexadecimal.
fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("getrandom(2) does not fail once the kernel has booted");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The account of this name, domain id or project id.
///
/// # Errors
/// When there is none.
pub fn find<'a>(state: &'a State, named: &str) -> Result<&'a Account, ControlError> {
    let is_named = |account: &&Account| {
        account.name.as_str() == named
            || account.domain.to_string() == named
            || account.project.to_string() == named
    };
    let account = state.accounts.iter().find(is_named);
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

//! Tokens: given out, ended, forgotten.

use std::time::Duration;

use super::users;
use crate::controller::{ControlError, State, Tx};
use crate::model::{DomainId, Secret, Timestamp, Token, TokenHash, User, UserId};

/// Most tokens a user has. One more ends the one that would expire first: a
/// program that logs in for each call neither fills the store nor locks itself
/// out.
pub const MAX_TOKENS: usize = 1000;

/// Most expired tokens that are forgotten in one go.
const FORGOTTEN_AT_ONCE: usize = 100;

/// A new token, which is shown this once.
#[derive(Clone, Debug)]
pub struct Issued {
    /// What is kept of it.
    pub token: Token,
    /// The token itself.
    pub text: Secret,
}

/// Gives a user a token, and forgets some that have expired: more than one, so
/// that the store does not grow.
pub fn issue(tx: &mut Tx<'_>, user: UserId, lifetime: Duration) -> Issued {
    issue_until(tx, user, tx.now.after(lifetime))
}

/// Gives a token with this end to a user as it was when it proved who it is, by its
/// password or by the token `shown`. See [`issue`].
///
/// # Errors
/// When the proof is worth nothing any more.
pub fn issue_for(
    tx: &mut Tx<'_>,
    user: &User,
    shown: Option<TokenHash>,
    expires_at: Timestamp,
) -> Result<Issued, ControlError> {
    users::check_proof(tx.state, user)?;
    if shown.is_some_and(|hash| valid(tx.state, hash, tx.now).is_none()) {
        return Err(ControlError::ProofOver);
    }
    Ok(issue_until(tx, user.id, expires_at))
}

fn issue_until(tx: &mut Tx<'_>, user: UserId, expires_at: Timestamp) -> Issued {
    let state = tx.state;
    for hash in state.index.identities.expired(tx.now).take(FORGOTTEN_AT_ONCE) {
        tx.delete::<Token>(hash);
    }
    let surplus = (state.index.identities.count_tokens_of(user) + 1).saturating_sub(MAX_TOKENS);
    for hash in state.tokens_of(user).take(surplus) {
        tx.delete::<Token>(hash);
    }
    let text = Secret::random::<32>();
    let token = Token { hash: TokenHash::of(text.reveal()), user, issued_at: tx.now, expires_at };
    tx.put(&token);
    Issued { token, text }
}

/// Whose a token is, as long as it is worth something.
#[must_use]
pub fn valid(state: &State, hash: TokenHash, now: Timestamp) -> Option<&Token> {
    state.tokens.get(hash).filter(|token| !token.is_expired(now))
}

/// Ends one token.
///
/// # Errors
/// When it is worth nothing already.
pub fn revoke(tx: &mut Tx<'_>, hash: TokenHash) -> Result<(), ControlError> {
    valid(tx.state, hash, tx.now).ok_or(ControlError::NoSuchToken)?;
    tx.delete::<Token>(hash);
    Ok(())
}

/// Ends every token of a user.
pub fn revoke_of_user(tx: &mut Tx<'_>, user: UserId) {
    for hash in tx.state.tokens_of(user) {
        tx.delete::<Token>(hash);
    }
}

/// Ends every token of every user of a domain.
pub fn revoke_of_domain(tx: &mut Tx<'_>, domain: DomainId) {
    for user in tx.state.users_of(domain) {
        revoke_of_user(tx, user.id);
    }
}

//! What both doors share to tell who is asking.

use std::sync::Mutex;
use std::time::Duration;

use super::failures::Failures;
use super::password::Passwords;
use crate::store::Vault;

/// See the module.
#[derive(Debug)]
pub struct Access {
    /// Opens the secrets of access keys.
    pub(super) vault: Vault,
    /// How long a new token is worth something.
    pub(super) token_lifetime: Duration,
    /// Wrong passwords, tokens and signatures.
    pub(super) failures: Mutex<Failures>,
    /// Turns at working on passwords.
    pub(super) passwords: Passwords,
}

impl Access {
    /// With these secrets, and tokens of this lifetime.
    #[must_use]
    pub fn new(vault: Vault, token_lifetime: Duration) -> Self {
        Self { vault, token_lifetime, failures: Mutex::default(), passwords: Passwords::default() }
    }
}

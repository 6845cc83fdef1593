//! Users and access keys, as far as the command line reads them.

use serde::Deserialize;

use super::objects::resource;
use super::{Door, Kind, Resource};

resource!(User, "user", Operator, "users", "users", None);
resource!(Credential, "access key", Credentials, "credentials", "credentials", Some("credential"));

/// Somebody who calls in the name of an account.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// Its id.
    pub id: String,
    /// Unique in the account.
    pub name: String,
    /// Name of the account.
    pub account: String,
    /// `operator`, `member` or `reader`.
    pub role: String,
    /// Whether a password opens it.
    pub has_password: bool,
    /// When it was made.
    pub created_at: String,
}

/// A key that signs requests.
#[derive(Clone, Debug, Deserialize)]
pub struct Credential {
    /// Its public half, which names it.
    pub access: String,
    /// Whose it is.
    pub user_id: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// When it was made.
    pub create_time: String,
}

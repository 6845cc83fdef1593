//! Users of an account and what proves to be one: password, access key, token.
//!
//! Only what checks a proof is kept. A password is a hash that costs to try, a
//! token a hash of 256 random bits. An access key's secret is needed in clear to
//! check a signature, so it is kept sealed ([`crate::store::vault`]).

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::{Description, DomainId, ModelError, Name, Timestamp, UserId};

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Everything, everywhere. Only in the operator's own domain.
    Operator,
    /// Everything in the project of the own account.
    Member,
    /// See everything in the project of the own account, and change nothing.
    Reader,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Member, Self::Reader];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Member => "member",
            Self::Reader => "reader",
        }
    }
}

impl FromStr for Role {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| ModelError::Role { value: text.into() })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody, or something, that calls in the name of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Names the user.
    pub id: UserId,
    /// The account.
    pub domain: DomainId,
    /// Unique in the account.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// `None`: no password opens it.
    pub password: Option<PasswordHash>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A password as it is kept: a PHC string of argon2id.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The hash written as this PHC string.
    ///
    /// # Errors
    /// When it is of another function than argon2id.
    pub fn from_phc(text: String) -> Result<Self, ModelError> {
        if text.starts_with("$argon2id$") { Ok(Self(text)) } else { Err(ModelError::PasswordHash) }
    }

    /// The PHC string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// The public half of an access key: 20 of `A-Z` and `0-9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccessKeyId([u8; Self::LEN]);

impl AccessKeyId {
    /// How many characters it has.
    pub const LEN: usize = 20;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII is taken in")
    }
}

impl FromStr for AccessKeyId {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let bytes: Option<[u8; Self::LEN]> = text.as_bytes().try_into().ok();
        bytes
            .filter(|bytes| bytes.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()))
            .map(Self)
            .ok_or_else(|| ModelError::Id {
                kind: "access key",
                value: text.into(),
                expected: "20 of A-Z and 0-9",
            })
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A secret that only the holder of the key file can read.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// A secret that was sealed to these bytes.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// A key pair with which a user signs requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// The public half; unique on this controller.
    pub access: AccessKeyId,
    /// Whose it is.
    pub user: UserId,
    /// The secret half.
    pub secret: Sealed,
    /// What the user says it is for.
    pub description: Description,
    /// When it was made.
    pub created_at: Timestamp,
}

/// SHA-256 of a token.
///
/// Tokens are found by it: comparing hashes tells an attacker who measures
/// time nothing about the token, because its hash cannot be steered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of `token`.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// The hash with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is kept of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its hash; the token itself is shown once.
    pub hash: TokenHash,
    /// Whom it proves.
    pub user: UserId,
    /// When it was given out.
    pub issued_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
}

impl Token {
    /// Whether it is worth nothing any more.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_keys_are_20_capitals_and_digits() {
        assert_eq!("0123456789ABCDEFGHIJ".parse::<AccessKeyId>().unwrap().as_str(), "0123456789ABCDEFGHIJ");
        for bad in ["", "0123456789ABCDEFGHI", "0123456789ABCDEFGHIJK", "0123456789abcdefghij", "ÄÄÄÄÄÄÄÄÄÄ"]
        {
            let error = bad.parse::<AccessKeyId>().unwrap_err().to_string();
            assert_eq!(error, format!("bad access key \"{bad}\": expected 20 of A-Z and 0-9"));
        }
    }

    #[test]
    fn roles_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        let error = "admin".parse::<Role>().unwrap_err().to_string();
        assert_eq!(error, "bad role \"admin\": expected operator, member or reader");
    }

    #[test]
    fn a_token_ends_with_the_microsecond_it_says() {
        let at = Timestamp::from_micros;
        let token =
            Token { hash: TokenHash::of("t"), user: UserId::random(), issued_at: at(0), expires_at: at(10) };
        assert!(!token.is_expired(at(9)));
        assert!(token.is_expired(at(10)));
    }

    #[test]
    fn proofs_are_not_in_what_debug_prints() {
        let hash = PasswordHash::from_phc("$argon2id$v=19$x".into()).unwrap();
        assert_eq!(format!("{hash:?}{:?}", Sealed::from_bytes(vec![77])), "PasswordHash(..)Sealed(..)");
        assert!(PasswordHash::from_phc("$5$x".into()).is_err());
    }
}

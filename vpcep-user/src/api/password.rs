//! Passwords: argon2id with the recommended cost (19 MiB, two passes; OWASP
//! Password Storage Cheat Sheet), on threads that may block.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use crate::model::{PasswordHash, Secret};

/// Passwords that are worked on at a time: each takes a CPU and 19 MiB.
const AT_ONCE: usize = 2;
/// Characters of a new password.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

/// Checked where there is no password, so that it takes as long as where there
/// is one.
static DECOY: LazyLock<PasswordHash> = LazyLock::new(|| hash_now(&Secret::random::<32>()));

/// Turns at working on passwords.
#[derive(Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
}

/// A turn at working on one password.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held, never looked at")] OwnedSemaphorePermit);

impl Default for Passwords {
    fn default() -> Self {
        // Not at the first wrong name, which would take twice as long.
        LazyLock::force(&DECOY);
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Passwords {
    /// Waits for a turn.
    pub async fn turn(&self) -> Turn {
        let turn = Arc::clone(&self.turns).acquire_owned();
        Turn(turn.await.expect("nobody closes the semaphore"))
    }

    /// The hash of a new password, in turn.
    ///
    /// # Errors
    /// When it is too short or too long.
    pub async fn hash(&self, password: Secret) -> Result<PasswordHash, ApiError> {
        if !LENGTH.contains(&password.reveal().chars().count()) {
            return Err(ApiError::Password { min: *LENGTH.start(), max: *LENGTH.end() });
        }
        self.turn().await.work(move || hash_now(&password)).await
    }
}

impl Turn {
    /// Whether a password is the one of this hash; of no hash none is. Takes the
    /// same time either way.
    ///
    /// # Errors
    /// When the work was broken off.
    pub async fn verify(self, password: Secret, hash: Option<PasswordHash>) -> Result<bool, ApiError> {
        self.work(move || {
            let (phc, is_decoy) = match &hash {
                Some(hash) => (hash.as_str(), false),
                None => (DECOY.as_str(), true),
            };
            let verified = Argon2::default().verify_password(password.reveal().as_bytes(), phc);
            verified.is_ok() && !is_decoy
        })
        .await
    }

    async fn work<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let in_turn = move || {
            // Kept by the work, not by who waits for it: a caller who leaves makes no room.
            let _turn = self;
            work()
        };
        tokio::task::spawn_blocking(in_turn).await.map_err(ApiError::Panicked)
    }
}

/// A password or a token in a body. What is none is not quoted in the error.
#[derive(Debug)]
pub struct Given(pub Secret);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(Secret::new(text))),
            _ => Err(D::Error::custom("expected a string")),
        }
    }
}

impl JsonSchema for Given {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Password".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "writeOnly": true})
    }
}

fn hash_now(password: &Secret) -> PasswordHash {
    let hash = Argon2::default()
        .hash_password(password.reveal().as_bytes())
        .expect("the default cost is valid and a password is shorter than 4 GiB");
    PasswordHash::from_phc(hash.to_string()).expect("argon2id is the default")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.into())
    }

    #[tokio::test]
    async fn a_password_opens_its_own_hash_and_nothing_else() {
        let passwords = Passwords::default();
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert_ne!(
            passwords.hash(secret("correct horse")).await.unwrap(),
            hash,
            "each has a salt of its own"
        );
        for (given, kept, expected) in [
            ("correct horse", Some(&hash), true),
            ("correct horsf", Some(&hash), false),
            ("", Some(&hash), false),
            ("correct horse", None, false),
        ] {
            let verified = passwords.turn().await.verify(secret(given), kept.cloned()).await.unwrap();
            assert_eq!(verified, expected, "{given:?}");
        }
    }

    #[tokio::test]
    async fn new_passwords_have_a_length_and_errors_do_not_show_them() {
        let passwords = Passwords::default();
        for bad in ["", "hunter2", &"x".repeat(129)] {
            let error = passwords.hash(secret(bad)).await.unwrap_err().to_string();
            assert_eq!(error, "bad password: expected 8 to 128 characters");
        }
        assert!(passwords.hash(secret("pässwörd")).await.is_ok());
    }
}

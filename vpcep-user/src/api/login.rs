//! Logging in with a password: who is meant, whether it is right, and how often
//! it was not.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::App;
use super::auth::AuthError;
use super::error::ApiError;
use super::failures::{Failures, Login};
use crate::controller::State;
use crate::model::{DomainId, Secret, User};

/// How a domain is named in a request.
#[derive(Clone, Debug)]
pub enum DomainRef {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

impl DomainRef {
    /// The domain, if there is one.
    pub fn find(&self, state: &State) -> Option<DomainId> {
        match self {
            Self::Id(id) => id.parse().ok().filter(|id| state.domain_name(*id).is_some()),
            Self::Name(name) => state.domain_named(name),
        }
    }
}

/// How a user is named in a request.
#[derive(Clone, Debug)]
pub enum UserRef {
    /// By id.
    Id(String),
    /// By name in a domain.
    Name(String, DomainRef),
}

impl UserRef {
    fn find<'a>(&self, state: &'a State) -> Option<&'a User> {
        match self {
            Self::Id(id) => state.users.get(id.parse().ok()?),
            Self::Name(name, domain) => state.user_named(domain.find(state)?, name),
        }
    }

    /// Whose failures are counted when there is no such user.
    fn unknown(&self) -> Login {
        Login::Unknown(Sha256::digest(format!("{self:?}")).into())
    }
}

impl App {
    /// The user who has this password.
    ///
    /// # Errors
    /// When there is none, which is the same for a user there is not, or there
    /// were too many wrong ones.
    pub(super) async fn log_in(
        &self,
        user: UserRef,
        password: Secret,
        from: Option<IpAddr>,
    ) -> Result<User, ApiError> {
        let (user, login) = self
            .read(move |state| {
                let found = user.find(state).cloned();
                let login = found.as_ref().map_or_else(|| user.unknown(), |user| Login::User(user.id));
                Ok((found, login))
            })
            .await?;
        let turn = self.access.passwords.turn().await;
        // In turn: whoever tries many at a time is counted one by one.
        let blocked = self.with_failures(|failures| failures.login_blocked(login, from, Instant::now()));
        if let Some(retry_after) = blocked {
            return Err(Arc::new(AuthError::TooMany { retry_after }).into());
        }
        let hash = user.as_ref().and_then(|user| user.password.clone());
        let is_right = turn.verify(password, hash).await?;
        self.with_failures(|failures| match is_right {
            true => failures.login_succeeded(login),
            false => failures.login_failed(login, from, Instant::now()),
        });
        user.filter(|_| is_right).ok_or_else(|| Arc::new(AuthError::Password).into())
    }

    /// Does something with the failures there have been.
    pub(super) fn with_failures<T>(&self, work: impl FnOnce(&mut Failures) -> T) -> T {
        work(&mut self.access.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

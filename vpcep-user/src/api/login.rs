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
use crate::model::{DomainId, Secret, User, UserId};

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

    /// Whose failures are counted when there is no such user: as of a user, they are
    /// the same by whatever name.
    fn unknown(&self, state: &State) -> Login {
        let same = match self {
            Self::Id(id) => Self::Id(id.parse().map_or_else(|_| id.clone(), |id: UserId| id.to_string())),
            Self::Name(name, domain) => {
                let found = domain.find(state).map(|id| DomainRef::Id(id.to_string()));
                Self::Name(name.clone(), found.unwrap_or_else(|| domain.clone()))
            }
        };
        Login::Unknown(Sha256::digest(format!("{same:?}")).into())
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
                let login = found.as_ref().map_or_else(|| user.unknown(state), |user| Login::User(user.id));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DomainId;

    /// A user there is has one count by whatever name. One there is not had one for each, which
    /// told the two apart.
    #[test]
    fn who_is_not_there_is_the_same_by_every_name() {
        let state = State::load("r".parse().unwrap(), &[], 0).unwrap();
        let of = |name: &str, domain| UserRef::Name(name.into(), domain);
        let (by_name, by_id) = (|text: &str| DomainRef::Name(text.into()), |text| DomainRef::Id(text));
        let operator = DomainId::OPERATOR.to_string();
        let id = "0123456789abcdef0123456789abcdef";
        for (one, other, is_same) in [
            (of("u", by_name("operator")), of("u", by_id(operator.clone())), true),
            (UserRef::Id(id.into()), UserRef::Id(id.to_uppercase()), true),
            (of("u", by_name("operator")), of("v", by_name("operator")), false),
            (of("u", by_name("operator")), of("u", by_name("nobody")), false),
            (UserRef::Id(id.into()), UserRef::Id(id.replace('0', "1")), false),
        ] {
            let same = one.unknown(&state) == other.unknown(&state);
            assert_eq!(same, is_same, "{one:?}, {other:?}");
        }
    }
}

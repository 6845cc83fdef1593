//! Who is asking, and whose resources the path means.
//!
//! [`authenticate`] finds out once, before any handler, and leaves the verdict
//! beside the request. The extractors read it: [`Caller`] is whoever could prove
//! to be somebody, [`InProject`] and [`InProjectReading`] whoever may work in the
//! project of the path, [`Operator`] the operator. A handler that takes none of
//! them is for everybody.
//!
//! A token goes before a signature: SDKs that are given one sign all the same. On
//! the operator's socket a request with neither is the operator's; one with an
//! `Authorization` of another kind is nobody's.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State as Context};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use http::request::Parts;
use tokio::task::{JoinError, spawn_blocking};

use super::audit::Asker;
use super::error::ApiError;
use super::serve::Limits;
use super::signature::{Signature, SignatureError};
use super::{App, Door, MAX_BODY};
use crate::controller::identity::tokens;
use crate::controller::{ControlError, Scope, State};
use crate::model::{AccessKey, AccessKeyId, DomainId, ProjectId, Role, Timestamp, TokenHash, User, UserId};
use crate::store::vault::CannotOpen;

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Whoever can open the operator's socket.
    Socket,
    /// A user with a token or a signature.
    User(Arc<CallingUser>),
}

/// A user who is asking, as of the beginning of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallingUser {
    /// The user.
    pub id: UserId,
    /// What the user may do.
    pub role: Role,
    /// The account.
    pub domain: DomainId,
    /// The account's project.
    pub project: ProjectId,
    /// The token that was shown; `None` for a signature.
    pub token: Option<TokenHash>,
    /// The user's name.
    pub name: String,
    /// The account's name.
    pub account: String,
}

impl Caller {
    /// Whether this is the operator.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        match self {
            Self::Socket => true,
            Self::User(user) => user.role == Role::Operator,
        }
    }

    /// Whether the caller may change anything at all.
    #[must_use]
    pub fn may_change(&self) -> bool {
        match self {
            Self::Socket => true,
            Self::User(user) => user.role != Role::Reader,
        }
    }

    /// A user who has proved to be one; `None` when the account has just gone.
    pub(super) fn of(state: &State, user: &User, token: Option<TokenHash>) -> Option<Self> {
        let account = state.domain_name(user.domain)?;
        Some(Self::User(Arc::new(CallingUser {
            id: user.id,
            role: user.role,
            domain: user.domain,
            project: state.project_of(user.domain)?,
            token,
            name: user.name.to_string(),
            account: account.into(),
        })))
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket => f.write_str("operator"),
            Self::User(user) => write!(f, "{}@{}", user.name, user.account),
        }
    }
}

/// Why it is not known who is asking.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Nothing to go by.
    #[error("the request carries neither an X-Auth-Token nor an SDK-HMAC-SHA256 signature")]
    NoProof,
    /// A header that proves somebody, twice: whose proof was meant is open.
    #[error("the header {0} is in the request more than once: expected one")]
    Repeated(&'static str),
    /// A token nobody has.
    #[error("the X-Auth-Token is unknown or has expired")]
    Token,
    /// A wrong password, or a user there is not.
    #[error("the user or the password is wrong")]
    Password,
    /// A signature that proves nothing.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A signature by a key nobody has.
    #[error("access key {0} does not exist")]
    AccessKey(AccessKeyId),
    /// One wrong proof too many.
    #[error("too many wrong tokens, signatures or passwords: retry in {} seconds", retry_after.as_secs() + 1)]
    TooMany {
        /// When the next may be shown.
        retry_after: Duration,
    },
    /// A body that cannot be read, and is signed.
    #[error("bad body: expected JSON of at most 1 MiB, sent within {} seconds", Limits::TCP.body_within.as_secs())]
    Body,
    /// The secret of the key cannot be opened.
    #[error("cannot check the signature")]
    Sealed(#[from] CannotOpen),
    /// The look-up came to an unexpected end.
    #[error("cannot look up who is asking")]
    Panicked(#[source] JoinError),
}

impl AuthError {
    /// Whether somebody may have been guessing.
    fn is_wrong_proof(&self) -> bool {
        matches!(self, Self::Token | Self::AccessKey(_) | Self::Signature(SignatureError::Mismatch))
    }
}

/// Where a request on TCP came from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The address a request came from; none on the socket.
#[derive(Clone, Copy, Debug)]
pub struct FromAddress(pub Option<IpAddr>);

impl FromAddress {
    fn of(parts: &Parts) -> Self {
        Self(parts.extensions.get::<Peer>().map(|peer| peer.0))
    }
}

impl FromRequestParts<App> for FromAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

/// What [`authenticate`] found out.
#[derive(Clone)]
struct Verdict(Result<Caller, Arc<AuthError>>);

/// Finds out who is asking, and leaves it beside the request.
pub async fn authenticate(Context(app): Context<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let (found, body) = find(&app, &parts, body).await;
    let FromAddress(from) = FromAddress::of(&parts);
    let found = found.map_err(|error| app.note_wrong_proof(error, from));
    if let (Ok(caller), Some(asker)) = (&found, parts.extensions.get::<Asker>()) {
        asker.is(caller.clone());
    }
    parts.extensions.insert(Verdict(found.map_err(Arc::new)));
    next.run(Request::from_parts(parts, body)).await
}

/// Who is asking, and the body: one that is signed has been read.
async fn find(app: &App, parts: &Parts, body: Body) -> (Result<Caller, AuthError>, Body) {
    for name in ["X-Auth-Token", "Authorization"] {
        if parts.headers.get_all(name).iter().nth(1).is_some() {
            return (Err(AuthError::Repeated(name)), body);
        }
    }
    if let Some(token) = parts.headers.get("x-auth-token") {
        let caller = match token.to_str() {
            Ok(token) => of_token(app, TokenHash::of(token)).await,
            Err(_) => Err(AuthError::Token),
        };
        return (caller, body);
    }
    if Signature::is_claimed(&parts.headers) {
        return of_signature(app, parts, body).await;
    }
    let caller = match app.door {
        Door::Socket => Ok(Caller::Socket),
        Door::Tcp => Err(AuthError::NoProof),
    };
    (caller, body)
}

async fn of_token(app: &App, hash: TokenHash) -> Result<Caller, AuthError> {
    let look_up = move |state: &State| {
        let token = tokens::valid(state, hash, Timestamp::now())?;
        Caller::of(state, state.users.get(token.user)?, Some(hash))
    };
    look_up_in(app, look_up).await?.ok_or(AuthError::Token)
}

async fn of_signature(app: &App, parts: &Parts, body: Body) -> (Result<Caller, AuthError>, Body) {
    let signer = async {
        let signature = Signature::read(&parts.headers, Timestamp::now())?;
        let access = signature.access;
        let look_up = move |state: &State| {
            let key = state.keys.get(access)?;
            Some((key.clone(), Caller::of(state, state.users.get(key.user)?, None)?))
        };
        let (key, caller) = look_up_in(app, look_up).await?.ok_or(AuthError::AccessKey(access))?;
        Ok((signature, key, caller))
    };
    let (signature, AccessKey { access, secret, .. }, caller) = match signer.await {
        Ok(signer) => signer,
        Err(error) => return (Err(error), body),
    };
    // Only for whom the key is known: nobody else makes us keep a body in memory.
    let Ok(bytes) = to_bytes(body, MAX_BODY).await else { return (Err(AuthError::Body), Body::empty()) };
    let verify = || {
        let secret = app.access.vault.unseal(access, &secret)?;
        signature.verify(&parts.method, &parts.uri, &parts.headers, &bytes, &secret)?;
        Ok(caller)
    };
    (verify(), Body::from(bytes))
}

/// Asks the state on a thread that may wait for it.
async fn look_up_in<T: Send + 'static>(
    app: &App,
    question: impl FnOnce(&State) -> T + Send + 'static,
) -> Result<T, AuthError> {
    let controller = Arc::clone(&app.controller);
    spawn_blocking(move || controller.read(question)).await.map_err(AuthError::Panicked)
}

impl App {
    /// Counts a proof that somebody may have guessed; the answer may be to wait.
    pub(super) fn note_wrong_proof(&self, error: AuthError, from: Option<IpAddr>) -> AuthError {
        if !error.is_wrong_proof() {
            return error;
        }
        match self.with_failures(|failures| failures.proof_failed(from, Instant::now())) {
            Some(retry_after) => AuthError::TooMany { retry_after },
            None => error,
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let Verdict(found) =
            parts.extensions.get::<Verdict>().expect("every route is behind the authentication");
        Ok(found.clone()?)
    }
}

/// The part of the model that a tenant path means: `{project_id}`, or all the
/// caller may see for `-`. By any method but a safe one (RFC 9110, section
/// 9.2.1) the caller may change it.
#[derive(Clone, Copy, Debug)]
pub struct InProject(pub Scope);

impl FromRequestParts<App> for InProject {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            require_change(&caller)?;
        }
        scope_of_path(&caller, parts, app).await.map(Self)
    }
}

/// As [`InProject`], for the few routes that change nothing although their method
/// could.
#[derive(Clone, Copy, Debug)]
pub struct InProjectReading(pub Scope);

impl FromRequestParts<App> for InProjectReading {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        scope_of_path(&caller, parts, app).await.map(Self)
    }
}

/// Refuses who may only read.
///
/// # Errors
/// When the caller is a reader.
pub fn require_change(caller: &Caller) -> Result<(), ApiError> {
    if caller.may_change() {
        return Ok(());
    }
    Err(ApiError::Forbidden("the user has the role reader and may change nothing"))
}

async fn scope_of_path(caller: &Caller, parts: &mut Parts, app: &App) -> Result<Scope, ApiError> {
    let named = super::request::path_param(parts, app, "project_id").await?;
    let named = match named.as_str() {
        "-" => None,
        id => Some(id.parse::<ProjectId>().map_err(ApiError::Project)?),
    };
    let own = match caller {
        Caller::User(user) if user.role != Role::Operator => user.project,
        _ => return operators_scope(named, app).await,
    };
    match named {
        Some(other) if other != own => {
            Err(ApiError::Forbidden("the caller's account does not own the project in the path"))
        }
        _ => Ok(Scope::Project(own)),
    }
}

async fn operators_scope(named: Option<ProjectId>, app: &App) -> Result<Scope, ApiError> {
    let Some(id) = named else { return Ok(Scope::Every) };
    if !app.read(move |state| Ok(state.has_project(id))).await? {
        return Err(ControlError::NoSuchProject { id: id.to_string() }.into());
    }
    Ok(Scope::Project(id))
}

/// The caller is the operator.
#[derive(Clone, Copy, Debug)]
pub struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        if caller.is_operator() { Ok(Self) } else { Err(ApiError::Forbidden("only the operator may")) }
    }
}

//! Tokens for passwords: Keystone's password method, the end of a token, and
//! another password.
//!
//! Source: OpenStack Identity API v3, "Password authentication with scoped
//! authorization", "Validate and show information for token", "Revoke token" and
//! "Change password".

use http::{HeaderName, Method};
use serde::Deserialize;
use serde_json::json;

use super::{Client, ClientError, Path, Server, Token, malformed};

/// Where a token travels that is not the caller's own.
const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");
/// The role whose holders are the operator.
const OPERATOR: &str = "operator";

/// Who logs in.
pub struct Credentials<'a> {
    /// Name of the user's account.
    pub account: &'a str,
    /// Name of the user.
    pub user: &'a str,
    /// The user's password.
    pub password: &'a str,
}

/// What a login gives.
#[derive(Debug)]
pub struct Login {
    /// The token.
    pub token: Token,
    /// Until when it is good, RFC 3339.
    pub expires_at: String,
    /// The project it is for.
    pub project_id: String,
    /// Whether its holder is the operator.
    pub is_operator: bool,
}

#[derive(Deserialize)]
struct Answer {
    token: Body,
}

#[derive(Deserialize)]
struct Body {
    expires_at: String,
    project: Project,
    #[serde(default)]
    roles: Vec<Role>,
}

#[derive(Deserialize)]
struct Project {
    id: String,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

#[derive(Deserialize)]
struct Shown {
    token: Held,
}

#[derive(Deserialize)]
struct Held {
    user: Holder,
}

/// The user a token is of.
#[derive(Debug, Deserialize)]
pub struct Holder {
    /// Its id.
    pub id: String,
    /// Unique in its account.
    pub name: String,
}

/// A token of the user's own project.
///
/// # Errors
/// When the call fails or is refused.
pub async fn log_in(server: &Server, credentials: &Credentials<'_>) -> Result<Login, ClientError> {
    let Credentials { account, user, password } = credentials;
    let body = json!({"auth": {"identity": {
        "methods": ["password"],
        "password": {"user": {"name": user, "domain": {"name": account}, "password": password}},
    }}});
    let path = tokens();
    let client = Client::new(server.clone(), None);
    let answer = client.answer(Method::POST, &path, &[], Some(body)).await?;
    let Answer { token: body } = serde_json::from_slice(answer.body()).map_err(|e| malformed(&path, e))?;
    let token = answer.headers().get(SUBJECT_TOKEN).and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(Login {
        token: token.ok_or_else(|| ClientError::NoToken { server: server.clone() })?,
        expires_at: body.expires_at,
        project_id: body.project.id,
        is_operator: body.roles.iter().any(|role| role.name == OPERATOR),
    })
}

/// Ends a token. One that is over already is no error.
///
/// # Errors
/// When the call fails or is refused.
pub async fn revoke(server: &Server, token: &Token) -> Result<(), ClientError> {
    let client = Client::new(server.clone(), Some(token.clone()));
    let subject = [(SUBJECT_TOKEN, token.header())];
    match client.answer(Method::DELETE, &tokens(), &subject, None).await {
        Err(error) if error.is_unauthenticated() || error.is_not_found() => Ok(()),
        answered => answered.map(drop),
    }
}

/// The user a token is of.
///
/// # Errors
/// When the call fails or is refused.
pub async fn holder(client: &Client, token: &Token) -> Result<Holder, ClientError> {
    let path = tokens();
    let answer = client.answer(Method::GET, &path, &[(SUBJECT_TOKEN, token.header())], None).await?;
    let shown: Shown = serde_json::from_slice(answer.body()).map_err(|e| malformed(&path, e))?;
    Ok(shown.token.user)
}

/// Gives a user another password; its tokens end.
///
/// # Errors
/// When the call fails or is refused, as for a wrong `original`.
pub async fn change_password(
    client: &Client,
    user: &Holder,
    original: &str,
    password: &str,
) -> Result<(), ClientError> {
    let body = json!({"user": {"original_password": original, "password": password}});
    let path = Path::new(&["v3", "users", &user.id, "password"]);
    client.answer(Method::POST, &path, &[], Some(body)).await.map(drop)
}

fn tokens() -> Path {
    Path::new(&["v3", "auth", "tokens"])
}

//! Who is asking, and whose resources the path means.

use std::fmt;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::audit::Asker;
use super::error::ApiError;
use super::{App, Door};
use crate::controller::{ControlError, Scope};
use crate::model::{ProjectId, TokenHash};

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Whoever can open the operator's socket.
    Operator,
    /// An account.
    Account {
        /// Its project.
        project: ProjectId,
    },
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Account { project } => project.fmt(f),
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Self::find(parts, app).await?;
        if let Some(asker) = parts.extensions.get::<Asker>() {
            asker.is(caller);
        }
        Ok(caller)
    }
}

impl Caller {
    async fn find(parts: &Parts, app: &App) -> Result<Self, ApiError> {
        let Some(token) = parts.headers.get("x-auth-token") else {
            return match app.door {
                Door::Socket => Ok(Self::Operator),
                Door::Tcp => Err(ApiError::Unauthenticated),
            };
        };
        let token = TokenHash::of(token.to_str().map_err(|_| ApiError::Unauthenticated)?);
        let project = app.read(move |state| Ok(state.account_of_token(token).map(|a| a.project))).await?;
        project.map(|project| Self::Account { project }).ok_or(ApiError::Unauthenticated)
    }
}

/// The part of the model that a tenant path means: `{project_id}`, or all the
/// caller may see for `-`.
#[derive(Clone, Copy, Debug)]
pub struct InProject(pub Scope);

impl FromRequestParts<App> for InProject {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let named = super::request::path_param(parts, app, "project_id").await?;
        let named = match named.as_str() {
            "-" => None,
            id => Some(id.parse::<ProjectId>().map_err(ApiError::Project)?),
        };
        match (caller, named) {
            (Caller::Account { project }, None) => Ok(Self(Scope::Project(project))),
            (Caller::Account { project }, Some(named)) if named == project => {
                Ok(Self(Scope::Project(project)))
            }
            (Caller::Account { .. }, Some(_)) => {
                Err(ApiError::Forbidden("the token is not for the project in the path"))
            }
            (Caller::Operator, None) => Ok(Self(Scope::Every)),
            (Caller::Operator, Some(id)) => {
                if !app.read(move |state| Ok(state.has_project(id))).await? {
                    return Err(ControlError::NoSuchProject { id: id.to_string() }.into());
                }
                Ok(Self(Scope::Project(id)))
            }
        }
    }
}

/// The caller is the operator.
#[derive(Clone, Copy, Debug)]
pub struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        const ONLY: ApiError = ApiError::Forbidden("only the operator may, through the operator's socket");
        // Asked on TCP as well, so that the log knows who tried.
        let caller = Caller::from_request_parts(parts, app).await;
        match app.door {
            Door::Tcp => Err(ONLY),
            Door::Socket => match caller? {
                Caller::Operator => Ok(Self),
                Caller::Account { .. } => Err(ONLY),
            },
        }
    }
}

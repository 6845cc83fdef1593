//! `/v3/auth/tokens`: log in, look at a token, log out.

use std::net::IpAddr;
use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response as Documented};
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema};
use aide::{OperationInput, OperationOutput};
use axum::extract::{FromRequestParts, State as Context};
use axum::response::{IntoResponse, NoContent, Response};
use axum::{Extension, Json};
use http::HeaderValue;
use http::request::Parts;
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};

use super::catalog::{BaseUrl, Service, catalog};
use super::{DomainRequest, InDomain, Named};
use crate::api::App;
use crate::api::audit::Asker;
use crate::api::auth::{AuthError, Caller, FromAddress};
use crate::api::error::ApiError;
use crate::api::login::UserRef;
use crate::api::openapi::{Created, header, named, refused, refusing};
use crate::api::password::Given;
use crate::api::request::{Body, require};
use crate::controller::identity::{tokens, users};
use crate::controller::{ControlError, State};
use crate::model::{ProjectId, Role, Secret, Timestamp, Token, TokenHash, User};

const TOKENS: &str = "/v3/auth/tokens";

pub fn routes() -> ApiRouter<App> {
    let create = post_with(
        create,
        refusing("createToken", "Log in: the token is in X-Subject-Token", &[401, 403, 404]),
    );
    let all = create
        .get_with(show, named("showToken", "Show what the token in X-Subject-Token says"))
        .delete_with(revoke, named("revokeToken", "End the token in X-Subject-Token"));
    ApiRouter::new().api_route(TOKENS, all)
}

/// The body of a log-in.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Login")]
pub struct LoginRequest {
    auth: Option<Auth>,
}

/// Who, and for which project.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Auth {
    identity: Option<Identity>,
    /// Without it, the user's own project.
    scope: Option<Scope>,
}

/// The proof.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Identity {
    /// Exactly one of `password` and `token`.
    methods: Option<Vec<String>>,
    password: Option<PasswordMethod>,
    token: Option<TokenMethod>,
}

/// Proof by password.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct PasswordMethod {
    user: Option<UserRequest>,
}

/// A user by `id`, or by `name` and `domain`, and the password.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct UserRequest {
    /// 32 hexadecimal digits.
    id: Option<String>,
    /// The user's name in the domain.
    name: Option<String>,
    /// The account.
    domain: Option<DomainRequest>,
    /// In clear.
    password: Option<Given>,
}

/// Proof by a token.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct TokenMethod {
    /// The token.
    id: Option<Given>,
}

/// What the token is for. Only projects: an account has exactly one.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Scope {
    project: Option<ProjectRequest>,
    /// Not served.
    domain: Option<DomainRequest>,
}

/// A project by `id`, or by `name` and `domain`.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct ProjectRequest {
    /// 32 hexadecimal digits.
    id: Option<String>,
    /// The region.
    name: Option<String>,
    /// The account; without it, the user's own.
    domain: Option<DomainRequest>,
}

/// A token, in all but its text.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub struct TokenView {
    /// Its fields.
    token: TokenFields,
}

/// What a token says.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub struct TokenFields {
    /// How the user proved who it is; only in the answer that made the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    methods: Option<[&'static str; 1]>,
    /// When it was given out.
    issued_at: Timestamp,
    /// From when on it is worth nothing.
    expires_at: Timestamp,
    /// Whose it is.
    user: InDomain,
    /// What it is for.
    project: InDomain,
    /// The user's one role.
    roles: [Named; 1],
    /// What is served and where.
    catalog: Vec<Service>,
}

impl TokenView {
    fn new(
        state: &State,
        token: &Token,
        user: &User,
        project: ProjectId,
        methods: Option<[&'static str; 1]>,
        base: &BaseUrl,
    ) -> Self {
        let role = || user.role.as_str().to_owned();
        Self {
            token: TokenFields {
                methods,
                issued_at: token.issued_at,
                expires_at: token.expires_at,
                user: InDomain {
                    id: user.id.to_string(),
                    name: user.name.to_string(),
                    domain: Named::domain(state, user.domain),
                },
                project: InDomain::project(state, project),
                roles: [Named { id: role(), name: role() }],
                catalog: catalog(base, &state.region, project),
            },
        }
    }
}

/// A user who has proved to be one, and until when.
struct Proved {
    user: User,
    method: &'static str,
    /// The token, if it was one.
    shown: Option<TokenHash>,
    expires_at: Timestamp,
}

/// `POST`: the token is in the header `X-Subject-Token`.
pub async fn create(
    base: BaseUrl,
    FromAddress(from): FromAddress,
    Extension(asker): Extension<Asker>,
    Context(app): Context<App>,
    Body(request): Body<LoginRequest>,
) -> Result<NewToken, ApiError> {
    let Auth { identity, scope } = require("auth", request.auth)?;
    let Identity { methods, password, token } = require("auth.identity", identity)?;
    let methods = require("auth.identity.methods", methods)?;
    let proved = match methods.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["password"] => {
            let user = require("auth.identity.password", password)?.user;
            by_password(&app, require("auth.identity.password.user", user)?, from).await?
        }
        ["token"] => {
            let id = require("auth.identity.token", token)?.id;
            let Given(token) = require("auth.identity.token.id", id)?;
            by_token(&app, &token, from).await?
        }
        _ => {
            return Err(ApiError::Field {
                field: "auth.identity.methods",
                value: methods.join(","),
                expected: "exactly one of password and token",
            });
        }
    };
    let Proved { user, method, shown, expires_at } = proved;
    let (user, project) = app
        .read(move |state| {
            // From here on the log and the audit log know who it is.
            if let Some(caller) = Caller::of(state, &user, None) {
                asker.is(caller);
            }
            let project = project_of(state, &user, scope)?;
            Ok((user, project))
        })
        .await?;
    let issued = app.write(move |tx| tokens::issue_for(tx, &user, shown, expires_at)).await?;
    let view = view_of(&app, issued.token, Some(project), Some([method]), base).await?;
    Ok(NewToken { view, text: issued.text })
}

/// The answer of a log-in: what the token says, and in a header the token.
pub struct NewToken {
    view: TokenView,
    text: Secret,
}

impl IntoResponse for NewToken {
    fn into_response(self) -> Response {
        let mut token = HeaderValue::from_str(self.text.reveal()).expect("hexadecimal digits are printable");
        token.set_sensitive(true);
        ([("x-subject-token", token)], Created(self.view)).into_response()
    }
}

impl OperationOutput for NewToken {
    type Inner = TokenView;

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<u16>, Documented)> {
        let mut responses = Created::<TokenView>::inferred_responses(ctx, operation);
        let token = header("The token, shown this once.", json_schema!({"type": "string"}));
        for (_, response) in &mut responses {
            response.headers.insert("X-Subject-Token".into(), token.clone());
        }
        responses
    }
}

/// A token as it is shown. Without a project, it is for the user's own.
async fn view_of(
    app: &App,
    token: Token,
    project: Option<ProjectId>,
    methods: Option<[&'static str; 1]>,
    base: BaseUrl,
) -> Result<TokenView, ApiError> {
    app.read(move |state| {
        let user = users::find(state, token.user)?;
        let own = || state.project_of(user.domain);
        let project = project.or_else(own).ok_or(ControlError::NoSuchToken)?;
        Ok(TokenView::new(state, &token, user, project, methods, &base))
    })
    .await
}

async fn by_password(app: &App, request: UserRequest, from: Option<IpAddr>) -> Result<Proved, ApiError> {
    let UserRequest { id, name, domain, password } = request;
    let Given(password) = require("auth.identity.password.user.password", password)?;
    let user = match (id, name) {
        (Some(id), _) => UserRef::Id(id),
        (None, name) => {
            let name = require("auth.identity.password.user.name", name)?;
            let domain = require("auth.identity.password.user.domain", domain)?;
            UserRef::Name(name, require("auth.identity.password.user.domain.name", domain.named())?)
        }
    };
    let user = app.log_in(user, password, from).await?;
    let expires_at = Timestamp::now().after(app.access.token_lifetime);
    Ok(Proved { user, method: "password", shown: None, expires_at })
}

/// A token for a token ends no later than that: otherwise one would last for ever.
async fn by_token(app: &App, token: &Secret, from: Option<IpAddr>) -> Result<Proved, ApiError> {
    let hash = TokenHash::of(token.reveal());
    let found = app.read(move |state| {
        let token = tokens::valid(state, hash, Timestamp::now());
        Ok(token.and_then(|token| Some((state.users.get(token.user)?.clone(), token.expires_at))))
    });
    let (user, end) = found.await?.ok_or_else(|| Arc::new(app.note_wrong_proof(AuthError::Token, from)))?;
    let lifetime_end = Timestamp::now().after(app.access.token_lifetime);
    Ok(Proved { user, method: "token", shown: Some(hash), expires_at: end.min(lifetime_end) })
}

/// The project a token is asked for: one the user may work in.
fn project_of(state: &State, user: &User, scope: Option<Scope>) -> Result<ProjectId, ApiError> {
    let own = state.project_of(user.domain).ok_or(ControlError::NoSuchToken)?;
    let wanted = match scope {
        None | Some(Scope { project: None, domain: None }) => return Ok(own),
        Some(Scope { project: None, domain: Some(_) }) => {
            return Err(ApiError::Unsupported {
                field: "auth.scope",
                value: "domain".into(),
                expected: "a project; users and accounts are managed by the operator",
            });
        }
        Some(Scope { project: Some(project), .. }) => project,
    };
    let found = match wanted {
        ProjectRequest { id: Some(id), .. } => id.parse().ok().filter(|id| state.has_project(*id)),
        ProjectRequest { name: Some(name), domain, .. } if name == state.region.as_str() => {
            match domain.and_then(DomainRequest::named) {
                Some(domain) => domain.find(state).and_then(|domain| state.project_of(domain)),
                None => Some(own),
            }
        }
        ProjectRequest { name: Some(_), .. } => None,
        ProjectRequest { .. } => return Err(ApiError::Missing("auth.scope.project.id")),
    };
    found
        .filter(|project| *project == own || user.role == Role::Operator)
        .ok_or(ApiError::Forbidden("the user's account has no such project; a project has the region's name"))
}

/// The token that a request is about.
pub struct Subject(TokenHash);

impl OperationInput for Subject {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({
            "type": "object",
            "properties": {"X-Subject-Token": {"description": "The token meant.", "type": "string"}},
            "required": ["X-Subject-Token"],
        });
        let parameters = parameters_from_schema(ctx, schema, ParamLocation::Header);
        add_parameters(ctx, operation, parameters);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Documented)> {
        refused(ctx, &[400, 404])
    }
}

impl FromRequestParts<App> for Subject {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let token = parts.headers.get("x-subject-token").and_then(|token| token.to_str().ok());
        token.map(|token| Self(TokenHash::of(token))).ok_or(ApiError::Missing("X-Subject-Token"))
    }
}

/// The token a caller asks about: one of its own, or the operator anyone's.
/// Others' are not there.
fn seen(state: &State, caller: &Caller, hash: TokenHash) -> Result<Token, ControlError> {
    let token = tokens::valid(state, hash, Timestamp::now());
    let own = match caller {
        Caller::User(user) if !caller.is_operator() => Some(user.id),
        _ => None,
    };
    token.filter(|token| own.is_none_or(|own| token.user == own)).copied().ok_or(ControlError::NoSuchToken)
}

/// `GET` and `HEAD`: what a token says.
pub async fn show(
    caller: Caller,
    Subject(hash): Subject,
    base: BaseUrl,
    Context(app): Context<App>,
) -> Result<Json<TokenView>, ApiError> {
    let token = app.read(move |state| Ok(seen(state, &caller, hash)?)).await?;
    view_of(&app, token, None, None, base).await.map(Json)
}

/// `DELETE`: ends a token.
pub async fn revoke(
    caller: Caller,
    Subject(hash): Subject,
    Context(app): Context<App>,
) -> Result<NoContent, ApiError> {
    app.write(move |tx| {
        seen(tx.state, &caller, hash)?;
        tokens::revoke(tx, hash)
    })
    .await?;
    Ok(NoContent)
}

//! `/v3.0/OS-CREDENTIAL/credentials`: access keys. Users manage their own, the
//! operator everyone's.

use aide::OperationInput;
use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response};
use axum::Json;
use axum::extract::{FromRequestParts, State as Context};
use axum::response::NoContent;
use http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::App;
use crate::api::auth::{Caller, require_change};
use crate::api::error::ApiError;
use crate::api::openapi::{Created, named, refused, refusing};
use crate::api::request::{Body, Query, document_path_param, path_param, require};
use crate::controller::ControlError;
use crate::controller::identity::{keys, users};
use crate::model::{AccessKey, AccessKeyId, Description, Timestamp, UserId};

pub fn routes() -> ApiRouter<App> {
    let list = get_with(list, refusing("listAccessKeys", "List access keys", &[404]));
    let create = list.post_with(create, refusing("createAccessKey", "Make an access key", &[403, 404]));
    let one = get_with(show, named("showAccessKey", "Show an access key"))
        .delete_with(delete, refusing("deleteAccessKey", "Delete an access key", &[403]));
    ApiRouter::new()
        .api_route("/v3.0/OS-CREDENTIAL/credentials", create)
        .api_route("/v3.0/OS-CREDENTIAL/credentials/{access}", one)
}

/// The `{access}` of a path. What cannot be an access key names nothing: 404.
pub struct Access(String);

impl FromRequestParts<App> for Access {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        path_param(parts, app, "access").await.map(Self)
    }
}

impl OperationInput for Access {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let mut schema = ctx.schema.subschema_for::<AccessKeyId>();
        schema.insert("description".into(), "The public half of the key.".into());
        document_path_param(ctx, operation, "access", schema);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[404])
    }
}

/// The body of a creation.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CreateCredential")]
pub struct CreateRequest {
    #[schemars(with = "CredentialRequest")]
    credential: Option<CredentialRequest>,
}

/// For whom and what for.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct CredentialRequest {
    /// Without it, the caller.
    #[schemars(with = "Option<UserId>")]
    user_id: Option<String>,
    /// What it is for.
    #[schemars(with = "Option<Description>")]
    description: Option<String>,
}

/// One access key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Credential")]
pub struct CredentialView {
    /// Its fields.
    credential: CredentialFields,
}

/// Access keys.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Credentials")]
pub struct CredentialList {
    /// Oldest first.
    credentials: Vec<CredentialFields>,
}

/// What there is to know of an access key.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub struct CredentialFields {
    /// The public half.
    access: AccessKeyId,
    /// The secret half; only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// Whose it is.
    user_id: UserId,
    /// What the user says it is for.
    #[schemars(with = "Description")]
    description: String,
    /// Always `active`.
    status: &'static str,
    /// When it was made.
    create_time: Timestamp,
}

impl From<&AccessKey> for CredentialFields {
    fn from(key: &AccessKey) -> Self {
        Self {
            access: key.access,
            secret: None,
            user_id: key.user,
            description: key.description.as_str().into(),
            status: "active",
            create_time: key.created_at,
        }
    }
}

/// Whose keys a caller may see: `None` for everyone's.
fn visible_to(caller: &Caller) -> Option<UserId> {
    match caller {
        Caller::User(user) if !caller.is_operator() => Some(user.id),
        _ => None,
    }
}

/// The user meant by `user_id`; without one, the caller.
fn meant(caller: &Caller, user_id: Option<&str>) -> Result<UserId, ApiError> {
    let Some(text) = user_id else {
        return match caller {
            Caller::User(user) => Ok(user.id),
            Caller::Socket => Err(ApiError::Missing("user_id")),
        };
    };
    let not_found = || ControlError::NotFound { kind: "user", id: text.into() }.into();
    let id: UserId = text.parse().map_err(|_| not_found())?;
    if visible_to(caller).is_none_or(|own| own == id) { Ok(id) } else { Err(not_found()) }
}

/// `POST`: the answer is the only one that has the secret.
pub async fn create(
    caller: Caller,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Created<CredentialView>, ApiError> {
    require_change(&caller)?;
    let CredentialRequest { user_id, description } = require("credential", request.credential)?;
    let user = meant(&caller, user_id.as_deref())?;
    let description = description.unwrap_or_default().parse()?;
    let access = app.access.clone();
    let new = app
        .write(move |tx| {
            let user = users::find(tx.state, user)?.id;
            keys::create(tx, &access.vault, user, description)
        })
        .await?;
    let secret = Some(new.secret.reveal().into());
    let credential = CredentialFields { secret, ..(&new.key).into() };
    Ok(Created(CredentialView { credential }))
}

/// Which keys are wanted.
#[derive(Deserialize, JsonSchema)]
pub struct Wanted {
    /// Those of this user.
    #[schemars(with = "Option<UserId>")]
    user_id: Option<String>,
}

/// `GET`
pub async fn list(
    caller: Caller,
    Query(Wanted { user_id }): Query<Wanted>,
    Context(app): Context<App>,
) -> Result<Json<CredentialList>, ApiError> {
    let user = match user_id.as_deref() {
        Some(text) => Some(meant(&caller, Some(text))?),
        None => visible_to(&caller),
    };
    app.read(move |state| {
        let credentials = keys::list(state, user).into_iter().map(CredentialFields::from).collect();
        Ok(Json(CredentialList { credentials }))
    })
    .await
}

/// `GET /{access}`
pub async fn show(
    caller: Caller,
    Access(access): Access,
    Context(app): Context<App>,
) -> Result<Json<CredentialView>, ApiError> {
    app.read(move |state| {
        let key = keys::find(state, visible_to(&caller), &access)?;
        Ok(Json(CredentialView { credential: key.into() }))
    })
    .await
}

/// `DELETE /{access}`
pub async fn delete(
    caller: Caller,
    Access(access): Access,
    Context(app): Context<App>,
) -> Result<NoContent, ApiError> {
    require_change(&caller)?;
    app.write(move |tx| keys::delete(tx, visible_to(&caller), &access)).await?;
    Ok(NoContent)
}

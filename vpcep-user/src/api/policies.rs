//! `/v1/{project_id}/vpc-endpoints/{id}/policy`: what an endpoint's users may do
//! at the service. vpcep keeps policies and shows them; the service behind
//! enforces them, because a packet does not show what they speak of.

use aide::axum::ApiRouter;
use aide::axum::routing::put_with;
use axum::Json;
use axum::extract::State as Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::App;
use super::auth::InProject;
use super::endpoints::EndpointView;
use super::error::ApiError;
use super::openapi::named;
use super::request::{Body, Id};
use crate::controller::endpoints;
use crate::model::{Endpoint, MAX_STATEMENTS, Policy, PolicyStatement};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/vpc-endpoints/{id}/policy",
            put_with(set, named("setEndpointPolicy", "Give an endpoint another policy")).delete_with(
                reset,
                named("resetEndpointPolicy", "Give an endpoint the policy that allows all"),
            ),
        )
        .with_path_items(|path| path.tag("Endpoints"))
}

/// One statement of a policy.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[schemars(rename = "PolicyStatement")]
pub struct StatementView {
    /// Whether it grants or denies.
    #[schemars(with = "String", extend("enum" = ["Allow", "Deny"]))]
    effect: Option<String>,
    /// Actions of the service it is about.
    #[schemars(with = "Vec<String>", length(min = 1))]
    action: Option<Vec<String>>,
    /// Resources of the service it is about.
    #[schemars(with = "Vec<String>", length(min = 1))]
    resource: Option<Vec<String>>,
    /// When it counts, in the service's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Map<String, Value>>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
}

impl StatementView {
    /// The statements of a policy; `None` when it has none.
    pub fn all(policy: &Policy) -> Option<Vec<Self>> {
        let view = |statement: &PolicyStatement| {
            let PolicyStatement { effect, actions, resources, condition, sid } = statement.clone();
            let effect = Some(effect.as_str().into());
            Self { effect, action: Some(actions), resource: Some(resources), condition, sid }
        };
        let statements = policy.statements();
        (!statements.is_empty()).then(|| statements.iter().map(view).collect())
    }
}

impl TryFrom<StatementView> for PolicyStatement {
    type Error = ApiError;

    fn try_from(request: StatementView) -> Result<Self, ApiError> {
        let StatementView { effect, action, resource, condition, sid } = request;
        Ok(Self {
            effect: effect.unwrap_or_default().parse()?,
            actions: action.unwrap_or_default(),
            resources: resource.unwrap_or_default(),
            condition,
            sid,
        })
    }
}

/// The policy of a request.
pub fn parse_policy(
    statements: Option<Vec<StatementView>>,
    document: Option<Map<String, Value>>,
) -> Result<Policy, ApiError> {
    let statements = statements.unwrap_or_default().into_iter().map(PolicyStatement::try_from);
    Ok(Policy::new(statements.collect::<Result<_, _>>()?, document)?)
}

/// The body of a change: all of the policy.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SetEndpointPolicy")]
pub struct PolicyRequest {
    #[schemars(length(max = MAX_STATEMENTS))]
    policy_statement: Option<Vec<StatementView>>,
    /// A policy as one document.
    policy_document: Option<Map<String, Value>>,
}

/// `PUT`
pub async fn set(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Endpoint>,
    Body(request): Body<PolicyRequest>,
) -> Result<Json<EndpointView>, ApiError> {
    let PolicyRequest { policy_statement, policy_document } = request;
    if policy_statement.is_none() && policy_document.is_none() {
        return Err(ApiError::Missing("policy_statement"));
    }
    let policy = parse_policy(policy_statement, policy_document)?;
    let endpoint = app.write(move |tx| endpoints::set_policy(tx, scope, id, policy)).await?;
    app.read(move |state| Ok(Json(EndpointView::new(state, &endpoint)))).await
}

/// `DELETE`: answers the endpoint, unlike every other deletion.
pub async fn reset(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Endpoint>,
) -> Result<Json<EndpointView>, ApiError> {
    let endpoint = app.write(move |tx| endpoints::set_policy(tx, scope, id, Policy::default())).await?;
    app.read(move |state| Ok(Json(EndpointView::new(state, &endpoint)))).await
}

//! What every request has: path ids, query parameters and a JSON body.
//!
//! What an extractor takes from a request is also what it says of it in the API's
//! document ([`super::openapi`]).

use std::str::FromStr;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, RequestBody, Response, SchemaObject};
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema, set_body};
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use http::request::Parts;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::App;
use super::error::ApiError;
use super::objects::Objects;
use super::openapi::refused;
use crate::controller::ControlError;
use crate::controller::state::Tabled;

/// One parameter of the path, decoded.
pub async fn path_param(parts: &mut Parts, app: &App, name: &str) -> Result<String, ApiError> {
    let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| ApiError::NoRoute)?;
    let found = params.iter().find(|(key, _)| *key == name);
    found.map(|(_, value)| value.to_owned()).ok_or(ApiError::NoRoute)
}

/// Says of an operation that its path has this parameter.
pub fn document_path_param(ctx: &mut GenContext, operation: &mut Operation, name: &str, schema: Schema) {
    let object = json_schema!({"type": "object", "properties": {name: schema}, "required": [name]});
    let parameters = parameters_from_schema(ctx, object, ParamLocation::Path);
    add_parameters(ctx, operation, parameters);
}

/// The `{id}` of a path, naming a `T`. What cannot be an id names nothing: 404.
pub struct Id<T: Tabled>(pub T::Id)
where
    T::Id: Send;

impl<T: Tabled> FromRequestParts<App> for Id<T>
where
    T::Id: Send + FromStr,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = path_param(parts, app, "id").await?;
        let parsed = id.parse();
        parsed.map(Self).map_err(|_| ControlError::NotFound { kind: T::KIND, id }.into())
    }
}

impl<T: Tabled> OperationInput for Id<T>
where
    T::Id: Send + JsonSchema,
{
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let mut schema = ctx.schema.subschema_for::<T::Id>();
        schema.insert("description".into(), format!("Names the {}.", T::KIND).into());
        document_path_param(ctx, operation, "id", schema);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[404])
    }
}

/// The query parameters a `T` has as fields. Of one given twice the first counts,
/// an empty one counts as not given, and others are not looked at.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let mut fields = serde_json::Map::new();
        for (name, value) in pairs.map_err(|_| ApiError::Query)?.0 {
            if !value.is_empty() {
                fields.entry(name).or_insert(Value::String(value));
            }
        }
        serde_path_to_error::deserialize(Value::Object(fields)).map(Self).map_err(|error| {
            let field = match error.path().iter().next() {
                Some(Segment::Map { key }) => key.clone(),
                _ => String::new(),
            };
            ApiError::Parameter { field, problem: error.into_inner().to_string() }
        })
    }
}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let mut schema = T::json_schema(&mut ctx.schema);
        let properties = schema.ensure_object().get_mut("properties").and_then(Value::as_object_mut);
        properties.into_iter().flat_map(|fields| fields.values_mut()).for_each(refuse_null);
        document_query(ctx, operation, schema);
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[400])
    }
}

/// Says of an operation that it takes these query parameters.
pub fn document_query(ctx: &mut GenContext, operation: &mut Operation, schema: Schema) {
    let mut parameters = parameters_from_schema(ctx, schema, ParamLocation::Query);
    for parameter in &mut parameters {
        // aide has a field for it, and writes its name in a way that OpenAPI does not know.
        parameter.parameter_data_mut().extensions.insert("allowEmptyValue".into(), true.into());
    }
    add_parameters(ctx, operation, parameters);
}

/// An optional field may be null in a body; in a query there is no null.
fn refuse_null(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = types.as_slice() {
            schema["type"] = one.clone();
        }
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
}

/// A query parameter that is on or off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Switch {
    #[default]
    False,
    True,
}

/// A JSON body. The content type is not looked at: clients spell it in several
/// ways and send nothing else.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, app).await.map_err(|_| ApiError::TooLarge)?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let parsed = serde_path_to_error::deserialize(Objects(&mut json));
        let body = parsed.map_err(|error| {
            let field = match error.path().iter().next_back() {
                Some(Segment::Map { key }) => key.clone(),
                _ => String::new(),
            };
            ApiError::Body { field, problem: error.to_string() }
        })?;
        json.end().map_err(|error| ApiError::Body { field: String::new(), problem: error.to_string() })?;
        Ok(Self(body))
    }
}

impl<T: JsonSchema> OperationInput for Body<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let json_schema = ctx.schema.subschema_for::<T>();
        let schema = SchemaObject { json_schema, example: None, external_docs: None };
        let json = MediaType { schema: Some(schema), ..MediaType::default() };
        let content = [("application/json".to_owned(), json)].into_iter().collect();
        set_body(ctx, operation, RequestBody { content, required: true, ..RequestBody::default() });
    }

    fn inferred_early_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refused(ctx, &[400, 413])
    }
}

/// A part of a name to look for, in any case.
#[derive(PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct NamePart(String);

impl NamePart {
    /// Whether it is in `name`. Names are ASCII.
    pub fn is_in(&self, name: &str) -> bool {
        let (name, part) = (name.as_bytes(), self.0.as_bytes());
        part.is_empty() || name.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
    }
}

/// A field that must be there.
pub fn require<T>(field: &'static str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or(ApiError::Missing(field))
}

/// A text that must be there. Forms send an empty one for what was not filled in.
pub fn require_text(field: &'static str, value: Option<String>) -> Result<String, ApiError> {
    require(field, value.filter(|text| !text.is_empty()))
}

/// Refuses a value this release would not honour; what means the same as leaving
/// the field out is taken.
pub fn only(
    field: &'static str,
    value: Option<&str>,
    supported: &[&str],
    expected: &'static str,
) -> Result<(), ApiError> {
    match value {
        Some(value) if !supported.iter().any(|word| word.eq_ignore_ascii_case(value)) => {
            Err(ApiError::Unsupported { field, value: format!("\"{value}\""), expected })
        }
        _ => Ok(()),
    }
}

/// Refuses a list, an object or a switch this release would not honour, unless it
/// is empty or off.
pub fn unset(
    field: &'static str,
    value: Option<&serde_json::Value>,
    expected: &'static str,
) -> Result<(), ApiError> {
    let is_unset = match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Bool(true) | Value::Number(_)) => false,
    };
    if is_unset {
        return Ok(());
    }
    let value = value.map(ToString::to_string).unwrap_or_default();
    Err(ApiError::Unsupported { field, value, expected })
}

//! The policy of an endpoint: `set-policy`, `clear-policy`.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::output::Answer;
use crate::cli::resolve::id_of;
use crate::cli::value::Reference;
use crate::client::{Client, Endpoint};

/// A policy in either of the forms the API takes. What it may say is the
/// controller's to judge.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub enum Policy {
    /// Statements.
    #[serde(rename = "policy_statement")]
    Statements(Vec<Value>),
    /// A whole document.
    #[serde(rename = "policy_document")]
    Document(serde_json::Map<String, Value>),
}

impl Policy {
    /// The policy in a file, or of standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be read, or is neither form.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match path.to_str() {
            Some("-") => io::read_to_string(io::stdin()),
            _ => std::fs::read_to_string(path),
        };
        let read = text.map_err(anyhow::Error::from).and_then(|text| Self::parse(&text));
        read.with_context(|| format!("cannot read the policy in {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        match serde_json::from_str(text)? {
            Value::Array(statements) => Ok(Self::Statements(statements)),
            Value::Object(document) => Ok(Self::Document(document)),
            _ => bail!("it is neither an array of statements nor a policy document"),
        }
    }
}

/// Sets the policy of an endpoint.
pub async fn set(client: &Client, endpoint: &Reference, file: &Path) -> Result<Answer> {
    let policy = Policy::read(file)?;
    change(client, endpoint, Method::PUT, Some(json!(policy))).await
}

/// Takes the policy off an endpoint.
pub async fn clear(client: &Client, endpoint: &Reference) -> Result<Answer> {
    change(client, endpoint, Method::DELETE, None).await
}

async fn change(
    client: &Client,
    endpoint: &Reference,
    method: Method,
    body: Option<Value>,
) -> Result<Answer> {
    let id = id_of::<Endpoint>(client, endpoint, &[]).await?;
    let path = client.path_of::<Endpoint>(&[&id, "policy"]);
    let changed = client.call::<Endpoint>(method, &path, body).await;
    Ok(Answer::object(changed.with_context(|| format!("cannot change the policy of endpoint {endpoint}"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_statements_and_an_object_a_document() {
        let sent = |text| Policy::parse(text).map(|policy| json!(policy)).map_err(|error| error.to_string());
        assert_eq!(
            sent(r#"[{"Effect":"Allow"}]"#).unwrap(),
            json!({"policy_statement": [{"Effect": "Allow"}]})
        );
        assert_eq!(sent(r#"{"Version":"5.0"}"#).unwrap(), json!({"policy_document": {"Version": "5.0"}}));
        for (text, part) in [("7", "neither"), ("{", "EOF"), ("", "EOF")] {
            assert!(sent(text).unwrap_err().contains(part), "{text:?}");
        }
    }
}

//! `vpcep account`: domains with their projects and keys. The operator's alone.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::output::{Answer, Column};
use super::value::{Reference, name};
use crate::client::{Account, Client};
use crate::model::Name;

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an account; its secret key and token are shown this once
    ///
    /// Example: vpcep account create acme -o json
    Create {
        /// Name of the account: 1 to 64 of letters, digits, '_', '-' and '.'
        #[arg(value_parser = name)]
        name: Name,
    },
    /// Show all accounts
    List,
    /// Show one account, without its secrets
    Show {
        /// Name or id
        account: Reference,
    },
    /// Give an account a new token, shown this once; the old one is dead at once
    Token {
        /// Name or id
        account: Reference,
    },
    /// Delete an account that owns nothing any more
    Delete {
        /// Name or id
        account: Reference,
    },
}

const COLUMNS: &[Column<Account>] = &[
    Column::text("NAME", |account| account.name.clone()),
    Column::whole("DOMAIN ID", |account| account.domain_id.clone()),
    Column::whole("PROJECT ID", |account| account.project_id.clone()),
    Column::whole("ACCESS KEY", |account| account.access_key.clone().unwrap_or_default()),
    Column::whole("CREATED", |account| account.created_at.clone()),
];

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Create { name } => {
                let account = client.create::<Account>(&json!({ "name": name.as_str() })).await;
                Ok(Answer::object(account.context("cannot create the account")?))
            }
            Self::List => {
                let accounts = client.list(&[]).await.context("cannot list accounts")?;
                Ok(Answer::list::<Account>(&accounts, COLUMNS))
            }
            Self::Show { account } => {
                let shown = client.get::<Account>(account.as_str()).await;
                Ok(Answer::object(shown.with_context(|| format!("cannot show account {account}"))?))
            }
            Self::Token { account } => {
                let path = client.path_of::<Account>(&[account.as_str(), "token"]);
                let renewed = client.call::<Account>(Method::POST, &path, None).await;
                Ok(Answer::object(renewed.with_context(|| format!("cannot renew the token of {account}"))?))
            }
            Self::Delete { account } => {
                let deleted = client.delete::<Account>(account.as_str()).await;
                deleted.with_context(|| format!("cannot delete account {account}"))?;
                Ok(Answer::deleted("account", account.as_str()))
            }
        }
    }
}

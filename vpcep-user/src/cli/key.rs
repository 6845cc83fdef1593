//! `vpcep key`: access keys, which sign requests. Users manage their own, the
//! operator everyone's.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::json;

use super::output::{Answer, Column};
use super::resolve::id_of;
use super::value::Reference;
use crate::client::{Client, Credential, User};
use crate::model::Description;

/// What can be done with access keys.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an access key; its secret is shown this once
    ///
    /// Example: vpcep key create --description terraform -o json
    Create {
        /// Whose: id, name or NAME@ACCOUNT (operator); your own when none is given
        #[arg(long)]
        user: Option<Reference>,
        /// What it is for: at most 512 characters, without '<' and '>'
        #[arg(long, value_name = "TEXT")]
        description: Option<Description>,
    },
    /// Show your access keys, without their secrets; the operator sees everyone's
    List {
        /// Only of this user: id, name or NAME@ACCOUNT (operator)
        #[arg(long)]
        user: Option<Reference>,
    },
    /// Delete an access key; what it signs is refused at once
    Delete {
        /// The public half
        access: Reference,
    },
}

const COLUMNS: &[Column<Credential>] = &[
    Column::whole("ACCESS KEY", |key| key.access.clone()),
    Column::whole("USER ID", |key| key.user_id.clone()),
    Column::text("DESCRIPTION", |key| key.description.clone()),
    Column::whole("CREATED", |key| key.create_time.clone()),
];

async fn user_id(client: &Client, user: Option<&Reference>) -> Result<Option<String>> {
    match user {
        Some(user) => Ok(Some(id_of::<User>(client, user, &[]).await?)),
        None => Ok(None),
    }
}

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Create { user, description } => {
                let mut body = json!({});
                if let Some(id) = user_id(client, user.as_ref()).await? {
                    body["user_id"] = id.into();
                }
                if let Some(description) = description {
                    body["description"] = description.as_str().into();
                }
                let key = client.create::<Credential>(&body).await;
                Ok(Answer::object(key.context("cannot create the access key")?))
            }
            Self::List { user } => {
                let user_id = user_id(client, user.as_ref()).await?;
                let filters: Vec<_> = user_id.iter().map(|id| ("user_id", id.as_str())).collect();
                let keys = client.list(&filters).await.context("cannot list access keys")?;
                Ok(Answer::list::<Credential>(&keys, COLUMNS))
            }
            Self::Delete { access } => {
                let deleted = client.delete::<Credential>(access.as_str()).await;
                deleted.with_context(|| format!("cannot delete access key {access}"))?;
                Ok(Answer::deleted("access key", access.as_str()))
            }
        }
    }
}

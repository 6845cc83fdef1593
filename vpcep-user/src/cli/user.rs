//! `vpcep user`: who may call in the name of an account. The operator's alone, but
//! for one's own password.

use anyhow::{Context as _, Result, bail};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;

use super::UsageError;
use super::output::{Answer, Column};
use super::password::PasswordArgs;
use super::resolve::{find, id_of};
use super::value::{Reference, name};
use crate::client::{Client, User, keystone};
use crate::model::Name;

/// The operator's own account, which all users of role operator are of.
const OPERATORS: &str = "operator";

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a user of the account given with --account
    ///
    /// Example: vpcep user create ann --role reader --password --account acme
    Create {
        /// Name of the user: 1 to 64 of letters, digits, '_', '-' and '.'
        #[arg(value_parser = name)]
        name: Name,
        /// What the user may do
        #[arg(long, value_enum, default_value_t)]
        role: Role,
        /// Ask for a password; without one, keys and tokens open the user
        #[arg(long)]
        password: bool,
        #[command(flatten)]
        source: PasswordArgs,
    },
    /// Show all users, or those of the account given with --account
    List,
    /// Show one user
    Show {
        /// Id, name or NAME@ACCOUNT
        user: Reference,
    },
    /// Give a user another password; the user's tokens end
    SetPassword {
        /// Id, name or NAME@ACCOUNT
        user: Reference,
        #[command(flatten)]
        source: PasswordArgs,
    },
    /// Change one's own password; the tokens one has end
    ///
    /// With --password-stdin the first line is the password there is, the second the new one.
    ChangePassword {
        #[command(flatten)]
        source: PasswordArgs,
    },
    /// Change what a user may do
    SetRole {
        /// Id, name or NAME@ACCOUNT
        user: Reference,
        /// What the user may do from now on
        #[arg(value_enum)]
        role: Role,
    },
    /// Delete a user with its keys and tokens
    Delete {
        /// Id, name or NAME@ACCOUNT
        user: Reference,
    },
}

/// What a user may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, everywhere: a user of the operator's own account
    Operator,
    /// Everything in the account
    #[default]
    Member,
    /// See everything in the account
    Reader,
}

const COLUMNS: &[Column<User>] = &[
    Column::whole("ID", |user| user.id.clone()),
    Column::text("NAME", |user| user.name.clone()),
    Column::text("ACCOUNT", |user| user.account.clone()),
    Column::whole("ROLE", |user| user.role.clone()),
    Column::whole("PASSWORD", |user| if user.has_password { "yes" } else { "no" }.to_owned()),
    Column::whole("CREATED", |user| user.created_at.clone()),
];

/// Users of the account the client acts in.
fn of_account(client: &Client) -> Vec<(&str, &str)> {
    client.project_id().map(|project_id| ("account", project_id)).into_iter().collect()
}

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        let own = of_account(client);
        match self {
            Self::Create { name, role, password, source } => {
                let account = match (role, client.project_id()) {
                    (Role::Operator, None) => OPERATORS,
                    (_, Some(project_id)) => project_id,
                    (_, None) => {
                        let reason = "name the account of the new user; one of role operator needs none";
                        return Err(UsageError { argument: "--account", reason }.into());
                    }
                };
                let mut body = json!({ "name": name.as_str(), "account": account, "role": role });
                if password || source.password_stdin {
                    body["password"] = source.read_new(&format!("Password of {}", name.as_str()))?.into();
                }
                let user = client.create::<User>(&body).await;
                Ok(Answer::object(user.context("cannot create the user")?))
            }
            Self::List => {
                let users = client.list(&own).await.context("cannot list users")?;
                Ok(Answer::list::<User>(&users, COLUMNS))
            }
            Self::Show { user } => Ok(Answer::object(find::<User>(client, &user, &own).await?)),
            Self::SetPassword { user, source } => {
                let id = id_of::<User>(client, &user, &own).await?;
                let password = source.read_new(&format!("New password of {user}"))?;
                let updated = client.update::<User>(&id, &json!({ "password": password })).await;
                Ok(Answer::object(updated.with_context(|| format!("cannot set the password of {user}"))?))
            }
            Self::ChangePassword { source } => change_password(client, source).await,
            Self::SetRole { user, role } => {
                let id = id_of::<User>(client, &user, &own).await?;
                let updated = client.update::<User>(&id, &json!({ "role": role })).await;
                Ok(Answer::object(updated.with_context(|| format!("cannot set the role of {user}"))?))
            }
            Self::Delete { user } => {
                let id = id_of::<User>(client, &user, &own).await?;
                client.delete::<User>(&id).await.with_context(|| format!("cannot delete user {user}"))?;
                Ok(Answer::deleted("user", &id))
            }
        }
    }
}

async fn change_password(client: &Client, source: PasswordArgs) -> Result<Answer> {
    let token = client.token().ok_or(UsageError {
        argument: "user change-password",
        reason: "say who you are, by --token or the profile of a `vpcep login`",
    })?;
    let user = keystone::holder(client, token).await.context("cannot tell whose password to change")?;
    let original = source.read(&format!("Password of {}", user.name))?;
    let password = source.read_new("New password")?;
    if let Err(error) = keystone::change_password(client, &user, &original, &password).await {
        // As a text: here what is not accepted is the password, which another token does not mend.
        bail!("cannot change the password of {}: {error}", user.name);
    }
    let said = format!("{} has another password, and tokens no more: `vpcep login` gets one", user.name);
    Ok(Answer::said(json!({ "id": user.id }), said))
}

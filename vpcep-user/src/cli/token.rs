//! `vpcep token`: tokens for programs. A person's is kept by `vpcep login`.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::json;

use super::UsageError;
use super::login::LoginArgs;
use super::output::Answer;
use super::profile::file::ProfileFile;
use super::target::{Target, TargetArgs};
use crate::client::keystone;

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Get a token for a password and print it; it is kept nowhere
    ///
    /// Example: VPCEP_TOKEN=$(vpcep token issue --password-stdin -o json < password | jq -r .token)
    Issue(LoginArgs),
    /// End the token that is used: of --token, VPCEP_TOKEN or the profile
    Revoke,
}

impl Command {
    /// Does it.
    pub async fn run(
        self,
        args: &TargetArgs,
        target: Result<Target, UsageError>,
        file: Result<ProfileFile>,
    ) -> Result<Answer> {
        match self {
            Self::Issue(login) => {
                let session = login.session(args, &file?).await?;
                let expires_at = session.expires_at.to_string();
                Ok(Answer::record(json!({ "token": session.token.reveal(), "expires_at": expires_at })))
            }
            Self::Revoke => {
                let (server, token) = target?.server_and_token(file)?;
                let token = token.ok_or(UsageError {
                    argument: "--token",
                    reason: "name the token to end, here, in VPCEP_TOKEN or by a profile",
                })?;
                keystone::revoke(&server, &token).await.context("cannot end the token")?;
                Ok(Answer::said(json!({}), "the token has ended".to_owned()))
            }
        }
    }
}

//! `vpcep login` and `vpcep logout`: a token for a password, kept in a profile.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::UsageError;
use super::output::Answer;
use super::password::PasswordArgs;
use super::profile::file::{DEFAULT, Profile, ProfileFile, Profiles, Session};
use super::profile::shown;
use super::target::{TargetArgs, warn_in_clear};
use crate::client::keystone::{self, Credentials};
use crate::client::{Server, ServerUrl};

/// Arguments of `login`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vpcep login --server https://gateway:8774 --account acme --ca-file /etc/vpcep/ca.pem
  vpcep login --profile prod --user ann --password-stdin < password
  vpcep login

What is not given is taken from the profile: --profile, else the current one, else
`default`. The profile then is the current one, and commands without --server,
--socket and --profile use it. It is kept in $XDG_CONFIG_HOME/vpcep/config.toml.")]
pub struct LoginArgs {
    /// Who logs in; the user of the account's own name when nothing else is known
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[command(flatten)]
    source: PasswordArgs,
}

impl LoginArgs {
    /// Logs in.
    ///
    /// # Errors
    /// When something is not known, the password cannot be read, or the controller
    /// refuses; profiles are as they were then.
    pub async fn run(self, target: &TargetArgs, file: &ProfileFile) -> Result<Answer> {
        let source = self.source;
        self.run_with(target, file, |prompt| source.read(prompt)).await
    }

    async fn run_with(
        self,
        target: &TargetArgs,
        file: &ProfileFile,
        ask: impl FnOnce(&str) -> Result<String>,
    ) -> Result<Answer> {
        let (name, profile) = self.known(target, file)?;
        let session = log_in(&profile, ask).await?;
        // Read again: other commands may have written while somebody was typing.
        let mut profiles = file.read()?;
        profiles.all.insert(name.clone(), Profile { session: Some(session), ..profile });
        profiles.current = Some(name.clone());
        file.write(&profiles)?;
        shown(&profiles, &name)
    }

    /// A login that is not kept.
    ///
    /// # Errors
    /// Those of [`LoginArgs::run`].
    pub async fn session(self, target: &TargetArgs, file: &ProfileFile) -> Result<Session> {
        let source = self.source;
        let (_, profile) = self.known(target, file)?;
        log_in(&profile, |prompt| source.read(prompt)).await
    }

    /// The name of the profile that is meant, and what it is to be.
    fn known(&self, target: &TargetArgs, file: &ProfileFile) -> Result<(String, Profile)> {
        let mut profiles = file.read()?;
        let name = profile_name(target, &profiles);
        let kept = profiles.all.remove(&name);
        let profile = self.profile(target, kept)?;
        Ok((name, profile))
    }

    /// Whose login it is to be, from what was given and what was kept. What is
    /// known of one server is not taken for another.
    fn profile(&self, target: &TargetArgs, kept: Option<Profile>) -> Result<Profile> {
        let server = target.server.clone().or_else(|| kept.as_ref().map(|kept| kept.server.clone()));
        let server: ServerUrl = server.ok_or(UsageError {
            argument: "--server",
            reason: "name the controller to log in to, such as https://192.0.2.10:8774",
        })?;
        let kept = kept.filter(|kept| kept.server == server);
        let account = target.account.as_ref().map(|account| account.as_str().to_owned());
        let account =
            account.or_else(|| kept.as_ref().map(|kept| kept.account.clone())).ok_or(UsageError {
                argument: "--account",
                reason: "name the account of the user who logs in",
            })?;
        let kept_user = kept.as_ref().filter(|kept| kept.account == account).map(|kept| kept.user.clone());
        let user = self.user.clone().or(kept_user).unwrap_or_else(|| account.clone());
        // The next command may be typed in another directory.
        let ca_file = target.ca_file.as_ref().map(std::path::absolute).transpose();
        let ca_file: Option<PathBuf> = ca_file.context("cannot tell where --ca-file is")?;
        let ca_file = ca_file.or_else(|| kept.and_then(|kept| kept.ca_file));
        Ok(Profile { server, ca_file, account, user, session: None })
    }
}

/// Gets a token of the user of a profile.
async fn log_in(profile: &Profile, ask: impl FnOnce(&str) -> Result<String>) -> Result<Session> {
    let Profile { server: url, ca_file, account, user, session: _ } = profile;
    let server = Server::at(url.clone(), ca_file.as_deref())?;
    warn_in_clear("password", &server);
    let password = ask(&format!("Password of {user} of {account} at {server}"))?;
    let login = keystone::log_in(&server, &Credentials { account, user, password: &password }).await;
    let login = login.with_context(|| format!("cannot log in as {user} of {account}"))?;
    let expires_at = login.expires_at.parse().context("cannot read expires_at of the answer")?;
    Ok(Session { token: login.token, expires_at, is_operator: login.is_operator })
}

/// Ends the token of a profile; the rest of it stays for the next login.
///
/// # Errors
/// When there is none, or the controller cannot be told; then it stays.
pub async fn log_out(target: &TargetArgs, file: &ProfileFile) -> Result<Answer> {
    let mut profiles = file.read()?;
    let name = profile_name(target, &profiles);
    let Profile { server, ca_file, session, .. } = profiles.get(&name)?.clone();
    let Some(session) = session else {
        bail!("profile {name} is not logged in");
    };
    let server = Server::at(server, target.ca_file.as_deref().or(ca_file.as_deref()))?;
    warn_in_clear("token", &server);
    let revoked = keystone::revoke(&server, &session.token).await;
    revoked.with_context(|| format!("cannot end the token of profile {name}, it is kept"))?;
    if let Some(profile) = profiles.all.get_mut(&name) {
        profile.session = None;
    }
    file.write(&profiles)?;
    shown(&profiles, &name)
}

fn profile_name(target: &TargetArgs, profiles: &Profiles) -> String {
    let named = target.profile.clone().or_else(|| profiles.current.clone());
    named.unwrap_or_else(|| DEFAULT.to_owned())
}

#[cfg(test)]
mod tests;

//! Which controller is called, as whom, and in whose project.
//!
//! [`TargetArgs`] is what was typed or set in the environment, [`Target`] what
//! it means. What was typed wins over the environment, that over a profile, that
//! over the operator's socket; a server wins over a socket. A profile's token only
//! ever goes to the profile's server.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::UsageError;
use super::output::Format;
use super::profile::file::{Profile, ProfileFile, Profiles, Session};
use super::value::Reference;
use crate::client::{Account, Client, Server, ServerUrl, Token};
use crate::model::Timestamp;

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct TargetArgs {
    /// The operator's socket
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "VPCEP_SOCKET",
        default_value = "/run/vpcep/vpcepd.sock"
    )]
    socket: PathBuf,

    /// Controller to call over TCP instead of the socket, such as https://192.0.2.10:8774
    #[arg(long, global = true, value_name = "URL", env = "VPCEP_SERVER")]
    pub server: Option<ServerUrl>,

    /// Authorities (PEM) that vouch for an https server, instead of those of the system
    #[arg(long, global = true, value_name = "FILE", env = "VPCEP_CA_FILE")]
    pub ca_file: Option<PathBuf>,

    /// Token to act with, as `vpcep account create` printed it; `vpcep login` keeps one in a profile
    #[arg(long, global = true, value_name = "TOKEN", env = "VPCEP_TOKEN", hide_env_values = true)]
    token: Option<Token>,

    /// Profile that a login made: server, user and token
    #[arg(long, global = true, value_name = "NAME", env = "VPCEP_PROFILE")]
    pub profile: Option<String>,

    /// Account to act in, by name or id (operator); to log in: the user's account
    #[arg(long, global = true, value_name = "ACCOUNT")]
    pub account: Option<Reference>,

    /// Form of the output: a table, or one JSON document as the API gives it
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: Format,
}

/// A controller and who calls it, before profiles have been read.
#[derive(Debug)]
pub struct Target {
    way: Way,
    token: Option<Token>,
    ca_file: Option<PathBuf>,
    profile: Option<String>,
    account: Option<Reference>,
}

/// What the way to the controller is named by.
#[derive(Debug)]
enum Way {
    Socket(PathBuf),
    Url(ServerUrl),
    Profile(String),
    /// The current profile; the socket when there is none.
    Usual(PathBuf),
}

impl Target {
    /// What the arguments mean; `matches` knows where each came from.
    ///
    /// # Errors
    /// A [`UsageError`] when they do not go together.
    pub fn new(args: &TargetArgs, matches: &ArgMatches) -> Result<Self, UsageError> {
        let is_typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let is_set = |id| matches.value_source(id) == Some(ValueSource::EnvVariable);
        if is_typed("socket") && is_typed("server") {
            return Err(UsageError {
                argument: "--socket, --server",
                reason: "give one of them: they name two ways to a controller",
            });
        }
        let way = match (&args.server, &args.profile) {
            _ if is_typed("socket") => Way::Socket(args.socket.clone()),
            (Some(url), _) if is_typed("server") => Way::Url(url.clone()),
            (_, Some(name)) if is_typed("profile") => Way::Profile(name.clone()),
            (Some(url), _) => Way::Url(url.clone()),
            _ if is_set("socket") => Way::Socket(args.socket.clone()),
            (None, Some(name)) => Way::Profile(name.clone()),
            (None, None) => Way::Usual(args.socket.clone()),
        };
        // A profile that was typed is not used with a token that was not.
        let token = args.token.clone().filter(|_| is_typed("token") || !is_typed("profile"));
        let (ca_file, profile) = (args.ca_file.clone(), args.profile.clone());
        Ok(Self { way, token, ca_file, profile, account: args.account.clone() })
    }

    /// A client that acts in the account's project, when one was named.
    ///
    /// # Errors
    /// When a profile, an authority or the account cannot be looked up, and a
    /// [`UsageError`] when there is no token for a server.
    pub async fn open(self, profiles: Result<ProfileFile>) -> Result<Client> {
        let account = self.account.clone();
        let client = self.warned_caller(profiles)?.client();
        let Some(account) = account else {
            return Ok(client);
        };
        let found = client.get::<Account>(account.as_str()).await;
        let found = found.with_context(|| format!("cannot act in account {:?}", account.as_str()))?;
        Ok(client.in_project(found.data.project_id))
    }

    /// The controller, and the token to be used there.
    ///
    /// # Errors
    /// As [`Target::open`].
    pub fn server_and_token(self, profiles: Result<ProfileFile>) -> Result<(Server, Option<Token>)> {
        let Caller { server, token, .. } = self.warned_caller(profiles)?;
        Ok((server, token))
    }

    fn warned_caller(self, profiles: Result<ProfileFile>) -> Result<Caller> {
        let caller = self.caller(profiles)?;
        if caller.token.is_some() {
            warn_in_clear("token", &caller.server);
        }
        Ok(caller)
    }

    fn caller(self, profiles: Result<ProfileFile>) -> Result<Caller> {
        let Self { way, token, ca_file, profile, account: _ } = self;
        match way {
            Way::Socket(path) => Ok(Caller::on_socket(path, token)),
            Way::Url(url) if token.is_some() => {
                let server = Server::at(url, ca_file.as_deref())?;
                Ok(Caller { server, token, is_operator: false })
            }
            Way::Url(url) => {
                let profiles = profiles?.read()?;
                let name = profile.or_else(|| profiles.current.clone()).unwrap_or_default();
                match profiles.all.get(&name).filter(|profile| profile.server == url) {
                    Some(profile) => Caller::of_profile(&name, profile, ca_file, None),
                    None => Err(UsageError {
                        argument: "--token",
                        reason: "--server needs a token, here or in VPCEP_TOKEN, or a profile for it: `vpcep login`",
                    }
                    .into()),
                }
            }
            Way::Profile(name) => Caller::of_profile(&name, profiles?.read()?.get(&name)?, ca_file, token),
            Way::Usual(socket) => {
                // Whoever has no place for profiles has none.
                let profiles = profiles.map_or_else(|_| Ok(Profiles::default()), |file| file.read())?;
                match &profiles.current {
                    Some(name) => Caller::of_profile(name, profiles.get(name)?, ca_file, token),
                    None => Ok(Caller::on_socket(socket, token)),
                }
            }
        }
    }
}

/// Tells whoever is about to send a secret that others can read it on the way.
pub fn warn_in_clear(secret: &str, server: &Server) {
    if let Server::Http(url) = server
        && url.is_clear()
    {
        eprintln!("warning: the {secret} crosses the network in clear, {url} has no TLS");
    }
}

/// A controller, and as whom it is called.
struct Caller {
    server: Server,
    token: Option<Token>,
    is_operator: bool,
}

impl Caller {
    fn on_socket(path: PathBuf, token: Option<Token>) -> Self {
        Self { server: Server::Socket(path), is_operator: token.is_none(), token }
    }

    /// The user of a profile, or whoever has the given token.
    fn of_profile(
        name: &str,
        profile: &Profile,
        ca_file: Option<PathBuf>,
        token: Option<Token>,
    ) -> Result<Self> {
        let server = Server::at(profile.server.clone(), ca_file.as_deref().or(profile.ca_file.as_deref()))?;
        match (&token, &profile.session) {
            (Some(_), _) => Ok(Self { server, token, is_operator: false }),
            (None, None) => bail!("profile {name} is not logged in: `vpcep login --profile {name}`"),
            (None, Some(Session { expires_at, .. })) if *expires_at <= Timestamp::now() => bail!(
                "the login of profile {name} has expired at {expires_at}: log in again with \
                 `vpcep login --profile {name}`"
            ),
            (None, Some(Session { token, is_operator, .. })) => {
                Ok(Self { server, token: Some(token.clone()), is_operator: *is_operator })
            }
        }
    }

    fn client(self) -> Client {
        let client = Client::new(self.server, self.token);
        if self.is_operator { client.of_operator() } else { client }
    }
}

#[cfg(test)]
mod tests;

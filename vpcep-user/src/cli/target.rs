//! Which controller is called, as whom, and in whose project.
//!
//! [`TargetArgs`] is what was typed or set in the environment, [`Target`] what
//! it means: a choice on the command line wins over one in the environment, and
//! a server over a socket.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::UsageError;
use super::output::Format;
use super::value::Reference;
use crate::client::{Account, Client, Server, ServerUrl, Token};

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

    /// Controller to call over TCP instead of the socket, such as http://192.0.2.10:8774; needs a token
    #[arg(long, global = true, value_name = "URL", env = "VPCEP_SERVER")]
    server: Option<ServerUrl>,

    /// Token of the account to act as, as `vpcep account create` printed it
    #[arg(long, global = true, value_name = "TOKEN", env = "VPCEP_TOKEN", hide_env_values = true)]
    token: Option<Token>,

    /// Account to act in, by name or id (operator, so without a token)
    #[arg(long, global = true, value_name = "ACCOUNT")]
    account: Option<Reference>,

    /// Form of the output: a table, or one JSON document as the API gives it
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: Format,
}

/// A controller and who calls it.
#[derive(Debug)]
pub struct Target {
    client: Client,
    account: Option<Reference>,
}

impl Target {
    /// What the arguments mean; `matches` knows where each came from.
    ///
    /// # Errors
    /// A [`UsageError`] when they do not go together.
    pub fn new(args: &TargetArgs, matches: &ArgMatches) -> Result<Self, UsageError> {
        let is_typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let server = match &args.server {
            Some(_) if is_typed("socket") && is_typed("server") => {
                return Err(UsageError {
                    argument: "--socket, --server",
                    reason: "give one of them: they name two ways to a controller",
                });
            }
            Some(url) if !is_typed("socket") => Server::Http(url.clone()),
            _ => Server::Socket(args.socket.clone()),
        };
        if matches!(server, Server::Http(_)) && args.token.is_none() {
            return Err(UsageError {
                argument: "--token",
                reason: "--server needs the token of an account, here or in VPCEP_TOKEN",
            });
        }
        let client = Client::new(server, args.token.clone());
        if args.account.is_some() && !client.is_operator() {
            return Err(UsageError {
                argument: "--account",
                reason: "only the operator acts in other accounts: use the socket, without --token and VPCEP_TOKEN",
            });
        }
        Ok(Self { client, account: args.account.clone() })
    }

    /// A client that acts in the account's project, when one was named.
    ///
    /// # Errors
    /// When the account cannot be looked up.
    pub async fn open(self) -> Result<Client> {
        let Some(account) = self.account else {
            return Ok(self.client);
        };
        let found = self.client.get::<Account>(account.as_str()).await;
        let found = found.with_context(|| format!("cannot act in account {:?}", account.as_str()))?;
        Ok(self.client.in_project(found.data.project_id))
    }
}

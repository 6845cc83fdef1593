//! The command line `vpcep`.
//!
//! Owns what may be typed, what it means as calls of the API, and how answers
//! are shown. What is allowed and what happens then is the controller's; how it
//! is reached is in [`crate::client`].
//!
//! One file per noun, each with its commands: a clap struct for what was typed,
//! a request for what it means, a table of columns for what is shown. Around
//! them `value` parses single arguments, `target` finds the controller,
//! `resolve` turns names into ids, `wait` waits and `output` prints.
//!
//! Exit codes: 0 done, 1 refused or not reached, 2 wrongly typed (nothing was
//! sent).

#![forbid(unsafe_code)]

mod account;
mod attachment;
mod audit;
mod backend;
mod endpoint;
mod explain;
mod key;
mod login;
mod monitor;
mod output;
mod pages;
mod password;
mod port;
mod profile;
mod quota;
mod resolve;
mod route_table;
mod service;
mod session;
mod stats;
mod status;
mod subnet;
mod tag;
mod target;
mod token;
mod user;
mod value;
mod vpc;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::client::{Client, ClientError};
use output::Answer;
use profile::file::ProfileFile;
use target::{Target, TargetArgs};

/// Exit code for a request that was refused or did not arrive.
const EXIT_REFUSED: u8 = 1;
/// Exit code for arguments that make no request.
const EXIT_USAGE: u8 = 2;

/// Arguments that clap accepts one by one and that do not go together.
#[derive(Debug, thiserror::Error)]
#[error("{argument}: {reason}")]
struct UsageError {
    argument: &'static str,
    reason: &'static str,
}

const EXAMPLES: &str = "\
Examples:
  vpcep account create acme
  vpcep --account acme vpc create net1 --cidr 10.0.0.0/24
  vpcep --account acme service create --vpc net1 --backend web --port 80:8080 --name shop
  vpcep --account acme endpoint create --service shop --vpc net1 --subnet front --wait
  vpcep login --server https://192.0.2.10:8774 --account acme
  vpcep --server https://192.0.2.10:8774 --token TOKEN endpoint list -o json

Exit status: 0 done; 1 refused (code and text on standard error) or not
reached; 2 wrong usage, nothing was sent.";

/// Reach services of other private networks through endpoints of your own
///
/// Things are named by id or by name. As the operator (on the socket without a
/// token, or logged in as one) commands see every account; --account acts in one
/// of them.
#[derive(Debug, Parser)]
#[command(name = "vpcep", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    target: TargetArgs,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Api(Noun),
    /// What happens to sessions, as it happens
    Monitor(monitor::Args),
    #[command(flatten)]
    Here(Here),
}

/// Commands for this machine, which need no controller to act on.
#[derive(Debug, Subcommand)]
enum Here {
    /// Get a token for a password, and keep it in a profile
    Login(login::LoginArgs),
    /// End the token of a profile
    Logout,
    /// Tokens for programs
    #[command(subcommand)]
    Token(token::Command),
    /// Profiles that logins have made
    #[command(subcommand)]
    Profile(profile::Command),
    /// Print what a shell needs to complete commands
    Completions(pages::CompletionsArgs),
    /// Write the manual pages
    Man(pages::ManArgs),
}

impl Here {
    async fn run(self, args: &TargetArgs, target: Result<Target, UsageError>) -> Result<Answer> {
        let file = ProfileFile::of_user();
        match self {
            Self::Login(login) => login.run(args, &file?).await,
            Self::Logout => login::log_out(args, &file?).await,
            Self::Token(command) => command.run(args, target, file.map_err(Into::into)).await,
            Self::Profile(command) => command.run(&file?),
            Self::Completions(completions) => Ok(completions.run()),
            Self::Man(man) => man.run(),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Accounts, each with its domain, project and keys (operator)
    #[command(subcommand)]
    Account(account::Command),
    /// Who may call in the name of an account (operator)
    #[command(subcommand)]
    User(user::Command),
    /// Access keys, which sign requests
    #[command(subcommand)]
    Key(key::Command),
    /// Private networks
    #[command(subcommand)]
    Vpc(vpc::Command),
    /// Ranges of a VPC
    #[command(subcommand)]
    Subnet(subnet::Command),
    /// Where the routes of gateway endpoints go
    #[command(subcommand)]
    RouteTable(route_table::Command),
    /// Backends as the cloud's own tools see them
    #[command(subcommand)]
    Port(port::Command),
    /// Interfaces where VPCs reach the gateway host (operator)
    #[command(subcommand)]
    Attachment(attachment::Command),
    /// Servers, virtual IPs and load balancers behind endpoint services
    #[command(subcommand)]
    Backend(backend::Command),
    /// Endpoint services: what a provider offers, to whom, and who is connected
    #[command(subcommand)]
    Service(service::Command),
    /// Endpoints: a consumer's own address for a service
    #[command(subcommand)]
    Endpoint(endpoint::Command),
    /// Tags of services and endpoints
    #[command(subcommand)]
    Tag(tag::Command),
    /// How many services, endpoints and connections there may be
    #[command(subcommand)]
    Quota(quota::Command),
    /// Live sessions through endpoints, newest first
    Sessions(session::Args),
    /// Connections, packets, bytes and drops of endpoints
    Stats(stats::Args),
    /// What would become of a client's connection, and what stops it
    Explain(explain::Args),
    /// Who changed what, and who tried to, newest first (operator)
    Audit(audit::Args),
    /// State of the controller and its data plane (operator)
    Status,
}

impl Noun {
    /// Refuses arguments that do not go together, before anything is sent.
    fn check(&self) -> Result<(), UsageError> {
        match self {
            Self::Backend(command) => command.check(),
            Self::Service(command) => command.check(),
            _ => Ok(()),
        }
    }

    async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Account(command) => command.run(client).await,
            Self::User(command) => command.run(client).await,
            Self::Key(command) => command.run(client).await,
            Self::Vpc(command) => command.run(client).await,
            Self::RouteTable(command) => command.run(client).await,
            Self::Port(command) => command.run(client).await,
            Self::Subnet(command) => command.run(client).await,
            Self::Attachment(command) => command.run(client).await,
            Self::Backend(command) => command.run(client).await,
            Self::Service(command) => command.run(client).await,
            Self::Endpoint(command) => command.run(client).await,
            Self::Tag(command) => command.run(client).await,
            Self::Quota(command) => command.run(client).await,
            Self::Sessions(args) => args.run(client).await,
            Self::Stats(args) => args.run(client).await,
            Self::Explain(args) => args.run(client).await,
            Self::Audit(args) => args.run(client).await,
            Self::Status => status::run(client).await,
        }
    }
}

/// Does what the arguments (the program's name first) ask for, prints the
/// answer or what went wrong, and returns the exit code.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = Cli::command().try_get_matches_from(args).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((Target::new(&cli.target, &matches), cli))
    });
    let (target, cli) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are "errors" that exit 0. With the terminal gone
            // there is nobody left to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let format = cli.target.output;
    let outcome = async {
        let answer = match cli.command {
            Command::Api(noun) => {
                noun.check()?;
                let client = target?.open(ProfileFile::of_user().map_err(Into::into)).await?;
                noun.run(&client).await.map_err(with_advice)?
            }
            Command::Monitor(monitor) => {
                let client = target?.open(ProfileFile::of_user().map_err(Into::into)).await?;
                return monitor.run(&client, format).await.map_err(with_advice);
            }
            Command::Here(here) => here.run(&cli.target, target).await?,
        };
        Ok(answer.print(format)?)
    };
    match outcome.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

/// Says what to do about a token that is not accepted.
fn with_advice(error: anyhow::Error) -> anyhow::Error {
    let is_unknown = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<ClientError>().is_some_and(ClientError::is_unauthenticated)
    };
    match error.chain().any(is_unknown) {
        true => error.context("the token may have expired or been revoked, `vpcep login` gets another"),
        false => error,
    }
}

fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(usage) = error.downcast_ref::<UsageError>() {
        eprintln!("error: {usage}\n\nFor more information, try '--help'.");
        return ExitCode::from(EXIT_USAGE);
    }
    eprintln!("vpcep: {error:#}");
    ExitCode::from(EXIT_REFUSED)
}

#[cfg(test)]
mod tests;

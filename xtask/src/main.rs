//! `cargo xtask`: what a working copy needs besides `cargo build`. One file per
//! command; each says what it does while it does it.
//!
//! It depends on neither half of vpcep, so it builds on a machine that has only
//! rustup, before `cargo xtask setup` has brought the rest.

mod bench;
mod clients;
mod demo;
mod lint;
mod run;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Sets up, lints, tests and shows a working copy of vpcep")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs what building and testing needs, if it is not there
    Setup,
    /// Checks format, lints and documentation of both halves
    Lint,
    /// Runs the tests: all, or one suite
    Test(test::Arguments),
    /// Plays a consumer and a provider in network namespaces on this machine
    Demo(demo::Arguments),
    /// Measures the data plane, beside nftables in the same run
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Setup => setup::setup().and_then(|()| clients::setup()),
        Command::Lint => lint::lint(),
        Command::Test(arguments) => test::test(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
    };
    if let Err(error) = outcome {
        // Not `{error:?}`: where xtask itself was matters to nobody.
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

//! `cargo xtask test`: what a change has to pass.

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use vpcep_tests::world::require_root;

use crate::run::Step;
use crate::{clients, lint, setup};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which tests; `all` also lints
    #[arg(value_enum, default_value_t = Suite::All)]
    suite: Suite,
    /// Runs only tests whose name contains this, such as `two_accounts::` or `::xdp`
    #[arg(long)]
    filter: Option<String>,
}

/// A set of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Everything below, after the lints
    All,
    /// Unit tests beside the code
    Unit,
    /// The eBPF programs on single packets (root)
    Packet,
    /// The daemon between real programs in network namespaces, TC and XDP (root)
    Netns,
    /// The daemon killed at any moment, and what is there when it is started again (root)
    Crash,
    /// The command line against a daemon (root)
    Cli,
    /// Other people's clients against a daemon, one of them through to the kernel (root)
    Clients,
}

impl Suite {
    /// Suites that are test targets of `vpcep-tests`, in the order of their cost.
    const PRIVILEGED: [Self; 5] = [Self::Packet, Self::Crash, Self::Cli, Self::Clients, Self::Netns];

    const fn target(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Unit => "unit",
            Self::Packet => "packet",
            Self::Netns => "netns",
            Self::Crash => "crash",
            Self::Cli => "cli",
            Self::Clients => "clients",
        }
    }
}

/// Runs the suites; stops at the first that fails.
pub fn test(arguments: &Arguments) -> Result<()> {
    let suites: &[Suite] = match arguments.suite {
        Suite::All => &Suite::PRIVILEGED,
        Suite::Unit => &[],
        ref one => std::slice::from_ref(one),
    };
    if !suites.is_empty() {
        // Said before minutes of building, and never skipped in silence.
        require_root().context("tests of the data plane cannot run; `cargo xtask test unit` can")?;
    }
    setup::setup()?;
    if suites.contains(&Suite::Clients) {
        clients::setup()?;
    }
    if arguments.suite == Suite::All {
        lint::lint()?;
    }
    let filter = arguments.filter.as_slice().iter().map(String::as_str).collect::<Vec<_>>();
    if matches!(arguments.suite, Suite::All | Suite::Unit) {
        Step::cargo("unit tests", &[&["test"], &filter[..]].concat()).run()?;
        let harness = ["test", "--package", "vpcep-tests", "--lib"];
        Step::cargo("unit tests of the harness", &[&harness, &filter[..]].concat()).run()?;
    }
    if !suites.is_empty() {
        // The suites start vpcepd and vpcep from the target directory.
        Step::cargo("build", &["build"]).run()?;
    }
    for suite in suites {
        run_suite(*suite, &filter)?;
    }
    Ok(())
}

fn run_suite(suite: Suite, filter: &[&str]) -> Result<()> {
    let target = suite.target();
    let what = ["test", "--package", "vpcep-tests", "--test", target];
    // Scenarios mostly wait for something, so more of them than processors run
    // at once; none asserts a time that this could spoil.
    let how: &[&str] = if suite == Suite::Netns { &["--", "--test-threads", "4"] } else { &[] };
    Step::cargo(&format!("{target} tests"), &[&what, filter, how].concat()).run()
}

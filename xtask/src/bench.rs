//! `cargo xtask bench`: how fast data plane and API are, the former beside nftables
//! in the same run. How the numbers are made is said in docs/benchmarks/README.md.

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use vpcep_tests::world::require_root;

use crate::run::Step;
use crate::setup;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// One part only
    #[arg(value_enum)]
    part: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// ns per packet of the programs alone, with one session and with a million
    Packets,
    /// How long the kernel takes to match ten thousand endpoints
    Converge,
    /// ns per packet through a gateway, beside the kernel's forwarding, nftables and bare redirects
    Dataplane,
    /// Connections, throughput and round trips through namespaces
    Network,
    /// Lists, reads, creations and memory of the API
    Api,
}

/// Builds for release and measures.
pub fn bench(arguments: &Arguments) -> Result<()> {
    require_root().context("the benchmarks cannot run")?;
    setup::setup()?;
    // The parts with a whole gateway start vpcepd. Both steps name the same packages, so that
    // neither builds these again with other features.
    let packages = ["--package", "vpcep-user", "--package", "vpcep-tests", "--bench", "vpcep"];
    Step::cargo("build", &[&["build", "--release", "--bins"], &packages[..]].concat()).run()?;
    let part: &[&str] = match arguments.part {
        None => &[],
        Some(Part::Packets) => &["--", "packets"],
        Some(Part::Converge) => &["--", "converge"],
        Some(Part::Dataplane) => &["--", "dataplane"],
        Some(Part::Network) => &["--", "network"],
        Some(Part::Api) => &["--", "api"],
    };
    Step::cargo("bench", &[&["bench"], &packages[..], part].concat()).run()
}

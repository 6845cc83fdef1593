//! How fast data plane and API are, and against what it is to be judged.
//!
//! `cargo bench -p vpcep-tests --bench vpcep [-- packets|converge|dataplane|network|api]` prints
//! Markdown. It needs root; `network` also needs iperf3, nft and ethtool;
//! it, `converge` and `api` need vpcepd and vpcep built for release.

use anyhow::{Result, bail};

#[expect(dead_code, reason = "shared with the packet tests, which use all of it")]
#[path = "../tests/packet/runner.rs"]
mod runner;
#[expect(dead_code, reason = "shared with the packet tests, which use all of it")]
#[path = "../tests/packet/stage.rs"]
mod stage;

mod api;
#[expect(dead_code, reason = "shared with the crash tests, which use all of it")]
mod caller;
mod converge;
mod dataplane;
mod network;
mod packets;
mod raw_bpf;
mod report;

fn main() -> Result<()> {
    if let Some(missing) = runner::missing_privilege() {
        bail!("the benchmarks need {missing}");
    }
    // Cargo adds --bench.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|choice| choice == name);
    println!("{}", report::circumstances()?);
    if is_chosen("packets") {
        println!("{}", packets::run()?);
    }
    if is_chosen("converge") {
        println!("{}", converge::run()?);
    }
    if is_chosen("dataplane") {
        println!("{}", dataplane::run()?);
    }
    if is_chosen("network") {
        println!("{}", network::run()?);
    }
    if is_chosen("api") {
        for table in api::run()? {
            println!("{table}");
        }
    }
    Ok(())
}

//! `cargo xtask lint`: rustfmt, clippy and rustdoc, warnings denied.

use anyhow::Result;

use crate::run::Step;

/// Opens unstable features to the eBPF crates, which the stable compiler is to
/// check for the host here; `vpcep-user/build.rs` has the reasons.
const UNSTABLE_CRATES: &str = "aya_ebpf,vpcep_bpf";

/// Runs every check and stops at the first that fails.
pub fn lint() -> Result<()> {
    let deny = ["--", "--deny", "warnings"];
    let host = ["--workspace", "--exclude", "vpcep-ebpf"];
    Step::cargo("rustfmt", &["fmt", "--all", "--check"]).run()?;
    Step::cargo("clippy", &[&["clippy"], &host[..], &["--all-targets"], &deny[..]].concat()).run()?;
    // Linting needs no BPF target: clippy and a compiled core for it are
    // nowhere to be had together.
    Step::cargo("clippy of the data plane", &[&["clippy", "--package", "vpcep-ebpf"], &deny[..]].concat())
        .env("RUSTC_BOOTSTRAP", UNSTABLE_CRATES)
        .run()?;
    Step::cargo("rustdoc", &[&["doc", "--no-deps"], &host[..]].concat())
        .env("RUSTDOCFLAGS", "--deny warnings")
        .run()
}

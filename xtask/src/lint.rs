//! `cargo xtask lint`: rustfmt, clippy and rustdoc, warnings denied.

use anyhow::Result;

use crate::run::Step;

/// The eBPF crates use unstable features, and have no unwinding. The stable
/// compiler can check them for the host all the same, which is the only way:
/// clippy and a compiled `core` for the BPF target are nowhere to be had
/// together. `vpcep-user/build.rs` says what the features are.
///
/// A target directory of their own, since each of these makes cargo build anew
/// what the other steps have built.
const EBPF_ON_HOST: [(&str, &str); 3] = [
    ("RUSTC_BOOTSTRAP", "aya_ebpf,vpcep_bpf"),
    ("CARGO_PROFILE_DEV_PANIC", "abort"),
    ("CARGO_TARGET_DIR", "target/lint-ebpf"),
];

/// Runs every check and stops at the first that fails.
pub fn lint() -> Result<()> {
    let deny = ["--", "--deny", "warnings"];
    let host = ["--workspace", "--exclude", "vpcep-ebpf"];
    let ebpf = ["--package", "vpcep-ebpf"];
    Step::cargo("rustfmt", &["fmt", "--all", "--check"]).run()?;
    Step::cargo("clippy", &[&["clippy", "--all-targets"], &host[..], &deny].concat()).run()?;
    on_host(Step::cargo("clippy of the data plane", &[&["clippy"], &ebpf[..], &deny].concat())).run()?;
    // Private items too: these are programs, and their readers work on them.
    let doc = ["doc", "--no-deps", "--document-private-items"];
    document(Step::cargo("rustdoc", &[&doc, &host[..]].concat())).run()?;
    document(on_host(Step::cargo("rustdoc of the data plane", &[&doc, &ebpf[..]].concat()))).run()
}

fn document(step: Step) -> Step {
    step.env("RUSTDOCFLAGS", "--deny warnings")
}

fn on_host(step: Step) -> Step {
    EBPF_ON_HOST.iter().fold(step, |step, (variable, value)| step.env(variable, value))
}

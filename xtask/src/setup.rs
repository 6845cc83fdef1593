//! `cargo xtask setup`: from a machine with rustup to one where `cargo build`
//! and `cargo xtask test` work.
//!
//! It looks at what is there, writes down the steps that are missing, and runs
//! them. Where it may not (no root, another distribution) it prints them. A
//! machine that has everything is told so within a second.
//!
//! The choice of compiler for the data plane is explained, and made in the same
//! order, in `vpcep-user/build.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Result, bail};
use vpcep_tests::world::require_root;

use crate::run::Step;

/// Toolchain name that `vpcep-user/build.rs` looks for.
const LINKED_TOOLCHAIN: &str = "vpcep-bpf";

/// Debian's compiler with a compiled `core` for the BPF target.
const COMPILER_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];

/// bpf-linker must have at least the LLVM of the compiler whose output it links.
const LINKER_VERSION: &str = "0.13.0";
const LINKER_LLVM: u32 = 22;

/// Programs that building, testing, the demo and the benchmarks call, and
/// Debian's package.
const PROGRAMS: [(&str, &str); 12] = [
    ("cc", "build-essential"),
    ("ip", "iproute2"),
    ("sysctl", "procps"),
    ("ethtool", "ethtool"),
    ("nginx", "nginx"),
    ("haproxy", "haproxy"),
    ("curl", "curl"),
    ("iperf3", "iperf3"),
    ("nft", "nftables"),
    ("dnsmasq", "dnsmasq-base"),
    ("dig", "bind9-dnsutils"),
    ("ping", "iputils-ping"),
];

/// Brings what is missing.
pub fn setup() -> Result<()> {
    let steps = missing_steps();
    if steps.is_empty() {
        println!("==> setup: everything is there");
        return Ok(());
    }
    carry_out(steps)
}

/// Runs the steps, or says why not and prints them.
pub fn carry_out(mut steps: Vec<SetupStep>) -> Result<()> {
    let needs_root = steps.iter().any(|step| step.needs_root);
    let obstacle = if !needs_root {
        None
    } else if !is_debian_12() {
        Some("this is not Debian 12; the packages below are Debian's, yours may have other names")
    } else if require_root().is_err() {
        Some("installing packages needs root")
    } else {
        None
    };
    if let Some(obstacle) = obstacle {
        println!("setup cannot go on: {obstacle}. To do:");
        for step in &steps {
            println!("  # {}\n  {}", step.reason, step.step.command_line());
        }
        bail!("{} steps of the setup are left to you, see above", steps.len());
    }
    for step in &mut steps {
        println!("==> setup: {}", step.reason);
        step.step.run()?;
    }
    Ok(())
}

/// Something to do and why.
#[derive(Debug)]
pub struct SetupStep {
    reason: String,
    needs_root: bool,
    step: Step,
}

impl SetupStep {
    /// A step that anybody may do.
    pub fn new(reason: &str, program: &str, arguments: &[&str]) -> Self {
        let step = Step::new("setup", program, arguments);
        Self { reason: reason.to_owned(), needs_root: false, step }
    }

    /// The command as one would type it.
    #[cfg(test)]
    pub fn command_line(&self) -> String {
        self.step.command_line()
    }

    fn as_root(reason: &str, program: &str, arguments: &[&str]) -> Self {
        Self { needs_root: true, ..Self::new(reason, program, arguments) }
    }
}

fn missing_steps() -> Vec<SetupStep> {
    let mut packages: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| find(program).is_none()).map(|&(_, package)| package).collect();
    let compiler_is_there = has_compiler();
    if !compiler_is_there {
        packages.extend(COMPILER_PACKAGES.into_iter().filter(|package| !is_installed(package)));
    }
    let linker_is_there = find("bpf-linker").is_some();
    let llvm = format!("llvm-{LINKER_LLVM}-dev");
    if !linker_is_there && !is_installed(&llvm) {
        packages.push(&llvm);
    }

    let mut steps = Vec::new();
    if !packages.is_empty() {
        steps.extend(install(&packages));
    }
    if !compiler_is_there {
        let reason =
            "making Debian's compiler a rustup toolchain, which the build of the data plane looks for";
        steps.push(SetupStep::new(reason, "rustup", &["toolchain", "link", LINKED_TOOLCHAIN, "/usr"]));
    }
    if !linker_is_there {
        steps.push(build_linker());
    }
    for (command, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !succeeds(Command::new("cargo").args([command, "--version"])) {
            let reason = format!("cargo xtask lint runs {component}");
            steps.push(SetupStep::new(&reason, "rustup", &["component", "add", component]));
        }
    }
    steps
}

/// Packages whose server Debian starts as soon as it is installed.
const SERVERS: [&str; 2] = ["nginx", "haproxy"];

/// Installs packages without leaving a server running: tests start their own.
pub fn install(packages: &[&str]) -> Vec<SetupStep> {
    let has_systemd = Path::new("/run/systemd/system").is_dir();
    let servers: Vec<&str> = SERVERS.into_iter().filter(|server| packages.contains(server)).collect();
    let mut steps = vec![SetupStep::as_root("learning which packages there are", "apt-get", &["update"])];
    for server in servers.iter().filter(|_| has_systemd) {
        let unit = format!("{server}.service");
        let reason = "keeping a server from starting by itself: tests start their own";
        steps.push(SetupStep::as_root(reason, "systemctl", &["mask", "--runtime", &unit]));
    }
    let arguments = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    let mut install = SetupStep::as_root("installing packages", "apt-get", &arguments);
    install.step = install.step.env("DEBIAN_FRONTEND", "noninteractive");
    steps.push(install);
    for server in servers {
        let reason = "nor at the next start of the machine";
        steps.push(SetupStep::as_root(reason, "update-rc.d", &[server, "disable"]));
        if has_systemd {
            let unit = format!("{server}.service");
            let reason = "the server can be started by hand again";
            steps.push(SetupStep::as_root(reason, "systemctl", &["unmask", "--runtime", &unit]));
        } else {
            let stop = format!("service {server} stop || true");
            let reason = "stopping the server that its installation may have started";
            steps.push(SetupStep::as_root(reason, "sh", &["-c", &stop]));
        }
    }
    steps
}

fn build_linker() -> SetupStep {
    let feature = format!("llvm-{LINKER_LLVM}");
    let version = ["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"];
    let features = ["--no-default-features", "--features", &feature];
    let reason = "building the linker of the data plane (about a minute)";
    let mut linker = SetupStep::new(reason, "cargo", &[&version[..], &features].concat());
    linker.step = linker.step.env("LLVM_PREFIX", &format!("/usr/lib/llvm-{LINKER_LLVM}"));
    linker
}

/// Whether `vpcep-user/build.rs` will find a compiler that works with the
/// linker: one that is there, or the one that [`build_linker`] makes.
fn has_compiler() -> bool {
    if rustc(LINKED_TOOLCHAIN, &["--version"]).is_some() {
        return true;
    }
    let Some(sysroot) = rustc("nightly", &["--print", "sysroot"]) else { return false };
    let has_source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir();
    let llvm = rustc("nightly", &["-vV"]).as_deref().and_then(llvm_major);
    has_source && (find("bpf-linker").is_some() || llvm.is_some_and(|llvm| llvm <= LINKER_LLVM))
}

/// What the rustc of a toolchain prints; `None` when the toolchain is not there.
fn rustc(toolchain: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("rustup");
    command.args(["run", toolchain, "rustc"]).args(arguments);
    // Looking must not download anything.
    let output = command.env("RUSTUP_AUTO_INSTALL", "0").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The major version of LLVM in what `rustc -vV` prints.
fn llvm_major(version: &str) -> Option<u32> {
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    llvm.split('.').next()?.parse().ok()
}

/// A program in PATH, or where Debian puts those of the administrator.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let administrator = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(administrator)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

fn is_installed(package: &str) -> bool {
    let query =
        Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Abbrev}", package]).output();
    query.is_ok_and(|output| output.stdout.starts_with(b"ii"))
}

/// Whether a command can be run and ends with 0.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn is_debian_12() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let has = |line: &str| release.lines().any(|candidate| candidate == line);
    has("ID=debian") && has("VERSION_ID=\"12\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llvm_version_is_read_from_what_rustc_prints() {
        let printed = "rustc 1.97.0-nightly\nbinary: rustc\nhost: x\nLLVM version: 22.1.4\n";
        assert_eq!(llvm_major(printed), Some(22));
        assert_eq!(llvm_major("rustc 1.97.0"), None);
    }

    #[test]
    fn servers_are_never_installed_without_being_kept_from_starting() {
        let commands = |packages: &[&str]| {
            install(packages).iter().map(SetupStep::command_line).collect::<Vec<_>>().join("\n")
        };
        for server in SERVERS {
            assert!(commands(&[server]).contains(&format!("update-rc.d {server} disable")));
        }
        assert!(!commands(&["curl"]).contains("disable"));
    }
}

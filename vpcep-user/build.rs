//! Compiles the data plane (`vpcep-ebpf`) for the BPF target, so that
//! `cargo build` builds both halves and `vpcepd` can embed the object, which
//! lands in `$OUT_DIR/vpcep-bpf`.
//!
//! The official stable toolchains have no `core` for the BPF target, so one of
//! two compilers is needed, looked for in this order:
//!
//! 1. a rustup toolchain linked under the name `vpcep-bpf` that brings a
//!    compiled `core`: Debian's `rustc-web` with `libstd-rust-web-dev-bpf`. It
//!    comes first because someone linked it on purpose, along with a bpf-linker
//!    of the same LLVM;
//! 2. rustup's nightly with the `rust-src` component, which compiles `core`
//!    itself (`-Z build-std`).
//!
//! `cargo xtask setup` provides one of them.
//!
//! aya-build does much the same, but leaves no way to choose the instruction
//! set, see [`RUSTFLAGS`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

/// Package and program of the data plane.
const PACKAGE: &str = "vpcep-ebpf";
const PROGRAM: &str = "vpcep-bpf";

/// Name of the linked toolchain.
const LINKED_TOOLCHAIN: &str = "vpcep-bpf";

/// Both Rust targets are 64-bit eBPF; maps and programs have the byte order of
/// the machine they run on.
const LITTLE_ENDIAN_TARGET: &str = "bpfel-unknown-none";
const BIG_ENDIAN_TARGET: &str = "bpfeb-unknown-none";

/// How the object is made.
///
/// `target-cpu=v3`: below v3 there are no atomic instructions that return the
/// old value, and compare-and-swap is what claims a session slot. Linux runs v3
/// since 5.12. rustc passes the processor to the linker, which takes it once, so
/// a link argument cannot change it. `debuginfo` and `--btf` give the object
/// its BTF.
const RUSTFLAGS: [&str; 3] = ["-Ctarget-cpu=v3", "-Cdebuginfo=2", "-Clink-arg=--btf"];

/// Crates of the eBPF build that use unstable features: `asm_experimental_arch`
/// in aya-ebpf, `core_intrinsics` (atomics) in the program. The list opens the
/// gate for these alone.
const UNSTABLE_CRATES: &str = "aya_ebpf,vpcep_bpf";

fn main() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("vpcep-user has no parent directory: it must be built inside its workspace")?;
    for input in [PACKAGE, "vpcep-common", "Cargo.toml", "Cargo.lock", "vpcep-user/build.rs"] {
        println!("cargo:rerun-if-changed={}", workspace.join(input).display());
    }

    let compiler = Compiler::choose()?;
    require_linker()?;
    // Shown by `cargo build -vv` and kept in the `output` file beside OUT_DIR.
    println!("{PROGRAM}: built by {}", compiler.describe());

    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("cargo did not set OUT_DIR")?);
    let object = compile(compiler, workspace, &out_dir.join("bpf-target"))?;
    let embedded = out_dir.join(PROGRAM);
    fs::copy(&object, &embedded)
        .with_context(|| format!("cannot copy {} to {}", object.display(), embedded.display()))?;
    Ok(())
}

/// Runs cargo for the data plane and returns the path of the object. The target
/// directory is its own: cargo holds a lock on the outer one meanwhile.
fn compile(compiler: Compiler, workspace: &Path, target_dir: &Path) -> Result<PathBuf> {
    let target = match env::var("CARGO_CFG_TARGET_ENDIAN").as_deref() {
        Ok("big") => BIG_ENDIAN_TARGET,
        _ => LITTLE_ENDIAN_TARGET,
    };
    let architecture =
        env::var("CARGO_CFG_TARGET_ARCH").context("cargo did not set CARGO_CFG_TARGET_ARCH")?;
    // aya-ebpf reads the registers of the machine that will run the program.
    let architecture = format!("--cfg=bpf_target_arch=\"{architecture}\"");
    let flags = RUSTFLAGS.into_iter().chain([architecture.as_str()]).collect::<Vec<_>>().join("\x1f");

    let mut cargo = Command::new("rustup");
    cargo.args(["run", compiler.toolchain(), "cargo", "build", "--release", "--package", PACKAGE]);
    cargo.args(["--bin", PROGRAM, "--target", target]).arg("--target-dir").arg(target_dir);
    match compiler {
        Compiler::Linked => cargo.env("RUSTC_BOOTSTRAP", UNSTABLE_CRATES),
        Compiler::Nightly => cargo.args(["-Z", "build-std=core"]),
    };
    // What the outer cargo chose for the host must not leak into this build.
    for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS"] {
        cargo.env_remove(variable);
    }
    cargo.current_dir(workspace).env("CARGO_ENCODED_RUSTFLAGS", flags);

    let status = cargo.status().context("cannot run rustup")?;
    if !status.success() {
        bail!("the data plane does not build ({status}); the compiler's messages are above");
    }
    Ok(target_dir.join(target).join("release").join(PROGRAM))
}

/// A compiler that can build for the BPF target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compiler {
    /// The toolchain linked as [`LINKED_TOOLCHAIN`].
    Linked,
    /// rustup's nightly, compiling `core` from `rust-src`.
    Nightly,
}

impl Compiler {
    fn choose() -> Result<Self> {
        if sysroot(LINKED_TOOLCHAIN).is_some() {
            return Ok(Self::Linked);
        }
        let core = sysroot("nightly").map(|root| root.join("lib/rustlib/src/rust/library/core"));
        if core.is_some_and(|core| core.is_dir()) {
            return Ok(Self::Nightly);
        }
        bail!(
            "no compiler for the BPF target: run `cargo xtask setup`. On Debian 12 it installs rustc-web, \
             cargo-web, libstd-rust-web-dev-bpf and llvm-22-dev, links them as rustup toolchain \
             {LINKED_TOOLCHAIN} and builds bpf-linker; elsewhere `rustup toolchain install nightly \
             --component rust-src` and `cargo install bpf-linker` do"
        )
    }

    const fn toolchain(self) -> &'static str {
        match self {
            Self::Linked => LINKED_TOOLCHAIN,
            Self::Nightly => "nightly",
        }
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::Linked => "the rustup toolchain vpcep-bpf with its ready-made core",
            Self::Nightly => "rustup's nightly with rust-src (-Z build-std=core)",
        }
    }
}

/// Where a rustup toolchain lives; `None` when it is not installed.
fn sysroot(toolchain: &str) -> Option<PathBuf> {
    let mut rustc = Command::new("rustup");
    rustc.args(["run", toolchain, "rustc", "--print", "sysroot"]);
    // Looking must not download anything.
    let output = rustc.env("RUSTUP_AUTO_INSTALL", "0").output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

/// Fails early: without the linker the eBPF build ends in a long message that
/// does not say what is missing.
fn require_linker() -> Result<()> {
    if Command::new("bpf-linker").arg("--version").output().is_err() {
        bail!("no bpf-linker in PATH: run `cargo xtask setup`, which builds it");
    }
    Ok(())
}

//! The program `vpcep` as it is typed: wrong usage of every command, and every
//! command against a real `vpcepd` without a data plane.
//!
//! Needs no privileges, and both programs beside this one in the target
//! directory: run `cargo build` first.

mod daemon;
mod login;
mod monitor;
mod play;
mod story;
mod tls;
mod usage;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};

/// Exit code of a request that was refused or not sent.
const REFUSED: i32 = 1;
/// Exit code of wrong usage.
const USAGE: i32 = 2;

/// What a run left behind.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn program(name: &str) -> Result<PathBuf> {
    let deps = std::env::current_exe()?;
    let profile = deps.ancestors().nth(2).context("a test program lies in target/PROFILE/deps")?;
    let program = profile.join(name);
    ensure!(program.exists(), "{} is missing: run `cargo build` first", program.display());
    Ok(program)
}

/// Runs `vpcep`, which finds a controller on `socket`.
fn vpcep(socket: &Path, line: &str) -> Result<Ran> {
    let mut command = vpcep_at(&socket.with_file_name("config"), line)?;
    ran(command.env("VPCEP_SOCKET", socket).stdin(Stdio::null()))
}

/// `vpcep` with its profiles below `config`, and nothing of what the caller's shell
/// has set.
fn vpcep_at(config: &Path, line: &str) -> Result<Command> {
    let mut command = Command::new(program("vpcep")?);
    for variable in ["VPCEP_SERVER", "VPCEP_SOCKET", "VPCEP_TOKEN", "VPCEP_PROFILE", "VPCEP_CA_FILE"] {
        command.env_remove(variable);
    }
    command.env("XDG_CONFIG_HOME", config).args(line.split_whitespace());
    Ok(command)
}

fn ran(command: &mut Command) -> Result<Ran> {
    let output = command.output()?;
    Ok(Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// A directory that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("vpcep-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

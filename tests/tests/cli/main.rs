//! The program `vpcep` as it is typed: wrong usage of every command, and every
//! command against a real `vpcepd` without a data plane.
//!
//! Needs no privileges, and both programs beside this one in the target
//! directory: run `cargo build` first.

mod daemon;
mod play;
mod story;
mod usage;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

fn vpcep(socket: &Path, line: &str) -> Result<Ran> {
    let mut command = Command::new(program("vpcep")?);
    // What the caller's shell has set must not change what is tested.
    for variable in ["VPCEP_SERVER", "VPCEP_TOKEN", "VPCEP_PROFILE", "VPCEP_CA_FILE"] {
        command.env_remove(variable);
    }
    command.env("VPCEP_SOCKET", socket).env("XDG_CONFIG_HOME", socket.with_file_name("config"));
    let output = command.args(line.split_whitespace()).stdin(Stdio::null()).output()?;
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
        let path = std::env::temp_dir().join(format!("vpcep-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

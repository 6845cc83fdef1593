//! Running one pytest in `tests/clients` to its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use vpcep_tests::World;
use vpcep_tests::daemon::REGION;

/// Runs pytest beside the daemon of `world`; `what` are the tests and how they
/// are found. They find their way by the file that `VPCEP_STAGE` names: the API,
/// the operator's socket, a directory for files, and `extra`.
///
/// # Errors
/// When one fails, with what pytest printed and the end of vpcepd's log.
pub fn run(world: &World, what: &[&str], extra: Value) -> Result<()> {
    let stage = world.directory().join("stage.json");
    let facts = json!({
        "url": world.daemon.url(),
        "socket": world.daemon.socket(),
        "region": REGION,
        "directory": world.directory(),
        "extra": extra,
    });
    fs::write(&stage, facts.to_string()).with_context(|| format!("cannot write {}", stage.display()))?;

    let mut command = world.gateway().command(python()?);
    without_the_callers_cloud(&mut command);
    command
        .args(["-m", "pytest"])
        .args(what)
        .current_dir(sources())
        .env("VPCEP_STAGE", &stage)
        .env("HOME", world.directory())
        // Nothing is left in the source tree.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.stdin(Stdio::null()).output().context("cannot run pytest")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{what:?}: {}\n{printed}{errors}\n--- vpcepd\n{}", output.status, world.daemon.log_tail());
    }
    println!("{printed}");
    Ok(())
}

/// Takes away what the caller's shell says of clouds and proxies.
fn without_the_callers_cloud(command: &mut Command) {
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        let is_cloud = name.starts_with("OS_") || name.starts_with("HUAWEICLOUD_");
        if is_cloud || name.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(&variable);
        }
    }
}

fn python() -> Result<PathBuf> {
    let python = workspace().join("target/clients/venv/bin/python");
    ensure!(python.is_file(), "{} is missing: run cargo xtask setup", python.display());
    Ok(python)
}

fn sources() -> PathBuf {
    workspace().join("tests/clients")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

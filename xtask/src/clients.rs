//! The Python environment of `cargo xtask test clients`: a virtual environment
//! below `target`, with the clients of other people that the tests run.
//!
//! `requirements.txt` says what is wanted and `requirements.lock` pins all that
//! comes along. The environment keeps a copy of both, written last, so that one
//! left half installed, or made from other versions, is made anew.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::run::workspace;
use crate::setup::{SetupStep, carry_out, find, install, succeeds};

/// Beside `tests/tests/clients`, which looks for it there.
const ENVIRONMENT: &str = "target/clients/venv";

/// Where the lists are.
const LISTS: &str = "tests/clients";
const WANTED: &str = "requirements.txt";
const PINNED: &str = "requirements.lock";

/// Debian's package of the module `venv`, and of the interpreter.
const PACKAGES: [&str; 2] = ["python3", "python3-venv"];

/// Oldest interpreter that the pinned packages run on.
const OLDEST_PYTHON: &str = "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))";

/// Brings the environment, if it is not there as wanted.
pub fn setup() -> Result<()> {
    if is_current(&workspace()) {
        println!("==> setup: the clients are there");
        return Ok(());
    }
    let mut steps = Vec::new();
    if find("python3").is_none() || !succeeds(Command::new("python3").args(["-c", OLDEST_PYTHON])) {
        steps.extend(install(&PACKAGES));
    }
    steps.extend(make());
    carry_out(steps)
}

fn is_current(workspace: &Path) -> bool {
    let environment = workspace.join(ENVIRONMENT);
    // The interpreter is a link, which the system's next one may break.
    environment.join("bin/python").is_file()
        && [WANTED, PINNED].iter().all(|list| {
            let wanted = fs::read(workspace.join(LISTS).join(list));
            let present = fs::read(environment.join(list));
            matches!((wanted, present), (Ok(wanted), Ok(present)) if wanted == present)
        })
}

fn make() -> [SetupStep; 3] {
    let (wanted, pinned) = (format!("{LISTS}/{WANTED}"), format!("{LISTS}/{PINNED}"));
    let pip = format!("{ENVIRONMENT}/bin/pip");
    let lists = ["--requirement", &wanted, "--constraint", &pinned];
    let install = ["install", "--quiet", "--disable-pip-version-check"];
    [
        SetupStep::new("an empty environment", "python3", &["-m", "venv", "--clear", ENVIRONMENT]),
        SetupStep::new(
            "the clients, from your package index (about half a minute)",
            &pip,
            &[&install[..], &lists].concat(),
        ),
        SetupStep::new("noting what the environment holds", "cp", &[&wanted, &pinned, ENVIRONMENT]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_is_current_only_with_an_interpreter_and_the_same_lists() {
        let workspace = std::env::temp_dir().join(format!("vpcep-xtask-clients-{}", std::process::id()));
        let environment = workspace.join(ENVIRONMENT);
        let write = |path: &Path, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for list in [WANTED, PINNED] {
            write(&workspace.join(LISTS).join(list), "pytest==1");
            write(&environment.join(list), "pytest==1");
        }
        let without_interpreter = is_current(&workspace);
        write(&environment.join("bin/python"), "");
        let whole = is_current(&workspace);
        write(&workspace.join(LISTS).join(PINNED), "pytest==2");
        let with_other_pins = is_current(&workspace);
        fs::remove_dir_all(&workspace).unwrap();
        assert_eq!((without_interpreter, whole, with_other_pins), (false, true, false));
    }

    #[test]
    fn what_is_installed_is_noted_last() {
        let commands = make().map(|step| step.command_line());
        assert!(commands[1].contains("--constraint tests/clients/requirements.lock"), "{commands:?}");
        assert!(commands[2].starts_with("cp "), "{commands:?}");
    }
}

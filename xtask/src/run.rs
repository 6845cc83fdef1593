//! Running programs with their output on the terminal.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

/// A command with a name, such as `clippy`, for progress and failure.
#[derive(Debug)]
pub struct Step {
    name: String,
    command: Command,
}

impl Step {
    /// A step that runs `program`.
    pub fn new(name: &str, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(workspace());
        Self { name: name.to_owned(), command }
    }

    /// A step that runs the cargo this was started by.
    pub fn cargo(name: &str, arguments: &[&str]) -> Self {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut step = Self::new(name, "cargo", arguments);
        step.command = Command::new(cargo);
        step.command.args(arguments).current_dir(workspace());
        step
    }

    /// Sets a variable of the command's environment.
    #[must_use]
    pub fn env(mut self, variable: &str, value: &str) -> Self {
        self.command.env(variable, value);
        self
    }

    /// Runs it to the end.
    ///
    /// # Errors
    /// When it cannot be started or fails, with its name and command line.
    pub fn run(&mut self) -> Result<()> {
        println!("==> {}: {}", self.name, self.command_line());
        let started = Instant::now();
        let status = self.command.status().with_context(|| format!("cannot run {}", self.command_line()))?;
        if !status.success() {
            bail!("{} failed ({status}): {}", self.name, self.command_line());
        }
        println!("==> {}: done in {:.1} s", self.name, started.elapsed().as_secs_f32());
        Ok(())
    }

    /// The command as one would type it.
    pub fn command_line(&self) -> String {
        let variables = self.command.get_envs().filter_map(|(name, value)| {
            Some(format!("{}={}", name.to_string_lossy(), quoted(&value?.to_string_lossy())))
        });
        let program = Path::new(self.command.get_program());
        let program = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
        let arguments = self.command.get_args().map(|argument| quoted(&argument.to_string_lossy()));
        let words: Vec<_> = variables.chain([program.into_owned()]).chain(arguments).collect();
        words.join(" ")
    }
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_can_be_pasted_into_a_shell() {
        let step = Step::new("x", "/usr/bin/echo", &["--flag=1", "two words", "it's", ""]).env("A", "b c");
        assert_eq!(step.command_line(), r"A='b c' echo --flag=1 'two words' 'it'\''s' ''");
    }

    #[test]
    fn failure_names_the_step() {
        let error = Step::new("the step", "false", &[]).run().unwrap_err();
        assert!(error.to_string().starts_with("the step failed"), "{error}");
    }
}

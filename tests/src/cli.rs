//! The command line `vpcep`, as an operator or a tenant types it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::world::program;

/// Exit code of a refused request.
const REFUSED: i32 = 1;

/// Calls `vpcep -o json` on the operator's socket of one daemon.
#[derive(Clone, Debug)]
pub struct Cli {
    program: PathBuf,
    socket: PathBuf,
    token: Option<String>,
}

impl Cli {
    /// Acts as the operator.
    ///
    /// # Errors
    /// When `vpcep` is not built.
    pub fn new(socket: &Path) -> Result<Self> {
        Ok(Self { program: program("vpcep")?, socket: socket.to_owned(), token: None })
    }

    /// Acts as the account that owns `token`.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Runs a command that must succeed and returns the document it prints;
    /// `null` when it prints nothing.
    ///
    /// # Errors
    /// When it is refused, with what it wrote to stderr; or prints no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.output(arguments)?;
        if !output.status.success() {
            bail!("{}: {}: {}", shown(arguments), output.status, stderr_of(&output));
        }
        if output.stdout.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!("{} printed no JSON: {}", shown(arguments), String::from_utf8_lossy(&output.stdout))
        })
    }

    /// Runs a command that must succeed and returns one text field of what it
    /// prints.
    ///
    /// # Errors
    /// As [`Cli::json`], and when there is no such field.
    pub fn text(&self, arguments: &[&str], field: &str) -> Result<String> {
        text_field(&self.json(arguments)?, field).with_context(|| shown(arguments))
    }

    /// Runs a command that must be refused with the API's error code, such as
    /// `EndPoint.2012`, and returns the message.
    ///
    /// # Errors
    /// When it succeeds, or is refused with another code.
    pub fn refused(&self, arguments: &[&str], code: &str) -> Result<String> {
        let output = self.output(arguments)?;
        let message = stderr_of(&output);
        ensure!(
            output.status.code() == Some(REFUSED) && message.contains(code),
            "{}: expected exit code {REFUSED} and {code}, got {} and {message:?}",
            shown(arguments),
            output.status,
        );
        Ok(message)
    }

    fn output(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {}", shown(arguments)))
    }

    /// A command line to run.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--socket").arg(&self.socket).args(["-o", "json"]);
        // Whatever the caller's shell has set must not change what is tested.
        for variable in ["VPCEP_SERVER", "VPCEP_TOKEN", "VPCEP_SOCKET", "VPCEP_PROFILE", "VPCEP_CA_FILE"] {
            command.env_remove(variable);
        }
        if let Some(token) = &self.token {
            command.args(["--token", token]);
        }
        command.args(arguments);
        command
    }
}

/// A text field of an object.
///
/// # Errors
/// When it is absent or not text, with the whole object.
pub fn text_field(object: &Value, field: &str) -> Result<String> {
    let text = object.get(field).and_then(Value::as_str);
    text.map(str::to_owned).with_context(|| format!("no text field {field:?} in {object}"))
}

/// A whole number below `pointer` (RFC 6901), such as `/connections/current`.
///
/// # Errors
/// When it is absent or not a whole number, with the whole object.
pub fn number_at(object: &Value, pointer: &str) -> Result<u64> {
    object
        .pointer(pointer)
        .and_then(Value::as_u64)
        .with_context(|| format!("no whole number at {pointer} in {object}"))
}

/// The command line as it would be typed.
pub fn shown(arguments: &[&str]) -> String {
    format!("vpcep {}", arguments.join(" "))
}

fn stderr_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

//! Programs: run to the end, or in the background until dropped.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::wait::wait_until;

/// Lines of a log that go into an error message.
const LOG_TAIL_LINES: usize = 40;

/// Runs `command` to its end and returns what it printed.
///
/// # Errors
/// When it cannot be started or does not exit with 0; the message has the
/// command and what it wrote to stderr.
pub fn output_of(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{command:?} printed something other than UTF-8"))
}

/// A program in the background. It has its own process group, so Ctrl-C at a
/// terminal reaches the harness alone, which then ends it; and it is killed
/// when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    leave_running: bool,
}

impl Process {
    /// Starts `command`, its output going to the end of the file `log`.
    ///
    /// # Errors
    /// When the program cannot be started or the log cannot be written.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let open = || File::options().create(true).append(true).open(log);
        let file = open().with_context(|| format!("cannot write {}", log.display()))?;
        let errors = file.try_clone().with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), leave_running: false })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of what it printed.
    pub fn log_tail(&self) -> String {
        tail_of(&self.log)
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot ask for the state of {}", self.name))
    }

    /// Waits for the program to end by itself.
    ///
    /// # Errors
    /// When it still runs after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let what = format!("{} (pid {}) ends", self.name, self.pid());
        let mut status = None;
        wait_until(&what, timeout, || {
            status = self.exit_status()?;
            Ok(status.is_some())
        })?;
        status.with_context(|| format!("{} has no exit status", self.name))
    }

    /// Sends SIGTERM and waits.
    ///
    /// # Errors
    /// When it still runs after `timeout`.
    pub fn terminate(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let pid = libc::pid_t::try_from(self.pid()).context("a process id is out of range")?;
        // SAFETY: kill has no memory-safety conditions, and the pid is that of
        // our own child, which is not reaped yet.
        let result = unsafe { libc::kill(pid, libc::SIGTERM) };
        if result != 0 {
            return Err(io::Error::last_os_error())
                .with_context(|| format!("cannot send SIGTERM to {}", self.name));
        }
        self.wait(timeout)
    }

    /// Sends SIGKILL and waits.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(())
    }

    /// Does not kill it when dropped.
    pub fn leave_running(&mut self) {
        self.leave_running = true;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.leave_running {
            return;
        }
        // An error means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The last lines of a file; what went wrong when it cannot be read.
pub fn tail_of(path: &Path) -> String {
    match fs::read_to_string(path) {
        Ok(text) => {
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
        }
        Err(error) => format!("(cannot read {}: {error})", path.display()),
    }
}

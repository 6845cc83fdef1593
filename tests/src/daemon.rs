//! `vpcepd` in the gateway's namespace: start, stop, crash, start again.

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::process::{Process, output_of, tail_of};
use crate::world::program;
use crate::{Cli, Netns, wait_until};

/// How long the daemon may take to answer after its start: it loads and
/// verifies the eBPF programs and maps its tables.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long it may take to end after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the API is, in the namespace of the daemon and nowhere else.
const ADDRESS: &str = "127.0.0.1:8774";

/// The region every test is in.
pub const REGION: &str = "test";

/// Settings every test runs with. The source range is small (16 addresses,
/// 64 MiB of sessions), and closed connections are forgotten within a second,
/// so tests need not wait for the minutes that are right in production.
const TEST_SETTINGS: [&str; 10] = [
    "--region",
    REGION,
    "--snat-range",
    "198.19.128.0/28",
    "--max-sessions",
    "262144",
    "--tcp-time-wait-secs",
    "1",
    "--tcp-reset-secs",
    "1",
];

/// What stands behind the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datapath {
    /// eBPF programs.
    Bpf,
    /// Nothing: what the API answers is all there is.
    None,
}

impl Datapath {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bpf => "bpf",
            Self::None => "none",
        }
    }
}

/// A `vpcepd` and the directories it works in.
#[derive(Debug)]
pub struct Daemon {
    program: PathBuf,
    netns: Netns,
    directory: PathBuf,
    datapath: Datapath,
    more: Vec<OsString>,
    process: Option<Process>,
}

impl Daemon {
    /// A daemon that will run in `netns` and keep its files in `directory`,
    /// below which `bpffs` is a mounted BPF file system.
    ///
    /// `ip netns exec` gives each program a `/sys` of its own, so a BPF file
    /// system mounted there would end with the program and take the pins along.
    ///
    /// # Errors
    /// When the program is not built.
    pub fn new(netns: &Netns, directory: &Path, datapath: Datapath) -> Result<Self> {
        let program = program("vpcepd")?;
        Ok(Self {
            program,
            netns: netns.clone(),
            directory: directory.to_owned(),
            datapath,
            more: Vec::new(),
            process: None,
        })
    }

    /// The API's address, for programs in the daemon's namespace.
    pub fn url(&self) -> String {
        format!("http://{ADDRESS}")
    }

    /// The operator's socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("run/vpcepd.sock")
    }

    /// Where its maps and programs are pinned.
    pub fn pins(&self) -> PathBuf {
        self.directory.join("bpffs/vpcep")
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        tail_of(&self.log())
    }

    /// The command line `vpcep`, acting as the operator of this daemon.
    ///
    /// # Errors
    /// When the program is not built.
    pub fn cli(&self) -> Result<Cli> {
        Cli::new(&self.socket())
    }

    /// From the next start on it runs with this setting besides.
    pub fn set(&mut self, flag: &str, value: impl Into<OsString>) {
        self.more.extend([flag.into(), value.into()]);
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it ends or does not answer in time; with the end of its log.
    pub fn start(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("vpcepd runs already");
        }
        let mut command = self.netns.command(&self.program);
        command.args(self.arguments());
        let process = self.process.insert(Process::spawn("vpcepd", &mut command, &self.directory.join(LOG))?);
        let socket = self.directory.join("run/vpcepd.sock");
        wait_until("vpcepd answers on its socket", START_TIMEOUT, || {
            if let Some(status) = process.exit_status()? {
                bail!("vpcepd ended: {status}");
            }
            Ok(UnixStream::connect(&socket).is_ok())
        })
        .with_context(|| format!("vpcepd does not start:\n{}", process.log_tail()))
    }

    /// Ends it with SIGTERM, as an upgrade would.
    ///
    /// # Errors
    /// When it does not run, or does not end in time.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.take()?.terminate(STOP_TIMEOUT)
    }

    /// Ends it with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.take()?.kill()
    }

    /// Runs `vpcepd --detach`, which removes everything from the kernel.
    ///
    /// # Errors
    /// When it fails, with what it printed.
    pub fn detach(&self) -> Result<()> {
        output_of(self.netns.command(&self.program).args(self.arguments()).arg("--detach")).map(drop)
    }

    /// Runs a second `vpcepd` on the same pins, with a state directory of its
    /// own, and returns why it did not start.
    ///
    /// # Errors
    /// When it cannot be run, or stays up.
    pub fn refusal_of_another(&self) -> Result<String> {
        let mut command = self.netns.command(&self.program);
        command.args(self.arguments_in("other", "127.0.0.1:0"));
        let mut process = Process::spawn("vpcepd", &mut command, &self.directory.join("other.log"))?;
        let status = process.wait(STOP_TIMEOUT).context("a second vpcepd runs on the same pins")?;
        ensure!(!status.success(), "a second vpcepd ended without saying why");
        Ok(process.log_tail())
    }

    /// Does not end it when dropped.
    pub fn leave_running(&mut self) {
        if let Some(process) = &mut self.process {
            process.leave_running();
        }
    }

    fn take(&mut self) -> Result<Process> {
        self.process.take().context("vpcepd does not run")
    }

    fn log(&self) -> PathBuf {
        self.directory.join(LOG)
    }

    fn arguments(&self) -> Vec<OsString> {
        self.arguments_in("", ADDRESS)
    }

    /// With state and socket below a directory of the world's.
    fn arguments_in(&self, below: &str, listen: &str) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = TEST_SETTINGS.iter().map(OsString::from).collect();
        arguments.extend(["--listen", listen, "--datapath", self.datapath.as_str()].map(OsString::from));
        for (flag, path) in [
            ("--state-dir", self.directory.join(below).join("state")),
            ("--run-dir", self.directory.join(below).join("run")),
            ("--bpffs", self.pins()),
        ] {
            arguments.extend([flag.into(), path.into_os_string()]);
        }
        arguments.extend(self.more.iter().cloned());
        arguments
    }
}

/// Name of the log in the world's directory.
const LOG: &str = "vpcepd.log";

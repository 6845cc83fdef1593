//! The controller under test.

use std::ffi::OsStr;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::tls::Certificate;
use crate::{Scratch, program, vpcep};

/// A `vpcepd` without a data plane.
pub struct Daemon {
    process: Child,
    /// TCP port of the API.
    pub port: u16,
    scratch: Scratch,
}

impl Daemon {
    /// Starts one and waits until it answers.
    pub fn start() -> Result<Self> {
        Self::start_in(Scratch::new("daemon")?, &[])
    }

    /// As [`Daemon::start`], with a certificate and its key.
    pub fn with_tls(certificate: &Certificate) -> Result<Self> {
        let scratch = Scratch::new("daemon")?;
        let files = TlsFiles::in_directory(&scratch.0);
        files.write(certificate)?;
        let TlsFiles { cert, key } = &files;
        Self::start_in(scratch, &["--tls-cert".as_ref(), cert.as_ref(), "--tls-key".as_ref(), key.as_ref()])
    }

    fn start_in(scratch: Scratch, settings: &[&OsStr]) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = File::create(scratch.0.join("log"))?;
        let process = Command::new(program("vpcepd")?)
            .args(["--datapath", "none", "--listen", &format!("127.0.0.1:{port}")])
            .arg("--state-dir")
            .arg(scratch.0.join("state"))
            .arg("--run-dir")
            .arg(scratch.0.join("run"))
            .args(settings)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut daemon = Self { process, port, scratch };
        let deadline = Instant::now() + Duration::from_secs(10);
        while vpcep(&daemon.socket(), "status")?.code != Some(0) {
            let ended = daemon.process.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                bail!("vpcepd does not answer:\n{}", daemon.log());
            }
            sleep(Duration::from_millis(50));
        }
        Ok(daemon)
    }

    /// The operator's socket.
    pub fn socket(&self) -> PathBuf {
        self.scratch.0.join("run/vpcepd.sock")
    }

    /// Puts another certificate in the place of the one it was started with, and tells it.
    pub fn change_certificate(&self, certificate: &Certificate) -> Result<()> {
        TlsFiles::in_directory(&self.scratch.0).write(certificate)?;
        let told = Command::new("kill").args(["-HUP", &self.process.id().to_string()]).status()?;
        ensure!(told.success(), "kill -HUP: {told}");
        Ok(())
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.0.join("log")).unwrap_or_default()
    }
}

/// Where vpcepd reads its certificate.
struct TlsFiles {
    cert: PathBuf,
    key: PathBuf,
}

impl TlsFiles {
    fn in_directory(directory: &Path) -> Self {
        Self { cert: directory.join("cert.pem"), key: directory.join("key.pem") }
    }

    fn write(&self, certificate: &Certificate) -> Result<()> {
        std::fs::write(&self.cert, &certificate.pem)?;
        std::fs::write(&self.key, &certificate.key)?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

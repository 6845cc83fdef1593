//! The controller under test.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

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
        let scratch = Scratch::new("daemon")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = File::create(scratch.0.join("log"))?;
        let process = Command::new(program("vpcepd")?)
            .args(["--datapath", "none", "--listen", &format!("127.0.0.1:{port}")])
            .arg("--state-dir")
            .arg(scratch.0.join("state"))
            .arg("--run-dir")
            .arg(scratch.0.join("run"))
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

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.0.join("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

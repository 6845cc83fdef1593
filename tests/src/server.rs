//! Real servers and clients: nginx, HAProxy and curl, dnsmasq and dig.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::world::Host;
use crate::{Process, wait_until};

/// Bytes per second and connection of `/slow/`.
const SLOW_RATE: &str = "4m";

/// Bytes of the file below `/slow/`: 24 s at that rate, time for two restarts.
pub const SLOW_FILE_BYTES: u64 = 96 * 1024 * 1024;

/// An nginx on one host:
///
/// | path | answer |
/// |---|---|
/// | `/` | `NAME at SERVER_ADDRESS` |
/// | `/slow/file` | 96 MiB at 4 MiB/s |
/// | `/client` | address and port of the client, as a PROXY header says |
#[derive(Debug)]
pub struct Nginx {
    access_log: PathBuf,
    process: Process,
}

impl Nginx {
    /// Starts it on every address of `host`, listening on `ports`; its files go
    /// below `directory`.
    ///
    /// # Errors
    /// When it does not start, with what it printed.
    pub fn start(name: &str, host: &Host, ports: &[u16], directory: &Path) -> Result<Self> {
        let listen: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let reached: Vec<String> = ports.iter().map(|port| format!("{}:{port}", host.address())).collect();
        Self::launch(name, host, &listen, &reached, &directory.join(format!("nginx-{name}")))
    }

    /// Starts it on one address and port of `host`: one server of several there.
    ///
    /// # Errors
    /// When it does not start, with what it printed.
    pub fn start_at(name: &str, host: &Host, socket: &str, directory: &Path) -> Result<Self> {
        let socket = [socket.to_owned()];
        Self::launch(name, host, &socket, &socket, &directory.join(format!("nginx-{name}-{}", socket[0])))
    }

    /// Starts it on one port of `host`, where every connection has to begin with a PROXY header.
    ///
    /// # Errors
    /// When it does not start, with what it printed.
    pub fn start_behind_proxy(name: &str, host: &Host, port: u16, directory: &Path) -> Result<Self> {
        let listen = [format!("{port} proxy_protocol")];
        let reached = [format!("{}:{port}", host.address())];
        Self::launch(name, host, &listen, &reached, &directory.join(format!("nginx-{name}")))
    }

    fn launch(name: &str, host: &Host, listen: &[String], reached: &[String], home: &Path) -> Result<Self> {
        fs::create_dir_all(home.join("slow")).with_context(|| format!("cannot create {}", home.display()))?;
        let slow_file = fs::File::create(home.join("slow/file")).context("cannot make the file to serve")?;
        slow_file.set_len(SLOW_FILE_BYTES).context("cannot size the file to serve")?;
        let configuration = home.join("nginx.conf");
        fs::write(&configuration, nginx_configuration(name, listen, home))
            .with_context(|| format!("cannot write {}", configuration.display()))?;

        let mut command = host.netns.command("nginx");
        command.arg("-c").arg(&configuration).arg("-p").arg(home);
        let process = Process::spawn("nginx", &mut command, &home.join("output.log"))?;
        let mut nginx = Self { access_log: home.join("access.log"), process };
        for address in reached {
            await_listening("nginx", &mut nginx.process, host, address)?;
        }
        Ok(nginx)
    }

    /// Source addresses of the requests served, oldest first, once there are at
    /// least `count`: nginx writes its log after the client has its answer.
    ///
    /// # Errors
    /// When the log cannot be read, or stays shorter.
    pub fn sources(&self, count: usize) -> Result<Vec<String>> {
        let mut sources = Vec::new();
        wait_until(&format!("nginx logs {count} requests"), Duration::from_secs(5), || {
            let log = fs::read_to_string(&self.access_log)
                .with_context(|| format!("cannot read {}", self.access_log.display()))?;
            sources = log.lines().map(str::to_owned).collect();
            Ok(sources.len() >= count)
        })?;
        Ok(sources)
    }

    /// Does not end it when dropped.
    pub fn leave_running(&mut self) {
        self.process.leave_running();
    }
}

fn await_listening(what: &str, process: &mut Process, host: &Host, address: &str) -> Result<()> {
    wait_until(&format!("{what} listens on {address}"), Duration::from_secs(5), || {
        anyhow::ensure!(process.exit_status()?.is_none(), "{what} ended:\n{}", process.log_tail());
        host.netns.inside(|| Ok(TcpStream::connect(address).is_ok()))
    })
}

/// An HAProxy on one host, where every connection has to begin with a PROXY header; it answers each
/// request with the client's address and port, as the header says, and those it connected to.
#[derive(Debug)]
pub struct Haproxy {
    _process: Process,
}

impl Haproxy {
    /// Starts it on one port of `host`; its files go below `directory`.
    ///
    /// # Errors
    /// When it does not start, with what it printed.
    pub fn start(host: &Host, port: u16, directory: &Path) -> Result<Self> {
        let configuration = directory.join("haproxy.cfg");
        let text = format!(
            "defaults
    mode http
    timeout client 10s
    timeout http-request 5s
frontend behind
    bind :{port} accept-proxy
    http-request return status 200 content-type text/plain lf-string %[src]:%[src_port]\\ to\\ %[dst]:%[dst_port]\\n
"
        );
        fs::write(&configuration, text)
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        let mut command = host.netns.command("haproxy");
        command.arg("-db").arg("-f").arg(&configuration);
        let mut process = Process::spawn("haproxy", &mut command, &directory.join("haproxy.log"))?;
        await_listening("haproxy", &mut process, host, &format!("{}:{port}", host.address()))?;
        Ok(Self { _process: process })
    }
}

fn nginx_configuration(name: &str, sockets: &[String], home: &Path) -> String {
    let home = home.display();
    let mut listen = String::new();
    for socket in sockets {
        // Writing to a String cannot fail.
        let _ = writeln!(listen, "        listen {socket} backlog=4096;");
    }
    format!(
        "daemon off;
master_process off;
worker_rlimit_nofile 16384;
error_log {home}/error.log;
pid {home}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
    log_format source '$remote_addr';
    access_log {home}/access.log source;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
{listen}        root {home};
        location = / {{ default_type text/plain; return 200 \"{name} at $server_addr\\n\"; }}
        location = /client {{ default_type text/plain; return 200 \"$proxy_protocol_addr:$proxy_protocol_port\\n\"; }}
        location /slow/ {{ limit_rate {SLOW_RATE}; sendfile on; }}
    }}
}}
"
    )
}

/// A dnsmasq on one host that knows one name, over UDP and TCP port 53.
#[derive(Debug)]
pub struct Dnsmasq {
    _process: Process,
}

impl Dnsmasq {
    /// Starts it on every address of `host`; its log goes into `directory`.
    ///
    /// # Errors
    /// When it does not start, with what it printed.
    pub fn start(host: &Host, name: &str, address: &str, directory: &Path) -> Result<Self> {
        let mut command = host.netns.command("dnsmasq");
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]);
        command.args(["--user=root", "--pid-file=", "--log-facility=-", "--log-queries"]);
        command.arg(format!("--address=/{name}/{address}"));
        let mut process = Process::spawn("dnsmasq", &mut command, &directory.join("dnsmasq.log"))?;
        wait_until("dnsmasq answers", Duration::from_secs(5), || {
            anyhow::ensure!(process.exit_status()?.is_none(), "dnsmasq ended:\n{}", process.log_tail());
            Ok(host.dig(&["@127.0.0.1", name])?.as_deref() == Some(address))
        })?;
        Ok(Self { _process: process })
    }
}

/// What a curl came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// curl's exit code: 0, 7 refused, 28 timed out, 56 reset, …
    pub exit_code: Option<i32>,
    /// The body it received.
    pub body: String,
    /// curl's own words when it failed.
    pub error: String,
}

impl Fetched {
    /// Whether the server answered.
    pub fn is_ok(&self) -> bool {
        self.exit_code == Some(0)
    }
}

impl Host {
    /// Asks a name server from here, once, for at most two seconds: its answer, or
    /// nothing when it does not answer.
    ///
    /// # Errors
    /// When dig cannot be run at all.
    pub fn dig(&self, arguments: &[&str]) -> Result<Option<String>> {
        let mut command = self.netns.command("dig");
        command.args(["+short", "+tries=1", "+time=2"]).args(arguments).stdin(Stdio::null());
        let output = command.output().context("cannot run dig")?;
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(output.status.success().then_some(answer))
    }

    /// Runs curl here, giving up after three seconds.
    ///
    /// # Errors
    /// When curl cannot be run at all.
    pub fn curl(&self, arguments: &[&str]) -> Result<Fetched> {
        let mut command = self.curl_command(&["--max-time", "3"]);
        let output = command.args(arguments).stdin(Stdio::null()).output().context("cannot run curl")?;
        Ok(Fetched {
            exit_code: output.status.code(),
            body: String::from_utf8_lossy(&output.stdout).into_owned(),
            error: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Starts a download to a file, in the background. It ends with an error
    /// when nothing arrives for a second.
    ///
    /// # Errors
    /// When curl cannot be run.
    pub fn download(&self, url: &str, file: &Path) -> Result<Process> {
        self.download_with(url, file, STALL_IS_AN_END)
    }

    /// Starts a download that also outlives pauses.
    ///
    /// # Errors
    /// When curl cannot be run.
    pub fn patient_download(&self, url: &str, file: &Path) -> Result<Process> {
        self.download_with(url, file, &["--max-time", "120"])
    }

    fn download_with(&self, url: &str, file: &Path, arguments: &[&str]) -> Result<Process> {
        let mut command = self.curl_command(arguments);
        command.arg("--output").arg(file).arg(url);
        Process::spawn("curl", &mut command, &file.with_extension("log"))
    }

    fn curl_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.netns.command("curl");
        command.args(["--silent", "--show-error", "--noproxy", "*"]).args(arguments);
        command
    }
}

/// Less than a byte a second, for one second.
const STALL_IS_AN_END: &[&str] = &["--speed-limit", "1", "--speed-time", "1"];

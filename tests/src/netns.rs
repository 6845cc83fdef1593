//! Network namespaces, through iproute2.
//!
//! Namespaces have names below `/run/netns`, so one can look into a world that
//! was left standing with `ip netns exec`. Their removal belongs to the
//! [`World`](crate::World), which names them all.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result};

use crate::process::output_of;

/// A named network namespace with its loopback up and IPv6 off.
#[derive(Clone, Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes it.
    ///
    /// # Errors
    /// Without root, without iproute2, or when the name is taken.
    pub fn create(name: String) -> Result<Self> {
        output_of(Command::new("ip").args(["netns", "add", &name]))?;
        let netns = Self { name };
        // Router solicitations and duplicate address detection are noise in
        // the counters that tests look at.
        netns.sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
        netns.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
        netns.run(&["ip", "link", "set", "lo", "up"])?;
        Ok(netns)
    }

    /// The name, as `ip netns` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside. `ip netns exec` becomes the program, so
    /// a process started from it has the program's pid.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a program inside to its end and returns what it printed.
    ///
    /// # Errors
    /// As [`output_of`].
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        let (program, arguments) = argv.split_first().context("there is no program to run")?;
        output_of(self.command(program).args(arguments))
    }

    /// Sets a kernel parameter of the namespace.
    ///
    /// # Errors
    /// When there is no such parameter.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.run(&["sysctl", "-qw", &format!("{key}={value}")]).map(drop)
    }

    /// Connects two namespaces: `interface` here, `peer_interface` in `peer`,
    /// both up.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn connect(&self, interface: &str, peer: &Netns, peer_interface: &str) -> Result<()> {
        let pair = ["link", "add", interface, "netns", &self.name, "type", "veth"];
        let other_end = ["peer", "name", peer_interface, "netns", &peer.name];
        output_of(Command::new("ip").args(pair).args(other_end))?;
        self.run(&["ip", "link", "set", interface, "up"])?;
        peer.run(&["ip", "link", "set", peer_interface, "up"])?;
        Ok(())
    }

    /// Adds an address, such as `10.0.0.182/24`.
    ///
    /// # Errors
    /// When the interface has it already.
    pub fn add_address(&self, interface: &str, address: &str) -> Result<()> {
        self.run(&["ip", "address", "add", address, "dev", interface]).map(drop)
    }

    /// Adds a route to `prefix` via the router `via`.
    ///
    /// # Errors
    /// When the router is not on a connected network.
    pub fn add_route(&self, prefix: &str, via: &str) -> Result<()> {
        self.run(&["ip", "route", "add", prefix, "via", via]).map(drop)
    }

    /// Switches offloads of an interface, such as `[("gro", "on")]`.
    ///
    /// # Errors
    /// When the device cannot.
    pub fn set_offloads(&self, interface: &str, switches: &[(&str, &str)]) -> Result<()> {
        let mut ethtool = self.command("ethtool");
        ethtool.args(["-K", interface]);
        for (feature, state) in switches {
            ethtool.args([feature, state]);
        }
        output_of(&mut ethtool).map(drop)
    }

    /// Runs `body` on a thread inside the namespace. Sockets it opens belong to
    /// the namespace for good, and threads it starts are born there.
    ///
    /// # Errors
    /// Without root, or what `body` returns.
    ///
    /// # Panics
    /// When `body` panics.
    pub fn inside<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter()?;
                body()
            });
            match inside.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Moves the calling thread into the namespace.
    fn enter(&self) -> Result<()> {
        let path = Path::new("/run/netns").join(&self.name);
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        // SAFETY: the descriptor is open for the duration of the call; setns
        // changes the calling thread's namespace and no memory.
        let result = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
        if result != 0 {
            return Err(io::Error::last_os_error())
                .with_context(|| format!("cannot enter network namespace {}", self.name));
        }
        Ok(())
    }
}

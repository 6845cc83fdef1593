//! A world: the gateway's namespace with its daemon, the namespaces of the VPCs
//! around it, and the removal of all of it.
//!
//! Everything a world makes carries its name: namespaces `NAME-…`, files in
//! `/tmp/NAME`. Names are `vpcep-PID-N`, so a later run can tell what a killed
//! one left behind from what belongs to a run still going.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io, process};

use anyhow::{Context as _, Result, bail, ensure};

use crate::daemon::Datapath;
use crate::process::output_of;
use crate::{Cli, Daemon, Netns};

/// Removes a world; see the file.
const SWEEP: &str = include_str!("sweep.sh");

/// How the gateway's programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// TC: tcx or clsact.
    Tc,
    /// XDP in the driver of veth.
    Xdp,
}

impl Mode {
    /// The word for `vpcep attachment create --mode`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::Xdp => "xdp",
        }
    }
}

/// The gateway host and what surrounds it.
#[derive(Debug)]
pub struct World {
    name: String,
    directory: PathBuf,
    mode: Mode,
    gateway: Netns,
    vpcs: u32,
    /// The daemon in the gateway.
    pub daemon: Daemon,
    // Last, so that the daemon ends before its files are removed.
    watchdog: Watchdog,
}

impl World {
    /// A world of this process's own, with its daemon running. Worlds that
    /// killed processes left behind are removed first.
    ///
    /// # Errors
    /// When something is missing (root, a program), naming it.
    pub fn start(mode: Mode) -> Result<Self> {
        Self::make(own_name()?, mode, Datapath::Bpf)
    }

    /// A world of this process's own whose daemon has no data plane: for what
    /// is only about the API.
    ///
    /// # Errors
    /// As [`World::start`].
    pub fn start_without_data_plane() -> Result<Self> {
        Self::make(own_name()?, Mode::Tc, Datapath::None)
    }

    /// A world under a name of the caller's choice.
    ///
    /// # Errors
    /// As [`World::start`], and when a world of that name is standing.
    pub fn start_named(name: String, mode: Mode) -> Result<Self> {
        Self::make(name, mode, Datapath::Bpf)
    }

    fn make(name: String, mode: Mode, datapath: Datapath) -> Result<Self> {
        require_root()?;
        let directory = directory_of(&name);
        fs::create_dir(&directory)
            .with_context(|| format!("cannot create {} for a new world", directory.display()))?;
        let watchdog = Watchdog::arm(&name)?;
        let bpffs = directory.join("bpffs");
        fs::create_dir(&bpffs).with_context(|| format!("cannot create {}", bpffs.display()))?;
        output_of(Command::new("mount").args(["-t", "bpf", "vpcep"]).arg(&bpffs))?;

        let gateway = Netns::create(format!("{name}-gateway"))?;
        let daemon = Daemon::new(&gateway, &directory, datapath)?;
        let mut world = Self { name, directory, mode, gateway, vpcs: 0, daemon, watchdog };
        world.daemon.start()?;
        Ok(world)
    }

    /// How attachments are to be made.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Where files of the world go; removed with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The gateway's namespace.
    pub fn gateway(&self) -> &Netns {
        &self.gateway
    }

    /// The command line as the operator.
    ///
    /// # Errors
    /// When `vpcep` is not built.
    pub fn operator(&self) -> Result<Cli> {
        self.daemon.cli()
    }

    /// A host for a VPC in a namespace of its own, wired to the gateway.
    ///
    /// # Errors
    /// When the kernel refuses a step.
    pub fn add_host(&mut self, network: &Network) -> Result<Host> {
        self.vpcs += 1;
        let gateway_interface = format!("vpc{}", self.vpcs);
        let netns = Netns::create(format!("{}-{gateway_interface}", self.name))?;
        self.gateway.connect(&gateway_interface, &netns, HOST_INTERFACE)?;
        for address in &network.hosts {
            netns.add_address(HOST_INTERFACE, &format!("{address}/{}", network.prefix_len))?;
        }
        if self.mode == Mode::Xdp {
            // veth takes redirected frames only while it polls, which gro turns
            // on; and XDP sees packets as they are: with tx off the sender
            // completes checksums and does not send packets beyond the MTU.
            netns.set_offloads(HOST_INTERFACE, &[("gro", "on"), ("tx", "off")])?;
        }
        Ok(Host { netns, gateway_interface, network: network.clone() })
    }

    /// What an engineer wants to see when a scenario failed.
    pub fn diagnosis(&self) -> String {
        let mut text = format!("--- end of vpcepd's log\n{}\n", self.daemon.log_tail());
        for arguments in [["status"].as_slice(), &["stats"], &["sessions"]] {
            let answer = self.operator().and_then(|cli| cli.json(arguments));
            let answer = answer.map_or_else(|error| format!("{error:#}"), |json| format!("{json:#}"));
            text.push_str(&format!("--- vpcep {}\n{answer}\n", arguments.join(" ")));
        }
        text
    }

    /// Leaves everything standing, the daemon running.
    ///
    /// # Errors
    /// When the watchdog is gone.
    pub fn leave_standing(mut self) -> Result<()> {
        self.daemon.leave_running();
        self.watchdog.disarm()
    }
}

/// Name of a VPC host's interface.
pub const HOST_INTERFACE: &str = "eth0";

/// The IPv4 network of a VPC and who lives in it.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its range, such as `10.0.0.0/24`.
    pub cidr: String,
    /// Length of the prefix.
    pub prefix_len: u8,
    /// The gateway's address: the first of the range.
    pub gateway: String,
    /// Addresses of the host.
    pub hosts: Vec<String>,
}

impl Network {
    /// A /24 around the first of `hosts`, the gateway at `.1`.
    ///
    /// # Errors
    /// When there is no host or it is not an IPv4 address.
    pub fn around(hosts: &[&str]) -> Result<Self> {
        let first = hosts.first().context("a network needs a host")?;
        let address: std::net::Ipv4Addr =
            first.parse().with_context(|| format!("host {first:?} is not an IPv4 address"))?;
        let [a, b, c, _] = address.octets();
        Ok(Self {
            cidr: format!("{a}.{b}.{c}.0/24"),
            prefix_len: 24,
            gateway: format!("{a}.{b}.{c}.1"),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        })
    }
}

/// A host in a VPC.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its namespace.
    pub netns: Netns,
    /// The interface by which the gateway reaches it.
    pub gateway_interface: String,
    /// Its network.
    pub network: Network,
}

impl Host {
    /// Its first address.
    pub fn address(&self) -> &str {
        &self.network.hosts[0]
    }
}

/// A process that removes the world once this one drops it or is gone, whatever
/// ended it: a panic, Ctrl-C, SIGKILL. It sees that at the end of its input.
#[derive(Debug)]
struct Watchdog {
    child: Child,
}

impl Watchdog {
    fn arm(world: &str) -> Result<Self> {
        let mut command = sweep_command(world);
        // A group of its own: Ctrl-C must end the tests, not their clean-up.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.stdin(Stdio::piped()).spawn().context("cannot start the watchdog")?;
        Ok(Self { child })
    }

    fn disarm(&mut self) -> Result<()> {
        let mut input = self.child.stdin.take().context("the watchdog's input is closed")?;
        io::Write::write_all(&mut input, b"leave\n").context("cannot reach the watchdog")
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It is ours and cannot fail to be waited for; a world it could not
        // remove is removed by the next run.
        drop(self.child.wait());
    }
}

/// Removes the world of that name.
///
/// # Errors
/// When a step fails; what is left can be removed by another call.
pub fn sweep(world: &str) -> Result<()> {
    output_of(&mut sweep_command(world)).map(drop)
}

/// Whether a world of that name is standing.
pub fn is_standing(world: &str) -> bool {
    directory_of(world).exists()
}

fn sweep_command(world: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", SWEEP, "sweep", world]).arg(directory_of(world));
    command
}

fn directory_of(world: &str) -> PathBuf {
    env::temp_dir().join(world)
}

/// The name of a new world of this process. Worlds of processes that are gone
/// are removed first.
fn own_name() -> Result<String> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    require_root()?;
    sweep_orphans()?;
    Ok(format!("vpcep-{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)))
}

/// Removes worlds whose process is gone.
fn sweep_orphans() -> Result<()> {
    let temporary = env::temp_dir();
    let entries = fs::read_dir(&temporary).with_context(|| format!("cannot list {}", temporary.display()))?;
    for entry in entries {
        let name = entry.with_context(|| format!("cannot list {}", temporary.display()))?.file_name();
        let Some(name) = name.to_str() else { continue };
        if owner_of(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            sweep(name)?;
        }
    }
    Ok(())
}

/// The process a world's name speaks of: `vpcep-PID-N`.
fn owner_of(world: &str) -> Option<u32> {
    let (pid, number) = world.strip_prefix("vpcep-")?.split_once('-')?;
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

/// That this process may make worlds.
///
/// # Errors
/// When it is not root.
pub fn require_root() -> Result<()> {
    // SAFETY: geteuid has no preconditions and cannot fail.
    let user = unsafe { libc::geteuid() };
    ensure!(
        user == 0,
        "network namespaces and eBPF need root (CAP_SYS_ADMIN), this is user {user}: use sudo"
    );
    Ok(())
}

/// A program of this workspace, found beside the running one: tests live in
/// `target/PROFILE/deps`, xtask in `target/PROFILE`.
///
/// # Errors
/// When it is not built.
pub fn program(name: &str) -> Result<PathBuf> {
    let myself = env::current_exe().context("cannot tell where this program is")?;
    let candidates = myself.ancestors().skip(1).take(2).map(|directory| directory.join(name));
    for candidate in candidates {
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!("no program {name} near {}: run cargo build", myself.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_is_told_only_from_names_of_worlds() {
        for (name, owner) in [
            ("vpcep-4711-0", Some(4711)),
            ("vpcep-4711-12", Some(4711)),
            ("vpcep-demo", None),
            ("vpcep-4711", None),
            ("vpcep-x-1", None),
            ("vpcep-4711-0-gateway", None),
            ("other-4711-0", None),
        ] {
            assert_eq!(owner_of(name), owner, "{name}");
        }
    }

    #[test]
    fn network_is_the_24_around_its_first_host() {
        let network = Network::around(&["192.168.24.10", "192.168.24.11"]).unwrap();
        assert_eq!(network.cidr, "192.168.24.0/24");
        assert_eq!(network.gateway, "192.168.24.1");
        assert_eq!(network.hosts.len(), 2);
        Network::around(&["here"]).unwrap_err();
        Network::around(&[]).unwrap_err();
    }
}

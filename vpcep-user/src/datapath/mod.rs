//! The data plane as the rest of the controller sees it.
//!
//! [`Datapath`] is implemented by [`bpf`] (the kernel) and [`fake`] (control
//! plane only, and unit tests). Writing goes through the reconciler alone;
//! reading serves `sessions`, `stats`, `explain` and `status`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use vpcep_common::event::Kind;

use crate::model::{Cidr, EndpointId};
use crate::reconcile::desired::{Desired, Report};

pub mod attach;
pub mod bpf;
pub mod events;
pub mod fake;
mod hooks;
pub mod load;
pub mod maps;
pub mod mmap;
mod newest;
mod nudge;
mod numbers;
pub mod object;
mod sweep;
mod upkeep;
mod wanted;

/// Opens the data plane the settings ask for.
///
/// # Errors
/// When the kernel refuses what the data plane needs, or a setting does not fit
/// this host.
pub fn open(settings: &DatapathSettings) -> Result<Arc<dyn Datapath>, DatapathError> {
    match settings.kind {
        DatapathKind::None => Ok(Arc::new(fake::FakeDatapath::new(settings))),
        DatapathKind::Bpf => Ok(Arc::new(bpf::BpfDatapath::open(settings)?)),
    }
}

/// Removes everything the data plane has put into the kernel: programs, maps
/// and addresses. Nothing there is not an error.
///
/// # Errors
/// When the kernel refuses to let go of something.
pub fn detach(settings: &DatapathSettings) -> Result<(), DatapathError> {
    match settings.kind {
        DatapathKind::None => Ok(()),
        DatapathKind::Bpf => load::detach(&settings.bpffs),
    }
}

/// Which data plane to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DatapathKind {
    /// eBPF programs in the kernel.
    #[default]
    Bpf,
    /// No packets at all: the control plane alone.
    None,
}

/// What the data plane needs to know once, when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatapathSettings {
    /// Which data plane.
    pub kind: DatapathKind,
    /// Identity of the store (see [`crate::store::identity`]): what another
    /// store has put into the kernel is not touched.
    pub owner: u128,
    /// The sources backends see; inside 198.19.128.0/17, /26 to /32.
    pub snat_range: Cidr,
    /// Most endpoints on this host.
    pub max_endpoints: u32,
    /// Most sessions the index holds, both directions of a flow counted once.
    pub max_sessions: u32,
    /// Where programs and maps are pinned, so that flows outlive this process.
    pub bpffs: PathBuf,
    /// Whether endpoints leave echo requests (ping) unanswered.
    pub no_echo: bool,
    /// Most ICMP errors that the gateway makes itself in a second, for each endpoint; 0 for none.
    pub icmp_errors: u32,
    /// How events are reported.
    pub events: EventSettings,
    /// How long an idle session is kept, by state.
    pub timeouts: Timeouts,
}

/// How the data plane reports what happens to sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSettings {
    /// Most events of one kind that one CPU reports in a second; 0 reports none.
    pub rate: u32,
    /// Size of the ring buffer, bytes: a power of two, of whole pages.
    pub ring_bytes: u32,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self { rate: 10_000, ring_bytes: vpcep_common::limits::DEFAULT_EVENT_RING }
    }
}

/// Idle times after which a session, or a source port, may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Established, both directions seen (RFC 5382 asks for at least 2 h 4 min).
    pub tcp_established: Duration,
    /// Handshake not finished.
    pub tcp_transitory: Duration,
    /// Handshake not finished, at an endpoint that has three quarters of the connections it may.
    pub tcp_crowded: Duration,
    /// One side has closed.
    pub tcp_closing: Duration,
    /// Both sides have closed.
    pub tcp_time_wait: Duration,
    /// A reset was seen.
    pub tcp_reset: Duration,
    /// UDP, both directions seen (RFC 4787 recommends 5 min).
    pub udp: Duration,
    /// UDP, nothing from the backend yet (RFC 4787 asks for at least 2 min).
    pub udp_unanswered: Duration,
    /// A DNS query without an answer yet.
    pub dns_query: Duration,
    /// How long a source port rests before it serves another flow.
    pub port_rest: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_established: Duration::from_secs(7440),
            tcp_transitory: Duration::from_secs(240),
            tcp_crowded: Duration::from_secs(10),
            tcp_closing: Duration::from_secs(240),
            tcp_time_wait: Duration::from_secs(10),
            tcp_reset: Duration::from_secs(10),
            udp: Duration::from_secs(300),
            udp_unanswered: Duration::from_secs(120),
            dns_query: Duration::from_secs(30),
            port_rest: Duration::from_secs(120),
        }
    }
}

/// A data plane that can be made to match a [`Desired`] state and read back.
///
/// Calls block (system calls, no waiting on the network) and may come from
/// several threads.
pub trait Datapath: Send + Sync {
    /// Makes the data plane match `desired`. Idempotent; a second call with the
    /// same argument changes nothing. The failure of one object is in the
    /// report and does not stop the others.
    ///
    /// # Errors
    /// Only when nothing can be applied at all, such as lost maps.
    fn reconcile(&self, desired: &Desired) -> Result<Report, DatapathError>;

    /// Counters of one endpoint; `None` when the data plane does not have it.
    ///
    /// # Errors
    /// When the maps cannot be read.
    fn endpoint_stats(&self, endpoint: EndpointId) -> Result<Option<EndpointStats>, DatapathError>;

    /// Packets dropped that belong to no endpoint, by reason name.
    ///
    /// # Errors
    /// When the maps cannot be read.
    fn unattributed_drops(&self) -> Result<BTreeMap<String, u64>, DatapathError>;

    /// Live sessions, newest first, at most `limit`, of these endpoints or of
    /// all; and how many match in all. One look at the table, whatever is asked.
    ///
    /// # Errors
    /// When the maps cannot be read.
    fn sessions(
        &self,
        endpoints: Option<&BTreeSet<EndpointId>>,
        limit: usize,
    ) -> Result<(Vec<SessionInfo>, u64), DatapathError>;

    /// What the data plane knows of a neighbour (a backend or a router towards
    /// it) in a VPC: its MAC once resolved.
    ///
    /// # Errors
    /// When the maps cannot be read.
    fn neighbour(&self, vpc: u16, address: Ipv4Addr) -> Result<Neighbour, DatapathError>;

    /// The way that packets of vpcepd itself go to a backend, in the name of the
    /// gateway's own address in the VPC; `None` while nothing leads to it.
    ///
    /// # Errors
    /// When the maps cannot be read.
    fn way(&self, vpc: u16, address: Ipv4Addr) -> Result<Option<Way>, DatapathError>;

    /// Has what happens to sessions reported from now on, or not any more. Whoever
    /// calls this also takes what is reported.
    ///
    /// # Errors
    /// When the maps cannot be written.
    fn report_events(&self, wanted: bool) -> Result<(), DatapathError>;

    /// Takes what was reported since the last call, oldest first, at most `most`.
    fn take_events(&self, most: usize) -> Vec<events::Happening>;

    /// Events that were not reported although they should have been, since the data
    /// plane was made, in the order of [`Kind::ALL`].
    ///
    /// # Errors
    /// When the maps cannot be read.
    fn unreported_events(&self) -> Result<[events::Unreported; Kind::ALL.len()], DatapathError>;

    /// Tables, their fill and memory, for `vpcep status`.
    ///
    /// # Errors
    /// When the maps cannot be read.
    fn status(&self) -> Result<DatapathStatus, DatapathError>;
}

/// Counters of one endpoint. Packets and bytes count what was forwarded, in IP
/// bytes, seen from the client: `out` towards the backend, `in` back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Concurrent connections now.
    pub connections: u64,
    /// Most concurrent connections since the endpoint was made.
    pub connections_peak: u64,
    /// The limit in force.
    pub connections_limit: u64,
    /// Connections opened since the endpoint was made.
    pub opened: u64,
    /// Packets towards the backend.
    pub packets_out: u64,
    /// Packets back to clients.
    pub packets_in: u64,
    /// Bytes towards the backend.
    pub bytes_out: u64,
    /// Bytes back to clients.
    pub bytes_in: u64,
    /// Packets dropped or refused, by reason name; only reasons that occurred.
    pub drops: BTreeMap<String, u64>,
}

/// One live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The endpoint it belongs to.
    pub endpoint: EndpointId,
    /// IANA protocol number.
    pub protocol: u8,
    /// The client, in the consumer's VPC.
    pub client: SocketAddrV4,
    /// The endpoint address and port the client uses.
    pub destination: SocketAddrV4,
    /// The source the backend sees.
    pub source: SocketAddrV4,
    /// The backend.
    pub backend: SocketAddrV4,
    /// `syn-sent`, `syn-received`, `established`, `closing`, `closed`, `reset`,
    /// and for UDP `unanswered`, `answered`, `closed` (a DNS query with its answer).
    pub state: String,
    /// Seconds since it was opened.
    pub age_secs: u64,
    /// Seconds since its last packet.
    pub idle_secs: u64,
}

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// Nothing sends to it, so it is not looked for.
    Unknown,
    /// Asked for by ARP, no answer yet.
    Unresolved,
    /// Answered.
    Resolved {
        /// Its MAC.
        mac: [u8; 6],
    },
    /// Answered once, and not for that long.
    Stale {
        /// Its last known MAC, which packets still go to.
        mac: [u8; 6],
        /// Seconds since its last answer.
        since_secs: u64,
    },
}

/// The way to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Kernel interface index.
    pub ifindex: u32,
    /// 802.1Q id; 0 when untagged.
    pub vlan: u16,
    /// The gateway's own address there.
    pub source: Ipv4Addr,
    /// MAC of the backend, or of the router to it; `None` until it has answered ARP.
    pub mac: Option<[u8; 6]>,
}

/// State of the data plane as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatapathStatus {
    /// `bpf` or `none`.
    pub kind: String,
    /// Slots of the session table and how many are in use.
    pub session_slots: u64,
    /// Slots in use.
    pub sessions: u64,
    /// Endpoints in the kernel.
    pub endpoints: u64,
    /// Kernel memory of all maps, bytes.
    pub memory_bytes: u64,
    /// Map name → (entries in use where known, capacity, bytes).
    pub maps: BTreeMap<String, MapStatus>,
    /// The source range backends see, as a prefix.
    pub snat_range: String,
}

/// One map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapStatus {
    /// Capacity in entries.
    pub capacity: u64,
    /// Kernel memory in bytes.
    pub bytes: u64,
}

/// Why the data plane could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// Loading the eBPF object failed.
    #[error("cannot load the eBPF programs")]
    Load(#[source] aya::EbpfError),
    /// A map operation failed.
    #[error("cannot {action} map {map}")]
    Map {
        /// What was attempted.
        action: &'static str,
        /// Name of the map.
        map: &'static str,
        /// The kernel's answer.
        #[source]
        source: aya::maps::MapError,
    },
    /// A program operation failed.
    #[error("cannot {action} program {program}")]
    Program {
        /// What was attempted.
        action: &'static str,
        /// Name of the program.
        program: &'static str,
        /// The kernel's answer.
        #[source]
        source: aya::programs::ProgramError,
    },
    /// A system call failed.
    #[error("cannot {action}")]
    System {
        /// What was attempted, on what.
        action: String,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// The pinned state of another version of vpcep.
    #[error(
        "maps pinned in {path} have layout version {found}, this vpcepd has {expected}: run vpcepd --detach with the version that made them, or remove the directory"
    )]
    Layout {
        /// The directory.
        path: String,
        /// Version found.
        found: u32,
        /// Version of this program.
        expected: u32,
    },
    /// A table is full.
    #[error("table {table} is full at {capacity} entries: raise {setting}")]
    Full {
        /// What is full.
        table: &'static str,
        /// Its capacity.
        capacity: u32,
        /// The setting that raises it.
        setting: &'static str,
    },
    /// A setting does not fit this host.
    #[error("{0}")]
    Setting(String),
}

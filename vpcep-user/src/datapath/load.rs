//! Loading the object, with fresh maps or with those that are pinned.
//!
//! ```text
//!   <bpffs>/v1/SLOTS ...      every map
//!   <bpffs>/v1/links/...      every link (see super::attach)
//! ```
//!
//! The directory carries the layout version. It is filled under another name
//! and then renamed, so that it is there whole or not at all.

use std::io;
use std::path::{Path, PathBuf};

use aya::maps::MapInfo;
use aya::programs::{RawTracePoint, SchedClassifier, TcAttachType, Xdp, tc};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::statfs;
use vpcep_common::meter::connection_cost;
use vpcep_common::session::ticks;
use vpcep_common::settings::{Settings, settings_flags};
use vpcep_common::snat::{RANGE, RANGE_BITS, Shard};
use vpcep_common::tcp::State;
use vpcep_common::{ABI_VERSION, index, limits, maps as names};

use super::maps::Maps;
use super::object::{OBJECT, programs};
use super::{DatapathError, DatapathSettings};

/// `BPF_FS_MAGIC` in include/uapi/linux/magic.h.
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// A reader of what the programs log.
pub type Log = EbpfLogger<&'static dyn log::Log>;

/// A loaded object.
pub struct Loaded {
    /// Programs.
    pub ebpf: Ebpf,
    /// Maps.
    pub maps: Maps,
    /// What the programs log.
    pub log: Option<Log>,
    /// What the programs run with.
    pub settings: Settings,
    /// Whether the maps were there before.
    pub reused: bool,
    /// Keeps other processes away.
    pub lock: Lock,
}

/// The directory, locked: one process at a time changes what is pinned in it.
pub type Lock = Flock<std::fs::File>;

/// Where this version pins.
#[must_use]
pub fn pin_directory(bpffs: &Path) -> PathBuf {
    bpffs.join(format!("v{ABI_VERSION}"))
}

/// Where it is put together. A BPF filesystem allows no dot in a name
/// (kernel/bpf/inode.c, `bpf_lookup`).
fn fresh_directory(bpffs: &Path) -> PathBuf {
    bpffs.join(format!("v{ABI_VERSION}-new"))
}

/// Loads the object as the settings want it.
///
/// # Errors
/// When the kernel refuses, or what is pinned does not fit the settings.
pub fn load(settings: &DatapathSettings) -> Result<Loaded, DatapathError> {
    let shard = shard(settings)?;
    check_capacities(settings)?;
    prepare(&settings.bpffs)?;
    let lock = lock(&settings.bpffs)?;
    let pins = pin_directory(&settings.bpffs);
    let reused = pins.exists();
    let capacities = capacities(settings);
    if reused {
        check_pinned(&pins, &capacities)?;
        return load_from(settings, shard, &pins, &capacities, lock, reused);
    }
    let fresh = fresh_directory(&settings.bpffs);
    remove_tree(&fresh)?;
    make_directory(&fresh)?;
    let loaded = load_from(settings, shard, &fresh, &capacities, lock, reused)?;
    std::fs::rename(&fresh, &pins).map_err(system(format!(
        "rename {} to {}",
        fresh.display(),
        pins.display()
    )))?;
    Ok(loaded)
}

fn load_from(
    settings: &DatapathSettings,
    shard: Shard,
    pins: &Path,
    capacities: &[(&'static str, u32)],
    lock: Lock,
    reused: bool,
) -> Result<Loaded, DatapathError> {
    let mut loader = EbpfLoader::new();
    for name in names::ALL {
        loader.map_pin_path(name, pins.join(name));
    }
    for (name, entries) in capacities {
        loader.map_max_entries(name, *entries);
    }
    let mut ebpf = loader.load(OBJECT).map_err(DatapathError::Load)?;
    load_programs(&mut ebpf)?;
    let mut maps = Maps::take(&mut ebpf)?;
    let wanted = programs_settings(settings, shard, &maps.settings()?, reused)?;
    maps.set_settings(wanted)?;
    let log = open_log(&mut ebpf);
    Ok(Loaded { ebpf, maps, log, settings: wanted, reused, lock })
}

fn load_programs(ebpf: &mut Ebpf) -> Result<(), DatapathError> {
    for name in [programs::REAP, programs::TC, programs::XDP] {
        let failed = |source| DatapathError::Program { action: "load", program: name, source };
        let missing = || failed(aya::programs::ProgramError::NotLoaded);
        let program = ebpf.program_mut(name).ok_or_else(missing)?;
        match name {
            programs::REAP => <&mut RawTracePoint>::try_from(program).and_then(RawTracePoint::load),
            programs::TC => <&mut SchedClassifier>::try_from(program).and_then(SchedClassifier::load),
            _ => <&mut Xdp>::try_from(program).and_then(Xdp::load),
        }
        .map_err(failed)?;
    }
    Ok(())
}

/// A reader of what the programs log: rare, and never per packet.
fn open_log(ebpf: &mut Ebpf) -> Option<Log> {
    match EbpfLogger::init(ebpf) {
        Ok(log) => Some(log),
        Err(error) => {
            tracing::warn!(%error, "what the eBPF programs log cannot be shown");
            None
        }
    }
}

/// The shard of a source range.
fn shard(settings: &DatapathSettings) -> Result<Shard, DatapathError> {
    let range = settings.snat_range;
    let base = u32::from(range.network());
    let len = range.prefix_len();
    if base >> (32 - RANGE_BITS) != RANGE >> (32 - RANGE_BITS) || !(Shard::MIN_PREFIX_LEN..=32).contains(&len)
    {
        return Err(DatapathError::Setting(format!(
            "snat_range {range} must lie in 198.19.128.0/17 and be a /26 to /32"
        )));
    }
    Ok(Shard { base, mask: (1 << (32 - u32::from(len))) - 1 })
}

fn check_capacities(settings: &DatapathSettings) -> Result<(), DatapathError> {
    for (name, value, most) in [
        ("max_endpoints", settings.max_endpoints, limits::MAX_ENDPOINTS),
        ("max_sessions", settings.max_sessions, limits::MAX_SESSIONS),
    ] {
        // Number 0 of the endpoints is taken.
        if !(2..=most).contains(&value) {
            return Err(DatapathError::Setting(format!("{name} {value} must be 2 to {most}")));
        }
    }
    Ok(())
}

fn capacities(settings: &DatapathSettings) -> Vec<(&'static str, u32)> {
    let endpoints = settings.max_endpoints;
    vec![
        (names::SLOTS, Shard::slots(settings.snat_range.prefix_len())),
        (names::INDEX, index::buckets(settings.max_sessions)),
        // An endpoint has its address and, as a rule, a few ports.
        (names::ENDPOINTS, endpoints.saturating_mul(4).max(4096)),
        (names::POLICIES, endpoints),
        (names::TLVS, endpoints),
        (names::CONNECTIONS, endpoints),
        (names::TRAFFIC, endpoints),
        (names::EVENTS, settings.events.ring_bytes),
    ]
}

/// What is pinned must be what the settings ask for: changing a table's size
/// would end every session in it, which only an operator may decide.
fn check_pinned(pins: &Path, capacities: &[(&'static str, u32)]) -> Result<(), DatapathError> {
    for (name, wanted) in capacities {
        let info = MapInfo::from_pin(pins.join(name)).map_err(|source| DatapathError::Map {
            action: "open the pinned",
            map: name,
            source,
        })?;
        if info.max_entries() != *wanted {
            return Err(DatapathError::Setting(format!(
                "table {name} is in the kernel with {} entries and the settings make it {wanted}: run vpcepd --detach \
                 first (it ends all sessions), or change the settings back",
                info.max_entries()
            )));
        }
    }
    Ok(())
}

fn programs_settings(
    settings: &DatapathSettings,
    shard: Shard,
    known: &Settings,
    reused: bool,
) -> Result<Settings, DatapathError> {
    let mut hash_key = known.hash_key;
    if reused {
        if known.abi_version != ABI_VERSION {
            return Err(DatapathError::Layout {
                path: settings.bpffs.display().to_string(),
                found: known.abi_version,
                expected: ABI_VERSION,
            });
        }
        if known.owner != settings.owner.to_be_bytes() {
            return Err(DatapathError::Setting(format!(
                "what is pinned in {} follows another store: check --state-dir (is its filesystem mounted?), or run \
                 vpcepd --detach first (it ends all sessions)",
                settings.bpffs.display()
            )));
        }
        if known.shard() != shard {
            return Err(DatapathError::Setting(format!(
                "sessions in the kernel use the source range that starts at {}, and the settings say {}: run vpcepd \
                 --detach first (it ends all sessions), or change snat_range back",
                std::net::Ipv4Addr::from(known.shard_base),
                settings.snat_range
            )));
        }
    } else {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes).map_err(|error| DatapathError::System {
            action: "make a random hash key".into(),
            source: io::Error::other(error.to_string()),
        })?;
        let (a, b) = bytes.split_at(8);
        hash_key = [a, b].map(|half| u64::from_ne_bytes(half.try_into().expect("eight bytes")));
    }
    let timeouts = &settings.timeouts;
    let ticks_of = |time: std::time::Duration| ticks(u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
    let idle = |state: State| match state {
        State::SynSent | State::SynReceived => ticks_of(timeouts.tcp_transitory),
        State::FinClient | State::FinBackend | State::LastFinClient | State::LastFinBackend => {
            ticks_of(timeouts.tcp_closing)
        }
        State::TimeWait => ticks_of(timeouts.tcp_time_wait),
        State::ResetByClient | State::ResetByBackend => ticks_of(timeouts.tcp_reset),
        State::Unanswered => ticks_of(timeouts.udp_unanswered),
        State::Answered => ticks_of(timeouts.udp),
        State::Query => ticks_of(timeouts.dns_query),
        State::None | State::Established => ticks_of(timeouts.tcp_established),
    };
    Ok(Settings {
        hash_key,
        abi_version: ABI_VERSION,
        shard_base: shard.base,
        shard_mask: shard.mask,
        index_mask: index::buckets(settings.max_sessions) - 1,
        flags: flags(settings, known),
        rest: ticks_of(timeouts.port_rest),
        handshake_crowded: ticks_of(timeouts.tcp_crowded),
        event_rate: settings.events.rate,
        events_since: known.events_since,
        error_cost: connection_cost(settings.icmp_errors),
        owner: settings.owner.to_be_bytes(),
        idle: std::array::from_fn(|bits| idle(State::from_bits(bits as u8))),
    })
}

/// Whether events are reported stays as it was: what happens until this process reads
/// them is in the ring then.
fn flags(settings: &DatapathSettings, known: &Settings) -> u32 {
    let echo = if settings.no_echo { settings_flags::NO_ECHO } else { 0 };
    let events = if settings.events.rate > 0 { known.flags & settings_flags::EVENTS } else { 0 };
    echo | events
}

/// Makes the directory, on a BPF filesystem, with no other version's pins in it.
fn prepare(bpffs: &Path) -> Result<(), DatapathError> {
    let parent = bpffs.ancestors().find(|path| path.exists()).unwrap_or(bpffs);
    let magic = statfs(parent).map_err(|source| DatapathError::System {
        action: format!("inspect {}", parent.display()),
        source: source.into(),
    })?;
    if magic.filesystem_type().0 != BPF_FS_MAGIC {
        return Err(DatapathError::Setting(format!(
            "{} is not on a BPF filesystem: run `mount -t bpf bpf /sys/fs/bpf`, or point --bpffs at one \
             (`ip netns exec` hides the host's)",
            bpffs.display()
        )));
    }
    std::fs::create_dir_all(bpffs).map_err(system(format!("make {}", bpffs.display())))?;
    for entry in std::fs::read_dir(bpffs).map_err(system(format!("read {}", bpffs.display())))? {
        let name = entry.map_err(system(format!("read {}", bpffs.display())))?.file_name();
        let version = name.to_str().and_then(|name| name.strip_prefix('v')?.parse::<u32>().ok());
        if let Some(found) = version.filter(|version| *version != ABI_VERSION) {
            let path = bpffs.display().to_string();
            return Err(DatapathError::Layout { path, found, expected: ABI_VERSION });
        }
    }
    Ok(())
}

/// Locks the directory for this process.
fn lock(bpffs: &Path) -> Result<Lock, DatapathError> {
    let open = std::fs::File::open(bpffs).map_err(system(format!("open {}", bpffs.display())))?;
    Flock::lock(open, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::errno::Errno::EWOULDBLOCK => {
            DatapathError::Setting(format!("another vpcepd is running on {}: stop it first", bpffs.display()))
        }
        error => system(format!("lock {}", bpffs.display()))(error.into()),
    })
}

/// Removes links, maps and filters, and the directory itself.
///
/// # Errors
/// When something cannot be removed.
pub fn detach(bpffs: &Path) -> Result<(), DatapathError> {
    if !bpffs.exists() {
        return Ok(());
    }
    let _lock = lock(bpffs)?;
    let pins = pin_directory(bpffs);
    // Links first: without them no packet reaches the maps.
    remove_tree(&pins.join("links"))?;
    remove_tree(&pins)?;
    remove_tree(&fresh_directory(bpffs))?;
    for interface in nix::ifaddrs::getifaddrs().into_iter().flatten() {
        // On kernels without tcx; elsewhere there is nothing to find.
        let _ = tc::qdisc_detach_program(&interface.interface_name, TcAttachType::Ingress, programs::TC);
    }
    match std::fs::remove_dir(bpffs) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(system(format!("remove {}", bpffs.display()))(error))
        }
        _ => Ok(()),
    }
}

fn make_directory(path: &Path) -> Result<(), DatapathError> {
    std::fs::create_dir(path).map_err(system(format!("make {}", path.display())))
}

fn remove_tree(path: &Path) -> Result<(), DatapathError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(system(format!("remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

fn system(action: String) -> impl Fn(io::Error) -> DatapathError {
    move |source| DatapathError::System { action: action.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::{DatapathKind, EventSettings, Timeouts};

    #[test]
    fn settings_that_cannot_be_are_refused_by_name() {
        for (name, range, endpoints, sessions, want) in [
            ("range outside", "10.0.0.0/26", 64, 64, Some("198.19.128.0/17")),
            ("range too long", "198.19.128.0/25", 64, 64, Some("/26 to /32")),
            ("no endpoint", "198.19.128.0/32", 1, 64, Some("max_endpoints 1")),
            ("too many endpoints", "198.19.128.0/32", u32::MAX, 64, Some("max_endpoints 4294967295")),
            ("no session", "198.19.128.0/32", 64, 0, Some("max_sessions 0")),
            ("fine", "198.19.255.192/26", 64, 64, None),
        ] {
            let settings = DatapathSettings {
                kind: DatapathKind::Bpf,
                owner: 0,
                snat_range: range.parse().unwrap(),
                max_endpoints: endpoints,
                max_sessions: sessions,
                bpffs: PathBuf::new(),
                no_echo: false,
                icmp_errors: 1_000,
                events: EventSettings::default(),
                timeouts: Timeouts::default(),
            };
            let result = shard(&settings).map(drop).and_then(|()| check_capacities(&settings));
            match (result, want) {
                (Ok(()), None) => {}
                (Err(error), Some(want)) => assert!(error.to_string().contains(want), "{name}: {error}"),
                (result, _) => panic!("{name}: {result:?}"),
            }
        }
    }
}

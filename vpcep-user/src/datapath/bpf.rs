//! The data plane in the kernel.
//!
//! Opening loads the programs, with fresh maps or with those pinned by an
//! earlier run, whose sessions then go on under the new programs. A pass is
//! carried out here; `hooks.rs` attaches, `upkeep.rs` does what has
//! to be done between passes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aya::Ebpf;
use vpcep_common::attachment::{NeighbourKey, word_mac};
use vpcep_common::counter::{DropReason, Traffic};
use vpcep_common::endpoint::{Backend, NO_ENDPOINT, Policy};
use vpcep_common::event::Kind;
use vpcep_common::ring::servers;
use vpcep_common::session::{Slot, Word, seconds};
use vpcep_common::settings::Settings;

use super::attach::{self, Hook, Links, TcKind};
use super::events::{Events, Happening, Unreported};
use super::maps::{Mapped, Maps};
use super::newest::Newest;
use super::numbers::Orphans;
use super::sweep::{self, Sweep};
use super::upkeep;
use super::{
    Datapath, DatapathError, DatapathSettings, DatapathStatus, EndpointStats, MapStatus, Neighbour,
    SessionInfo, Way, load,
};
use crate::model::{AttachmentId, EndpointId};
use crate::net::frame::Sender;
use crate::reconcile::compile::{Attached, Compiled, compile};
use crate::reconcile::desired::{Desired, Report};
use crate::reconcile::tables::{Action, Hop, Tables, plan};

/// After this long the tables are read from the kernel again.
const REREAD: Duration = Duration::from_secs(10);
/// A neighbour silent for this long missed three requests: it is gone, though
/// packets still go to where it was.
const ARP_STALE: Duration = Duration::from_secs(100);
/// How long a pass waits for new neighbours, so that the first SYN finds them.
const ARP_WAIT: Duration = Duration::from_millis(200);

/// See the module.
pub struct BpfDatapath {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What passes and threads share.
pub(super) struct Shared {
    pub(super) settings: DatapathSettings,
    pub(super) programs: Settings,
    pub(super) mapped: Arc<Mapped>,
    pub(super) events: Arc<Events>,
    pub(super) links: Links,
    pub(super) sender: Sender,
    pub(super) state: Mutex<State>,
    /// Held for as long as this process changes what is pinned.
    _lock: load::Lock,
    pub(super) sweep: Mutex<Option<Sweep>>,
    wake: Wake,
}

/// Wakes the threads: the ARP thread for new neighbours, both to stop.
#[derive(Default)]
struct Wake {
    state: Mutex<WakeState>,
    changed: Condvar,
}

#[derive(Default)]
struct WakeState {
    stop: bool,
    neighbours: bool,
}

/// What one of them at a time changes.
pub(super) struct State {
    pub(super) ebpf: Ebpf,
    pub(super) maps: Maps,
    pub(super) observed: Tables,
    read_at: Option<Instant>,
    /// Hook in use by interface index.
    pub(super) hooks: BTreeMap<u32, (Hook, TcKind)>,
    /// What was found of each attachment's interface when it last could be.
    pub(super) attached: BTreeMap<AttachmentId, Attached>,
    /// Numbers without an owner, and since when.
    orphans: Orphans,
    numbers: HashMap<EndpointId, u32>,
}

impl BpfDatapath {
    /// Loads the programs and starts the threads.
    ///
    /// # Errors
    /// When the kernel refuses, or when what an earlier run has pinned does not
    /// fit the settings.
    pub fn open(settings: &DatapathSettings) -> Result<Self, DatapathError> {
        let loaded = load::load(settings)?;
        let mapped = Arc::clone(&loaded.maps.mapped);
        let events = Arc::clone(&loaded.maps.events);
        let log = loaded.log;
        let links =
            Links::new(&load::pin_directory(&settings.bpffs)).map_err(|source| DatapathError::System {
                action: format!("make a directory for links in {}", settings.bpffs.display()),
                source,
            })?;
        let memory: u64 = loaded.maps.sizes.iter().map(|(_, _, bytes)| bytes).sum();
        tracing::info!(
            snat_range = %settings.snat_range,
            session_slots = mapped.slots.len(),
            max_endpoints = mapped.policies.len(),
            memory_mib = memory >> 20,
            reused = loaded.reused,
            "data plane loaded"
        );
        let state = State {
            ebpf: loaded.ebpf,
            maps: loaded.maps,
            observed: Tables::default(),
            read_at: None,
            hooks: BTreeMap::new(),
            attached: BTreeMap::new(),
            orphans: Orphans::default(),
            numbers: HashMap::new(),
        };
        let sender = Sender::new()
            .map_err(|source| DatapathError::System { action: "open a packet socket".into(), source })?;
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            programs: loaded.settings,
            mapped,
            events,
            links,
            sender,
            state: Mutex::new(state),
            _lock: loaded.lock,
            sweep: Mutex::new(None),
            wake: Wake::default(),
        });
        let threads = vec![
            spawn("vpcep-sweep", Arc::clone(&shared), move |shared| upkeep::sweep_forever(shared, log))?,
            spawn("vpcep-arp", Arc::clone(&shared), upkeep::resolve_forever)?,
        ];
        Ok(Self { shared, threads })
    }
}

impl Drop for BpfDatapath {
    fn drop(&mut self) {
        self.shared.wake.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.shared.wake.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn spawn(
    name: &str,
    shared: Arc<Shared>,
    work: impl FnOnce(&Shared) + Send + 'static,
) -> Result<JoinHandle<()>, DatapathError> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || work(&shared))
        .map_err(|source| DatapathError::System { action: format!("start thread {name}"), source })
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A pass that panicked may have left `observed` behind the kernel; the
        // next one reads it again.
        self.state.lock().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            state.read_at = None;
            state
        })
    }

    /// Waits for `time`, for a call for neighbours, or for the end (then `true`).
    pub(super) fn pause(&self, time: Duration, for_neighbours: bool) -> bool {
        let guard = self.wake.state.lock().unwrap_or_else(PoisonError::into_inner);
        let asleep = |state: &mut WakeState| !(state.stop || for_neighbours && state.neighbours);
        let (mut state, _) =
            self.wake.changed.wait_timeout_while(guard, time, asleep).unwrap_or_else(PoisonError::into_inner);
        if for_neighbours {
            state.neighbours = false;
        }
        state.stop
    }
}

impl Datapath for BpfDatapath {
    fn reconcile(&self, desired: &Desired) -> Result<Report, DatapathError> {
        let mut report = Report { version: desired.version, ..Report::default() };
        let mut state = self.shared.lock();
        let is_full = state.read_at.is_none_or(|at| at.elapsed() > REREAD);
        if is_full {
            state.observed = state.maps.read()?;
            state.read_at = Some(Instant::now());
        }
        let attached = self.shared.attach(&mut state, desired, is_full, &mut report)?;
        let busy = {
            let sweep = self.shared.sweep.lock().unwrap_or_else(PoisonError::into_inner);
            let hops = &self.shared.mapped.next_hops;
            let answers = |number| word_mac(hops.get(u32::from(number)).mac).is_some();
            state.orphans.busy(&state.observed, sweep.as_ref(), answers)
        };
        let max_endpoints = self.shared.settings.max_endpoints;
        let compiled = compile(desired, &state.observed, &attached, &busy, max_endpoints);
        let new_hops = apply(&mut state, &compiled, &mut report);
        report.failed_endpoints.extend(compiled.failed);
        state.orphans.note(&compiled.retained);
        let of_endpoint = |(number, policy): (&u32, &Policy)| (id_of(policy), *number);
        state.numbers = state.observed.policies.iter().map(of_endpoint).collect();
        let keep: BTreeSet<u32> = attached.values().map(|a| a.ifindex).collect();
        for (ifindex, (_, tc)) in &state.hooks {
            if !keep.contains(ifindex) && *tc == TcKind::Clsact {
                attach::detach_clsact(*ifindex);
            }
        }
        state.hooks.retain(|ifindex, _| keep.contains(ifindex));
        state.attached = attached;
        self.shared.links.detach_others(&keep).map_err(|source| DatapathError::System {
            action: "take programs off interfaces".into(),
            source,
        })?;
        drop(state);
        self.await_neighbours(&new_hops);
        Ok(report)
    }

    fn endpoint_stats(&self, endpoint: EndpointId) -> Result<Option<EndpointStats>, DatapathError> {
        let state = self.shared.lock();
        let Some(number) = state.numbers.get(&endpoint).copied() else { return Ok(None) };
        let connections = self.shared.mapped.connections.get(number);
        let policy = self.shared.mapped.policies.get(number);
        let traffic = traffic(&state, number)?;
        Ok(Some(EndpointStats {
            connections: connections.current,
            connections_peak: connections.peak,
            connections_limit: u64::from(policy.limit),
            opened: connections.opened,
            packets_out: traffic.packets_out,
            packets_in: traffic.packets_in,
            bytes_out: traffic.bytes_out,
            bytes_in: traffic.bytes_in,
            drops: drops(&traffic),
        }))
    }

    fn unattributed_drops(&self) -> Result<BTreeMap<String, u64>, DatapathError> {
        Ok(drops(&traffic(&self.shared.lock(), NO_ENDPOINT)?))
    }

    fn sessions(
        &self,
        endpoints: Option<&BTreeSet<EndpointId>>,
        limit: usize,
    ) -> Result<(Vec<SessionInfo>, u64), DatapathError> {
        let is_wanted = |id: &EndpointId| endpoints.is_none_or(|wanted| wanted.contains(id));
        let state = self.shared.lock();
        let wanted = state.numbers.iter().filter(|(id, _)| is_wanted(id));
        let owners: HashMap<u32, EndpointId> = wanted.map(|(id, number)| (*number, *id)).collect();
        drop(state);
        if owners.is_empty() {
            return Ok((Vec::new(), 0));
        }
        let slots = &self.shared.mapped.slots;
        let owner = |slot: &Slot| {
            let word = Word(slot.word);
            if word.is_live() { owners.get(&word.endpoint()).copied() } else { None }
        };
        let mut newest = Newest::new(limit);
        for number in 0..slots.len() {
            let slot = slots.get(number);
            if owner(&slot).is_some() {
                newest.show((slot.opened(), number));
            }
        }
        let (newest, total) = newest.finish();
        let now = sweep::now_ticks();
        // Only the order was kept; what has ended meanwhile is left out.
        let info = |(opened, number): (u32, u32)| {
            let slot = slots.get(number);
            let id = owner(&slot).filter(|_| slot.opened() == opened)?;
            Some(self.session_info(id, number, &slot, now))
        };
        Ok((newest.into_iter().filter_map(info).collect(), total))
    }

    fn neighbour(&self, vpc: u16, address: Ipv4Addr) -> Result<Neighbour, DatapathError> {
        let Some((number, _)) = hop_to(&self.shared.lock().observed, vpc, address) else {
            return Ok(Neighbour::Unknown);
        };
        let hop = self.shared.mapped.next_hops.get(u32::from(number));
        let Some(mac) = word_mac(hop.mac) else { return Ok(Neighbour::Unresolved) };
        let since_secs = seconds(sweep::now_ticks().saturating_sub(hop.seen));
        if since_secs > ARP_STALE.as_secs() {
            return Ok(Neighbour::Stale { mac, since_secs });
        }
        Ok(Neighbour::Resolved { mac })
    }

    fn way(&self, vpc: u16, address: Ipv4Addr) -> Result<Option<Way>, DatapathError> {
        let state = self.shared.lock();
        let Some((number, hop)) = hop_to(&state.observed, vpc, address) else { return Ok(None) };
        let attachment = state.observed.attachments.get(&u32::from(hop.attachment));
        Ok(attachment.filter(|attachment| attachment.ifindex != 0).map(|attachment| Way {
            ifindex: attachment.ifindex,
            vlan: attachment.vlan,
            source: attachment.address.into(),
            mac: word_mac(self.shared.mapped.next_hops.get(u32::from(number)).mac),
        }))
    }

    fn report_events(&self, wanted: bool) -> Result<(), DatapathError> {
        self.shared.report_events(wanted)
    }

    fn take_events(&self, most: usize) -> Vec<Happening> {
        self.shared.take_events(most)
    }

    fn unreported_events(&self) -> Result<[Unreported; Kind::ALL.len()], DatapathError> {
        self.shared.unreported_events()
    }

    fn status(&self) -> Result<DatapathStatus, DatapathError> {
        let state = self.shared.lock();
        let sweep = self.shared.sweep.lock().unwrap_or_else(PoisonError::into_inner);
        let sizes = &state.maps.sizes;
        let map = |(name, capacity, bytes): &(&str, u64, u64)| {
            ((*name).to_owned(), MapStatus { capacity: *capacity, bytes: *bytes })
        };
        Ok(DatapathStatus {
            kind: "bpf".into(),
            session_slots: u64::from(self.shared.mapped.slots.len()),
            sessions: sweep.as_ref().map_or(0, |sweep| sweep.sessions),
            endpoints: state.numbers.len() as u64,
            memory_bytes: sizes.iter().map(|(_, _, bytes)| bytes).sum(),
            maps: sizes.iter().map(map).collect(),
            snat_range: self.shared.settings.snat_range.to_string(),
        })
    }
}

impl BpfDatapath {
    /// Gives new neighbours a moment to answer.
    fn await_neighbours(&self, numbers: &[u16]) {
        if numbers.is_empty() {
            return;
        }
        self.shared.wake.state.lock().unwrap_or_else(PoisonError::into_inner).neighbours = true;
        self.shared.wake.changed.notify_all();
        let deadline = Instant::now() + ARP_WAIT;
        let hops = &self.shared.mapped.next_hops;
        while numbers.iter().any(|number| word_mac(hops.get(u32::from(*number)).mac).is_none()) {
            if Instant::now() >= deadline {
                tracing::warn!("a backend's neighbour does not answer ARP yet");
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn session_info(&self, endpoint: EndpointId, number: u32, slot: &Slot, now: u32) -> SessionInfo {
        let (source, port) = self.shared.programs.shard().source(number);
        let idle = |since: u32| seconds(now.saturating_sub(since));
        SessionInfo {
            endpoint,
            protocol: slot.protocol,
            client: SocketAddrV4::new(slot.client.into(), slot.client_port.get()),
            destination: SocketAddrV4::new(slot.endpoint.into(), slot.endpoint_port.get()),
            source: SocketAddrV4::new(source.into(), port),
            backend: SocketAddrV4::new(slot.backend.into(), slot.backend_port.get()),
            state: Word(slot.word).tcp().name().into(),
            age_secs: idle(slot.opened()),
            idle_secs: idle(slot.last_seen),
        }
    }
}

/// Carries out the plan. A refused write fails the endpoint it is for, and has
/// the tables read again; returns the next hops that are new.
fn apply(state: &mut State, compiled: &Compiled, report: &mut Report) -> Vec<u16> {
    let actions = plan(&state.observed, &compiled.target);
    let mut new_hops = Vec::new();
    for action in &actions {
        if let Action::SetNextHop(number, Some(_)) = action {
            new_hops.push(*number);
        }
        match state.maps.apply(action) {
            Ok(()) => state.observed.apply(action),
            Err(error) => {
                tracing::error!(?action, %error, cause = ?std::error::Error::source(&error), "cannot change the kernel's tables");
                state.read_at = None;
                for id in endpoints_of(action, &compiled.target) {
                    report.failed_endpoints.insert(id, error.to_string());
                }
            }
        }
    }
    if !actions.is_empty() {
        tracing::debug!(actions = actions.len(), "tables changed");
    }
    new_hops
}

/// The next hop to an address: its own, or for a backend behind a router the router's.
fn hop_to(tables: &Tables, vpc: u16, address: Ipv4Addr) -> Option<(u16, Hop)> {
    let own = tables.neighbours.get(&NeighbourKey { address: address.into(), vpc, pad: 0 });
    let routed = || {
        let is_it = |b: &&Backend| b.vpc == vpc && Ipv4Addr::from(b.address) == address && b.next_hop != 0;
        tables.backends.values().find(is_it).map(|backend| backend.next_hop)
    };
    let number = own.and_then(|number| u16::try_from(*number).ok()).or_else(routed)?;
    Some((number, *tables.next_hops.get(&number)?))
}

/// Whose endpoints an action is for.
fn endpoints_of(action: &Action, target: &Tables) -> Vec<EndpointId> {
    let number = match action {
        Action::SetPolicy(number, _) | Action::ResetCounters(number) => *number,
        Action::SetPort(_, value) => value.endpoint,
        Action::SetRoute(_, route) => route.endpoint,
        Action::AddAcl((key, _)) | Action::RemoveAcl((key, _)) => key.endpoint.get(),
        Action::SetRing(number, _) => {
            let goes_there = |policy: &&Policy| {
                policy.servers & servers::RING != 0 && servers::number(policy.servers) == u32::from(*number)
            };
            return target.policies.values().filter(goes_there).map(id_of).collect();
        }
        _ => return Vec::new(),
    };
    target.policies.get(&number).map(id_of).into_iter().collect()
}

fn id_of(policy: &Policy) -> EndpointId {
    EndpointId::from_u128(u128::from_be_bytes(policy.id))
}

/// Counters of an endpoint number, all CPUs together.
fn traffic(state: &State, number: u32) -> Result<Traffic, DatapathError> {
    let values = state.maps.traffic.get(&number, 0).map_err(|source| DatapathError::Map {
        action: "read",
        map: vpcep_common::maps::TRAFFIC,
        source,
    })?;
    let mut total = Traffic::default();
    for cpu in values.iter() {
        total.packets_out += cpu.packets_out;
        total.bytes_out += cpu.bytes_out;
        total.packets_in += cpu.packets_in;
        total.bytes_in += cpu.bytes_in;
        for (sum, drops) in total.drops.iter_mut().zip(cpu.drops) {
            *sum += drops;
        }
    }
    Ok(total)
}

fn drops(traffic: &Traffic) -> BTreeMap<String, u64> {
    let count = |reason: &DropReason| (reason.name().to_owned(), traffic.drops[*reason as usize]);
    DropReason::ALL.iter().map(count).filter(|(_, count)| *count != 0).collect()
}

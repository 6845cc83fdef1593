//! Health checks of the members of load balancers.
//!
//! Owns who is checked and when; what a row of results means is
//! [`crate::model::MemberHealth`]'s, what follows from it the controller's
//! ([`Controller::note_health`]). One thread makes all checks, so that none waits for a
//! reconcile pass for longer than a look at its tables takes, and no pass for a check.
//!
//! Checks leave from the gateway's own address in the member's VPC, which the kernel
//! knows nothing of: equal ranges never mix. How they get there is in `prober.rs`.
//! Nothing is kept: after a start every member is `checking`, and used.

mod http;
mod prober;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::controller::health::Checked;
use crate::controller::{Controller, Health, State};
use crate::datapath::{Datapath, DatapathError, Way};
use crate::model::{Backend, HealthCheck, HealthStatus, MemberHealth, Port, Protocol, Timestamp};
use crate::telemetry::Chain;
use prober::{Job, Prober};

/// How soon the thread notices that it is to end, or that the model has changed.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// How soon checks go on after an unexpected end.
const RESTART_AFTER: Duration = Duration::from_secs(1);
/// How soon a check is tried again for which there was no room.
const FULL: Duration = Duration::from_millis(50);
/// How soon one that could not be made, at most.
const PUT_OFF: Duration = Duration::from_secs(1);
/// How often a look is taken at whether a member has answered ARP.
const ARP_PAUSE: Duration = Duration::from_millis(100);

/// A member that is to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    /// Number of its VPC.
    vpc: u16,
    address: Ipv4Addr,
    /// Where; `None` while nothing says so.
    port: Option<u16>,
    check: HealthCheck,
}

/// Every member that is to be checked.
fn targets(state: &State) -> BTreeMap<Checked, Target> {
    let mut targets = BTreeMap::new();
    for backend in state.backends.iter() {
        let (Some(check), Some(vpc)) = (&backend.health_check, state.vpcs.get(backend.vpc)) else { continue };
        let served = served_port(state, backend);
        for member in &backend.members {
            let port = check.port().or(member.port).or(served).map(Port::get);
            let target = Target { vpc: vpc.number, address: member.address, port, check: check.clone() };
            targets.insert((backend.id, member.name()), target);
        }
    }
    targets
}

/// The first TCP port at the server that a service of the backend maps.
fn served_port(state: &State, backend: &Backend) -> Option<Port> {
    let services = state.services.iter().filter(|service| service.kind.backend() == Some(backend.id));
    let mut mappings = services.flat_map(|service| service.kind.ports());
    mappings.find(|mapping| mapping.protocol == Protocol::Tcp).map(|mapping| mapping.server_port)
}

/// A member and what is known of it.
struct Watched {
    target: Target,
    health: MemberHealth,
    /// When the next check starts.
    due: Instant,
    /// Since when a check has been waiting to learn where the member is.
    waiting: Option<Instant>,
    is_running: bool,
}

/// What a check needs before it can start.
enum Start {
    Go(Way, [u8; 6], u16),
    /// Its neighbour has not answered ARP yet.
    Wait(Duration),
    /// It has had the time to.
    Fail(String),
    /// The fault is not the member's.
    Cannot(String),
}

/// Where checks leave from: interface, VLAN and address.
type Place = (u32, u16, Ipv4Addr);

struct Checks {
    controller: Arc<Controller>,
    datapath: Arc<dyn Datapath>,
    watched: BTreeMap<Checked, Watched>,
    probers: BTreeMap<Place, Prober>,
}

/// Checks members until `stop` turns true or its sender is gone.
pub async fn run(controller: Arc<Controller>, datapath: Arc<dyn Datapath>, mut stop: watch::Receiver<bool>) {
    loop {
        let (of_task, plane, stopped) = (Arc::clone(&controller), Arc::clone(&datapath), stop.clone());
        let task = tokio::task::spawn_blocking(move || check(of_task, plane, &stopped));
        let Err(failed) = task.await else { return };
        error!(error = %Chain(&failed), "health checks came to an unexpected end and start again");
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(RESTART_AFTER) => {}
        }
    }
}

fn check(controller: Arc<Controller>, datapath: Arc<dyn Datapath>, stop: &watch::Receiver<bool>) {
    let mut changes = controller.watch();
    changes.mark_changed();
    let mut checks = Checks { controller, datapath, watched: BTreeMap::new(), probers: BTreeMap::new() };
    while !*stop.borrow() && stop.has_changed().is_ok() {
        if changes.has_changed().unwrap_or(false) {
            let state = Arc::clone(&changes.borrow_and_update());
            checks.follow(targets(&state));
        }
        checks.start_due();
        checks.take_results();
        checks.publish();
        checks.pause();
    }
}

impl Checks {
    /// Takes over who is to be checked. Who was before keeps their health, also under
    /// another check: a member that is down is not to get connections until it answers.
    fn follow(&mut self, targets: BTreeMap<Checked, Target>) {
        self.watched.retain(|member, _| targets.contains_key(member));
        let (now, known) = (Instant::now(), self.controller.health());
        let health = |member| known.last_known(member).cloned();
        for (member, target) in targets {
            let watched = self.watched.entry(member).or_insert_with(|| Watched {
                target: target.clone(),
                health: health(member).unwrap_or_else(|| MemberHealth::unknown(Timestamp::now())),
                due: now,
                waiting: None,
                is_running: false,
            });
            if watched.target != target {
                (watched.target, watched.due) = (target, now);
            }
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        let Self { datapath, watched, probers, .. } = self;
        for (member, watched) in watched.iter_mut().filter(|(_, watched)| watched.is_due(now)) {
            let way = |vpc, address| datapath.way(vpc, address);
            match watched.prepare(way, now) {
                Start::Go(way, mac, port) => watched.start(*member, probers, (way, mac, port), now),
                Start::Wait(pause) => watched.due = now + pause,
                Start::Fail(reason) => {
                    (watched.waiting, watched.due) = (None, now + watched.interval());
                    watched.conclude(*member, Err(reason));
                }
                Start::Cannot(reason) => watched.put_off(reason, now),
            }
        }
    }

    fn take_results(&mut self) {
        let now = Instant::now();
        for prober in self.probers.values_mut() {
            for (member, result) in prober.look(now) {
                // Who is not to be checked any more has no health.
                if let Some(watched) = self.watched.get_mut(&member) {
                    watched.is_running = false;
                    watched.conclude(member, result);
                }
            }
        }
        self.probers.retain(|_, prober| prober.is_in_use(now));
    }

    fn publish(&self) {
        let found = self.watched.iter().map(|(member, watched)| (*member, watched.health.clone()));
        let found = Health::from(found.collect::<BTreeMap<_, _>>());
        let known = self.controller.health();
        if found == known {
            return;
        }
        self.controller.read(|state| tell_of_outages(state, &known, &found));
        self.controller.note_health(found);
    }

    /// Waits for packets, for the next thing to do, or for [`LONGEST_PAUSE`].
    fn pause(&mut self) {
        let now = Instant::now();
        let due = self.watched.values().filter(|watched| !watched.is_running);
        let due = due.map(|watched| watched.due.saturating_duration_since(now));
        let of_probers: Vec<_> = self.probers.values_mut().filter_map(|prober| prober.pause(now)).collect();
        let pause = due.chain(of_probers).chain([LONGEST_PAUSE]).min().unwrap_or(LONGEST_PAUSE);
        // Rounded up: what is due in less than a millisecond must not make this spin.
        let timeout = PollTimeout::try_from(pause.as_millis() + 1).unwrap_or(PollTimeout::ZERO);
        let mut sockets: Vec<_> =
            self.probers.values().map(|prober| PollFd::new(prober.as_fd(), PollFlags::POLLIN)).collect();
        // Interrupted is as good as over.
        let _ = poll(&mut sockets, timeout);
    }
}

impl Watched {
    fn is_due(&self, now: Instant) -> bool {
        !self.is_running && self.due <= now
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(self.target.check.interval_secs().into())
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.target.check.timeout_secs().into())
    }

    /// Finds out what a check needs.
    fn prepare(
        &mut self,
        way: impl FnOnce(u16, Ipv4Addr) -> Result<Option<Way>, DatapathError>,
        now: Instant,
    ) -> Start {
        let Some(port) = self.target.port else {
            return Start::Cannot("neither the check nor a service says at which TCP port".into());
        };
        let way = match way(self.target.vpc, self.target.address) {
            Ok(Some(way)) => way,
            Ok(None) => {
                let reason = "no endpoint leads there yet, or its vpc is not attached to this gateway host";
                return Start::Cannot(reason.into());
            }
            Err(error) => return Start::Cannot(Chain(&error).to_string()),
        };
        match way.mac {
            Some(mac) => Start::Go(way, mac, port),
            None if now.duration_since(*self.waiting.get_or_insert(now)) < self.timeout() => {
                Start::Wait(ARP_PAUSE)
            }
            None => Start::Fail("does not answer ARP".into()),
        }
    }

    fn start(
        &mut self,
        member: Checked,
        probers: &mut BTreeMap<Place, Prober>,
        (way, mac, port): (Way, [u8; 6], u16),
        now: Instant,
    ) {
        let place = (way.ifindex, way.vlan, way.source);
        if let Entry::Vacant(vacant) = probers.entry(place) {
            match Prober::open(&way) {
                Ok(prober) => drop(vacant.insert_entry(prober)),
                Err(error) => return self.put_off(format!("no packet socket: {error}"), now),
            }
        }
        let Some(prober) = probers.get_mut(&place).filter(|prober| prober.has_room()) else {
            self.due = now + FULL;
            return;
        };
        (self.is_running, self.waiting, self.due) = (true, None, now + self.interval());
        let server = SocketAddrV4::new(self.target.address, port);
        let probe = self.target.check.probe().clone();
        prober.start(Job { member, server, mac, probe, timeout: self.timeout() }, now);
    }

    /// Takes note that a check cannot be made, which says nothing of the member.
    fn put_off(&mut self, reason: String, now: Instant) {
        (self.waiting, self.due) = (None, now + self.interval().min(PUT_OFF));
        self.health.last_error = Some(format!("cannot be checked: {reason}"));
    }

    fn conclude(&mut self, member: Checked, result: Result<(), String>) {
        let next = self.health.after(result, &self.target.check, Timestamp::now());
        if next.status != self.health.status {
            let (backend, name) = member;
            let (from, to) = (self.health.status.as_str(), next.status.as_str());
            let reason = next.last_error.as_deref().unwrap_or("it answers");
            match next.status {
                HealthStatus::Down => warn!(%backend, member = %name, from, to, reason, "health of a member"),
                _ => info!(%backend, member = %name, from, to, reason, "health of a member"),
            }
        }
        self.health = next;
    }
}

/// Logs load balancers that have lost their last member, or have one again.
fn tell_of_outages(state: &State, before: &Health, after: &Health) {
    for backend in state.backends.iter().filter(|backend| backend.health_check.is_some()) {
        let takes = |health: &Health| {
            backend.members.iter().any(|member| health.state(backend, *member).takes_connections())
        };
        match (takes(before), takes(after)) {
            (true, false) => {
                error!(backend = %backend.id, name = %backend.name, "all members are down or draining: clients are refused");
            }
            (false, true) => info!(backend = %backend.id, name = %backend.name, "there is a member again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;

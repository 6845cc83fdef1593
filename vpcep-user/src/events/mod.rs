//! What happens to sessions, for those who want to know: the flow log, and callers
//! of the API who listen.
//!
//! Owns the one reader of the data plane's events: when it looks, what the model
//! knows of those an event is about, who gets which. Leaves to
//! [`crate::datapath::events`] what is reported, to [`record`] the public form, to
//! `flow_log` the file.
//!
//! ```text
//!  data plane ──ring──▶ turn, ten times a second ──▶ flow log
//!                                               └──▶ queue of each listener
//! ```
//!
//! As long as nobody wants to know nothing is reported. Whoever is too slow loses
//! events, alone, and is told how many; the flow log never waits for a listener.

#![forbid(unsafe_code)]

mod flow_log;
pub mod record;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tracing::error;
use vpcep_common::event::Kind;

pub use flow_log::FlowLog;
use record::{EventKind, Gap, Names, Record};

use crate::controller::{Controller, Scope, State};
use crate::datapath::events::{Happening, Unreported, What};
use crate::datapath::{Datapath, DatapathError};
use crate::model::{EndpointId, ProjectId, ServiceId, Timestamp, VpcId};
use crate::store::Revision;
use crate::telemetry::Chain;

/// Between two looks at what was reported.
const PAUSE: Duration = Duration::from_millis(100);
/// Most events of one look; what is left is taken by the next, at once.
const BATCH: usize = 4096;
/// Events that wait for a listener before it loses some.
const QUEUE: usize = 2048;
/// Most listeners of one project.
const MAX_OF_PROJECT: usize = 4;
/// Most listeners of all projects together; the operator's are not among them.
const MAX_OF_PROJECTS: usize = 48;

/// What a listener wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Of whose endpoints; what belongs to no endpoint is the operator's to hear.
    pub scope: Scope,
    /// Of this endpoint only.
    pub endpoint: Option<EndpointId>,
    /// Of endpoints of this service only.
    pub service: Option<ServiceId>,
    /// Of these kinds only; empty is all.
    pub kinds: BTreeSet<EventKind>,
    /// With this reason only.
    pub reason: Option<String>,
}

impl Filter {
    /// Everything.
    #[must_use]
    pub fn everything() -> Self {
        Self { scope: Scope::Every, endpoint: None, service: None, kinds: BTreeSet::new(), reason: None }
    }

    fn wants_kind(&self, kind: EventKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    fn wants(&self, event: &Event) -> bool {
        let Event { record, endpoint, service, project, .. } = event;
        let is_visible = match project {
            Some(project) => self.scope.sees(*project),
            None => self.scope == Scope::Every,
        };
        is_visible
            && self.wants_kind(record.event)
            && self.endpoint.is_none_or(|wanted| *endpoint == Some(wanted))
            && self.service.is_none_or(|wanted| *service == Some(wanted))
            && self.reason.as_ref().is_none_or(|wanted| record.reason.as_ref() == Some(wanted))
    }
}

/// An event, and by what it is chosen.
struct Event {
    record: Record,
    line: Bytes,
    endpoint: Option<EndpointId>,
    service: Option<ServiceId>,
    project: Option<ProjectId>,
}

/// Whether a listener may go on, asked again and again.
pub type Welcome = Box<dyn Fn(&State) -> bool + Send>;

/// What a listener hears, line by line, until vpcepd stops or the listener is not
/// welcome any more.
pub type Lines = mpsc::Receiver<Bytes>;

/// Why nobody can listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The setting says so.
    #[error("vpcepd reports no events: its setting event-rate is 0")]
    Off,
    /// As many as there may be.
    #[error("too many listeners: a project may have {MAX_OF_PROJECT}, all together {MAX_OF_PROJECTS}")]
    TooMany,
    /// The data plane does not report.
    #[error("cannot have events reported")]
    Datapath(#[from] DatapathError),
}

/// How the events are doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventStatus {
    /// Whether they are reported at the moment.
    pub reported: bool,
    /// Callers who listen.
    pub listeners: usize,
    /// The flow log's newest file.
    pub flow_log: Option<std::path::PathBuf>,
    /// Why it cannot be written.
    pub flow_log_error: Option<String>,
}

/// See the module.
pub struct Events {
    controller: Arc<Controller>,
    datapath: Arc<dyn Datapath>,
    is_on: bool,
    audience: Mutex<Audience>,
    /// How many there are, for the task that looks.
    count: watch::Sender<usize>,
}

/// Who gets events.
struct Audience {
    listeners: Vec<Listener>,
    flow_log: Option<FlowLog>,
    /// What was not reported up to the last look.
    unreported: [Unreported; Kind::ALL.len()],
    vpcs: VpcNames,
    /// Whether the data plane was asked to report.
    reported: bool,
    /// No more listeners: vpcepd stops.
    ended: bool,
}

struct Listener {
    filter: Filter,
    /// The project of whoever listens; `None` for the operator.
    owner: Option<ProjectId>,
    welcome: Welcome,
    queue: mpsc::Sender<Bytes>,
    missed: u64,
}

impl Events {
    /// Events of a data plane; `is_on` is whether it may report any. With a flow log
    /// it does so from now on.
    ///
    /// # Errors
    /// When the data plane cannot be told.
    pub fn new(
        controller: Arc<Controller>,
        datapath: Arc<dyn Datapath>,
        is_on: bool,
        flow_log: Option<FlowLog>,
    ) -> Result<Self, DatapathError> {
        let reported = is_on && flow_log.is_some();
        datapath.report_events(reported)?;
        let count = watch::Sender::new(usize::from(reported));
        let audience = Audience {
            listeners: Vec::new(),
            flow_log,
            unreported: Default::default(),
            vpcs: VpcNames::default(),
            reported,
            ended: false,
        };
        Ok(Self { controller, datapath, is_on, audience: Mutex::new(audience), count })
    }

    /// Somebody listens from when this returns. `owner` is the project of a caller
    /// who is not the operator.
    ///
    /// # Errors
    /// When nothing is reported, or too many listen already.
    pub fn listen(
        &self,
        filter: Filter,
        owner: Option<ProjectId>,
        welcome: Welcome,
    ) -> Result<Lines, ListenError> {
        if !self.is_on {
            return Err(ListenError::Off);
        }
        let mut audience = self.audience();
        audience.forget_gone();
        if let Some(owner) = owner {
            let owners = || audience.listeners.iter().filter_map(|listener| listener.owner);
            if owners().count() >= MAX_OF_PROJECTS
                || owners().filter(|other| *other == owner).count() >= MAX_OF_PROJECT
            {
                return Err(ListenError::TooMany);
            }
        }
        let (queue, lines) = mpsc::channel(QUEUE);
        if audience.ended {
            return Ok(lines);
        }
        if !audience.reported {
            // What was reported to somebody else, and nobody has taken.
            while !self.datapath.take_events(BATCH).is_empty() {}
            audience.unreported = self.datapath.unreported_events()?;
            self.datapath.report_events(true)?;
            audience.reported = true;
        }
        audience.listeners.push(Listener { filter, owner, welcome, queue, missed: 0 });
        self.count.send_replace(audience.count());
        Ok(lines)
    }

    /// How they are doing.
    #[must_use]
    pub fn status(&self) -> EventStatus {
        let mut audience = self.audience();
        audience.forget_gone();
        let log = audience.flow_log.as_ref();
        EventStatus {
            reported: audience.reported,
            listeners: audience.listeners.len(),
            flow_log: log.map(|log| log.path().to_owned()),
            flow_log_error: log.and_then(FlowLog::failure).map(Into::into),
        }
    }

    /// Takes what was reported and hands it out; answers whether there may be more.
    fn turn(&self) -> bool {
        let mut audience = self.audience();
        if !audience.reported {
            return false;
        }
        let happenings = self.datapath.take_events(BATCH);
        let taken = happenings.len();
        self.controller.read(|state| {
            audience.listeners.retain(|listener| (listener.welcome)(state));
            audience.vpcs.follow(state);
            let mut events: Vec<Event> =
                happenings.iter().map(|happening| event(state, &audience.vpcs, happening)).collect();
            events.extend(self.gaps(&mut audience));
            audience.deliver(&events);
        });
        self.silence(&mut audience);
        taken == BATCH
    }

    /// What was not reported since the last look.
    fn gaps(&self, audience: &mut Audience) -> Vec<Event> {
        let unreported = match self.datapath.unreported_events() {
            Ok(unreported) => unreported,
            Err(error) => {
                error!(error = %Chain(&error), "cannot tell how many events are missing");
                return Vec::new();
            }
        };
        let known = std::mem::replace(&mut audience.unreported, unreported);
        let now = Timestamp::now();
        let of_kind = |(kind, (now, known)): (Kind, (&Unreported, &Unreported))| {
            [
                (kind, Gap::Rate, now.held_back.saturating_sub(known.held_back)),
                (kind, Gap::RingFull, now.lost.saturating_sub(known.lost)),
            ]
        };
        let missing = Kind::ALL.into_iter().zip(unreported.iter().zip(&known)).flat_map(of_kind);
        missing
            .filter(|(_, _, count)| *count > 0)
            .map(|(kind, gap, count)| {
                Event::of_none(Record::missing(now, Some(EventKind::of(kind)), gap, count))
            })
            .collect()
    }

    /// Ends the reporting if nobody is left to hear of it.
    fn silence(&self, audience: &mut Audience) {
        audience.forget_gone();
        self.count.send_replace(audience.count());
        if audience.count() == 0 && audience.reported {
            match self.datapath.report_events(false) {
                Ok(()) => audience.reported = false,
                Err(error) => error!(error = %Chain(&error), "events are reported, and nobody listens"),
            }
        }
    }

    /// Ends what listeners hear. With a flow log events are reported on: whoever reads
    /// the ring next finds them.
    fn end(&self) {
        let mut audience = self.audience();
        audience.ended = true;
        audience.listeners.clear();
        self.silence(&mut audience);
    }

    fn audience(&self) -> MutexGuard<'_, Audience> {
        // A panic leaves at worst events undelivered that were taken.
        self.audience.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Audience {
    /// Those who listen, the flow log among them.
    fn count(&self) -> usize {
        self.listeners.len() + usize::from(self.flow_log.is_some())
    }

    fn forget_gone(&mut self) {
        self.listeners.retain(|listener| !listener.queue.is_closed());
    }

    fn deliver(&mut self, events: &[Event]) {
        for listener in &mut self.listeners {
            for event in events {
                listener.hear(event);
            }
        }
        if let Some(log) = &mut self.flow_log {
            let lines: Vec<u8> = events.iter().flat_map(|event| event.line.iter().copied()).collect();
            log.append(&lines, events.len() as u64);
        }
    }
}

impl Listener {
    fn hear(&mut self, event: &Event) {
        let is_meant = match event.record.kind {
            // Nobody knows whose the missing ones were.
            Some(missing) => self.filter.wants_kind(missing),
            None => self.filter.wants(event),
        };
        if !is_meant {
            return;
        }
        if self.missed > 0 {
            let gap = Record::missing(Timestamp::now(), None, Gap::SlowReader, self.missed);
            if self.queue.try_send(gap.line().into()).is_err() {
                self.missed += 1;
                return;
            }
            self.missed = 0;
        }
        if self.queue.try_send(event.line.clone()).is_err() {
            self.missed += 1;
        }
    }
}

impl Event {
    fn of_none(record: Record) -> Self {
        let line = record.line().into();
        Self { record, line, endpoint: None, service: None, project: None }
    }
}

/// An event with what the model knows of it.
fn event(state: &State, vpcs: &VpcNames, happening: &Happening) -> Event {
    let endpoint = happening.endpoint.and_then(|id| state.endpoints.get(id));
    let (vpc, provider_vpc) = match &happening.what {
        What::Opened(flow) | What::Closed { flow, .. } => (flow.vpc, Some(flow.provider_vpc)),
        What::Refused { vpc, .. } => (*vpc, None),
    };
    let names = Names {
        service: endpoint.map(|endpoint| endpoint.service.to_string()),
        vpc: vpcs.name(vpc),
        provider_vpc: provider_vpc.and_then(|number| vpcs.name(number)),
    };
    Event {
        endpoint: happening.endpoint,
        service: endpoint.map(|endpoint| endpoint.service),
        project: endpoint.map(|endpoint| endpoint.project),
        ..Event::of_none(Record::of(happening, names))
    }
}

/// VPCs by number, as of one state of the model.
#[derive(Default)]
struct VpcNames {
    revision: Option<Revision>,
    ids: HashMap<u16, VpcId>,
}

impl VpcNames {
    fn follow(&mut self, state: &State) {
        if self.revision != Some(state.revision) {
            self.revision = Some(state.revision);
            // Those that are gone stay: their sessions end after them.
            self.ids.extend(state.vpcs.iter().map(|vpc| (vpc.number, vpc.id)));
        }
    }

    fn name(&self, number: u16) -> Option<String> {
        self.ids.get(&number).map(VpcId::to_string)
    }
}

/// Hands events out until `stop` turns true or its sender is gone.
pub async fn run(events: Arc<Events>, mut stop: watch::Receiver<bool>) {
    let mut count = events.count.subscribe();
    let mut is_more = false;
    loop {
        let next = async {
            if !is_more {
                // The sender is ours, and lives as long.
                let _ = count.wait_for(|count| *count > 0).await;
                tokio::time::sleep(PAUSE).await;
            }
        };
        let is_last = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => true,
            () = next => false,
        };
        let hub = Arc::clone(&events);
        let turn = tokio::task::spawn_blocking(move || {
            let is_more = hub.turn();
            if is_last {
                hub.end();
            }
            is_more
        });
        is_more = turn.await.unwrap_or_else(|error| {
            error!(%error, "events were not handed out");
            false
        });
        if is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests;

//! A data plane that carries no packets: `--datapath none`, and unit tests.
//!
//! Keeps what it was asked for and reports all of it done, so that the control
//! plane's states move exactly as they do over a kernel. A test can tell it what
//! to fail on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vpcep_common::event::Kind;

use super::events::{Happening, Unreported};
use super::{
    Datapath, DatapathError, DatapathSettings, DatapathStatus, EndpointStats, Neighbour, SessionInfo, Way,
};
use crate::model::EndpointId;
use crate::reconcile::desired::{AttachmentState, Desired, Report};

/// See the module.
#[derive(Debug)]
pub struct FakeDatapath {
    snat_range: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    desired: Desired,
    passes: u64,
    failing: BTreeMap<EndpointId, String>,
    sessions: Vec<SessionInfo>,
    reports_events: bool,
    events: VecDeque<Happening>,
    unreported: [Unreported; Kind::ALL.len()],
    looks: u64,
    lost: bool,
    panics: bool,
}

impl State {
    fn check(&self) -> Result<(), DatapathError> {
        if self.lost {
            return Err(DatapathError::Setting("the data plane is lost".into()));
        }
        Ok(())
    }
}

impl FakeDatapath {
    /// An empty data plane.
    #[must_use]
    pub fn new(settings: &DatapathSettings) -> Self {
        Self { snat_range: settings.snat_range.to_string(), state: Mutex::default() }
    }

    /// What the last pass was asked for.
    #[must_use]
    pub fn desired(&self) -> Desired {
        self.lock().desired.clone()
    }

    /// How many passes there were.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.lock().passes
    }

    /// From the next pass on, this endpoint cannot be put in, for this reason;
    /// `None` lifts it.
    pub fn fail_endpoint(&self, endpoint: EndpointId, reason: Option<&str>) {
        let mut state = self.lock();
        match reason {
            Some(reason) => state.failing.insert(endpoint, reason.into()),
            None => state.failing.remove(&endpoint),
        };
    }

    /// From now on it has these sessions.
    pub fn hold(&self, sessions: Vec<SessionInfo>) {
        self.lock().sessions = sessions;
    }

    /// Something happens; reported if anybody wants to know.
    pub fn happen(&self, happening: Happening) {
        let mut state = self.lock();
        if state.reports_events {
            state.events.push_back(happening);
        }
    }

    /// Whether events are wanted.
    #[must_use]
    pub fn reports_events(&self) -> bool {
        self.lock().reports_events
    }

    /// From now on so many events of a kind have not been reported.
    pub fn withhold(&self, kind: Kind, unreported: Unreported) {
        self.lock().unreported[kind as usize] = unreported;
    }

    /// How often somebody looked at the sessions.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.lock().looks
    }

    /// From now on it can be neither changed nor read; `false` lifts it.
    pub fn lose(&self, lost: bool) {
        self.lock().lost = lost;
    }

    /// From the next pass on, every pass panics; `false` lifts it.
    pub fn panic_in_passes(&self, panics: bool) {
        self.lock().panics = panics;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the state whole, so a panic elsewhere harms nothing here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Datapath for FakeDatapath {
    fn reconcile(&self, desired: &Desired) -> Result<Report, DatapathError> {
        let mut state = self.lock();
        state.passes += 1;
        state.check()?;
        assert!(!state.panics, "told to panic");
        state.desired = desired.clone();
        let failed_endpoints = state
            .failing
            .iter()
            .filter(|(id, _)| desired.endpoints.contains_key(id))
            .map(|(id, reason)| (*id, reason.clone()))
            .collect();
        let active = AttachmentState::Active { hook: "none".into() };
        Ok(Report {
            version: desired.version,
            failed_endpoints,
            attachments: desired.attachments.keys().map(|id| (*id, active.clone())).collect(),
        })
    }

    fn endpoint_stats(&self, endpoint: EndpointId) -> Result<Option<EndpointStats>, DatapathError> {
        let state = self.lock();
        state.check()?;
        Ok(state.desired.endpoints.get(&endpoint).map(|endpoint| EndpointStats {
            connections_limit: endpoint.limits.connections.into(),
            ..EndpointStats::default()
        }))
    }

    fn unattributed_drops(&self) -> Result<BTreeMap<String, u64>, DatapathError> {
        self.lock().check()?;
        Ok(BTreeMap::new())
    }

    fn sessions(
        &self,
        endpoints: Option<&BTreeSet<EndpointId>>,
        limit: usize,
    ) -> Result<(Vec<SessionInfo>, u64), DatapathError> {
        let mut state = self.lock();
        state.check()?;
        state.looks += 1;
        let is_wanted = |id: &EndpointId| endpoints.is_none_or(|wanted| wanted.contains(id));
        let mut found: Vec<_> =
            state.sessions.iter().filter(|session| is_wanted(&session.endpoint)).cloned().collect();
        let total = found.len() as u64;
        found.sort_by_key(|session| session.age_secs);
        found.truncate(limit);
        Ok((found, total))
    }

    fn neighbour(&self, _vpc: u16, _address: Ipv4Addr) -> Result<Neighbour, DatapathError> {
        Ok(Neighbour::Unknown)
    }

    fn way(&self, _vpc: u16, _address: Ipv4Addr) -> Result<Option<Way>, DatapathError> {
        Ok(None)
    }

    fn report_events(&self, wanted: bool) -> Result<(), DatapathError> {
        let mut state = self.lock();
        state.check()?;
        state.reports_events = wanted;
        Ok(())
    }

    fn take_events(&self, most: usize) -> Vec<Happening> {
        let mut state = self.lock();
        let count = most.min(state.events.len());
        state.events.drain(..count).collect()
    }

    fn unreported_events(&self) -> Result<[Unreported; Kind::ALL.len()], DatapathError> {
        let state = self.lock();
        state.check()?;
        Ok(state.unreported)
    }

    fn status(&self) -> Result<DatapathStatus, DatapathError> {
        let state = self.lock();
        state.check()?;
        let endpoints = state.desired.endpoints.len() as u64;
        Ok(DatapathStatus {
            kind: "none".into(),
            endpoints,
            snat_range: self.snat_range.clone(),
            ..DatapathStatus::default()
        })
    }
}

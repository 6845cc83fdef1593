//! The control plane: the model in memory, and every rule that needs to see more
//! than one object.
//!
//! Owns the order of things: an operation is checked against the state, made
//! durable by the store, and only then becomes visible and is acknowledged. One
//! lock makes operations one after the other. Leaves packets to
//! [`crate::datapath`], the moment of a pass to [`crate::reconcile`], and how
//! requests look to [`crate::api`].
//!
//! ```text
//!  api --write(op)--> [check] --> store.commit --> state --> answer
//!                                     |
//!                                  revision --wakes--> reconcile: desired() -> data plane -> report()
//!                                                                                              |
//!  api <------------------------ covered(version), for what must be true at once <-------------+
//! ```

#![forbid(unsafe_code)]

pub mod accounts;
pub mod attachments;
pub mod backends;
pub mod connections;
mod derive;
pub mod endpoints;
pub mod error;
pub mod identity;
pub mod index;
pub mod networks;
pub mod permissions;
mod progress;
pub mod quotas;
mod runs;
pub mod services;
pub mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, info};

pub use derive::servers;
pub use error::ControlError;
pub use state::{Scope, State, Tx};

use crate::model::{Region, Timestamp};
use crate::reconcile::desired::{Desired, Report};
use crate::store::record::{Home, HomeId, RecordError};
use crate::store::{Revision, Store, StoreError};
use crate::telemetry::Chain;

/// See the module.
pub struct Controller {
    store: Arc<dyn Store>,
    state: Mutex<State>,
    /// Why the store has failed, until it has been opened again. Written only by
    /// who holds the state.
    store_failure: Mutex<Option<String>>,
    passes: watch::Sender<Passes>,
}

/// What is known of the reconcile passes since this controller started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    /// The version of the model the data plane has.
    pub covered: Revision,
    /// When the last pass ended, whatever it achieved.
    pub last_at: Option<Timestamp>,
    /// When the last pass ended that applied something.
    pub last_ok_at: Option<Timestamp>,
    /// Why the last pass failed as a whole; `None` when it did not.
    pub last_error: Option<String>,
    /// Objects the last pass could not put into the data plane; a pass that
    /// failed as a whole counts as one.
    pub failures: usize,
    /// Endpoints among them, as of the last pass that applied something.
    pub failed_endpoints: usize,
}

/// The answer of an operation that changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// The answer.
    pub value: T,
    /// The version of the model that has the change.
    pub version: Revision,
}

/// A store whose content cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot load the state")]
    Store(#[from] StoreError),
    /// A record in it cannot be understood.
    #[error("cannot load the state")]
    Record(#[from] RecordError),
    /// It was started with another region before.
    #[error(
        "cannot load the state: it is of region \"{}\" and the configuration says \"{}\", but full names that \
         consumers have begin with the region: set region back, or start with an empty state directory",
        kept.as_str(), given.as_str()
    )]
    Region {
        /// The region of the first start.
        kept: Region,
        /// The region of this one.
        given: Region,
    },
}

impl Controller {
    /// A controller of everything in `store`.
    ///
    /// The first start decides the region.
    ///
    /// # Errors
    /// When the store cannot be read or written, holds something that cannot be,
    /// or is of another region.
    pub fn load(store: Arc<dyn Store>, region: Region) -> Result<Self, LoadError> {
        let mut state = load_state(&*store, &region)?;
        match state.home.get(HomeId) {
            Some(Home { region: kept }) if *kept == region => {}
            Some(Home { region: kept }) => {
                return Err(LoadError::Region { kept: kept.clone(), given: region });
            }
            None => {
                let mut tx = Tx::new(&state, Timestamp::now());
                tx.put(&Home { region });
                let (writes, pending) = tx.finish();
                let revision = store.commit(&writes)?;
                pending.apply(&mut state, revision);
            }
        }
        Ok(Self {
            store,
            state: Mutex::new(state),
            store_failure: Mutex::default(),
            passes: watch::Sender::new(Passes::default()),
        })
    }

    /// Answers a question about the state.
    pub fn read<T>(&self, question: impl FnOnce(&State) -> T) -> T {
        question(&self.lock())
    }

    /// Does an operation. When this returns its changes are durable and
    /// visible, or there are none. Blocks while the store writes.
    ///
    /// # Errors
    /// What the operation or the store refuses.
    pub fn write<T>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T, ControlError>,
    ) -> Result<Written<T>, ControlError> {
        let mut state = self.lock();
        self.recover(&mut state)?;
        let mut tx = Tx::new(&state, Timestamp::now());
        let value = operation(&mut tx)?;
        let (writes, pending) = tx.finish();
        if !writes.is_empty() {
            let revision = self.store.commit(&writes).inspect_err(|error| self.note_failure(error))?;
            pending.apply(&mut state, revision);
        }
        Ok(Written { value, version: state.revision })
    }

    /// Opens a store that has failed again, and reads what it holds: the commit
    /// that failed may be there or not.
    fn recover(&self, state: &mut State) -> Result<(), ControlError> {
        if self.store_error().is_none() {
            return Ok(());
        }
        self.store.reopen().inspect_err(|error| self.note_failure(error))?;
        let mut kept = load_state(&*self.store, &state.region).map_err(|error| {
            self.note_failure(&error);
            ControlError::Reload(Box::new(error))
        })?;
        kept.attachment_states = std::mem::take(&mut state.attachment_states);
        *state = kept;
        *self.store_failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        info!(revision = state.revision, "the store is open again");
        Ok(())
    }

    /// Remembers that the store needs to be opened again. A conflict is an
    /// ordinary answer and needs nothing.
    fn note_failure(&self, error: &(dyn std::error::Error + 'static)) {
        if matches!(error.downcast_ref(), Some(StoreError::Conflict { .. })) {
            return;
        }
        let text = Chain(error).to_string();
        error!(error = text, "the store has failed, the next write opens it again");
        *self.store_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// Why the store has failed and takes no writes; `None` when all is well.
    #[must_use]
    pub fn store_error(&self) -> Option<String> {
        self.store_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the data plane should be doing.
    #[must_use]
    pub fn desired(&self) -> Desired {
        derive::desired(&self.lock())
    }

    /// Takes note of what a pass achieved: moves transient states on, and lets
    /// go those who wait for this version.
    ///
    /// # Errors
    /// When the store refuses; the next pass reports again.
    pub fn report(&self, report: &Report) -> Result<(), ControlError> {
        let written = self.write(|tx| {
            progress::apply(tx, report);
            Ok(())
        });
        self.lock().attachment_states = report.attachments.clone();
        written?;
        self.passes.send_modify(|passes| {
            passes.covered = passes.covered.max(report.version);
            passes.last_at = Some(Timestamp::now());
            passes.last_ok_at = passes.last_at;
            passes.last_error = None;
            passes.failures = progress::failures(report);
            passes.failed_endpoints = report.failed_endpoints.len();
        });
        Ok(())
    }

    /// Takes note of a pass that achieved nothing, and why.
    pub fn report_failure(&self, error: String) {
        self.passes.send_modify(|passes| {
            passes.last_at = Some(Timestamp::now());
            passes.last_error = Some(error);
            passes.failures = 1;
        });
    }

    /// Waits until the data plane has this version, at most `limit`; answers
    /// whether it does.
    pub async fn covered(&self, version: Revision, limit: Duration) -> bool {
        let mut passes = self.passes.subscribe();
        let reached = passes.wait_for(|passes| passes.covered >= version);
        matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
    }

    /// What is known of the reconcile passes.
    #[must_use]
    pub fn passes(&self) -> Passes {
        self.passes.borrow().clone()
    }

    /// The latest version, now and at every change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Revision> {
        self.store.watch()
    }

    /// One word that names the kind of store.
    #[must_use]
    pub fn store_kind(&self) -> &'static str {
        self.store.kind()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state only changes after a commit, by inserts and removals: a panic in an
        // operation leaves it as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load_state(store: &dyn Store, region: &Region) -> Result<State, LoadError> {
    let (records, revision) = store.list("")?;
    Ok(State::load(region.clone(), &records, revision)?)
}

#[cfg(test)]
mod tests;

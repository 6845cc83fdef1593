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
//!  api --write(op)--> [check] --> store.commit --> state --> audit log --> answer
//!                                     |
//!                                  revision --wakes--> reconcile: desired() -> data plane -> report()
//!                                                                                              |
//!  api <------------------------ covered(version), for what must be true at once <-------------+
//! ```

#![forbid(unsafe_code)]

pub mod accounts;
pub mod addresses;
pub mod attachments;
pub mod backends;
pub mod connections;
mod derive;
pub mod endpoints;
pub mod error;
pub mod health;
pub mod identity;
pub mod index;
mod ledger;
pub mod networks;
pub mod permissions;
mod progress;
pub mod quotas;
pub mod route_tables;
mod runs;
pub mod services;
pub mod state;
pub mod tags;
pub mod tx;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use derive::servers;
pub use error::ControlError;
pub use health::{Health, MemberState};
use ledger::Ledger;
pub use state::{Scope, State};
pub use tx::Tx;

use crate::audit::{AuditLog, Author};
use crate::model::{DnsDomain, Region, Timestamp};
use crate::reconcile::desired::{Desired, Report};
use crate::store::record::{Home, HomeId, RecordError};
use crate::store::{Revision, Store, StoreError};

/// See the module.
pub struct Controller {
    ledger: Ledger,
    passes: watch::Sender<Passes>,
    health: watch::Sender<Health>,
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
    /// It does not take what this version adds to it.
    #[error("cannot write what the first start of this version adds")]
    Write(#[from] ControlError),
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
    /// The first start decides the region. VPCs that were made before there were
    /// route tables get their default one. `audit` has the changes, those too.
    ///
    /// # Errors
    /// When the store cannot be read or written, holds something that cannot be,
    /// or is of another region.
    pub fn load(store: Arc<dyn Store>, region: Region, audit: Option<AuditLog>) -> Result<Self, LoadError> {
        let ledger = Ledger::load(store, &region, audit)?;
        match ledger.state().home.get(HomeId) {
            Some(Home { region: kept }) if *kept == region => {}
            Some(Home { region: kept }) => {
                return Err(LoadError::Region { kept: kept.clone(), given: region });
            }
            None => {
                ledger.write(&Author::vpcepd(), |tx| {
                    tx.put(&Home { region });
                    Ok(())
                })?;
            }
        }
        ledger.write(&Author::vpcepd(), |tx| {
            route_tables::complete(tx);
            Ok(())
        })?;
        Ok(Self { ledger, passes: watch::Sender::new(Passes::default()), health: watch::Sender::default() })
    }

    /// The same controller, with names of endpoints ending in `domain`.
    #[must_use]
    pub fn with_dns_domain(mut self, domain: DnsDomain) -> Self {
        self.ledger.set_dns_domain(domain);
        self
    }

    /// Answers a question about what is durable.
    pub fn read<T>(&self, question: impl FnOnce(&State) -> T) -> T {
        question(&self.ledger.state())
    }

    /// Does an operation of the controller itself; see [`Controller::write_by`].
    ///
    /// # Errors
    /// What the operation or the store refuses.
    pub fn write<T>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T, ControlError>,
    ) -> Result<Written<T>, ControlError> {
        self.write_by(&Author::vpcepd(), operation)
    }

    /// Does an operation that `author` has asked for. When this returns its changes
    /// are durable, visible and in the audit log, or there are none. Blocks while
    /// the store writes.
    ///
    /// # Errors
    /// What the operation or the store refuses.
    pub fn write_by<T>(
        &self,
        author: &Author,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T, ControlError>,
    ) -> Result<Written<T>, ControlError> {
        self.ledger.write(author, operation)
    }

    /// Why the store has failed and takes no writes; `None` when all is well.
    #[must_use]
    pub fn store_error(&self) -> Option<String> {
        self.ledger.failure()
    }

    /// What the data plane should be doing.
    #[must_use]
    pub fn desired(&self) -> Desired {
        derive::desired(&self.ledger.state(), &self.health())
    }

    /// Takes note of what a pass achieved: moves transient states on, and lets
    /// go those who wait for this version.
    ///
    /// # Errors
    /// When the store refuses; the next pass reports again.
    pub fn report(&self, report: &Report) -> Result<(), ControlError> {
        self.write(|tx| {
            progress::apply(tx, report);
            tx.note_attachments(&report.attachments);
            Ok(())
        })?;
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

    /// What is durable, now and at every change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.ledger.watch()
    }

    /// What health checks have found.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Takes note of what health checks have found.
    pub fn note_health(&self, found: Health) {
        self.health.send_if_modified(|health| {
            let before = std::mem::replace(health, found);
            health.moves_connections_of(&before)
        });
    }

    /// Told whenever health checks let members get connections or lose them.
    #[must_use]
    pub fn watch_health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// The audit log, if there is one.
    #[must_use]
    pub fn audit(&self) -> Option<&AuditLog> {
        self.ledger.audit()
    }

    /// One word that names the kind of store.
    #[must_use]
    pub fn store_kind(&self) -> &'static str {
        self.ledger.store_kind()
    }
}

fn load_state(store: &dyn Store, region: &Region) -> Result<State, LoadError> {
    let (records, revision) = store.list("")?;
    Ok(State::load(region.clone(), &records, revision)?)
}

#[cfg(test)]
mod tests;

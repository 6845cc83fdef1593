//! Making operations durable, as many at a time as there are.
//!
//! An operation is checked against the *draft*: the durable state with every
//! operation before it done, durable or not. Whoever finds nobody committing
//! commits what has gathered, for all who contributed (group commit); meanwhile
//! the next batch gathers. When the store has it, the state with the batch is
//! *published*: readers only ever see what is durable, and are never kept waiting
//! by the disk.
//!
//! ```text
//!  op ─▶ draft ─▶ batch ─┬─ first: takes the turn, store.commit ─▶ publish ─┬─▶ answers
//!  op ─▶ draft ─▶ batch ─┘  others: wait for the turn, find it done         ┘
//! ```
//!
//! States share what they have in common ([`imbl`]), so keeping two costs what
//! differs. A batch that fails takes with it those drafted on top of it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;
use tracing::{error, info};

use super::error::ControlError;
use super::state::State;
use super::tx::{Done, Tx};
use super::{LoadError, Written, load_state};
use crate::audit::{AuditLog, Author, Change};
use crate::model::{DnsDomain, Region, Timestamp};
use crate::store::{Revision, Store, StoreError, Write};
use crate::telemetry::Chain;

/// See the module.
pub struct Ledger {
    store: Arc<dyn Store>,
    /// The last durable state.
    published: watch::Sender<Arc<State>>,
    draft: Mutex<Draft>,
    /// Held by who commits; taken before the draft, never after it.
    turn: Mutex<()>,
    /// Why the store has failed, until it has been opened again.
    failure: Mutex<Option<String>>,
    audit: Option<AuditLog>,
}

/// What became of a batch.
type Outcome = OnceLock<Result<Revision, Arc<StoreError>>>;

/// The state with everything done that is not durable yet.
struct Draft {
    state: State,
    /// The revision the batch will have.
    next: Revision,
    /// What has gathered since the last commit began.
    batch: BTreeMap<String, Write>,
    /// Who has contributed what to it, in order.
    trail: Vec<Deed>,
    /// Whether the state has changed since the last commit began.
    is_changed: bool,
    /// Of the batch that has the latest change: the one gathering, or the one
    /// being committed.
    outcome: Arc<Outcome>,
}

/// What one operation has changed, for the audit log.
struct Deed {
    now: Timestamp,
    author: Author,
    changes: Vec<Change>,
}

impl Draft {
    /// A draft in which nothing is outstanding.
    fn of(state: State) -> Self {
        let outcome = Arc::new(Outcome::from(Ok(state.revision)));
        Self {
            next: state.revision + 1,
            state,
            batch: BTreeMap::new(),
            trail: Vec::new(),
            is_changed: false,
            outcome,
        }
    }

    /// Adds what an operation of `author` has done.
    fn add(&mut self, now: Timestamp, author: &Author, done: Done) {
        if done.is_nothing() {
            return;
        }
        if !self.is_changed {
            self.outcome = Arc::default();
            self.is_changed = true;
        }
        let (writes, changes) = done.apply(&mut self.state, self.next);
        if !writes.is_empty() {
            self.trail.push(Deed { now, author: author.clone(), changes });
        }
        for write in writes {
            match self.batch.entry(write.key.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(write);
                }
                // The store has not seen what the earlier write of the batch made of the key.
                Entry::Occupied(mut entry) => entry.get_mut().value = write.value,
            }
        }
    }
}

impl Ledger {
    /// A ledger that goes on from what the store holds, and records what changes.
    ///
    /// # Errors
    /// When the store cannot be read or holds something that cannot be.
    pub fn load(store: Arc<dyn Store>, region: &Region, audit: Option<AuditLog>) -> Result<Self, LoadError> {
        let state = load_state(&*store, region)?;
        Ok(Self {
            store,
            published: watch::Sender::new(Arc::new(state.clone())),
            draft: Mutex::new(Draft::of(state)),
            turn: Mutex::default(),
            failure: Mutex::default(),
            audit,
        })
    }

    /// The audit log, if there is one.
    pub fn audit(&self) -> Option<&AuditLog> {
        self.audit.as_ref()
    }

    /// Sets what names of endpoints end in.
    pub fn set_dns_domain(&mut self, domain: DnsDomain) {
        self.draft().state.dns_domain = domain.clone();
        self.published.send_modify(|state| Arc::make_mut(state).dns_domain = domain);
    }

    /// The last durable state.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.published.borrow())
    }

    /// Told of every durable change.
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.published.subscribe()
    }

    /// Does an operation; when this returns, it and everything it has seen are
    /// durable, in the audit log and published.
    ///
    /// # Errors
    /// What the operation or the store refuses.
    pub fn write<T>(
        &self,
        author: &Author,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T, ControlError>,
    ) -> Result<Written<T>, ControlError> {
        let mut draft = self.draft();
        self.recover(&mut draft)?;
        let now = Timestamp::now();
        let mut tx = Tx::new(&draft.state, now);
        let value = operation(&mut tx)?;
        let done = tx.finish();
        draft.add(now, author, done);
        let outcome = Arc::clone(&draft.outcome);
        drop(draft);
        let version = self.settle(&outcome)?;
        Ok(Written { value, version })
    }

    /// Waits for what became of a batch, or finds out by committing it.
    fn settle(&self, outcome: &Outcome) -> Result<Revision, ControlError> {
        if outcome.get().is_none() {
            let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if outcome.get().is_none() {
                self.commit();
            }
            drop(turn);
        }
        let result = outcome.get().expect("a batch is gathering or being committed, and the turn was ours");
        result.as_ref().map_err(|error| ControlError::Store(Arc::clone(error))).copied()
    }

    /// Commits what has gathered. The caller has the turn.
    fn commit(&self) {
        let (state, expected, batch, trail, outcome) = {
            let mut draft = self.draft();
            draft.is_changed = false;
            let (batch, trail) = (std::mem::take(&mut draft.batch), std::mem::take(&mut draft.trail));
            let expected = draft.next;
            draft.next += Revision::from(!batch.is_empty());
            (draft.state.clone(), expected, batch, trail, Arc::clone(&draft.outcome))
        };
        let writes: Vec<Write> = batch.into_values().collect();
        let result = if writes.is_empty() { Ok(state.revision) } else { self.store_all(&writes) };
        let result = result.map_err(Arc::new);
        match &result {
            Ok(revision) => {
                let found = *revision;
                if let Some(audit) = &self.audit {
                    trail
                        .into_iter()
                        .for_each(|deed| audit.committed(deed.now, &deed.author, found, deed.changes));
                }
                self.publish(State { revision: found, ..state });
                if !writes.is_empty() && found != expected {
                    self.discard(&Arc::new(StoreError::Moved { expected, found }));
                }
            }
            Err(error) => self.discard(error),
        }
        // Only who has the turn sets it.
        let _ = outcome.set(result);
    }

    fn store_all(&self, writes: &[Write]) -> Result<Revision, StoreError> {
        let commit = AssertUnwindSafe(|| self.store.commit(writes));
        // Whatever a panic has left of the store, it is opened and read again before the next write.
        catch_unwind(commit).unwrap_or(Err(StoreError::Closed))
    }

    fn publish(&self, state: State) {
        self.published.send_if_modified(|published| {
            let is_news = published.revision != state.revision;
            *published = Arc::new(state);
            is_news
        });
    }

    /// Fails what has been drafted on top of what the store does not hold.
    fn discard(&self, error: &Arc<StoreError>) {
        let mut draft = self.draft();
        self.note_failure(&**error);
        if draft.is_changed {
            let _ = draft.outcome.set(Err(Arc::clone(error)));
        }
        *draft = Draft::of(State::clone(&self.published.borrow()));
    }

    /// Opens a store that has failed again, and reads what it holds: the commit
    /// that failed may be there or not.
    fn recover(&self, draft: &mut Draft) -> Result<(), ControlError> {
        if self.failure().is_none() {
            return Ok(());
        }
        self.store.reopen().map_err(|error| {
            self.note_failure(&error);
            Arc::new(error)
        })?;
        let mut kept = load_state(&*self.store, &draft.state.region).map_err(|error| {
            self.note_failure(&error);
            ControlError::Reload(Box::new(error))
        })?;
        kept.attachment_states.clone_from(&draft.state.attachment_states);
        kept.dns_domain.clone_from(&draft.state.dns_domain);
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        info!(revision = kept.revision, "the store is open again");
        self.publish(kept.clone());
        *draft = Draft::of(kept);
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
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// Why the store has failed and takes no writes; `None` when all is well.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One word that names the kind of store.
    pub fn store_kind(&self) -> &'static str {
        self.store.kind()
    }

    fn draft(&self) -> MutexGuard<'_, Draft> {
        // The draft only changes after an operation has returned, by inserts and removals: a panic
        // in one leaves it as it was.
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! An operation in progress, and what it has done on its way to the state, the
//! store and the audit log.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{Dated, Row, State, Tabled};
use crate::audit::{Action, Change};
use crate::model::{AttachmentId, Timestamp};
use crate::reconcile::desired::AttachmentState;
use crate::store::record;
use crate::store::{Revision, Write};

/// Takes an object out of its table and the index.
fn remove<T: Tabled>(state: &mut State, id: T::Id)
where
    T::Id: Send,
{
    if let Some(row) = T::table_mut(state).0.remove(&id) {
        row.value.leave(&mut state.index);
    }
}

type Apply = Box<dyn FnOnce(&mut State, Revision) + Send>;

/// One change on its way: for the store, for the state, and for the audit log.
struct Staged {
    write: Write,
    apply: Apply,
    change: Option<Change>,
}

/// An operation in progress: the state it sees, and what it is going to change.
///
/// Changes are not visible in [`Tx::state`], and nowhere if the operation is
/// refused.
pub struct Tx<'a> {
    /// What is true now.
    pub state: &'a State,
    /// The time of the operation.
    pub now: Timestamp,
    staged: BTreeMap<String, Staged>,
    attachment_states: Option<BTreeMap<AttachmentId, AttachmentState>>,
}

impl<'a> Tx<'a> {
    /// An operation that has changed nothing yet.
    #[must_use]
    pub fn new(state: &'a State, now: Timestamp) -> Self {
        Self { state, now, staged: BTreeMap::new(), attachment_states: None }
    }

    /// Makes or replaces an object.
    pub fn put<T: Tabled + Clone>(&mut self, object: &T)
    where
        T::Id: Send,
    {
        let (id, own) = (object.id(), object.clone());
        let apply = move |state: &mut State, version| {
            remove::<T>(state, id);
            own.enter(&mut state.index);
            T::table_mut(state).0.insert(id, Arc::new(Row { version, value: own }));
        };
        self.stage(id, Some(object), Box::new(apply));
    }

    /// Replaces an object that the operation has not touched yet, and notes the time;
    /// does nothing when it is as it was. Answers the object as it is now.
    pub fn revise<T: Dated>(&mut self, object: T) -> T
    where
        T::Id: Send,
    {
        if T::table(self.state).get(object.id()) == Some(&object) {
            return object;
        }
        let object = object.changed_at(self.now);
        self.put(&object);
        object
    }

    /// Removes an object.
    pub fn delete<T: Tabled>(&mut self, id: T::Id)
    where
        T::Id: Send,
    {
        let apply = move |state: &mut State, _| {
            remove::<T>(state, id);
        };
        self.stage::<T>(id, None, Box::new(apply));
    }

    fn stage<T: Tabled>(&mut self, id: T::Id, after: Option<&T>, apply: Apply)
    where
        T::Id: Send,
    {
        let key = T::key(id);
        let before = T::table(self.state).0.get(&id);
        let write = Write {
            key: key.clone(),
            expected: before.map(|row| row.version),
            value: after.map(record::encode),
        };
        let change = audited(self.state, before.map(|row| &row.value), after);
        self.staged.insert(key, Staged { write, apply, change });
    }

    /// Takes note of what a pass said of the attachments. It is not stored.
    pub fn note_attachments(&mut self, states: &BTreeMap<AttachmentId, AttachmentState>) {
        if *self.state.attachment_states != *states {
            self.attachment_states = Some(states.clone());
        }
    }

    /// What the operation has done, free of the state it has seen.
    pub(super) fn finish(self) -> Done {
        Done { staged: self.staged, attachment_states: self.attachment_states }
    }
}

/// What the audit log has of a change; nothing when the kind is bookkeeping, or
/// what never was is removed. What a user holds is shown with the user's domain, by
/// which an account's records are found when the user is long gone.
fn audited<T: Tabled>(state: &State, before: Option<&T>, after: Option<&T>) -> Option<Change>
where
    T::Id: Send,
{
    let id = after.or(before)?.audited_as();
    let action = match (before, after) {
        (None, _) => Action::Create,
        (Some(_), Some(_)) => Action::Update,
        (Some(_), None) => Action::Delete,
    };
    let view = |object: &T| {
        let mut form = object.audited()?;
        if let Some(user) = object.holder().and_then(|id| state.users.get(id)) {
            form["domain"] = user.domain.to_string().into();
        }
        Some(form)
    };
    let (before, after) = (before.and_then(view), after.and_then(view));
    (before.is_some() || after.is_some()).then(|| Change { action, kind: T::KIND.into(), id, before, after })
}

/// What an operation has done, on its way to a state and the store.
pub(super) struct Done {
    staged: BTreeMap<String, Staged>,
    attachment_states: Option<BTreeMap<AttachmentId, AttachmentState>>,
}

impl Done {
    /// Whether nothing changes.
    pub(super) fn is_nothing(&self) -> bool {
        self.staged.is_empty() && self.attachment_states.is_none()
    }

    /// Changes the state the operation has seen. Answers what to store, and what
    /// the audit log has of it; `revision` is the one it will be stored with.
    pub(super) fn apply(self, state: &mut State, revision: Revision) -> (Vec<Write>, Vec<Change>) {
        if let Some(states) = self.attachment_states {
            state.attachment_states = Arc::new(states);
        }
        if !self.staged.is_empty() {
            state.revision = revision;
        }
        let mut parts = (Vec::new(), Vec::new());
        for Staged { write, apply, change } in self.staged.into_values() {
            apply(state, revision);
            parts.0.push(write);
            parts.1.extend(change);
        }
        parts
    }
}

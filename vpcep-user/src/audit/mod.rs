//! The audit log: who changed what, and who tried to.
//!
//! Owns `audit.log` in the state directory: what a line says, when it is written,
//! and reading it back. Leaves to [`crate::controller`] what has changed, to
//! [`crate::api`] who asked, to [`crate::rotation`] the files.
//!
//! A line is one JSON object, a [`Record`]. Each commit of the store has one at
//! least; so has each refused attempt to change something. The line of a commit is
//! handed to the kernel after the commit and before the answer, in the order of
//! revisions. It outlives a crash of vpcepd; a loss of power may take the lines of
//! the last seconds, since nothing is synced before rotation and the end. Lines
//! that are missing show: the next one counts them (`unrecorded`).
//!
//! A change that cannot be recorded stands. Refusing it would put the network out
//! of reach of those who have to repair it when only a disk is full; the failure
//! is in vpcepd's log and in `status` until a line can be written again.
//!
//! Secrets cannot get here: what is shown of an object is what its kind hands out
//! ([`crate::store::record::Stored::audited`]), and of a request only method and
//! path.

#![forbid(unsafe_code)]

mod limit;
mod query;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{error, info};

use limit::Refusals;
pub use query::{Found, Query};

use crate::model::Timestamp;
pub use crate::rotation::Retention;
use crate::rotation::Rotating;
use crate::store::Revision;

/// Name of the newest file; older ones have `.1`, `.2` and so on behind it.
const FILE: &str = "audit.log";
/// Most changes in one line; the rest follow in lines of the same request.
const MAX_CHANGES: usize = 64;
/// Most of a path that is recorded, bytes.
const MAX_PATH: usize = 1024;

/// Who did something, and by which request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Author {
    /// Where it came from: `vpcepd` itself, `socket`, or the address of the caller.
    pub from: String,
    /// `operator`, `member` or `reader`; absent for a caller nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Name of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Name of the user's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The account's project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// `X-Request-Id` of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path without its query, at most 1024 bytes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Author {
    /// The controller, for what nobody asked for at that moment.
    #[must_use]
    pub fn vpcepd() -> Self {
        Self { from: "vpcepd".into(), ..Self::default() }
    }
}

/// What happened to one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What was done.
    pub action: Action,
    /// Kind of the object, such as `endpoint service`.
    pub kind: String,
    /// The object's id.
    pub id: String,
    /// The stored form before, without secrets; absent for a new object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The stored form after, without secrets; absent for a deleted object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What can be done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It was made.
    Create,
    /// It was changed.
    Update,
    /// It was removed.
    Delete,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The changes are durable.
    Done,
    /// Nothing was changed: the request was at fault.
    Refused,
    /// The controller was at fault. If there are changes of the same request,
    /// they are durable.
    Failed,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// When, RFC 3339 in UTC with microseconds.
    pub time: String,
    /// Who.
    #[serde(flatten)]
    pub author: Author,
    /// What became of it.
    pub outcome: Outcome,
    /// The commit, for changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Commits before this one that have no line: vpcepd or its machine ended
    /// between commit and line, or the log could not be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrecorded: Option<u64>,
    /// HTTP status of an answer that was not a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Code of that answer, such as `EndPoint.0003`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Refusals of the same user, or of unknown callers, that were left out before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u64>,
    /// What changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

impl Record {
    fn new(now: Timestamp, author: &Author, outcome: Outcome) -> Self {
        let mut author = author.clone();
        if let Some(path) = &mut author.path {
            path.truncate(path.floor_char_boundary(MAX_PATH));
        }
        Self {
            time: now.precise().to_string(),
            author,
            outcome,
            revision: None,
            unrecorded: None,
            status: None,
            error_code: None,
            left_out: None,
            changes: Vec::new(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    files: Rotating,
    /// Of the last line that has one.
    last_revision: Option<Revision>,
    refusals: Refusals,
    /// Why the last line could not be written.
    failure: Option<String>,
}

impl AuditLog {
    /// The log of a state directory; made if there is none.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn open(state_dir: &Path, retention: Retention) -> io::Result<Self> {
        let path = state_dir.join(FILE);
        let files = Rotating::open(path.clone(), retention)?;
        let last_revision = query::last_revision(files.newest_first()?)?;
        let refusals = Refusals::default();
        let writer = Mutex::new(Writer { files, last_revision, refusals, failure: None });
        Ok(Self { path, writer })
    }

    /// Records a commit; its author is told of the change after this.
    pub fn committed(&self, now: Timestamp, author: &Author, revision: Revision, changes: Vec<Change>) {
        let mut writer = self.writer();
        let expected = writer.last_revision.map_or(revision, |last| last + 1);
        let first = Record {
            revision: Some(revision),
            unrecorded: revision.checked_sub(expected).filter(|missing| *missing > 0),
            ..Record::new(now, author, Outcome::Done)
        };
        let rest = Record { unrecorded: None, ..first.clone() };
        let mut parts = changes.chunks(MAX_CHANGES);
        let first = Record { changes: parts.next().unwrap_or_default().to_vec(), ..first };
        let rest = parts.map(|part| Record { changes: part.to_vec(), ..rest.clone() });
        if writer.append(std::iter::once(first).chain(rest)) {
            writer.last_revision = Some(revision);
        }
    }

    /// Records that a request to change something was answered with an error.
    /// Answers whether it is one of those that are recorded: of refusals the caller
    /// may have so many in a minute.
    pub fn not_done(&self, now: Timestamp, author: &Author, status: u16, error_code: Option<String>) -> bool {
        let mut writer = self.writer();
        let Some(left_out) = writer.refusals.admit(author, now) else { return false };
        let left_out = Some(left_out).filter(|count| *count > 0);
        let outcome = if status < 500 { Outcome::Refused } else { Outcome::Failed };
        let record =
            Record { status: Some(status), error_code, left_out, ..Record::new(now, author, outcome) };
        writer.append(std::iter::once(record));
        true
    }

    /// The newest records a query asks for.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn find(&self, query: &Query) -> io::Result<Found> {
        // Opened together: a rotation meanwhile neither hides nor repeats a file.
        let files = self.writer().files.newest_first()?;
        query::find(files, query)
    }

    /// Why the last line could not be written; `None` when all is well.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.writer().failure.clone()
    }

    /// The newest file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic leaves at worst a torn line, which readers pass over.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Writes lines; answers whether they are with the kernel.
    fn append(&mut self, records: impl Iterator<Item = Record>) -> bool {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, &record).expect("records are plain structs with string keys");
            lines.push(b'\n');
        }
        match self.files.append(&lines) {
            Ok(()) => {
                if self.failure.take().is_some() {
                    info!("the audit log can be written again");
                }
                true
            }
            Err(failure) => {
                error!(error = %failure, "the audit log cannot be written, changes go on unrecorded");
                self.failure = Some(failure.to_string());
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Reading the log back: the newest records that match, across all files.
//!
//! Lines that cannot be read (torn by a crash, or tampered with) are counted and
//! passed over. Memory is bounded by the records asked for, not by the files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};

use serde::Deserialize;

use super::{Change, Record};
use crate::model::Timestamp;
use crate::store::Revision;

/// Which records are wanted.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// Older than this.
    pub until: Option<Timestamp>,
    /// Done by an account, or to what belongs to it: any of its names and ids.
    pub account: Option<Vec<String>>,
    /// About the object of this id, or with it in the path.
    pub object: Option<String>,
    /// Most records.
    pub limit: usize,
}

/// What a query has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Newest first.
    pub records: Vec<Record>,
    /// Lines that could not be read, in the files that were looked at.
    pub unreadable: usize,
}

/// Looks through files, the newest first, until it has enough.
pub fn find(newest_first: Vec<File>, query: &Query) -> io::Result<Found> {
    let bounds = Bounds::of(query);
    let mut found = Found::default();
    for file in newest_first {
        let room = query.limit - found.records.len();
        if room == 0 {
            break;
        }
        let mut newest = VecDeque::new();
        each_line(file, |line| match serde_json::from_slice::<Record>(line) {
            Ok(record) if bounds.contain(&record) && query.is_about(&record) => {
                if newest.len() == room {
                    newest.pop_front();
                }
                newest.push_back(record);
            }
            Ok(_) => {}
            Err(_) => found.unreadable += 1,
        })?;
        found.records.extend(newest.into_iter().rev());
    }
    Ok(found)
}

/// The revision of the last line that has one.
pub fn last_revision(newest_first: Vec<File>) -> io::Result<Option<Revision>> {
    #[derive(Deserialize)]
    struct RevisionOnly {
        revision: Option<Revision>,
    }
    for file in newest_first {
        let mut last = None;
        each_line(file, |line| {
            if let Ok(RevisionOnly { revision: Some(revision) }) = serde_json::from_slice(line) {
                last = Some(revision);
            }
        })?;
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}

fn each_line(file: File, mut see: impl FnMut(&[u8])) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        see(&line);
        line.clear();
    }
    Ok(())
}

/// The times asked for, in the form of records: of equal length, they sort as
/// texts.
struct Bounds {
    since: Option<String>,
    until: Option<String>,
}

impl Bounds {
    fn of(query: &Query) -> Self {
        let text = |time: Option<Timestamp>| time.map(|time| time.precise().to_string());
        Self { since: text(query.since), until: text(query.until) }
    }

    fn contain(&self, record: &Record) -> bool {
        self.since.as_ref().is_none_or(|since| record.time >= *since)
            && self.until.as_ref().is_none_or(|until| record.time < *until)
    }
}

impl Query {
    fn is_about(&self, record: &Record) -> bool {
        self.account.as_ref().is_none_or(|names| concerns_account(record, names))
            && self.object.as_ref().is_none_or(|id| concerns_object(record, id))
    }
}

fn concerns_account(record: &Record, names: &[String]) -> bool {
    let is_named = |text: &str| names.iter().any(|name| name == text);
    let author = [&record.author.account, &record.author.project_id];
    author.into_iter().flatten().any(|text| is_named(text))
        || record.changes.iter().any(|change| owners(change).any(is_named))
        || account_in_path(record).is_some_and(is_named)
}

/// Whose an object is, before and after.
fn owners(change: &Change) -> impl Iterator<Item = &str> {
    [&change.before, &change.after]
        .into_iter()
        .flatten()
        .flat_map(|form| [form["project"].as_str(), form["domain"].as_str()])
        .flatten()
}

fn concerns_object(record: &Record, id: &str) -> bool {
    record.changes.iter().any(|change| change.id == id) || segments(record).any(|segment| segment == id)
}

/// The account a path is about. Other parts of paths may be an account's name by chance.
fn account_in_path(record: &Record) -> Option<&str> {
    let path = record.author.path.as_deref()?;
    let named = ["/operator/v1/accounts/", "/v1/"].into_iter().find_map(|front| path.strip_prefix(front));
    named?.split('/').next()
}

fn segments(record: &Record) -> impl Iterator<Item = &str> {
    record.author.path.iter().flat_map(|path| path.split('/'))
}

//! The flow log: a file of events, one JSON object a line, with its predecessors.
//!
//! A line is with the kernel a fraction of a second after the event. What cannot be
//! written is counted, and said in the file once it can be written again.

use std::io;
use std::path::{Path, PathBuf};

use tracing::{error, info};

use super::record::{Gap, Record};
use crate::model::Timestamp;
use crate::rotation::{Retention, Rotating};

/// See the module.
#[derive(Debug)]
pub struct FlowLog {
    path: PathBuf,
    files: Rotating,
    /// Lines that could not be written, and why the last of them.
    failed: Option<(u64, String)>,
}

impl FlowLog {
    /// Opens a file, or makes it, for its owner alone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(path: &Path, retention: Retention) -> io::Result<Self> {
        let files = Rotating::open(path.to_owned(), retention)?;
        Ok(Self { path: path.to_owned(), files, failed: None })
    }

    /// The newest file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why the last lines could not be written; `None` when all is well.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failed.as_ref().map(|(_, error)| error.as_str())
    }

    /// Appends lines, `count` of them.
    pub fn append(&mut self, lines: &[u8], count: u64) {
        if count == 0 {
            return;
        }
        let missing = self.failed.as_ref().map_or(0, |(missing, _)| *missing);
        let gap = match missing {
            0 => Vec::new(),
            _ => Record::missing(Timestamp::now(), None, Gap::NotWritten, missing).line(),
        };
        match self.files.append(&[&gap, lines].concat()) {
            Ok(()) => {
                if self.failed.take().is_some() {
                    info!(missing, "the flow log can be written again");
                }
            }
            Err(failure) => {
                if self.failed.is_none() {
                    error!(error = %failure, path = %self.path.display(), "the flow log cannot be written");
                }
                self.failed = Some((missing + count, failure.to_string()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_written_is_counted_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (logs, away) = (dir.path().join("logs"), dir.path().join("away"));
        std::fs::create_dir(&logs).unwrap();
        let mut log = FlowLog::open(&logs.join("flow.log"), Retention { max_bytes: 3, files: 2 }).unwrap();
        log.append(b"{1}\n", 1);
        // It is full, and there is no directory to make its successor in.
        std::fs::rename(&logs, &away).unwrap();
        log.append(b"{2}\n{3}\n", 2);
        log.append(b"{4}\n", 1);
        assert!(log.failure().is_some());
        std::fs::rename(&away, &logs).unwrap();
        log.append(b"{5}\n", 1);
        assert_eq!(log.failure(), None);
        let text = std::fs::read_to_string(logs.join("flow.log")).unwrap();
        let (gap, rest) = text.split_once('\n').unwrap();
        let gap: Record = serde_json::from_str(gap).unwrap();
        assert_eq!((gap.reason.as_deref(), gap.count), (Some("not_written"), Some(3)));
        assert_eq!(rest, "{5}\n");
    }
}

//! A file that only grows, and its predecessors.
//!
//! ```text
//!  audit.log --full--> audit.log.1 --> audit.log.2 --> ... --> audit.log.N --> gone
//! ```
//!
//! Each append is one write(2) to a file opened for appending. A file is synced
//! when it is put aside and when the log is closed.

#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Size at which a file is put aside, bytes.
    pub max_bytes: u64,
    /// Files put aside that are kept.
    pub files: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Rotating {
    path: PathBuf,
    retention: Retention,
    /// `None` after a failure, until the next append.
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    bytes: u64,
}

impl Rotating {
    /// Opens the newest file for appending, or makes it, for its owner alone. Files
    /// beyond those to be kept, of a time when more were, are removed.
    pub fn open(path: PathBuf, retention: Retention) -> io::Result<Self> {
        let current = Some(Current::open(&path)?);
        let rotating = Self { path, retention, current };
        rotating.remove_beyond()?;
        Ok(rotating)
    }

    /// Appends whole lines; when this returns the kernel has them.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        // Taken out: after a failure nobody knows what the file ends with.
        let mut current = match self.current.take() {
            Some(current) => current,
            None => Current::open(&self.path)?,
        };
        let bytes = lines.len() as u64;
        if current.bytes > 0 && current.bytes + bytes > self.retention.max_bytes {
            current.file.sync_data()?;
            self.put_aside()?;
            current = Current::open(&self.path)?;
        }
        current.file.write_all(lines)?;
        current.bytes += bytes;
        self.current = Some(current);
        Ok(())
    }

    /// Every file there is, open for reading.
    pub fn newest_first(&self) -> io::Result<Vec<File>> {
        let paths =
            std::iter::once(self.path.clone()).chain((1..=self.retention.files).map(|n| self.aside(n)));
        let files = paths.map(File::open).filter(|file| !is_absent(file));
        files.collect()
    }

    fn put_aside(&self) -> io::Result<()> {
        for number in (1..self.retention.files).rev() {
            rename_if_there(&self.aside(number), &self.aside(number + 1))?;
        }
        rename_if_there(&self.path, &self.aside(1))
    }

    fn remove_beyond(&self) -> io::Result<()> {
        let directory = self.path.parent().filter(|directory| *directory != Path::new(""));
        for entry in std::fs::read_dir(directory.unwrap_or(Path::new(".")))? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.rsplit_once('.')?.1.parse().ok());
            let Some(number) = number.filter(|number| *number > self.retention.files) else { continue };
            let aside = self.aside(number);
            if aside.file_name() == Some(&name) {
                std::fs::remove_file(aside)?;
            }
        }
        Ok(())
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Drop for Rotating {
    fn drop(&mut self) {
        if let Some(current) = &self.current {
            // What cannot be synced now is with the kernel all the same.
            let _ = current.file.sync_data();
        }
    }
}

impl Current {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        let mut bytes = file.seek(SeekFrom::End(0))?;
        // A crash, or a full disk, may have torn the last line: the next begins on its own.
        if bytes > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                bytes += 1;
            }
        }
        Ok(Self { file, bytes })
    }
}

fn is_absent<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::NotFound)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    let renamed = std::fs::rename(from, to);
    if is_absent(&renamed) { Ok(()) } else { renamed }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Retention = Retention { max_bytes: 10, files: 2 };

    fn contents(dir: &Path) -> Vec<String> {
        let rotating = Rotating::open(dir.join("a.log"), RETENTION).unwrap();
        rotating.newest_first().unwrap().into_iter().map(|file| io::read_to_string(file).unwrap()).collect()
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_goes_also_across_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let steps: &[(&str, &[&str])] = &[
            ("aaaa\n", &["aaaa\n"]),
            ("bbbb\n", &["aaaa\nbbbb\n"]),
            ("cccc\n", &["cccc\n", "aaaa\nbbbb\n"]),
            // More than a file may hold gets one for itself.
            ("dddddddddddd\n", &["dddddddddddd\n", "cccc\n", "aaaa\nbbbb\n"]),
            ("eeee\n", &["eeee\n", "dddddddddddd\n", "cccc\n"]),
        ];
        for (line, files) in steps {
            Rotating::open(dir.path().join("a.log"), RETENTION).unwrap().append(line.as_bytes()).unwrap();
            assert_eq!(contents(dir.path()), *files, "after {line}");
        }
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 3, "{names:?}");
    }

    #[test]
    fn files_beyond_a_lowered_number_go_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let others = ["a.log.old", "b.log.7", "a.log.07", "a.log.x.7"];
        for name in ["a.log.1", "a.log.2", "a.log.3", "a.log.9"].iter().chain(&others) {
            std::fs::write(dir.path().join(name), "line\n").unwrap();
        }
        Rotating::open(dir.path().join("a.log"), RETENTION).unwrap();
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let mut kept = vec!["a.log", "a.log.1", "a.log.2"];
        kept.extend(others);
        kept.sort_unstable();
        assert_eq!(names, kept);
    }

    #[test]
    fn a_torn_line_does_not_swallow_the_next() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.log"), "to").unwrap();
        Rotating::open(dir.path().join("a.log"), RETENTION).unwrap().append(b"next\n").unwrap();
        assert_eq!(contents(dir.path()), ["to\nnext\n"]);
    }

    #[test]
    fn a_missing_number_hides_nothing_and_others_cannot_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.log"), "new\n").unwrap();
        std::fs::write(dir.path().join("a.log.2"), "old\n").unwrap();
        assert_eq!(contents(dir.path()), ["new\n", "old\n"]);
        let mode = std::fs::metadata(dir.path().join("a.log")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn after_a_failure_the_next_append_opens_the_file_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/a.log");
        std::fs::create_dir(dir.path().join("logs")).unwrap();
        let mut rotating = Rotating::open(path, RETENTION).unwrap();
        rotating.append(b"12345678\n").unwrap();
        std::fs::rename(dir.path().join("logs"), dir.path().join("away")).unwrap();
        // It is full, and there is no directory to make its successor in.
        assert!(rotating.append(b"lost\n").is_err());
        assert!(rotating.append(b"lost\n").is_err());
        std::fs::rename(dir.path().join("away"), dir.path().join("logs")).unwrap();
        rotating.append(b"found\n").unwrap();
        let files =
            rotating.newest_first().unwrap().into_iter().map(|file| io::read_to_string(file).unwrap());
        assert_eq!(files.collect::<Vec<_>>(), ["found\n", "12345678\n"]);
    }
}

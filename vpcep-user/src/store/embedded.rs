//! The store of a single controller: a redb file in the state directory.
//!
//! redb because it is pure Rust and maintained, its transactions are ACID, a
//! commit with immediate durability is on disk when it returns, and a crash in
//! the middle of one leaves the previous state without any repair by us. The
//! file is one B-tree keyed by record key, so that listing a prefix is a range.
//!
//! Source: redb 4 documentation, "Durability" and "Database file format".

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition,
};

use super::{Record, Revision, Store, StoreError, Write};

/// Key → (version, value).
const RECORDS: TableDefinition<&str, (u64, &[u8])> = TableDefinition::new("records");
/// Numbers about the store itself.
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const REVISION: &str = "revision";
const FORMAT: &str = "format";
const FORMAT_VERSION: u64 = 1;
/// Pages of the file kept in memory, bytes. The model is in memory anyway: the file is read at
/// the start, and only written afterwards.
const CACHE: usize = 16 << 20;

/// A store in a directory of this host.
#[derive(Debug)]
pub struct EmbeddedStore {
    path: PathBuf,
    /// `None` after it failed and could not be opened again.
    database: RwLock<Option<Database>>,
}

impl EmbeddedStore {
    /// Opens the store in `dir`, making both when they are not there: the
    /// directory for its owner alone (0700), and so the file (0600), because it
    /// holds hashes of passwords and sealed secret keys.
    ///
    /// # Errors
    /// When another process has it open, it has another format, or the file
    /// cannot be made, read or written.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        if !dir.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(file_error("create the state directory", dir))?;
        }
        let path = dir.join("vpcep.redb");
        if !is_made(&path) {
            make(dir, &path)?;
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(file_error("open", &path))?;
        let database = opened(builder().open(&path), &path)?;
        Ok(Self { path, database: RwLock::new(Some(database)) })
    }

    /// Does something with the open database.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // A transaction that panicked was undone when it was dropped.
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        work(database.as_ref().ok_or(StoreError::Closed)?)
    }
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File { action, path, source }
}

/// Makes an empty database.
///
/// It is complete under another name before it gets its own: what a crash leaves of
/// one that is being made could never be opened. One makes it at a time.
fn make(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let lock = File::open(dir).map_err(file_error("open", dir))?;
    lock.lock().map_err(file_error("lock", dir))?;
    if is_made(path) {
        return Ok(());
    }
    let fresh = path.with_added_extension("new");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(file_error("make", &fresh))?;
    drop(opened(builder().create_file(file), &fresh)?);
    fs::rename(&fresh, path).map_err(file_error("make", path))?;
    lock.sync_all().map_err(file_error("sync", dir))
}

/// Whether there is a database. Earlier versions made it in place, and what they
/// left when they were killed at once is an empty file.
fn is_made(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.len() > 0)
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

fn opened(opened: Result<Database, DatabaseError>, path: &Path) -> Result<Database, StoreError> {
    let database = opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.into() },
        other => failed("open")(other.into()),
    })?;
    prepare(&database, path)?;
    Ok(database)
}

/// Makes the tables and checks the format.
fn prepare(database: &Database, path: &Path) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(|e| failed("open")(e.into()))?;
    {
        transaction.open_table(RECORDS).map_err(|e| failed("open")(e.into()))?;
        let mut numbers = transaction.open_table(NUMBERS).map_err(|e| failed("open")(e.into()))?;
        match number(&numbers, FORMAT)? {
            Some(FORMAT_VERSION) => {}
            Some(found) => {
                return Err(StoreError::Format { path: path.into(), found, expected: FORMAT_VERSION });
            }
            None => {
                numbers.insert(FORMAT, FORMAT_VERSION).map_err(|e| failed("write")(e.into()))?;
            }
        }
    }
    transaction.commit().map_err(|e| failed("write")(e.into()))
}

fn number(table: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<Option<u64>, StoreError> {
    let found = table.get(name).map_err(|e| failed("read")(e.into()))?;
    Ok(found.map(|value| value.value()))
}

fn failed(action: &'static str) -> impl FnOnce(redb::Error) -> StoreError {
    move |source| StoreError::Database { action, source: Box::new(source) }
}

/// Does one write, if its key has the expected version.
fn write(table: &mut Table<&str, (u64, &[u8])>, write: &Write, revision: Revision) -> Result<(), StoreError> {
    let key = write.key.as_str();
    let found = table.get(key).map_err(|e| failed("read")(e.into()))?.map(|row| row.value().0);
    if found != write.expected {
        return Err(StoreError::Conflict { key: key.into(), expected: write.expected, found });
    }
    match &write.value {
        Some(value) => table.insert(key, (revision, value.as_slice())).map(drop),
        None => table.remove(key).map(drop),
    }
    .map_err(|e| failed("write")(e.into()))
}

fn read(database: &Database, key: &str) -> Result<Option<Record>, StoreError> {
    let transaction = database.begin_read().map_err(|e| failed("read")(e.into()))?;
    let table = transaction.open_table(RECORDS).map_err(|e| failed("read")(e.into()))?;
    let row = table.get(key).map_err(|e| failed("read")(e.into()))?;
    Ok(row.map(|row| {
        let (version, value) = row.value();
        Record { key: key.into(), version, value: value.into() }
    }))
}

fn read_all(database: &Database, prefix: &str) -> Result<(Vec<Record>, Revision), StoreError> {
    let transaction = database.begin_read().map_err(|e| failed("read")(e.into()))?;
    let table = transaction.open_table(RECORDS).map_err(|e| failed("read")(e.into()))?;
    let numbers = transaction.open_table(NUMBERS).map_err(|e| failed("read")(e.into()))?;
    let mut records = Vec::new();
    for row in table.range(prefix..).map_err(|e| failed("read")(e.into()))? {
        let (key, row) = row.map_err(|e| failed("read")(e.into()))?;
        if !key.value().starts_with(prefix) {
            break;
        }
        let (version, value) = row.value();
        records.push(Record { key: key.value().into(), version, value: value.into() });
    }
    Ok((records, number(&numbers, REVISION)?.unwrap_or(0)))
}

fn write_all(database: &Database, writes: &[Write]) -> Result<Revision, StoreError> {
    let mut transaction = database.begin_write().map_err(|e| failed("write")(e.into()))?;
    transaction.set_durability(Durability::Immediate).map_err(|e| failed("write")(e.into()))?;
    let revision = {
        let mut numbers = transaction.open_table(NUMBERS).map_err(|e| failed("write")(e.into()))?;
        let revision = number(&numbers, REVISION)?.unwrap_or(0) + 1;
        numbers.insert(REVISION, revision).map_err(|e| failed("write")(e.into()))?;
        let mut table = transaction.open_table(RECORDS).map_err(|e| failed("write")(e.into()))?;
        for one in writes {
            // An early return drops the transaction, which undoes all of it.
            write(&mut table, one, revision)?;
        }
        revision
    };
    transaction.commit().map_err(|e| failed("write")(e.into()))?;
    Ok(revision)
}

impl Store for EmbeddedStore {
    fn get(&self, key: &str) -> Result<Option<Record>, StoreError> {
        self.with(|database| read(database, key))
    }

    fn list(&self, prefix: &str) -> Result<(Vec<Record>, Revision), StoreError> {
        self.with(|database| read_all(database, prefix))
    }

    fn commit(&self, writes: &[Write]) -> Result<Revision, StoreError> {
        self.with(|database| write_all(database, writes))
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut slot = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // First the old one, which holds the lock of the file.
        *slot = None;
        // Not made anew: a database that is gone, with its volume perhaps, is no empty one.
        *slot = Some(opened(builder().open(&self.path), &self.path)?);
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "embedded"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract;

    #[test]
    fn embedded_store_keeps_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        let count = std::cell::Cell::new(0);
        contract::check(|| {
            count.set(count.get() + 1);
            EmbeddedStore::open(&dir.path().join(count.get().to_string())).unwrap()
        });
    }

    #[test]
    fn what_was_committed_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let put = Write { key: "a/1".into(), expected: None, value: Some(b"x".to_vec()) };
        let store = EmbeddedStore::open(dir.path()).unwrap();
        let revision = store.commit(std::slice::from_ref(&put)).unwrap();
        drop(store);
        let store = EmbeddedStore::open(dir.path()).unwrap();
        let kept = Record { key: "a/1".into(), version: revision, value: b"x".to_vec() };
        assert_eq!(store.list("a/").unwrap(), (vec![kept], revision));
    }

    /// A volume that was unmounted left an empty directory, and the store that was opened
    /// again in it an empty model: everything would have been taken down.
    #[test]
    fn a_database_that_is_gone_is_not_replaced_by_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path()).unwrap();
        let put = Write { key: "a/1".into(), expected: None, value: Some(b"x".to_vec()) };
        let revision = store.commit(&[put]).unwrap();
        let (path, away) = (dir.path().join("vpcep.redb"), dir.path().join("away"));
        fs::rename(&path, &away).unwrap();
        assert!(matches!(store.reopen(), Err(StoreError::Database { action: "open", .. })));
        assert!(!path.exists());
        fs::rename(&away, &path).unwrap();
        store.reopen().unwrap();
        assert_eq!(store.list("a/").unwrap().1, revision);
    }

    #[test]
    fn a_second_opener_is_told_that_the_directory_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let _first = EmbeddedStore::open(dir.path()).unwrap();
        let error = EmbeddedStore::open(dir.path()).unwrap_err();
        assert!(error.to_string().ends_with("another vpcepd uses this state directory"), "{error}");
    }

    #[test]
    fn what_a_killed_start_has_left_of_a_new_database_is_no_obstacle() {
        for (name, left) in [("vpcep.redb.new", &[0; 4096][..]), ("vpcep.redb", &[])] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(name), left).unwrap();
            let _store = EmbeddedStore::open(dir.path()).unwrap();
            let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(names.collect::<Vec<_>>(), ["vpcep.redb"], "after {name} was left");
        }
    }

    #[test]
    fn directory_and_file_are_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        let _store = EmbeddedStore::open(&state).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(&state.join("vpcep.redb")), 0o600);
    }

    #[test]
    fn another_format_is_refused_with_both_numbers() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = EmbeddedStore::open(dir.path()).unwrap();
            let slot = store.database.read().unwrap();
            let transaction = slot.as_ref().unwrap().begin_write().unwrap();
            transaction.open_table(NUMBERS).unwrap().insert(FORMAT, 9).unwrap();
            transaction.commit().unwrap();
        }
        let error = EmbeddedStore::open(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("its format is 9, this vpcepd reads format 1"), "{error}");
    }
}

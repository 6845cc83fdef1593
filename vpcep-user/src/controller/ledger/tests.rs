//! What group commit promises: durable before told, all in one commit, and
//! nothing built on what failed.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::model::{Account, DomainId, Name, ProjectId};
use crate::store::{EmbeddedStore, Record};

/// A store whose every commit waits to be told how to end.
struct GatedStore {
    store: EmbeddedStore,
    /// Tells how many writes have arrived.
    arrived: Mutex<Sender<usize>>,
    verdicts: Mutex<Receiver<Verdict>>,
}

#[derive(Clone, Copy, Debug)]
enum Verdict {
    Pass,
    Fail,
    Panic,
}

impl Store for GatedStore {
    fn get(&self, key: &str) -> Result<Option<Record>, StoreError> {
        self.store.get(key)
    }
    fn list(&self, prefix: &str) -> Result<(Vec<Record>, Revision), StoreError> {
        self.store.list(prefix)
    }
    fn commit(&self, writes: &[Write]) -> Result<Revision, StoreError> {
        self.arrived.lock().unwrap().send(writes.len()).unwrap();
        let verdict = self.verdicts.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap();
        match verdict {
            Verdict::Pass => self.store.commit(writes),
            Verdict::Fail => Err(StoreError::Closed),
            Verdict::Panic => panic!("as a test asked for"),
        }
    }
    fn reopen(&self) -> Result<(), StoreError> {
        self.store.reopen()
    }
    fn kind(&self) -> &'static str {
        "gated"
    }
}

/// Makes an account, unless there is one of that name.
fn create(tx: &mut Tx<'_>, name: &str) -> Result<(), ControlError> {
    if find(tx, name).is_some() {
        return Err(ControlError::Exists { what: format!("account {name}"), detail: "" });
    }
    let (domain, project) = (DomainId::random(), ProjectId::random());
    tx.put(&Account { domain, project, name: Name::new("name", name)?, created_at: tx.now });
    Ok(())
}

fn find(tx: &Tx<'_>, name: &str) -> Option<DomainId> {
    tx.state.accounts.iter().find(|account| account.name.as_str() == name).map(|account| account.domain)
}

/// A ledger over a gated store, and both ends of the gate.
struct Gate {
    ledger: Ledger,
    arrived: Mutex<Receiver<usize>>,
    verdicts: Sender<Verdict>,
    _dir: tempfile::TempDir,
}

impl Gate {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ((arrived, at_gate), (verdicts, told)) = (channel(), channel());
        let store = EmbeddedStore::open(dir.path()).unwrap();
        let store = GatedStore { store, arrived: Mutex::new(arrived), verdicts: Mutex::new(told) };
        let ledger = Ledger::load(Arc::new(store), &"r".parse().unwrap(), None).unwrap();
        Self { ledger, arrived: Mutex::new(at_gate), verdicts, _dir: dir }
    }

    fn create(&self, name: &str) -> Result<Revision, String> {
        let written = self.ledger.write(&Author::vpcepd(), |tx| create(tx, name));
        written.map(|written| written.version).map_err(|error| error.to_string())
    }

    /// Waits until a commit is at the gate; answers how many writes it has.
    fn at_gate(&self) -> usize {
        self.arrived.lock().unwrap().recv_timeout(Duration::from_secs(10)).expect("a commit arrives")
    }

    /// Waits until this many operations have been drafted.
    fn until_drafted(&self, accounts: usize) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.ledger.draft().state.accounts.len() < accounts {
            assert!(Instant::now() < deadline, "the operations were not drafted");
            thread::yield_now();
        }
    }

    fn published(&self) -> usize {
        self.ledger.state().accounts.len()
    }
}

#[test]
fn what_gathers_during_a_commit_is_one_commit_and_seen_when_it_is_durable() {
    let gate = Gate::new();
    thread::scope(|scope| {
        let first = scope.spawn(|| gate.create("first"));
        let alone = gate.at_gate();
        let others: Vec<_> = (0..9)
            .map(|n| {
                scope.spawn({
                    let gate = &gate;
                    move || gate.create(&format!("a{n}"))
                })
            })
            .collect();
        gate.until_drafted(10);
        assert_eq!(gate.published(), 0, "nothing is told before it is durable");
        gate.verdicts.send(Verdict::Pass).unwrap();
        assert_eq!(first.join().unwrap(), Ok(1));
        let together = gate.at_gate();
        assert_eq!(together, alone * 9, "nine operations in one commit");
        assert_eq!(gate.published(), 1);
        gate.verdicts.send(Verdict::Pass).unwrap();
        for other in others {
            assert_eq!(other.join().unwrap(), Ok(2));
        }
        assert_eq!(gate.published(), 10);
    });
}

#[test]
fn an_operation_sees_those_before_it_and_fails_with_what_it_was_built_on() {
    for verdict in [Verdict::Fail, Verdict::Panic] {
        let gate = Gate::new();
        thread::scope(|scope| {
            let first = scope.spawn(|| gate.create("a"));
            gate.at_gate();
            assert_eq!(gate.create("a"), Err("account a already exists".into()), "drafted counts");
            let second = scope.spawn(|| gate.create("b"));
            gate.until_drafted(2);
            gate.verdicts.send(verdict).unwrap();
            assert!(first.join().unwrap().is_err(), "{verdict:?}");
            assert!(second.join().unwrap().is_err(), "{verdict:?}: drafted on top of what failed");
        });
        assert_eq!(gate.published(), 0);
        gate.verdicts.send(Verdict::Pass).unwrap();
        assert_eq!(gate.create("a"), Ok(1), "{verdict:?}: the store was opened again");
        assert_eq!(gate.published(), 1);
        assert_eq!(gate.ledger.failure(), None);
    }
}

#[test]
fn an_operation_that_writes_nothing_waits_for_what_it_has_seen() {
    let gate = Gate::new();
    thread::scope(|scope| {
        let write = scope.spawn(|| gate.create("a"));
        gate.at_gate();
        let look = scope.spawn(|| gate.ledger.write(&Author::vpcepd(), |tx| Ok(tx.state.accounts.len())));
        gate.until_drafted(1);
        gate.verdicts.send(Verdict::Pass).unwrap();
        write.join().unwrap().unwrap();
        let looked = look.join().unwrap().unwrap();
        assert_eq!((looked.value, looked.version), (1, 1));
        // Nothing outstanding: it commits nothing, or this would hang.
        assert_eq!(gate.ledger.write(&Author::vpcepd(), |tx| Ok(tx.state.revision)).unwrap().value, 1);
    });
}

#[test]
fn several_changes_of_one_object_in_a_batch_are_its_last() {
    let gate = Gate::new();
    let change = |work: fn(&mut Tx<'_>) -> Result<(), ControlError>| {
        gate.ledger.write(&Author::vpcepd(), work).map(drop)
    };
    let make: fn(&mut Tx<'_>) -> _ = |tx| create(tx, "a");
    let delete: fn(&mut Tx<'_>) -> _ = |tx| {
        let id = find(tx, "a").expect("it was drafted");
        tx.delete::<Account>(id);
        Ok(())
    };
    thread::scope(|scope| {
        let first = scope.spawn(|| gate.create("x"));
        gate.at_gate();
        let created = scope.spawn(|| change(make));
        gate.until_drafted(2);
        let deleted = scope.spawn(|| change(delete));
        let deadline = Instant::now() + Duration::from_secs(10);
        while gate.ledger.draft().state.accounts.len() > 1 {
            assert!(Instant::now() < deadline, "the deletion was not drafted");
        }
        gate.verdicts.send(Verdict::Pass).unwrap();
        first.join().unwrap().unwrap();
        gate.at_gate();
        gate.verdicts.send(Verdict::Pass).unwrap();
        created.join().unwrap().unwrap();
        deleted.join().unwrap().unwrap();
    });
    assert_eq!(gate.published(), 1);
    let again = gate.ledger.store.list("accounts/").unwrap().0;
    assert_eq!(again.len(), 1, "{again:?}");
}

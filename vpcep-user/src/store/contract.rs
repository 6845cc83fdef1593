//! What every store must do, as a suite any store can be put through.
//!
//! Panics with the rule that is broken; made to be called from a store's tests.

use super::{Revision, Store, StoreError, Write};

fn put(key: &str, expected: Option<Revision>, value: &str) -> Write {
    Write { key: key.into(), expected, value: Some(value.as_bytes().to_vec()) }
}

fn remove(key: &str, expected: Option<Revision>) -> Write {
    Write { key: key.into(), expected, value: None }
}

fn keys(store: &impl Store, prefix: &str) -> Vec<String> {
    let (records, _) = store.list(prefix).expect("a list of a healthy store succeeds");
    records.into_iter().map(|record| record.key).collect()
}

fn commit(store: &impl Store, writes: &[Write]) -> Revision {
    store.commit(writes).expect("a commit without conflict succeeds")
}

/// Runs the whole suite; `open` makes a new, empty store each time.
///
/// # Panics
/// When the store breaks a rule.
pub fn check<S: Store>(open: impl Fn() -> S) {
    an_empty_store_has_nothing_at_revision_zero(&open());
    revisions_rise_by_one_and_version_what_they_wrote(&open());
    lists_hold_exactly_the_prefix_in_order(&open());
    conflicts_change_nothing(&open());
    a_reopened_store_goes_on_where_it_was(&open());
}

fn an_empty_store_has_nothing_at_revision_zero(store: &impl Store) {
    assert_eq!(store.get("a").expect("an empty store can be read"), None);
    assert_eq!(store.list("").expect("an empty store can be listed"), (vec![], 0));
}

fn revisions_rise_by_one_and_version_what_they_wrote(store: &impl Store) {
    let first = commit(store, &[put("a", None, "1"), put("b", None, "1")]);
    let second = commit(store, &[put("a", Some(first), "2")]);
    assert_eq!((first, second), (1, 2), "revisions rise by one");
    let version = |key| store.get(key).expect("readable").map(|record| (record.version, record.value));
    assert_eq!(version("a"), Some((second, b"2".to_vec())), "a written record has the new version");
    assert_eq!(version("b"), Some((first, b"1".to_vec())), "another record keeps its version");
    let third = commit(store, &[remove("a", Some(second))]);
    assert_eq!(version("a"), None, "a removed record is gone");
    let fourth = commit(store, &[put("a", None, "3")]);
    assert_eq!(version("a"), Some((fourth, b"3".to_vec())), "a removed key can be made again");
    assert!(fourth > third);
}

fn lists_hold_exactly_the_prefix_in_order(store: &impl Store) {
    commit(store, &[put("b/2", None, ""), put("b/1", None, ""), put("a/1", None, ""), put("b0", None, "")]);
    assert_eq!(keys(store, "b/"), ["b/1", "b/2"]);
    assert_eq!(keys(store, ""), ["a/1", "b/1", "b/2", "b0"]);
    assert_eq!(keys(store, "c"), Vec::<String>::new());
}

fn conflicts_change_nothing(store: &impl Store) {
    let first = commit(store, &[put("a", None, "1")]);
    let cases = [
        ("made twice", put("a", None, "2"), None, Some(first)),
        ("stale", put("a", Some(first + 7), "2"), Some(first + 7), Some(first)),
        ("gone", put("b", Some(first), "2"), Some(first), None),
        ("stale removal", remove("a", None), None, Some(first)),
    ];
    for (what, write, based_on, there) in cases {
        let key = write.key.clone();
        match store.commit(&[put("other", None, "x"), write]) {
            Err(StoreError::Conflict { key: named, expected, found }) => {
                assert_eq!(
                    (named, expected, found),
                    (key, based_on, there),
                    "{what}: the conflict is described"
                );
            }
            other => panic!("{what}: expected a conflict, got {other:?}"),
        }
        assert_eq!(keys(store, ""), ["a"], "{what}: a conflict undoes the whole commit");
    }
    assert_eq!(store.list("").expect("readable").1, first, "a conflict uses up no revision");
}

fn a_reopened_store_goes_on_where_it_was(store: &impl Store) {
    let first = commit(store, &[put("a", None, "1")]);
    store.reopen().expect("a healthy store can be opened again");
    assert_eq!(keys(store, ""), ["a"], "what was committed is there");
    let second = commit(store, &[put("a", Some(first), "2")]);
    assert_eq!(second, first + 1, "revisions go on");
}

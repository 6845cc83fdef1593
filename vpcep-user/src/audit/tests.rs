use std::io::Write as _;

use serde_json::json;

use super::*;

const RETENTION: Retention = Retention { max_bytes: 2000, files: 100 };

fn at(second: u64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn tenant(project: &str) -> Author {
    Author {
        role: Some("member".into()),
        project_id: Some(project.into()),
        request_id: Some("r".into()),
        method: Some("POST".into()),
        path: Some(format!("/v1/{project}/vpcs/v1")),
        ..Author::vpcepd()
    }
}

fn change(id: &str, project: &str) -> Change {
    let after = Some(json!({"id": id, "project": project}));
    Change { action: Action::Create, kind: "vpc".into(), id: id.into(), before: None, after }
}

fn all(log: &AuditLog) -> Found {
    log.find(&Query { limit: 1000, ..Query::default() }).unwrap()
}

#[test]
fn records_are_read_back_newest_first_across_files_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    for revision in 1..=20 {
        // Opened anew each time: a restart loses nothing and repeats nothing.
        let log = AuditLog::open(dir.path(), RETENTION).unwrap();
        log.committed(at(revision), &tenant("p"), revision, vec![change(&revision.to_string(), "p")]);
    }
    assert!(dir.path().join("audit.log.2").exists(), "the limit of a file was reached");
    let log = AuditLog::open(dir.path(), RETENTION).unwrap();
    let Found { records, unreadable } = all(&log);
    let revisions: Vec<_> = records.iter().filter_map(|record| record.revision).collect();
    assert_eq!(revisions, (1..=20).rev().collect::<Vec<_>>());
    assert_eq!(unreadable, 0);
    assert!(records.iter().all(|record| record.unrecorded.is_none()), "{records:?}");
    let newest = log.find(&Query { limit: 3, ..Query::default() }).unwrap().records;
    assert_eq!(newest, records[..3]);
    assert_eq!(newest[0].time, "1970-01-01T00:00:20.000000Z");
    assert_eq!(newest[0].changes, [change("20", "p")]);
}

#[test]
fn commits_without_a_line_are_counted_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let open = || AuditLog::open(dir.path(), RETENTION).unwrap();
    open().committed(at(1), &Author::vpcepd(), 7, vec![]);
    // What is no commit does not hide the gap.
    open().not_done(at(2), &tenant("p"), 400, None);
    open().committed(at(3), &Author::vpcepd(), 10, vec![]);
    open().committed(at(4), &Author::vpcepd(), 11, vec![]);
    let gaps: Vec<_> =
        all(&open()).records.iter().map(|record| (record.revision, record.unrecorded)).collect();
    assert_eq!(gaps, [(Some(11), None), (Some(10), Some(2)), (None, None), (Some(7), None)]);
}

#[test]
fn many_changes_take_several_lines_of_one_revision() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(dir.path(), RETENTION).unwrap();
    log.committed(at(1), &tenant("p"), 1, vec![]);
    log.committed(at(1), &tenant("p"), 3, (0..130).map(|n| change(&n.to_string(), "p")).collect());
    let records = all(&log).records;
    let shape: Vec<_> =
        records.iter().map(|record| (record.revision, record.unrecorded, record.changes.len())).collect();
    assert_eq!(shape, [(Some(3), None, 2), (Some(3), None, 64), (Some(3), Some(1), 64), (Some(1), None, 0)]);
}

#[test]
fn a_query_finds_what_it_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(dir.path(), RETENTION).unwrap();
    log.committed(at(1), &tenant("a"), 1, vec![change("x", "a")]);
    log.committed(at(2), &Author::vpcepd(), 2, vec![change("y", "b")]);
    log.not_done(at(3), &tenant("b"), 400, Some("EndPoint.3009".into()));
    log.not_done(at(4), &Author { account: Some("acme".into()), ..tenant("c") }, 500, None);
    let query = || Query { limit: 10, ..Query::default() };
    let account =
        |names: &[&str]| Query { account: Some(names.iter().map(ToString::to_string).collect()), ..query() };
    let object = |id: &str| Query { object: Some(id.into()), ..query() };
    let cases: &[(&str, Query, &[u64])] = &[
        ("everything", query(), &[4, 3, 2, 1]),
        ("the newest", Query { limit: 2, ..query() }, &[4, 3]),
        ("none", Query { limit: 0, ..query() }, &[]),
        ("from a time on", Query { since: Some(at(3)), ..query() }, &[4, 3]),
        ("before a time", Query { until: Some(at(3)), ..query() }, &[2, 1]),
        ("a caller's own", account(&["a"]), &[1]),
        ("also what others did to what an account owns", account(&["b"]), &[3, 2]),
        ("any name of an account", account(&["acme", "a"]), &[4, 1]),
        ("an object that changed", object("y"), &[2]),
        ("an object in the path", object("v1"), &[4, 3, 1]),
        ("nothing", object("z"), &[]),
    ];
    for (what, query, seconds) in cases {
        let times: Vec<String> = log.find(query).unwrap().records.into_iter().map(|r| r.time).collect();
        let expected: Vec<_> = seconds.iter().map(|second| at(*second).precise().to_string()).collect();
        assert_eq!(times, expected, "{what}");
    }
}

#[test]
fn a_torn_line_is_counted_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    AuditLog::open(dir.path(), RETENTION).unwrap().committed(at(1), &Author::vpcepd(), 1, vec![]);
    let mut file = std::fs::OpenOptions::new().append(true).open(dir.path().join(FILE)).unwrap();
    file.write_all(br#"{"time":"1970-01-01T00:00:02.0000"#).unwrap();
    let log = AuditLog::open(dir.path(), RETENTION).unwrap();
    log.committed(at(3), &Author::vpcepd(), 2, vec![]);
    let Found { records, unreadable } = all(&log);
    assert_eq!((records.len(), unreadable), (2, 1));
}

#[test]
fn neither_strangers_nor_a_user_can_fill_the_log_with_refusals() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(dir.path(), Retention { max_bytes: 1 << 20, files: 1 }).unwrap();
    let ann = Author { user: Some("ann".into()), ..tenant("p") };
    let bob = Author { user: Some("bob".into()), ..tenant("p") };
    for (author, status) in [(&Author { role: None, ..tenant("p") }, 401), (&ann, 400)] {
        let before = all(&log).records.len();
        let recorded = (0..limit::PER_MINUTE + 5).filter(|_| log.not_done(at(1), author, status, None));
        assert_eq!(recorded.count(), limit::PER_MINUTE as usize, "{status}");
        assert!(log.not_done(at(2), &bob, 403, None));
        assert!(log.not_done(at(61), author, status, None));
        let records = all(&log).records;
        assert_eq!(records.len() - before, limit::PER_MINUTE as usize + 2);
        assert_eq!((records[0].left_out, records[1].left_out), (Some(5), None));
        assert_eq!((records[0].status, records[1].status), (Some(status), Some(403)));
    }
}

#[test]
fn a_log_that_cannot_be_written_says_so_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let log = AuditLog::open(&state, Retention { max_bytes: 1, files: 1 }).unwrap();
    log.committed(at(1), &Author::vpcepd(), 1, vec![]);
    std::fs::rename(&state, dir.path().join("away")).unwrap();
    log.committed(at(2), &Author::vpcepd(), 2, vec![]);
    assert!(log.failure().is_some());
    std::fs::rename(dir.path().join("away"), &state).unwrap();
    log.committed(at(3), &Author::vpcepd(), 3, vec![]);
    assert_eq!(log.failure(), None);
    assert_eq!(all(&log).records[0].unrecorded, Some(1));
}

#[test]
fn a_path_is_recorded_up_to_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(dir.path(), RETENTION).unwrap();
    let path = format!("/{}", "ä".repeat(MAX_PATH));
    log.not_done(at(1), &Author { path: Some(path.clone()), ..tenant("p") }, 404, None);
    let recorded = all(&log).records[0].author.path.clone().unwrap();
    assert!(path.starts_with(&recorded) && recorded.len() <= MAX_PATH && recorded.len() > MAX_PATH - 4);
}

//! What tags there can be, and which resources a search means.

use super::*;

fn tags(pairs: &[(&str, &str)]) -> Tags {
    Tags::new(pairs.iter().map(|(key, value)| Tag::new(key, value).unwrap()).collect()).unwrap()
}

fn matches(list: &[(&str, &[&str])]) -> TagMatches {
    let one = |(key, values): &(&str, &[&str])| {
        TagMatch::new(key, values.iter().map(|v| (*v).into()).collect()).unwrap()
    };
    TagMatches::new(list.iter().map(one).collect()).unwrap()
}

#[test]
fn keys_and_values_are_what_both_clouds_take() {
    let long = |n| "ä".repeat(n);
    for (key, value, wrong) in [
        ("a", "", None),
        (&long(128), &long(255), None),
        ("owner:team", "a/b c@d", None),
        ("", "x", Some("bad tags: a key is empty")),
        (&long(129), "", Some("bad tag key")),
        ("a", &long(256), Some("bad tag value")),
        ("a*", "", Some("bad tag key \"a*\"")),
        ("a", "b,c", Some("bad tag value \"b,c\"")),
        (" a", "", Some("bad tag key \" a\"")),
        ("a", "b ", Some("bad tag value \"b \"")),
        ("a\n", "", Some("bad tag key")),
        ("_sys_x", "", Some("bad tag key \"_sys_x\"")),
    ] {
        match (Tag::new(key, value), wrong) {
            (Ok(_), None) => {}
            (Err(error), Some(start)) => assert!(error.to_string().starts_with(start), "{error}"),
            (other, _) => panic!("{key:?} {value:?}: {other:?}"),
        }
    }
}

#[test]
fn a_resource_has_twenty_tags_each_key_once() {
    let many = |n| (0..n).map(|i| Tag::new(&format!("k{i}"), "").unwrap()).collect::<Vec<_>>();
    assert!(Tags::new(many(20)).is_ok());
    assert_eq!(Tags::new(many(21)), Err(ModelError::TooManyTags { count: 21 }));
    let twice = vec![Tag::new("a", "1").unwrap(), Tag::new("a", "2").unwrap()];
    assert_eq!(Tags::new(twice), Err(ModelError::TagDuplicate { key: "a".into() }));
    let full = Tags::new(many(20)).unwrap();
    assert!(full.clone().with(tags(&[("k3", "new")])).is_ok(), "a known key needs no room");
    assert_eq!(full.with(tags(&[("new", "")])), Err(ModelError::TooManyTags { count: 21 }));
}

#[test]
fn adding_changes_values_and_removing_takes_what_is_named() {
    let start = tags(&[("a", "1"), ("b", "2")]);
    assert_eq!(
        start.clone().with(tags(&[("b", "3"), ("c", "")])).unwrap(),
        tags(&[("a", "1"), ("b", "3"), ("c", "")])
    );
    for (key, value, left) in [
        ("a", None, &[("b", "2")][..]),
        ("a", Some("1"), &[("b", "2")]),
        ("a", Some("2"), &[("a", "1"), ("b", "2")]),
        ("x", None, &[("a", "1"), ("b", "2")]),
    ] {
        let removal = TagRemoval::new(key, value).unwrap();
        assert_eq!(start.clone().without(&[removal]), tags(left), "{key} {value:?}");
    }
}

#[test]
fn every_condition_of_a_search_counts() {
    let a1 = || matches(&[("a", &["1"])]);
    let a1b2 = || matches(&[("a", &["1"]), ("b", &["2"])]);
    let queries = [
        ("nothing", TagQuery::default()),
        ("all", TagQuery { all: a1b2(), ..TagQuery::default() }),
        ("any", TagQuery { any: a1b2(), ..TagQuery::default() }),
        ("not all", TagQuery { not_all: a1b2(), ..TagQuery::default() }),
        ("not any", TagQuery { not_any: a1b2(), ..TagQuery::default() }),
        ("any value", TagQuery { all: matches(&[("a", &[])]), ..TagQuery::default() }),
        ("one of two values", TagQuery { all: matches(&[("a", &["1", "3"])]), ..TagQuery::default() }),
        ("both kinds", TagQuery { all: a1(), not_any: matches(&[("b", &[])]), ..TagQuery::default() }),
        ("no tags at all", TagQuery { all: a1(), without_any: true, ..TagQuery::default() }),
    ];
    let resources =
        [tags(&[]), tags(&[("a", "1")]), tags(&[("a", "1"), ("b", "2")]), tags(&[("a", "3"), ("c", "")])];
    let found: Vec<_> = queries
        .iter()
        .map(|(what, query)| {
            let found = resources.iter().map(|tags| if query.admits(tags) { 'x' } else { '-' });
            (*what, found.collect::<String>())
        })
        .collect();
    let expected = [
        ("nothing", "xxxx"),
        ("all", "--x-"),
        ("any", "-xx-"),
        ("not all", "xx-x"),
        ("not any", "x--x"),
        ("any value", "-xxx"),
        ("one of two values", "-xxx"),
        ("both kinds", "-x--"),
        ("no tags at all", "x---"),
    ];
    assert_eq!(found, expected.map(|(what, found)| (what, found.to_owned())));
}

#[test]
fn a_search_has_bounds() {
    let twice = TagMatch::new("a", vec!["1".into(), "1".into()]);
    assert_eq!(twice, Err(ModelError::TagValueDuplicate { key: "a".into(), value: "1".into() }));
    let many = |n| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
    assert!(TagMatch::new("a", many(20)).is_ok());
    assert_eq!(
        TagMatch::new("a", many(21)),
        Err(ModelError::TooManyTagMatches { what: "values", count: 21 })
    );
    let keys = |n| TagMatches::new(many(n).iter().map(|k| TagMatch::new(k, vec![]).unwrap()).collect());
    assert!(keys(20).is_ok());
    assert_eq!(keys(21), Err(ModelError::TooManyTagMatches { what: "keys", count: 21 }));
}

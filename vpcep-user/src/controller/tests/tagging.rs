//! Tags of both kinds of object.

use super::*;
use crate::controller::tags::{self, Tagged};
use crate::model::{Tag, TagMatch, TagMatches, TagQuery, TagRemoval};

fn tag_list(pairs: &[(&str, &str)]) -> Tags {
    Tags::new(pairs.iter().map(|(key, value)| Tag::new(key, value).unwrap()).collect()).unwrap()
}

fn query(key: &str) -> TagQuery {
    let all = TagMatches::new(vec![TagMatch::new(key, vec![]).unwrap()]).unwrap();
    TagQuery { all, ..TagQuery::default() }
}

fn found<T: Tagged>(bench: &Bench, query: &TagQuery, name: Option<&str>) -> usize
where
    T::Id: Send,
{
    bench.controller.read(|state| tags::search::<T>(state, ALL, query, name).len())
}

#[test]
fn services_and_endpoints_are_tagged_and_found() {
    let bench = Bench::new();
    let (service, endpoint) = (bench.service.id, bench.endpoint().value.id);
    let write = |tags: &Tags| {
        bench.controller.write(|tx| tags::add::<Service>(tx, ALL, service, tags.clone())).unwrap();
        bench.controller.write(|tx| tags::add::<Endpoint>(tx, ALL, endpoint, tags.clone())).unwrap();
    };
    write(&tag_list(&[("team", "a"), ("cost", "1")]));
    assert_eq!(
        (found::<Service>(&bench, &query("team"), None), found::<Endpoint>(&bench, &query("x"), None)),
        (1, 0)
    );
    let (whole, part) = (service.to_string().to_uppercase(), &endpoint.to_string()[..6]);
    assert_eq!(found::<Service>(&bench, &query("team"), Some(&whole)), 1, "in any case");
    assert_eq!(found::<Endpoint>(&bench, &query("team"), Some(part)), 1, "without a name the id counts");
    assert_eq!(found::<Endpoint>(&bench, &query("team"), Some("other")), 0);

    let before = bench.controller.desired().version;
    write(&tag_list(&[("team", "a")]));
    assert_eq!(bench.controller.desired().version, before, "what is so already is not written");

    let removal = [TagRemoval::new("team", Some("a")).unwrap(), TagRemoval::new("absent", None).unwrap()];
    bench.controller.write(|tx| tags::remove::<Endpoint>(tx, ALL, endpoint, &removal)).unwrap();
    let left = bench.controller.read(|state| {
        let of = |all: std::collections::BTreeMap<&str, _>| {
            all.keys().map(ToString::to_string).collect::<Vec<_>>()
        };
        (of(tags::summary::<Service>(state, ALL)), of(tags::summary::<Endpoint>(state, ALL)))
    });
    assert_eq!(left, (vec!["cost".into(), "team".into()], vec!["cost".to_owned()]));
}

#[test]
fn tags_of_others_and_of_what_is_on_its_way_out_stay_as_they_are() {
    let bench = Bench::new();
    let endpoint = bench.endpoint().value.id;
    let stranger = Scope::Project(ProjectId::random());
    let add = |scope| {
        bench.controller.write(|tx| tags::add::<Endpoint>(tx, scope, endpoint, tag_list(&[("a", "")])))
    };
    assert!(matches!(add(stranger), Err(ControlError::NotFound { .. })));
    assert_eq!(
        bench.controller.read(|s| tags::search::<Endpoint>(s, stranger, &TagQuery::default(), None).len()),
        0
    );
    bench.controller.write(|tx| endpoints::delete(tx, ALL, endpoint)).unwrap();
    assert!(matches!(add(ALL), Err(ControlError::Connection { .. })));
    let service = bench.service.id;
    bench.pass();
    bench.controller.write(|tx| services::delete(tx, ALL, service)).unwrap();
    let refused = bench.controller.write(|tx| tags::add::<Service>(tx, ALL, service, tag_list(&[("a", "")])));
    assert!(matches!(refused, Err(ControlError::ServiceFrozen { .. })));
}

//! Lists: filters, order and pages; and what anybody may look up.

use serde_json::{Value, json};

use super::{Client, ENDPOINTS, SERVICES, World, id, service_body};
use crate::datapath::SessionInfo;

async fn three_services(me: &Client) -> Vec<String> {
    let vpc = me.vpc("192.168.24.0/24").await;
    let mut ids = Vec::new();
    for (name, address) in [("alpha", "192.168.24.1"), ("Beta", "192.168.24.2"), ("gamma", "192.168.24.3")] {
        let backend = me.backend(&vpc, address).await;
        let mut body = service_body(&vpc, &backend, true);
        body["service_name"] = name.into();
        ids.push(id(&me.ok("POST", SERVICES, body).await));
    }
    me.settle().await;
    ids
}

#[tokio::test]
async fn service_lists_filter_sort_and_page() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let ids = three_services(&me).await;
    let (a, b, c) = (ids[0].as_str(), ids[1].as_str(), ids[2].as_str());
    me.ok("PUT", &format!("{SERVICES}/{a}"), json!({"description": "new"})).await;
    let full_name = format!("endpoint_service_name=eu.Beta.{b}");
    let by_id = format!("id={c}");
    for (query, rows, total) in [
        ("", &[c, b, a][..], 3),
        ("sort_dir=asc", &[a, b, c][..], 3),
        ("sort_key=create_at&sort_dir=asc", &[a, b, c][..], 3),
        ("sort_key=updated_at&limit=1", &[a][..], 3),
        ("sort_key=update_at&limit=1", &[a][..], 3),
        ("limit=2", &[c, b][..], 3),
        ("limit=2&offset=2", &[a][..], 3),
        ("limit=0", &[][..], 3),
        ("limit=1&limit=2", &[c][..], 3),
        ("limit=&limit=1&status=", &[c][..], 3),
        ("offset=9", &[][..], 3),
        ("endpoint_service_name=BETA", &[b][..], 1),
        (full_name.as_str(), &[b][..], 1),
        (by_id.as_str(), &[c][..], 1),
        ("id=nothing", &[][..], 0),
        ("status=available", &[c, b, a][..], 3),
        ("status=failed", &[][..], 0),
    ] {
        let answer = me.get(&format!("{SERVICES}?{query}")).await;
        let found: Vec<_> = answer["endpoint_services"].as_array().unwrap().iter().map(id).collect();
        assert_eq!(found, rows, "{query}");
        assert_eq!(answer["total_count"], total, "{query}");
    }
}

#[tokio::test]
async fn ten_rows_are_the_default_page() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let service = me.service(true).await;
    for _ in 0..11 {
        me.endpoint(&service, &vpc, &subnet).await;
    }
    for path in [ENDPOINTS.to_owned(), format!("{SERVICES}/{service}/connections")] {
        let answer = me.get(&path).await;
        let rows = answer.get("endpoints").or(answer.get("connections")).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 10, "{path}");
        assert_eq!(answer["total_count"], 11, "{path}");
    }
    let marker = me.get(&format!("{SERVICES}/{service}/connections?marker_id=3")).await;
    assert_eq!(marker["connections"][0]["marker_id"], 3);
    assert_eq!(marker["total_count"], 1);
    let none = me.get(&format!("{SERVICES}/{service}/connections?status=accepted")).await;
    assert_eq!(none["total_count"], 0);
    let by_vpc = me.get(&format!("{ENDPOINTS}?vpc_id={vpc}&endpoint_service_name=web&limit=100")).await;
    assert_eq!(by_vpc["total_count"], 11);
}

#[tokio::test]
async fn anybody_may_look_up_a_service_whose_name_or_id_they_have() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (owner, other) = (world.account("owner").await, world.account("other").await);
    let service = owner.service(true).await;
    for query in [format!("id={service}"), format!("endpoint_service_name=eu.web.{service}")] {
        let answer = other.get(&format!("{SERVICES}/describe?{query}")).await;
        assert_eq!(answer["id"], service.as_str());
        assert_eq!(answer["is_charge"], false);
        assert_eq!(answer.get("port_id"), None, "nothing of the inside is shown");
    }
    let renamed = owner
        .ok("PUT", &format!("{SERVICES}/{service}/name"), json!({"endpoint_service_name": "shop"}))
        .await;
    assert_eq!(renamed, json!({"endpoint_service_name": format!("eu.shop.{service}")}));
    let wrong = ["eu.web.", "eu.", "", "us.shop.", "eu.shop.x."];
    let wrong = wrong.map(|front| format!("endpoint_service_name={front}{service}"));
    for query in wrong.into_iter().chain(["id=x".into(), "endpoint_service_name=eu.shop.".into()]) {
        let path = format!("{SERVICES}/describe?{query}");
        assert_eq!(other.refused("GET", &path, Value::Null).await, (404, "0005".into()));
    }
    let public = other.get(&format!("{SERVICES}/public")).await;
    assert_eq!(public, json!({"endpoint_services": [], "total_count": 0}));
}

#[tokio::test]
async fn permissions_are_kept_once_and_removed_by_text_or_id() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let service = me.service(true).await;
    let path = format!("{SERVICES}/{service}/permissions");
    let action = format!("{path}/action");
    for _ in 0..2 {
        me.ok("POST", &action, json!({"permissions": ["*", "iam:domain::0a"], "action": "add"})).await;
    }
    assert_eq!(me.get(&path).await["total_count"], 2, "adding twice is fine");
    let new = json!({"permissions": [{"permission": "organizations:orgPath::o/*", "description": "team"}]});
    let made = me.ok("POST", &format!("{path}/batch-create"), new).await["permissions"][0].clone();
    assert_eq!((&made["permission_type"], &made["description"]), (&json!("orgPath"), &json!("team")));
    let note = json!({"permission": {"description": "crew"}});
    let noted = me.ok("PUT", &format!("{path}/{}", id(&made)), note).await;
    assert_eq!(noted["permissions"][0]["description"], "crew");
    assert_eq!(me.get(&format!("{path}?permission=ORGPATH")).await["total_count"], 1);
    me.ok("POST", &action, json!({"permissions": ["iam:domain::*", "iam:domain::0"], "action": "remove"}))
        .await;
    let body = json!({"permissions": [{"id": id(&made)}]});
    me.ok("POST", &format!("{path}/batch-delete"), body.clone()).await;
    assert_eq!(me.refused("POST", &format!("{path}/batch-delete"), body).await, (404, "0005".into()));
    let left = me.get(&path).await;
    assert_eq!(left["permissions"][0]["permission"], "iam:domain::0a");
    assert_eq!(left["total_count"], 1);
}

#[tokio::test]
async fn provider_and_consumer_each_keep_their_own_note() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/24").await;
    let subnet = me.subnet(&vpc, "10.0.0.0/24").await;
    let service = me.service(true).await;
    let endpoint = id(&me.endpoint(&service, &vpc, &subnet).await);
    let notes = json!({"connections": [{"id": endpoint, "description": "customer 7"}]});
    let path = format!("{SERVICES}/{service}/connections/description");
    let answer = me.ok("PUT", &path, notes).await;
    assert_eq!(answer["connections"][0]["description"], "customer 7");
    let note = |text: &str| json!({"id": endpoint, "description": text});
    let twice = json!({"connections": [note("customer 8"), note("customer 9")]});
    let (status, refused) = me.call("PUT", &path, twice).await;
    let message = format!("bad connections: id {endpoint} is given twice, each id may appear once");
    assert_eq!((status, &refused["error_msg"]), (400, &json!(message)));
    assert_eq!(
        me.get(&format!("{SERVICES}/{service}/connections")).await["connections"],
        answer["connections"]
    );
    assert_eq!(me.show_endpoint(&endpoint).await["description"], "");
}

#[tokio::test]
async fn versions_need_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let stranger = world.stranger(None);
    assert_eq!(stranger.get("/").await["versions"][0]["id"], "v1");
    assert_eq!(stranger.get("/v1").await["version"]["status"], "CURRENT");
}

/// There was a look at the whole table for each endpoint of the caller.
#[tokio::test]
async fn sessions_of_all_endpoints_are_one_list_and_one_look() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (me, other) = (world.account("me").await, world.account("other").await);
    let mut ids = Vec::new();
    for client in [&me, &other] {
        let vpc = client.vpc("10.0.0.0/24").await;
        let subnet = client.subnet(&vpc, "10.0.0.0/24").await;
        let service = client.service(false).await;
        for _ in 0..2 {
            ids.push(id(&client.endpoint(&service, &vpc, &subnet).await));
        }
    }
    let session = |endpoint: &str, age_secs| SessionInfo {
        endpoint: endpoint.parse().unwrap(),
        protocol: 6,
        client: "10.0.0.7:40000".parse().unwrap(),
        destination: "10.0.0.1:80".parse().unwrap(),
        source: "198.19.128.1:40000".parse().unwrap(),
        backend: "192.168.24.10:8080".parse().unwrap(),
        state: "established".into(),
        age_secs,
        idle_secs: 0,
    };
    let [a, b, c, _] = ids.as_slice() else { panic!("four endpoints") };
    world.datapath.hold(vec![session(a, 9), session(b, 5), session(c, 1), session(a, 3)]);
    let one = format!("&endpoint_id={a}");
    for (client, query, ages, total) in [
        (&me, "", &[3, 5, 9][..], 3),
        (&me, "&limit=1&offset=1", &[5][..], 3),
        (&me, one.as_str(), &[3, 9][..], 2),
        (&other, "", &[1][..], 1),
        (&world.operator(), "", &[1, 3, 5, 9][..], 4),
    ] {
        let looks = world.datapath.looks();
        let answer = client.get(&format!("/v1/{{p}}/sessions?{query}")).await;
        let rows = answer["sessions"].as_array().unwrap();
        let found: Vec<_> = rows.iter().map(|row| row["age_secs"].as_u64().unwrap()).collect();
        assert_eq!((found.as_slice(), answer["total_count"].as_u64()), (ages, Some(total)), "{query}");
        assert_eq!(world.datapath.looks(), looks + 1, "{query}");
    }
}

//! VPCs, subnets, route tables and ports in the shapes of the network's API.

use serde_json::{Value, json};

use super::{SERVICES, World, id, with};

#[tokio::test]
async fn networks_have_the_fields_clients_read() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let body = json!({"vpc": {"cidr": "10.0.0.0/16", "description": "mine"}});
    let vpc = me.ok("POST", "/v1/{p}/vpcs", body).await["vpc"].clone();
    assert_eq!(vpc["name"], format!("vpc-{}", &id(&vpc)[..8]));
    for (field, value) in [
        ("description", json!("mine")),
        ("status", json!("OK")),
        ("routes", json!([])),
        ("enterprise_project_id", json!("0")),
    ] {
        assert_eq!(vpc[field], value, "{field}");
    }
    let path = format!("/v1/{{p}}/vpcs/{}", id(&vpc));
    let change = json!({"vpc": {"name": "renamed", "cidr": "10.0.0.0/16"}});
    let changed = me.ok("PUT", &path, change).await["vpc"].clone();
    assert_eq!((&changed["name"], &changed["description"]), (&json!("renamed"), &json!("mine")));
    let other_range = json!({"vpc": {"cidr": "10.0.0.0/8"}});
    assert_eq!(me.refused("PUT", &path, other_range).await, (400, "0002".into()));

    let body = json!({"subnet": {
        "name": "front", "cidr": "10.0.1.0/24", "vpc_id": vpc["id"], "gateway_ip": "10.0.1.1", "dhcp_enable": false,
        "primary_dns": "9.9.9.9", "secondary_dns": "", "availability_zone": "eu-01",
    }});
    let subnet = me.ok("POST", "/v1/{p}/subnets", body).await["subnet"].clone();
    for (field, value) in [
        ("gateway_ip", json!("10.0.1.1")),
        ("dhcp_enable", json!(false)),
        ("primary_dns", json!("9.9.9.9")),
        ("secondary_dns", Value::Null),
        ("dnsList", json!(["9.9.9.9"])),
        ("availability_zone", json!("eu-01")),
        ("status", json!("ACTIVE")),
        ("neutron_network_id", subnet["id"].clone()),
        ("neutron_subnet_id", subnet["id"].clone()),
    ] {
        assert_eq!(subnet[field], value, "{field}");
    }
    let of_vpc = format!("/v1/{{p}}/vpcs/{}/subnets/{}", id(&vpc), id(&subnet));
    let change = json!({"subnet": {"name": "back", "dnsList": ["1.1.1.1", "8.8.8.8"]}});
    let changed = me.ok("PUT", &of_vpc, change.clone()).await["subnet"].clone();
    assert_eq!((&changed["name"], &changed["secondary_dns"]), (&json!("back"), &json!("8.8.8.8")));
    assert_eq!(changed["dhcp_enable"], false, "what is absent stays");
    let elsewhere = format!("/v1/{{p}}/vpcs/{}/subnets/{}", me.vpc("10.0.0.0/8").await, id(&subnet));
    assert_eq!(me.refused("PUT", &elsewhere, change).await, (404, "0005".into()));
    assert_eq!(me.refused("DELETE", &elsewhere, Value::Null).await, (404, "0005".into()));
    me.ok("DELETE", &of_vpc, Value::Null).await;
    me.ok("DELETE", &path, Value::Null).await;
}

#[tokio::test]
async fn bad_networks_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let vpc = me.vpc("10.0.0.0/16").await;
    let good = json!({"name": "s", "cidr": "10.0.1.0/24", "vpc_id": vpc});
    for (field, value, code) in [
        ("gateway_ip", json!("10.0.2.1"), "3010"),
        ("gateway_ip", json!("10.0.1.255"), "3010"),
        ("gateway_ip", json!("x"), "3010"),
        ("dnsList", json!(["1.1.1.1", "1.1.1.1"]), "0002"),
        ("dnsList", json!(["x"]), "3010"),
        ("primary_dns", json!("x"), "3010"),
        ("cidr", json!("198.19.128.0/24"), "3009"),
        ("cidr", json!("10.1.0.0/24"), "3009"),
        ("name", json!(""), "0002"),
        ("vpc_id", json!(""), "0020"),
        ("description", json!("<"), "0002"),
    ] {
        let body = json!({"subnet": with(&good, field, value.clone())});
        assert_eq!(me.refused("POST", "/v1/{p}/subnets", body).await, (400, code.into()), "{field} {value}");
    }
    let reserved = json!({"vpc": {"name": "v", "cidr": "198.19.0.0/16"}});
    assert_eq!(me.refused("POST", "/v1/{p}/vpcs", reserved).await, (400, "3009".into()));
}

#[tokio::test]
async fn lists_go_on_after_their_marker() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let me = world.account("me").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(me.vpc("10.0.0.0/24").await);
    }
    let mut seen = Vec::new();
    let mut marker = String::new();
    loop {
        let page = me.get(&format!("/v1/{{p}}/vpcs?limit=2&marker={marker}")).await;
        assert_eq!(page["total_count"], 3);
        let rows: Vec<_> = page["vpcs"].as_array().unwrap().iter().map(id).collect();
        let Some(last) = rows.last().cloned() else { break };
        seen.extend(rows);
        marker = last;
    }
    assert_eq!(seen, ids);
    for list in ["vpcs", "subnets", "ports", "routetables"] {
        let path = format!("/v1/{{p}}/{list}?marker=x");
        assert_eq!(me.refused("GET", &path, Value::Null).await, (400, "0002".into()), "{list}");
    }
}

#[tokio::test]
async fn a_port_is_a_backend() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (me, other) = (world.account("me").await, world.account("other").await);
    let vpc = me.vpc("10.0.0.0/16").await;
    let subnet = me.subnet(&vpc, "10.0.1.0/24").await;
    let outside = me.backend(&vpc, "10.0.9.9").await;
    let port = me.ok("POST", "/v1/{p}/ports", json!({"port": {"network_id": subnet}})).await["port"].clone();
    let fixed = json!([{"subnet_id": subnet, "ip_address": "10.0.1.253"}]);
    for (field, value) in [
        ("network_id", json!(subnet)),
        ("fixed_ips", fixed),
        ("device_owner", json!("compute:eu")),
        ("admin_state_up", json!(true)),
        ("mac_address", Value::Null),
        ("status", json!("ACTIVE")),
    ] {
        assert_eq!(port[field], value, "{field}");
    }
    let vip = json!({"port": {"network_id": subnet, "name": "vip", "device_owner": "neutron:VIP_PORT",
        "fixed_ips": [{"ip_address": "10.0.1.9"}]}});
    let vip = me.ok("POST", "/v1/{p}/ports", vip).await["port"].clone();
    let backend = me.get(&format!("/v1/{{p}}/backends/{}", id(&vip))).await["backend"].clone();
    assert_eq!((&backend["type"], &backend["address"]), (&json!("VIP"), &json!("10.0.1.9")));
    let shown = me.get(&format!("/v1/{{p}}/ports/{outside}")).await["port"].clone();
    assert_eq!(
        (&shown["network_id"], &shown["fixed_ips"][0]["ip_address"]),
        (&Value::Null, &json!("10.0.9.9"))
    );
    for (query, count) in [
        ("", 3),
        (&*format!("network_id={subnet}"), 2),
        ("device_owner=neutron:VIP_PORT", 1),
        ("name=vip", 1),
        (&format!("id={outside}"), 1),
    ] {
        assert_eq!(me.get(&format!("/v1/{{p}}/ports?{query}")).await["total_count"], count, "{query}");
    }
    assert_eq!(other.get("/v1/{p}/ports").await["total_count"], 0);

    let good = json!({"network_id": subnet});
    for (field, value, refused) in [
        ("network_id", Value::Null, (400, "2002")),
        ("network_id", json!("x"), (400, "0023")),
        ("network_id", json!(vpc), (404, "4008")),
        ("fixed_ips", json!([{"ip_address": "10.0.1.9"}]), (400, "2042")),
        ("fixed_ips", json!([{"ip_address": "10.0.2.9"}]), (400, "2043")),
        ("fixed_ips", json!([{"ip_address": "x"}]), (400, "3010")),
        ("fixed_ips", json!([{}, {}]), (400, "0016")),
        ("fixed_ips", json!([{"subnet_id": vpc}]), (400, "0023")),
        ("device_owner", json!("compute:x"), (400, "0002")),
        ("admin_state_up", json!(false), (400, "0002")),
    ] {
        let found =
            me.refused("POST", "/v1/{p}/ports", json!({"port": with(&good, field, value.clone())})).await;
        assert_eq!(found, (refused.0, refused.1.into()), "{field} {value}");
    }
    let body = json!({"vpc_id": vpc, "port_id": port["id"], "server_type": "VM",
        "ports": [{"client_port": 80, "server_port": 80}]});
    me.ok("POST", SERVICES, body).await;
    let used = format!("/v1/{{p}}/ports/{}", id(&port));
    assert_eq!(me.refused("DELETE", &used, Value::Null).await, (409, "3006".into()));
    me.ok("DELETE", &format!("/v1/{{p}}/ports/{}", id(&vip)), Value::Null).await;
}

#[tokio::test]
async fn route_tables_have_the_fields_clients_read() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (me, other) = (world.account("me").await, world.account("other").await);
    let vpc = me.vpc("10.0.0.0/16").await;
    let (one, two) = (me.subnet(&vpc, "10.0.1.0/24").await, me.subnet(&vpc, "10.0.2.0/24").await);
    let body = json!({"routetable": {"vpc_id": vpc, "description": "mine", "subnets": [{"id": one}]}});
    let table = me.ok("POST", "/v1/{p}/routetables", body).await["routetable"].clone();
    assert_eq!(table["name"], format!("rtb-{}", &id(&table)[..8]));
    for (field, value) in [
        ("default", json!(false)),
        ("vpc_id", json!(vpc)),
        ("routes", json!([])),
        ("subnets", json!([{"id": one}])),
        ("tenant_id", json!(me.project)),
        ("description", json!("mine")),
    ] {
        assert_eq!(table[field], value, "{field}");
    }
    let of_two = me.get(&format!("/v1/{{p}}/routetables?subnet_id={two}")).await["routetables"].clone();
    let default = of_two[0].clone();
    assert_eq!((&default["default"], &default["subnets"]), (&json!(true), &json!([{"id": two}])));
    let path = format!("/v1/{{p}}/routetables/{}", id(&table));
    let action = json!({"routetable": {"subnets": {"associate": [two], "disassociate": [one]}}});
    let changed = me.ok("POST", &format!("{path}/action"), action.clone()).await;
    assert_eq!(changed["routetable"]["subnets"], json!([{"id": two}]));
    let of_default = format!("/v1/{{p}}/routetables/{}", id(&default));
    assert_eq!(me.get(&of_default).await["routetable"]["subnets"], json!([{"id": one}]));
    assert_eq!(me.refused("DELETE", &of_default, Value::Null).await, (409, "3006".into()));
    assert_eq!(me.refused("DELETE", &path, Value::Null).await, (409, "3006".into()), "it has a subnet");
    assert_eq!(other.refused("GET", &path, Value::Null).await, (404, "0005".into()));
    assert_eq!(other.refused("POST", &format!("{path}/action"), action).await, (404, "0005".into()));
    for (field, value, code) in [
        ("routes", json!([{"destination": "0.0.0.0/0"}]), "0002"),
        ("routes", json!({}), "0002"),
        ("subnets", json!([{"id": "x"}]), "0023"),
        ("subnets", json!([{"id": vpc}]), "2037"),
        ("vpc_id", json!(one), "2001"),
        ("vpc_id", Value::Null, "2011"),
    ] {
        let body = json!({"routetable": with(&json!({"vpc_id": vpc}), field, value.clone())});
        assert_eq!(
            me.refused("POST", "/v1/{p}/routetables", body).await,
            (400, code.into()),
            "{field} {value}"
        );
    }
}

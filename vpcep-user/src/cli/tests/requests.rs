//! What each command of the later nouns sends: the last request of a line.

use super::*;

/// Answers that satisfy what a command reads; `{}` where it reads nothing.
const SERVICE: &str = r#"{"id":"s","service_name":"r.s","vpc_id":"v","approval_enabled":false,"status":"available","ports":[]}"#;
const ENDPOINT: &str = r#"{"id":"e","marker_id":1,"status":"creating","endpoint_service_id":"s",
    "endpoint_service_name":"r.s","vpc_id":"v"}"#;
const BACKEND: &str =
    r#"{"backend":{"id":"b","name":"web","vpc_id":"v","port_id":"b","type":"VM","address":"10.0.0.9"}}"#;
const TABLE: &str = r#"{"routetable":{"id":"t","name":"storage","vpc_id":"v","subnets":[]}}"#;
const PORT: &str = r#"{"port":{"id":"p","name":"web"}}"#;
const USER: &str =
    r#"{"id":"u","name":"ann","account":"acme","role":"member","has_password":false,"created_at":"t"}"#;
const USERS: &str = r#"{"users":[{"id":"u1","name":"ann","account":"acme","role":"member","has_password":true,
    "created_at":"t"},{"id":"u2","name":"ann","account":"other","role":"reader","has_password":false,
    "created_at":"t"}],"total_count":2}"#;
const KEY: &str = r#"{"credential":{"access":"AK","secret":"SK","user_id":"u1","create_time":"t"}}"#;
const CONNECTION: &str = r#"{"connections":[{"id":"e","marker_id":1,"domain_id":"d","status":"accepted",
    "created_at":"t"}]}"#;

/// What is typed, what is answered, what is asked last, and its body.
type Case = (&'static str, &'static [&'static str], &'static str, Value);

async fn check(cases: Vec<Case>) {
    for (line, answers, asked_line, asked_body) in cases {
        let line = line.replace("ID", ID);
        let answers: Vec<(u16, &str)> = answers.iter().map(|body| (200, *body)).collect();
        let server = FakeServer::answering(&answers);
        run_on(&server, &line).await.unwrap_or_else(|error| panic!("{line}: {error:#}"));
        assert_eq!(server.asked().len(), answers.len(), "{line}");
        let asked = server.asked().pop().unwrap();
        assert_eq!(asked.line, asked_line.replace("ID", ID), "{line}");
        let body =
            if asked.body.is_empty() { Value::Null } else { serde_json::from_str(&asked.body).unwrap() };
        assert_eq!(body, asked_body, "{line}");
    }
}

#[tokio::test]
async fn of_services() {
    check(vec![
        (
            "service create --type gateway --vpc ID --prefix 100.125.0.0/16 --prefix 100.126.0.0/16 --public --policy",
            &[SERVICE],
            "POST /v1/-/vpc-endpoint-services",
            json!({"vpc_id": ID, "service_type": "gateway", "prefixes": ["100.125.0.0/16", "100.126.0.0/16"],
                "approval_enabled": true, "public": true, "enable_policy": true}),
        ),
        (
            "service create --vpc ID --backend ID --port 80:80 --tag env=prod --tag empty=",
            &[BACKEND, SERVICE],
            "POST /v1/-/vpc-endpoint-services",
            json!({"vpc_id": ID, "port_id": "b", "server_type": "VM", "approval_enabled": true,
                "ports": [{"client_port": 80, "server_port": 80, "protocol": "TCP"}],
                "tags": [{"key": "env", "value": "prod"}, {"key": "empty", "value": ""}]}),
        ),
        (
            "service create --vpc ID --backend ID --port 80:80 --idle-timeout 350 --idle-reset off",
            &[BACKEND, SERVICE],
            "POST /v1/-/vpc-endpoint-services",
            json!({"vpc_id": ID, "port_id": "b", "server_type": "VM", "approval_enabled": true,
                "ports": [{"client_port": 80, "server_port": 80, "protocol": "TCP"}],
                "idle_timeout": 350, "idle_reset": false}),
        ),
        (
            "service create --vpc ID --backend ID --port 80:80 --tcp-proxy open --proxy-profile aws",
            &[BACKEND, SERVICE],
            "POST /v1/-/vpc-endpoint-services",
            json!({"vpc_id": ID, "port_id": "b", "server_type": "VM", "approval_enabled": true,
                "ports": [{"client_port": 80, "server_port": 80, "protocol": "TCP"}],
                "tcp_proxy": "open", "proxy_profile": "aws"}),
        ),
        (
            "service update ID --tcp-proxy toa_open",
            &[SERVICE],
            "PUT /v1/-/vpc-endpoint-services/ID",
            json!({"tcp_proxy": "toa_open"}),
        ),
        (
            "service update ID --idle-timeout 0 --idle-reset on",
            &[SERVICE],
            "PUT /v1/-/vpc-endpoint-services/ID",
            json!({"idle_timeout": 0, "idle_reset": true}),
        ),
        (
            "service rename ID shop",
            &["{}"],
            "PUT /v1/-/vpc-endpoint-services/ID/name",
            json!({"endpoint_service_name": "shop"}),
        ),
        (
            "service tag ID env=prod a=",
            &["{}"],
            "POST /v1/-/endpoint_service/ID/tags/action",
            json!({"action": "create", "tags": [{"key": "env", "value": "prod"}, {"key": "a", "value": ""}]}),
        ),
        (
            "service untag ID env owner=web",
            &["{}"],
            "POST /v1/-/endpoint_service/ID/tags/action",
            json!({"action": "delete", "tags": [{"key": "env"}, {"key": "owner", "value": "web"}]}),
        ),
        (
            "service public",
            &[r#"{"endpoint_services":[],"total_count":0}"#],
            "GET /v1/-/vpc-endpoint-services/public?limit=500",
            Value::Null,
        ),
        (
            "service allow ID iam:domain::x --description ops",
            &["{}"],
            "POST /v1/-/vpc-endpoint-services/ID/permissions/batch-create",
            json!({"permissions": [{"permission": "iam:domain::x", "description": "ops"}]}),
        ),
        (
            "service disallow ID *",
            &["{}"],
            "POST /v1/-/vpc-endpoint-services/ID/permissions/action",
            json!({"permissions": ["*"], "action": "remove"}),
        ),
        (
            "service disallow ID ID",
            &["{}"],
            "POST /v1/-/vpc-endpoint-services/ID/permissions/batch-delete",
            json!({"permissions": [{"id": ID}]}),
        ),
        (
            "service describe-permission ID ID ops",
            &["{}"],
            "PUT /v1/-/vpc-endpoint-services/ID/permissions/ID",
            json!({"permission": {"description": "ops"}}),
        ),
        (
            "service describe-connection ID ID ops",
            &[CONNECTION],
            "PUT /v1/-/vpc-endpoint-services/ID/connections/description",
            json!({"connections": [{"id": ID, "description": "ops"}]}),
        ),
    ])
    .await;
}

#[tokio::test]
async fn of_endpoints() {
    check(vec![
        (
            "endpoint create --service ID --vpc ID --gateway --route-table ID --tag a=b",
            &[ENDPOINT],
            "POST /v1/-/vpc-endpoints",
            json!({"endpoint_service_id": ID, "vpc_id": ID, "routetables": [ID], "whitelist": [],
                "enable_whitelist": false, "tags": [{"key": "a", "value": "b"}]}),
        ),
        (
            "endpoint create --service ID --vpc ID --subnet ID --dns --ip 10.0.0.9",
            &[ENDPOINT],
            "POST /v1/-/vpc-endpoints",
            json!({"endpoint_service_id": ID, "vpc_id": ID, "subnet_id": ID, "port_ip": "10.0.0.9",
                "enable_dns": true, "whitelist": [], "enable_whitelist": false}),
        ),
        (
            "endpoint tag ID a=b",
            &["{}"],
            "POST /v1/-/endpoint/ID/tags/action",
            json!({"action": "create", "tags": [{"key": "a", "value": "b"}]}),
        ),
        (
            "endpoint untag ID a",
            &["{}"],
            "POST /v1/-/endpoint/ID/tags/action",
            json!({"action": "delete", "tags": [{"key": "a"}]}),
        ),
        (
            "endpoint bind ID ID",
            &[ENDPOINT, r#"{"routetables":["t"],"error":[{"bind_failed":[],"unbind_failed":[]}]}"#],
            "PUT /v1/-/vpc-endpoints/e/routetables",
            json!({"routetables": [ID]}),
        ),
        ("endpoint clear-policy ID", &[ENDPOINT], "DELETE /v1/-/vpc-endpoints/ID/policy", Value::Null),
        (
            "endpoint hosts --vpc ID",
            &[r#"{"hosts":[{"name":"n","address":"10.0.0.9"}]}"#],
            "GET /v1/-/vpcs/ID/hosts",
            Value::Null,
        ),
    ])
    .await;
}

#[tokio::test]
async fn of_tags_route_tables_and_ports() {
    check(vec![
        ("tag list service", &[r#"{"tags":[]}"#], "GET /v1/-/endpoint_service/tags", Value::Null),
        (
            "tag search endpoint --tag env=prod,staging --any a --not b= --not-any c --name shop",
            &[r#"{"resources":[],"total_count":0}"#],
            "POST /v1/-/endpoint/resource_instances/action",
            json!({"action": "filter", "limit": "1000", "offset": "0",
                "tags": [{"key": "env", "values": ["prod", "staging"]}], "tags_any": [{"key": "a", "values": []}],
                "not_tags": [{"key": "b", "values": [""]}], "not_tags_any": [{"key": "c", "values": []}],
                "matches": [{"key": "resource_name", "value": "shop"}]}),
        ),
        (
            "tag search service --untagged",
            &[r#"{"resources":[],"total_count":0}"#],
            "POST /v1/-/endpoint_service/resource_instances/action",
            json!({"action": "filter", "limit": "1000", "offset": "0", "without_any_tag": true}),
        ),
        (
            "route-table create storage --vpc ID --subnet ID",
            &[TABLE],
            "POST /v1/-/routetables",
            json!({"routetable": {"name": "storage", "vpc_id": ID, "subnets": [{"id": ID}]}}),
        ),
        (
            "route-table list --vpc ID",
            &[r#"{"routetables":[],"total_count":0}"#],
            "GET /v1/-/routetables?vpc_id=ID&limit=500",
            Value::Null,
        ),
        ("route-table show ID", &[TABLE], "GET /v1/-/routetables/ID", Value::Null),
        (
            "route-table associate ID ID",
            &[TABLE, TABLE],
            "POST /v1/-/routetables/t/action",
            json!({"routetable": {"subnets": {"associate": [ID]}}}),
        ),
        (
            "route-table disassociate ID ID",
            &[TABLE, TABLE],
            "POST /v1/-/routetables/t/action",
            json!({"routetable": {"subnets": {"disassociate": [ID]}}}),
        ),
        ("route-table delete ID", &["{}"], "DELETE /v1/-/routetables/ID", Value::Null),
        (
            "port create web --subnet ID --address 10.0.0.9 --vip",
            &[PORT],
            "POST /v1/-/ports",
            json!({"port": {"name": "web", "network_id": ID, "fixed_ips": [{"ip_address": "10.0.0.9"}],
                "device_owner": "neutron:VIP_PORT"}}),
        ),
        (
            "port list --subnet ID",
            &[r#"{"ports":[],"total_count":0}"#],
            "GET /v1/-/ports?network_id=ID&limit=500",
            Value::Null,
        ),
        ("port show ID", &[PORT], "GET /v1/-/ports/ID", Value::Null),
        ("port delete ID", &["{}"], "DELETE /v1/-/ports/ID", Value::Null),
    ])
    .await;
}

#[tokio::test]
async fn of_users_and_keys() {
    check(vec![
        (
            "user create root --role operator",
            &[USER],
            "POST /operator/v1/users",
            json!({"name": "root", "account": "operator", "role": "operator"}),
        ),
        ("user list", &[USERS], "GET /operator/v1/users?limit=500", Value::Null),
        ("user show ann@acme", &[USERS, USER], "GET /operator/v1/users/u1", Value::Null),
        ("user set-role u2 member", &[USERS, USER], "PUT /operator/v1/users/u2", json!({"role": "member"})),
        ("user delete ann@other", &[USERS, "{}"], "DELETE /operator/v1/users/u2", Value::Null),
        ("key create", &[KEY], "POST /v3.0/OS-CREDENTIAL/credentials", json!({"credential": {}})),
        (
            "key create --user ann@acme --description ci",
            &[USERS, KEY],
            "POST /v3.0/OS-CREDENTIAL/credentials",
            json!({"credential": {"user_id": "u1", "description": "ci"}}),
        ),
        (
            "key list",
            &[r#"{"credentials":[]}"#],
            "GET /v3.0/OS-CREDENTIAL/credentials?limit=500",
            Value::Null,
        ),
        ("key delete AK", &["{}"], "DELETE /v3.0/OS-CREDENTIAL/credentials/AK", Value::Null),
    ])
    .await;
}

#[tokio::test]
async fn users_are_of_the_account_that_is_acted_in() {
    let server = FakeServer::answering(&[(200, USER), (200, USERS)]);
    let client = server.client().in_project("p".to_owned());
    for line in ["user create ann --role reader", "user list"] {
        noun_of(["vpcep"].into_iter().chain(line.split(' '))).run(&client).await.unwrap();
    }
    let sent: Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    assert_eq!(sent, json!({"name": "ann", "account": "p", "role": "reader"}));
    assert_eq!(server.lines()[1], "GET /operator/v1/users?account=p&limit=500");
    let error = run_on(&server, "user create ann").await.unwrap_err();
    assert!(error.downcast_ref::<UsageError>().is_some_and(|usage| usage.argument == "--account"));
    let ambiguous = FakeServer::answering(&[(200, USERS)]);
    let error = run_on(&ambiguous, "user show ann").await.unwrap_err().to_string();
    assert!(error.contains("ambiguous"), "{error}");
}

#[tokio::test]
async fn a_route_table_that_could_not_be_bound_is_an_error_that_names_it() {
    let answer = r#"{"routetables":[],"error":[{"bind_failed":[{"id":"t1","error_message":"in use"}]}]}"#;
    let server = FakeServer::answering(&[(200, ENDPOINT), (200, answer)]);
    let error = run_on(&server, &format!("endpoint bind {ID} {ID}")).await.unwrap_err().to_string();
    assert_eq!(error, "cannot bind endpoint e to route tables: t1: in use");
}

#[tokio::test]
async fn names_in_a_vpc_are_a_hosts_file() {
    let server =
        FakeServer::answering(&[(200, r#"{"hosts":[{"name":"vpcep-e.r.x","address":"10.0.0.9"}]}"#)]);
    let answer = run_on(&server, &format!("endpoint hosts --vpc {ID}")).await.unwrap();
    assert_eq!(answer.render(output::Format::Table, None), "# ADDRESS  NAME\n10.0.0.9   vpcep-e.r.x\n");
}

mod requests;

use serde_json::{Value, json};

use super::*;
use crate::client::fake::FakeServer;
use output::Format;

const ID: &str = "0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d";

/// Runs a command line against a fake; the target's own options are left out.
async fn run_on(server: &FakeServer, line: &str) -> Result<Answer> {
    let words = std::iter::once("vpcep").chain(line.split(' '));
    let noun = noun_of(words);
    noun.check()?;
    noun.run(&server.client()).await
}

fn noun_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Noun {
    match Cli::try_parse_from(words).unwrap().command {
        Command::Api(noun) => noun,
        other => panic!("{other:?} is about no resource"),
    }
}

#[tokio::test]
async fn monitor_asks_for_what_was_typed_and_stops_at_its_count() {
    let event = r#"{"time":"T","event":"unreported","kind":"closed","reason":"rate","count":1}"#;
    let opened = r#"{"time":"T","event":"opened"}"#;
    let events = format!("{event}\n\n{opened}\n{opened}\n not read");
    let server = FakeServer::answering(&[(200, &events)]);
    let line = format!("vpcep monitor --endpoint {ID} --event opened,closed --reason idle --count 2");
    let Command::Monitor(monitor) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
        panic!("{line}")
    };
    monitor.run(&server.client(), Format::Json).await.unwrap();
    let asked = format!("GET /v1/-/events?endpoint_id={ID}&event=opened%2Cclosed&reason=idle");
    assert_eq!(server.lines(), [asked]);
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn every_argument_and_command_is_documented() {
    fn check(command: &clap::Command, path: &str) {
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path} {}", argument.get_id());
        }
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            assert!(sub.get_about().is_some(), "{path}");
            check(sub, &path);
        }
    }
    check(&Cli::command(), "vpcep");
}

#[tokio::test]
async fn commands_send_what_was_typed_in_the_words_of_the_api() {
    let attachment = r#"{"id":"a","vpc_id":"v","interface":"eth1","vlan":7,"address":"10.0.0.1/24","mode":"auto",
        "next_hop":null,"status":"pending","hook":null,"error":null}"#;
    let backend =
        r#"{"backend":{"id":"b","name":"web","vpc_id":"v","port_id":"b","type":"LB","address":"10.0.0.9"}}"#;
    let service = r#"{"id":"s","service_name":"r.s","server_type":"LB","vpc_id":"v","approval_enabled":false,
        "status":"creating","ports":[]}"#;
    let endpoint = r#"{"id":"e","marker_id":1,"status":"creating","endpoint_service_id":"s",
        "endpoint_service_name":"r.s","vpc_id":"v"}"#;
    let quotas = r#"{"quotas":{"resources":[{"type":"connection","used":null,"quota":9}]}}"#;
    let cases: &[(String, &[&str], &str, Value)] = &[
        (
            format!(
                "attachment create --vpc {ID} --interface eth1 --vlan 7 --address 10.0.0.1/24 --mode xdp-generic"
            ),
            &[attachment],
            "POST /operator/v1/attachments",
            json!({"vpc_id": ID, "interface": "eth1", "vlan": 7, "address": "10.0.0.1/24", "mode": "xdp-generic"}),
        ),
        (
            format!(
                "backend create web --vpc {ID} --type Lb --address 10.0.0.9 --member 10.0.0.7:80,weight=5"
            ),
            &[backend],
            "POST /v1/-/backends",
            json!({"backend": {"name": "web", "vpc_id": ID, "type": "LB", "address": "10.0.0.9",
                "members": [{"address": "10.0.0.7", "port": 80, "weight": 5}]}}),
        ),
        (
            format!(
                "backend create web --vpc {ID} --type lb --address 10.0.0.9 --member 10.0.0.7:80 \
                 --algorithm source_hash --health-check http:8080/up --expect 200 --interval 2 \
                 --check-timeout 1 --healthy 1 --unhealthy 2"
            ),
            &[backend],
            "POST /v1/-/backends",
            json!({"backend": {"name": "web", "vpc_id": ID, "type": "LB", "address": "10.0.0.9",
                "members": [{"address": "10.0.0.7", "port": 80, "weight": 1}], "algorithm": "source_hash",
                "health_check": {"protocol": "http", "port": 8080, "path": "/up", "expected_codes": "200",
                    "interval": 2, "timeout": 1, "healthy_threshold": 1, "unhealthy_threshold": 2}}}),
        ),
        (
            format!("backend update {ID} --health-check none --name pool"),
            &[backend],
            "PUT /v1/-/backends/0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d",
            json!({"backend": {"name": "pool", "health_check": null}}),
        ),
        (
            format!("backend member add {ID} 10.0.0.7:0,weight=3"),
            &[backend],
            "POST /v1/-/backends/0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d/members",
            json!({"member": {"address": "10.0.0.7", "port": 0, "weight": 3}}),
        ),
        (
            format!("backend member drain {ID} 10.0.0.7:80"),
            &[backend],
            "PUT /v1/-/backends/0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d/members/10.0.0.7%3A80",
            json!({"member": {"draining": true}}),
        ),
        (
            format!("backend member activate {ID} 10.0.0.7:80"),
            &[backend],
            "PUT /v1/-/backends/0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d/members/10.0.0.7%3A80",
            json!({"member": {"draining": false}}),
        ),
        (
            format!("backend member set-weight {ID} 10.0.0.7:80 9"),
            &[backend],
            "PUT /v1/-/backends/0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d/members/10.0.0.7%3A80",
            json!({"member": {"weight": 9}}),
        ),
        (
            format!("service create --vpc {ID} --backend {ID} --port 80:8080 --name shop --approval off"),
            &[backend, service],
            "POST /v1/-/vpc-endpoint-services",
            json!({"vpc_id": ID, "port_id": "b", "server_type": "LB", "approval_enabled": false,
                "service_name": "shop",
                "ports": [{"client_port": 80, "server_port": 8080, "protocol": "TCP"}]}),
        ),
        (
            format!("service update {ID} --approval on"),
            &[service],
            "PUT /v1/-/vpc-endpoint-services/0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d",
            json!({"approval_enabled": true}),
        ),
        (
            format!("endpoint create --service {ID} --vpc {ID} --subnet {ID} --allow-from 10.0.0.0/28"),
            &[endpoint],
            "POST /v1/-/vpc-endpoints",
            json!({"endpoint_service_id": ID, "vpc_id": ID, "subnet_id": ID, "whitelist": ["10.0.0.0/28"],
                "enable_whitelist": true}),
        ),
        (
            format!("endpoint update {ID} --allow-all"),
            &[endpoint],
            "PUT /v1/-/vpc-endpoints/0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d",
            json!({"whitelist": [], "enable_whitelist": false}),
        ),
        (
            format!("endpoint update {ID} --refusal silent"),
            &[endpoint],
            "PUT /operator/v1/endpoints/0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d",
            json!({"refusal": "silent"}),
        ),
        (
            format!("endpoint update {ID} --refusal icmp"),
            &[endpoint],
            "PUT /operator/v1/endpoints/0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d",
            json!({"refusal": "icmp"}),
        ),
        (
            "quota set endpoint=7 connection=9".to_owned(),
            &[quotas],
            "PUT /operator/v1/quotas",
            json!({"quotas": {"endpoint": 7, "connection": 9}}),
        ),
    ];
    for (line, answers, asked_line, asked_body) in cases {
        let answers: Vec<(u16, &str)> = answers.iter().map(|body| (200, *body)).collect();
        let server = FakeServer::answering(&answers);
        run_on(&server, line).await.unwrap_or_else(|error| panic!("{line}: {error:#}"));
        let asked = server.asked().pop().unwrap();
        assert_eq!(asked.line, *asked_line, "{line}");
        assert_eq!(serde_json::from_str::<Value>(&asked.body).unwrap(), *asked_body, "{line}");
    }
}

#[tokio::test]
async fn endpoints_are_accepted_one_call_each() {
    let row = |id: &str| {
        format!(
            r#"{{"connections":[{{"id":"{id}","marker_id":1,"domain_id":"d","status":"accepted","created_at":"t"}}]}}"#
        )
    };
    let server = FakeServer::answering(&[(200, &row("e1")), (200, &row("e2"))]);
    let answer = run_on(&server, &format!("service accept {ID} {ID} {ID} -o json")).await.unwrap();
    let bodies: Vec<String> = server.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(bodies, vec![format!(r#"{{"action":"receive","endpoints":["{ID}"]}}"#); 2]);
    let printed: Value = serde_json::from_str(&answer.render(output::Format::Json, None)).unwrap();
    assert_eq!(printed["total_count"], 2);
    assert_eq!(printed["connections"][1]["id"], "e2");
}

#[tokio::test]
async fn a_refusal_on_the_way_says_what_was_decided_before_it() {
    let row =
        r#"{"connections":[{"id":"e1","marker_id":1,"domain_id":"d","status":"accepted","created_at":"t"}]}"#;
    let refusal = r#"{"error_code":"EndPoint.2013","error_msg":"endpoint 9 is another's"}"#;
    let server = FakeServer::answering(&[(200, row), (400, refusal)]);
    let other = ID.replace("0c1c", "0c1d");
    let error = run_on(&server, &format!("service accept {ID} {ID} {other}")).await.unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        format!(
            "cannot accept endpoint {other} (done before it, and stays: {ID}): \
             EndPoint.2013: endpoint 9 is another's"
        )
    );
}

#[tokio::test]
async fn operators_renew_tokens_and_force_attachments() {
    let account =
        r#"{"name":"acme","domain_id":"d","project_id":"p","access_key":"k","created_at":"t","token":"n"}"#;
    for (line, answer, asked) in [
        ("account token acme".to_owned(), (200, account), "POST /operator/v1/accounts/acme/token".to_owned()),
        (format!("attachment delete {ID}"), (204, ""), format!("DELETE /operator/v1/attachments/{ID}")),
        (
            format!("attachment delete {ID} --force"),
            (204, ""),
            format!("DELETE /operator/v1/attachments/{ID}?force=true"),
        ),
    ] {
        let server = FakeServer::answering(&[answer]);
        run_on(&server, &line).await.unwrap();
        assert_eq!(server.lines(), [asked], "{line}");
    }
}

#[tokio::test]
async fn quotas_show_the_other_limits_beside_the_two_of_the_contract() {
    let server = FakeServer::answering(&[
        (200, r#"{"quotas":{"resources":[{"type":"endpoint","used":1,"quota":50}]}}"#),
        (200, r#"{"quotas":{"resources":[{"type":"connection","used":0,"quota":3000}]}}"#),
        (200, r#"{"quotas":{"resources":[{"type":"vpc","used":2,"quota":50}]}}"#),
        (200, r#"{"quotas":{"resources":[{"type":"subnet","used":3,"quota":200}]}}"#),
        (200, r#"{"quotas":{"resources":[{"type":"port","used":4,"quota":500}]}}"#),
        (200, r#"{"quotas":{"resources":[{"type":"half_open","used":null,"quota":0}]}}"#),
        (200, r#"{"quotas":{"resources":[{"type":"connection_rate","used":null,"quota":0}]}}"#),
        (200, r#"{"quotas":{"resources":[{"type":"bandwidth","used":null,"quota":3072}]}}"#),
    ]);
    let every = run_on(&server, "quota show").await.unwrap_err();
    assert!(every.downcast_ref::<UsageError>().is_some_and(|usage| usage.to_string().contains("--account")));
    let client = server.client().in_project("p".to_owned());
    let answer = noun_of(["vpcep", "quota", "show"]).run(&client).await.unwrap();
    let types = ["connection", "vpc", "subnet", "port", "half_open", "connection_rate", "bandwidth"];
    let mut asked = vec!["GET /v1/p/quotas".to_owned()];
    asked.extend(types.map(|limit| format!("GET /v1/p/quotas?type={limit}")));
    assert_eq!(server.lines(), asked);
    assert_eq!(
        answer.render(output::Format::Table, None),
        "TYPE             USED  QUOTA\nendpoint         1     50\nconnection       0     3000\n\
         vpc              2     50\nsubnet           3     200\nport             4     500\n\
         half_open        -     0\nconnection_rate  -     0\nbandwidth        -     3072\n"
    );
}

#[tokio::test]
async fn an_explanation_is_a_sentence_and_its_steps() {
    let server = FakeServer::answering(&[(
        200,
        r#"{"verdict":"refused","stopped_by":"whitelist","summary":"10.0.0.7 is not whitelisted",
            "steps":[{"name":"endpoint","status":"ok","detail":"found"},
                     {"name":"whitelist","status":"stop","detail":"not in 10.0.0.0/30"}]}"#,
    )]);
    let line = format!("explain --vpc {ID} --client 10.0.0.7 --endpoint 10.0.0.9:53/udp");
    let answer = run_on(&server, &line).await.unwrap();
    assert_eq!(
        server.lines(),
        [format!("GET /v1/-/explain?vpc_id={ID}&client=10.0.0.7&address=10.0.0.9&port=53&protocol=UDP")]
    );
    assert_eq!(
        answer.render(output::Format::Table, None),
        "refused: 10.0.0.7 is not whitelisted\n\
         STATUS  STEP       DETAIL\n\
         ok      endpoint   found\n\
         stop    whitelist  not in 10.0.0.0/30\n"
    );
}

#[tokio::test]
async fn the_audit_log_is_a_row_of_who_did_what_for_each_change_and_attempt() {
    let server = FakeServer::answering(&[(
        200,
        r#"{"unreadable":0,"records":[
            {"time":"2026-03-01T12:00:02.000000Z","from":"192.0.2.7","method":"POST","path":"/v3/auth/tokens",
             "outcome":"refused","status":401},
            {"time":"2026-03-01T12:00:01.000000Z","from":"socket","role":"member","user":"ann","account":"acme",
             "outcome":"done","revision":7,"changes":[{"action":"delete","kind":"endpoint","id":"e1"},
                                                      {"action":"update","kind":"quota","id":"q1"}]},
            {"time":"2026-03-01T12:00:00.000000Z","from":"vpcepd","outcome":"done","revision":6,
             "changes":[{"action":"create","kind":"vpc","id":"v1"}]}]}"#,
    )]);
    let line = format!("audit --since 2026-03-01T12:00:00Z --object {ID} --limit 7");
    let answer = run_on(&server, &line).await.unwrap();
    assert_eq!(
        server.lines(),
        [format!("GET /operator/v1/audit?limit=7&since=2026-03-01T12%3A00%3A00.000000Z&object={ID}")]
    );
    assert_eq!(
        answer.render(output::Format::Table, None),
        "\
TIME                         WHO        ACTION                OBJECT  RESULT
2026-03-01T12:00:02.000000Z  192.0.2.7  POST /v3/auth/tokens  -       refused 401
2026-03-01T12:00:01.000000Z  ann@acme   delete endpoint       e1      done
2026-03-01T12:00:01.000000Z  ann@acme   update quota          q1      done
2026-03-01T12:00:00.000000Z  vpcepd     create vpc            v1      done
"
    );
}

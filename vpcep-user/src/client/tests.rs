use serde_json::json;

use super::fake::FakeServer;
use super::*;

const VPC: &str =
    r#"{"id":"1","name":"net1","cidr":"10.0.0.0/24","status":"OK","project_id":"p","number":7}"#;

fn vpc_rows(count: usize, total: usize) -> String {
    let rows = vec![VPC; count].join(",");
    format!(r#"{{"vpcs":[{rows}],"total_count":{total}}}"#)
}

#[tokio::test]
async fn objects_are_wrapped_and_unwrapped_and_keep_unknown_fields() {
    let server = FakeServer::answering(&[(200, &format!(r#"{{"vpc":{VPC}}}"#))]);
    let vpc = server.client().create::<Vpc>(&json!({"name": "net1"})).await.unwrap();
    assert_eq!(vpc.data.name, "net1");
    assert_eq!(vpc.json["number"], 7);
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /v1/-/vpcs");
    assert_eq!(asked.body, r#"{"vpc":{"name":"net1"}}"#);
    assert!(asked.headers.contains(&"content-type: application/json".to_owned()));
}

#[tokio::test]
async fn a_token_is_sent_with_every_request() {
    let server = FakeServer::answering(&[(204, "")]);
    let client = Client::new(server.server(), Some("secret".parse().unwrap()));
    assert!(!client.is_operator());
    client.delete::<Vpc>("1").await.unwrap();
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "DELETE /v1/-/vpcs/1");
    assert!(asked.headers.contains(&"x-auth-token: secret".to_owned()), "{asked:?}");
}

#[tokio::test]
async fn lists_are_read_to_the_last_page() {
    let pages = [vpc_rows(500, 700), vpc_rows(200, 700)];
    let server = FakeServer::answering(&[(200, &pages[0]), (200, &pages[1])]);
    let list = server.client().list::<Vpc>(&[("name", "a b&c")]).await.unwrap();
    assert_eq!((list.items.len(), list.total_count), (700, 700));
    assert_eq!(
        server.lines(),
        ["GET /v1/-/vpcs?name=a%20b%26c&limit=500", "GET /v1/-/vpcs?name=a%20b%26c&limit=500&offset=500"]
    );
}

#[tokio::test]
async fn a_list_that_shrinks_while_it_is_read_ends() {
    let pages = [vpc_rows(500, 501), vpc_rows(0, 500)];
    let server = FakeServer::answering(&[(200, &pages[0]), (200, &pages[1])]);
    assert_eq!(server.client().list::<Vpc>(&[]).await.unwrap().items.len(), 500);
}

#[tokio::test]
async fn a_path_cannot_be_left_through_a_name() {
    let server = FakeServer::answering(&[(204, "")]);
    server.client().delete::<Account>("../v1?x#y").await.unwrap();
    assert_eq!(server.lines(), ["DELETE /operator/v1/accounts/..%2Fv1%3Fx%23y"]);
}

#[tokio::test]
async fn what_is_no_answer_is_an_error_that_says_so() {
    let cases = [
        (
            404,
            r#"{"error_code":"EndPoint.0005","error_msg":"there is no VPC 1"}"#,
            "EndPoint.0005: there is no VPC 1",
        ),
        (502, "<html>", "answered HTTP 502 Bad Gateway without an error of the API"),
        (200, "<html>", "cannot read the answer to /v1/-/vpcs/1"),
        (200, r#"{"vpc":{"id":1}}"#, "cannot read the answer to /v1/-/vpcs/1"),
    ];
    for (status, body, message) in cases {
        let server = FakeServer::answering(&[(status, body)]);
        let error = server.client().get::<Vpc>("1").await.unwrap_err();
        assert!(error.to_string().contains(message), "{status} {body}: {error}");
        assert_eq!(error.is_not_found(), status == 404, "{body}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_is_an_error_that_says_what_to_check() {
    let server = FakeServer::answering(&[]);
    let error = server.client().get::<Vpc>("1").await.unwrap_err();
    assert!(
        matches!(error, ClientError::Broken { .. } | ClientError::Connect { .. }),
        "neither refused nor answered: {error}"
    );
    let missing = Client::new(Server::Socket("/nonexistent/vpcepd.sock".into()), None);
    let error = missing.get::<Vpc>("1").await.unwrap_err().to_string();
    assert!(error.contains("start vpcepd, or name its socket with --socket"), "{error}");
}

#[test]
fn server_urls_are_http_or_https_with_a_host_and_a_port() {
    let good = [
        ("http://192.0.2.10:8080", "192.0.2.10", 8080),
        ("http://gateway/", "gateway", 80),
        ("http://[::1]:8080", "::1", 8080),
        ("https://gateway", "gateway", 443),
        ("https://192.0.2.10:8774", "192.0.2.10", 8774),
    ];
    for (text, host, port) in good {
        let url: ServerUrl = text.parse().unwrap();
        assert_eq!((url.host(), url.port()), (host, port), "{text}");
        assert_eq!(url.to_string(), text.trim_end_matches('/'));
    }
    for text in [
        "",
        "gateway",
        "gateway:8080",
        "ftp://gateway",
        "https://gate_way!",
        "http://",
        "http://gateway/v1",
        "http://gateway:0",
        "http://gateway:",
        "http://gateway:99999",
        "http://me@gateway",
        "http://gateway?x",
    ] {
        assert!(text.parse::<ServerUrl>().is_err(), "{text:?}");
    }
}

#[test]
fn what_crosses_a_network_without_tls_is_in_clear() {
    for (text, is_clear) in [
        ("http://192.0.2.10", true),
        ("http://gateway", true),
        ("http://127.0.0.1:8774", false),
        ("http://[::1]:8774", false),
        ("http://localhost", false),
        ("https://gateway", false),
    ] {
        assert_eq!(text.parse::<ServerUrl>().unwrap().is_clear(), is_clear, "{text}");
    }
}

#[test]
fn tokens_are_one_visible_word_and_stay_out_of_debug_output() {
    for text in ["", "a b", "a\n", "ä"] {
        assert!(text.parse::<Token>().is_err(), "{text:?}");
    }
    let token: Token = "geheim".parse().unwrap();
    assert_eq!(format!("{token:?}"), "Token(..)");
}

#[test]
fn the_short_name_of_a_service_is_the_middle_of_its_full_name() {
    for (full_name, short_name) in
        [("region1.shop.42", Some("shop")), ("region1.42", None), ("other", None), ("42", None)]
    {
        let service: Service = serde_json::from_value(json!({
            "id": "42", "service_name": full_name, "server_type": "VM", "vpc_id": "1",
            "approval_enabled": true, "status": "available"
        }))
        .unwrap();
        assert_eq!(service.short_name(), short_name, "{full_name}");
    }
}

#[tokio::test]
async fn lines_are_read_one_by_one_to_the_end_of_the_answer() {
    let server = FakeServer::answering(&[(200, "first\n\n\nsecond\nhalf")]);
    let mut lines = server.client().listen(&Path::new(&["events"])).await.unwrap();
    assert_eq!(lines.next().await.unwrap(), Some(b"first".to_vec()));
    assert_eq!(lines.next().await.unwrap(), Some(b"second".to_vec()));
    assert_eq!(lines.next().await.unwrap(), None, "half a line is none");
}

#[tokio::test]
async fn who_may_not_listen_is_told_why() {
    let server = FakeServer::answering(&[(400, r#"{"error_code":"EndPoint.1018","error_msg":"too many"}"#)]);
    let Err(error) = server.client().listen(&Path::new(&["events"])).await else { panic!("listens") };
    assert_eq!(error.to_string(), "EndPoint.1018: too many");
}

use super::*;
use crate::client::fake::FakeServer;

const ID: &str = "0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d";
const TWO_VPCS: &str = r#"{"vpcs":[
    {"id":"1","name":"net","cidr":"10.0.0.0/24","status":"OK","project_id":"p"},
    {"id":"2","name":"net","cidr":"10.0.0.0/24","status":"OK","project_id":"p"},
    {"id":"3","name":"network","cidr":"10.0.0.0/24","status":"OK","project_id":"p"}]}"#;
const SERVICES: &str = r#"{"endpoint_services":[{"id":"7","service_name":"region1.shop.7","server_type":"VM",
    "vpc_id":"1","approval_enabled":true,"status":"available"}],"total_count":1}"#;
const NOT_FOUND: &str = r#"{"error_code":"EndPoint.0005","error_msg":"no such account"}"#;

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

#[tokio::test]
async fn an_id_is_taken_without_a_call() {
    let server = FakeServer::answering(&[]);
    assert_eq!(id_of::<Vpc>(&server.client(), &reference(ID), &[]).await.unwrap(), ID);
}

#[tokio::test]
async fn a_name_is_matched_whole() {
    let server = FakeServer::answering(&[(200, TWO_VPCS)]);
    assert_eq!(id_of::<Vpc>(&server.client(), &reference("network"), &[]).await.unwrap(), "3");
}

#[tokio::test]
async fn an_ambiguous_name_lists_the_ids_and_an_unknown_one_the_command() {
    for (name, message) in [
        ("net", "the name \"net\" is ambiguous, give the id of one VPC: 1, 2"),
        ("ne", "EndPoint.0005: there is no VPC \"ne\": give a name or id as `vpcep vpc list` shows them"),
    ] {
        let server = FakeServer::answering(&[(200, TWO_VPCS)]);
        let error = id_of::<Vpc>(&server.client(), &reference(name), &[]).await.unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[tokio::test]
async fn own_services_are_found_by_short_and_full_name() {
    for name in ["shop", "region1.shop.7"] {
        let server = FakeServer::answering(&[(200, SERVICES)]);
        assert_eq!(id_of::<Service>(&server.client(), &reference(name), &[]).await.unwrap(), "7", "{name}");
    }
}

#[tokio::test]
async fn a_service_to_connect_is_described_by_its_full_name_and_listed_by_its_short_one() {
    for (name, answer, line) in [
        (
            "region1.shop.7",
            r#"{"id":"7"}"#,
            "GET /v1/-/vpc-endpoint-services/describe?endpoint_service_name=region1.shop.7",
        ),
        ("shop", SERVICES, "GET /v1/-/vpc-endpoint-services?limit=500"),
    ] {
        let server = FakeServer::answering(&[(200, answer)]);
        assert_eq!(service_to_connect(&server.client(), &reference(name)).await.unwrap(), "7");
        assert_eq!(server.lines(), [line]);
    }
}

#[tokio::test]
async fn an_endpoint_of_a_service_is_found_by_marker() {
    let row =
        r#"{"connections":[{"id":"e","marker_id":9,"domain_id":"d","status":"accepted","created_at":"t"}]}"#;
    let server = FakeServer::answering(&[(200, row)]);
    assert_eq!(endpoint_of_service(&server.client(), "7", &reference("9")).await.unwrap(), "e");
    assert_eq!(server.lines(), ["GET /v1/-/vpc-endpoint-services/7/connections?marker_id=9"]);

    let none = FakeServer::answering(&[(200, r#"{"connections":[],"total_count":0}"#)]);
    for name in ["web", "9"] {
        let error = endpoint_of_service(&none.client(), "7", &reference(name)).await.unwrap_err().to_string();
        assert!(error.contains(&format!("EndPoint.0005: the service has no endpoint {name:?}")), "{error}");
    }
}

#[tokio::test]
async fn the_operator_permits_accounts_by_name_and_unknown_domains_by_id_only() {
    let account = r#"{"name":"acme","domain_id":"d1","project_id":"p","access_key":"k","created_at":"t"}"#;
    let domain = "0123456789abcdef0123456789abcdef";
    for (typed, status, answer, expected) in [
        ("acme", 200, account, Ok("iam:domain::d1".to_owned())),
        (domain, 404, NOT_FOUND, Ok(format!("iam:domain::{domain}"))),
        ("amce", 404, NOT_FOUND, Err("cannot look up account \"amce\"")),
    ] {
        let server = FakeServer::answering(&[(status, answer)]);
        let permitted = permission(&server.client(), &typed.parse().unwrap()).await;
        let permitted = permitted.map(|permission| permission.to_string()).map_err(|error| error.to_string());
        assert_eq!(permitted, expected.map_err(str::to_owned), "{typed}");
    }
}

#[tokio::test]
async fn a_tenant_permits_by_domain_id_and_cannot_look_up_names() {
    let forbidden = r#"{"error_code":"EndPoint.0004","error_msg":"only the operator may"}"#;
    let server = FakeServer::answering(&[(403, forbidden)]);
    let client = Client::new(server.server(), Some("t".parse().unwrap()));
    let domain = "0123456789abcdef0123456789abcdef";
    let permitted = format!("iam:domain::{domain}");
    for (typed, expected) in [(domain, permitted.as_str()), ("*", "*"), ("iam:domain::x", "iam:domain::x")] {
        assert_eq!(permission(&client, &typed.parse().unwrap()).await.unwrap().as_str(), expected);
    }
    assert!(server.lines().is_empty());
    let error = permission(&client, &"team-a".parse().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("give the domain id"), "{error}");
}

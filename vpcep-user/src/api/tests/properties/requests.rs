//! What is sent: an act as method, path and body.

use serde_json::{Value, json};

use super::super::{ENDPOINTS, SERVICES};
use super::play::Player;
use super::steps::{Account, Act, Clients, EndpointLabel, ServiceLabel, Thing, Whom};

/// An id nothing has.
const NOWHERE: &str = "5d1c6a0e-3c2f-4b7e-9a55-0f6f5a1b2c3d";

type Request = (&'static str, String, Value);

impl Player<'_> {
    /// What an act sends.
    pub fn request(&self, act: &Act) -> Request {
        match *act {
            Act::Receive { endpoint, at } => self.decision(endpoint, at, "receive"),
            Act::Reject { endpoint, at } => self.decision(endpoint, at, "reject"),
            Act::Connect { .. } | Act::Restrict { .. } | Act::Show { .. } | Act::Disconnect { .. } => {
                self.consumers(act)
            }
            Act::Tag { .. } | Act::Untag { .. } | Act::Search { .. } => self.tagging(act),
            Act::Browse { whose } => {
                let project = &self.tenants[&whose].client.project;
                ("GET", format!("/v1/{project}/vpc-endpoints"), Value::Null)
            }
            Act::Limit { account, services, endpoints } => {
                let quotas = json!({"endpoint_service": services, "endpoint": endpoints});
                let project = &self.tenants[&account].client.project;
                ("PUT", "/operator/v1/quotas".into(), json!({"project_id": project, "quotas": quotas}))
            }
            _ => self.providers(act),
        }
    }

    fn service_id(&self, label: ServiceLabel) -> &str {
        self.model.service(label).map_or(NOWHERE, |number| &self.services[number])
    }

    fn endpoint_id(&self, label: EndpointLabel) -> &str {
        self.model.endpoint(label).map_or(NOWHERE, |number| &self.endpoints[number])
    }

    fn decision(&self, endpoint: EndpointLabel, at: Option<ServiceLabel>, action: &str) -> Request {
        let provider = self.model.provider(endpoint, at).map_or(NOWHERE, |number| &self.services[number]);
        let body = json!({"endpoints": [self.endpoint_id(endpoint)], "action": action});
        ("POST", format!("{SERVICES}/{provider}/connections/action"), body)
    }

    fn providers(&self, act: &Act) -> Request {
        let path = |label, rest: &str| format!("{SERVICES}/{}{rest}", self.service_id(label));
        let ports = |port| json!([{"client_port": 80, "server_port": port}]);
        let permissions = |label, whom, action| {
            let body = json!({"permissions": [self.permission(whom)], "action": action});
            ("POST", path(label, "/permissions/action"), body)
        };
        match *act {
            Act::Offer { vpc, backend: (owner, number), port, approval, .. } => {
                let backend = &self.tenants[&owner].backends[usize::from(number)];
                let body = json!({
                    "vpc_id": self.tenants[&vpc].vpc, "port_id": backend, "server_type": "VM",
                    "approval_enabled": approval, "ports": ports(port),
                });
                ("POST", SERVICES.into(), body)
            }
            Act::Change { service, approval, port } => {
                ("PUT", path(service, ""), json!({"approval_enabled": approval, "ports": port.map(ports)}))
            }
            Act::Rename { service, name } => {
                ("PUT", path(service, "/name"), json!({"endpoint_service_name": name}))
            }
            Act::Withdraw { service } => ("DELETE", path(service, ""), Value::Null),
            Act::Permit { service, whom } => permissions(service, whom, "add"),
            Act::Forbid { service, whom } => permissions(service, whom, "remove"),
            Act::LookUp { service } => {
                ("GET", format!("{SERVICES}/describe?id={}", self.service_id(service)), Value::Null)
            }
            _ => unreachable!("no act of a provider: {act:?}"),
        }
    }

    fn consumers(&self, act: &Act) -> Request {
        let path = |label| format!("{ENDPOINTS}/{}", self.endpoint_id(label));
        match *act {
            Act::Connect { service, vpc, address, .. } => {
                let tenant = &self.tenants[&vpc];
                let address = address.map(|address| format!("10.0.0.{address}"));
                let body = json!({
                    "endpoint_service_id": self.service_id(service), "vpc_id": tenant.vpc,
                    "subnet_id": tenant.subnet, "port_ip": address,
                });
                ("POST", ENDPOINTS.into(), body)
            }
            Act::Restrict { endpoint, clients } => {
                let whitelist = match clients {
                    Clients::All => &[],
                    Clients::Only(clients) => clients,
                    Clients::Nonsense => &["10.0.0.0/24", "10.0.0.0/33"][..],
                };
                let body = json!({"whitelist": whitelist, "enable_whitelist": clients != Clients::All});
                ("PUT", path(endpoint), body)
            }
            Act::Show { endpoint } => ("GET", path(endpoint), Value::Null),
            Act::Disconnect { endpoint } => ("DELETE", path(endpoint), Value::Null),
            _ => unreachable!("no act of a consumer: {act:?}"),
        }
    }

    fn tagging(&self, act: &Act) -> Request {
        let path = |thing| {
            let (kind, id) = match thing {
                Thing::Service(label) => ("endpoint_service", self.service_id(label)),
                Thing::Endpoint(label) => ("endpoint", self.endpoint_id(label)),
            };
            format!("/v1/{{p}}/{kind}/{id}/tags/action")
        };
        match *act {
            Act::Tag { thing, set } => {
                let pairs = set.pairs().into_iter();
                let tags: Vec<_> = pairs.map(|(key, value)| json!({"key": key, "value": value})).collect();
                ("POST", path(thing), json!({"action": "create", "tags": tags}))
            }
            Act::Untag { thing, key, value } => {
                let tags = json!([{"key": key, "value": value}]);
                ("POST", path(thing), json!({"action": "delete", "tags": tags}))
            }
            Act::Search { services, key, value } => {
                let kind = if services { "endpoint_service" } else { "endpoint" };
                let tags = json!([{"key": key, "values": [value]}]);
                let path = format!("/v1/{{p}}/{kind}/resource_instances/action");
                ("POST", path, json!({"action": "filter", "tags": tags}))
            }
            _ => unreachable!("no act on tags: {act:?}"),
        }
    }

    pub fn permission(&self, whom: Whom) -> String {
        let domain = |account: Account| &self.tenants[&account].client.domain;
        match whom {
            Whom::Account(account) => format!("iam:domain::{}", domain(account)),
            Whom::Capitals(account) => format!("iam:domain::{}", domain(account).to_uppercase()),
            Whom::Everyone => "*".into(),
            Whom::EveryDomain => "iam:domain::*".into(),
            Whom::Stranger => "iam:domain::nobody".into(),
            Whom::Nonsense => "iam:user::nobody".into(),
        }
    }
}

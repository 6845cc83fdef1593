//! Calls: what is sent, and what is different when it is done.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::journal::{self, ENDPOINTS, Journal, SERVICES, id};

/// Where an account makes things, by ids.
pub struct Place {
    pub vpc: String,
    pub subnet: String,
    pub backend: String,
}

/// A call that changes something, or is refused.
#[derive(Clone, Debug)]
pub enum Call {
    Offer {
        number: u64,
    },
    Connect {
        service: String,
        number: u64,
    },
    Permit {
        service: String,
        number: u64,
    },
    Withdraw {
        service: String,
    },
    Receive {
        service: String,
        endpoint: String,
    },
    Reject {
        service: String,
        endpoint: String,
    },
    /// Two tags at once.
    Tag {
        endpoint: String,
        number: u64,
    },
    /// Two tags of which one cannot be.
    TagBadly {
        endpoint: String,
        number: u64,
    },
    Restrict {
        endpoint: String,
        number: u64,
    },
    Disconnect {
        endpoint: String,
    },
}

impl Call {
    /// Method, path and body.
    pub fn request(&self, place: &Place) -> (&'static str, String, Value) {
        let action = |service: &str, endpoint: &str, action: &str| {
            let path = format!("{SERVICES}/{service}/connections/action");
            ("POST", path, json!({"action": action, "endpoints": [endpoint]}))
        };
        let tagged = |endpoint: &str, tags: Value| {
            let path = format!("/endpoint/{endpoint}/tags/action");
            ("POST", path, json!({"action": "create", "tags": tags}))
        };
        match self {
            Self::Offer { number } => {
                let body = json!({
                    "port_id": place.backend, "vpc_id": place.vpc, "server_type": "VM",
                    "approval_enabled": number % 2 == 0, "tags": tags(*number),
                    "ports": [{"client_port": 80, "server_port": 8000 + number}],
                });
                ("POST", SERVICES.into(), body)
            }
            Self::Connect { service, number } => {
                let body = json!({
                    "endpoint_service_id": service, "vpc_id": place.vpc, "subnet_id": place.subnet,
                    "tags": tags(*number), "whitelist": whitelist(*number),
                });
                ("POST", ENDPOINTS.into(), body)
            }
            Self::Permit { service, number } => {
                let path = format!("{SERVICES}/{service}/permissions/action");
                ("POST", path, json!({"action": "add", "permissions": [permission(*number)]}))
            }
            Self::Withdraw { service } => ("DELETE", format!("{SERVICES}/{service}"), Value::Null),
            Self::Receive { service, endpoint } => action(service, endpoint, "receive"),
            Self::Reject { service, endpoint } => action(service, endpoint, "reject"),
            Self::Tag { endpoint, number } => tagged(endpoint, tags(*number)),
            Self::TagBadly { endpoint, number } => {
                tagged(endpoint, json!([{"key": "a", "value": number.to_string()}, {"key": "<b>"}]))
            }
            Self::Restrict { endpoint, number } => {
                ("PUT", format!("{ENDPOINTS}/{endpoint}"), json!({"whitelist": whitelist(*number)}))
            }
            Self::Disconnect { endpoint } => ("DELETE", format!("{ENDPOINTS}/{endpoint}"), Value::Null),
        }
    }

    /// What kind of object it makes.
    pub fn made(&self) -> Option<&'static str> {
        match self {
            Self::Offer { .. } => Some(SERVICES),
            Self::Connect { .. } => Some(ENDPOINTS),
            _ => None,
        }
    }

    /// Notes what it has done; of what it makes `answer` has the row, or the journal
    /// has it already.
    pub fn note(&self, journal: &mut Journal, answer: Option<&Value>) -> Result<()> {
        match self {
            Self::Offer { number } => {
                if let Some(answer) = answer {
                    journal.services.insert(id(answer)?, journal::service(answer));
                }
                ensure!(journal.services.values().any(|row| row["tags"] == tags(*number)), "half a service");
            }
            Self::Connect { number, .. } => {
                if let Some(answer) = answer {
                    journal.endpoints.insert(id(answer)?, journal::endpoint(answer));
                }
                let is_whole = |row: &Value| {
                    row["tags"] == tags(*number)
                        && row["whitelist"] == whitelist(*number)
                        && row["marker_id"].is_u64()
                };
                ensure!(journal.endpoints.values().any(is_whole), "half an endpoint");
            }
            Self::Permit { service, number } => {
                let row = journal.services.get_mut(service).context("the service is in the journal")?;
                let permissions = row["permissions"].as_array_mut().context("permissions are a list")?;
                permissions.push(permission(*number).into());
                permissions.sort_by_key(Value::to_string);
            }
            Self::Withdraw { service } => {
                journal.services.remove(service);
                for row in
                    journal.endpoints.values_mut().filter(|row| row["endpoint_service_id"] == **service)
                {
                    row["status"] = "failed".into();
                }
            }
            Self::Receive { endpoint, .. } => set(journal, endpoint, "status", "accepted".into())?,
            Self::Reject { endpoint, .. } => set(journal, endpoint, "status", "rejected".into())?,
            Self::Tag { endpoint, number } => set(journal, endpoint, "tags", tags(*number))?,
            Self::TagBadly { .. } => {}
            Self::Restrict { endpoint, number } => {
                set(journal, endpoint, "whitelist", whitelist(*number))?;
            }
            Self::Disconnect { endpoint } => drop(journal.endpoints.remove(endpoint)),
        }
        Ok(())
    }
}

/// Sets a field of an endpoint.
fn set(journal: &mut Journal, endpoint: &str, field: &str, value: Value) -> Result<()> {
    journal.endpoints.get_mut(endpoint).context("the endpoint is in the journal")?[field] = value;
    Ok(())
}

/// Two tags that are of one call.
fn tags(number: u64) -> Value {
    json!([{"key": "a", "value": number.to_string()}, {"key": "b", "value": number.to_string()}])
}

fn whitelist(number: u64) -> Value {
    json!([format!("172.16.{}.0/24", number % 256), format!("172.17.{}.1", number % 256)])
}

fn permission(number: u64) -> String {
    format!("iam:domain::{number:032x}")
}

//! The API's resources, as far as the command line reads them.
//!
//! Each struct is what tables show and commands decide by; fields not listed
//! here are still printed by `-o json`, because [`super::Object`] keeps the
//! answer as it came. Field names are those of the API.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::{Door, Kind, Resource};

/// Declares where a resource is found.
macro_rules! resource {
    ($type:ty, $noun:literal, $door:ident, $path:literal, $plural:literal, $wrapper:expr) => {
        impl Resource for $type {
            const KIND: Kind =
                Kind { noun: $noun, door: Door::$door, path: $path, plural: $plural, wrapper: $wrapper };
        }
    };
}
pub(super) use resource;

resource!(Account, "account", Operator, "accounts", "accounts", None);
resource!(Attachment, "attachment", Operator, "attachments", "attachments", None);
resource!(Vpc, "VPC", Tenant, "vpcs", "vpcs", Some("vpc"));
resource!(Subnet, "subnet", Tenant, "subnets", "subnets", Some("subnet"));
resource!(Backend, "backend", Tenant, "backends", "backends", Some("backend"));
resource!(Service, "endpoint service", Tenant, "vpc-endpoint-services", "endpoint_services", None);
resource!(ServiceDescription, "endpoint service", Tenant, "vpc-endpoint-services", "endpoint_services", None);
resource!(Endpoint, "endpoint", Tenant, "vpc-endpoints", "endpoints", None);
resource!(Session, "session", Tenant, "sessions", "sessions", None);
resource!(Stats, "counters", Tenant, "stats", "stats", None);

/// An account: a domain with one project.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// Unique name.
    pub name: String,
    /// What whitelists name.
    pub domain_id: String,
    /// Where its resources are.
    pub project_id: String,
    /// Public half of its first user's signing key, unless that is deleted.
    pub access_key: Option<String>,
    /// When it was made.
    pub created_at: String,
}

/// Where a VPC reaches the gateway host.
#[derive(Clone, Debug, Deserialize)]
pub struct Attachment {
    /// Its id.
    pub id: String,
    /// The VPC.
    pub vpc_id: String,
    /// Interface of the gateway host.
    pub interface: String,
    /// 802.1Q id, 1..=4094.
    pub vlan: Option<u16>,
    /// The gateway's own address in the VPC, `A/LEN`.
    pub address: String,
    /// Which hook was asked for.
    pub mode: String,
    /// Router for addresses outside the prefix.
    pub next_hop: Option<String>,
    /// Whether packets are handled.
    pub status: AttachmentStatus,
    /// The hook in use.
    pub hook: Option<String>,
    /// Why it failed and what to do.
    pub error: Option<String>,
}

/// A private network.
#[derive(Clone, Debug, Deserialize)]
pub struct Vpc {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its range.
    pub cidr: String,
    /// Always `OK`.
    pub status: String,
    /// Who owns it.
    pub project_id: String,
}

/// A range of a VPC.
#[derive(Clone, Debug, Deserialize)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its range.
    pub cidr: String,
    /// The VPC it lies in.
    pub vpc_id: String,
    /// Always `ACTIVE`.
    pub status: String,
}

/// What really serves.
#[derive(Clone, Debug, Deserialize)]
pub struct Backend {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The VPC it is in.
    pub vpc_id: String,
    /// What endpoint services name it by.
    pub port_id: String,
    /// `VM`, `BMS`, `VIP` or `LB`.
    #[serde(rename = "type")]
    pub server_type: String,
    /// Its address in the VPC.
    pub address: String,
    /// Members of a load balancer.
    #[serde(default)]
    pub members: Vec<BackendMember>,
}

/// One server behind a load balancer.
#[derive(Clone, Debug, Deserialize)]
pub struct BackendMember {
    /// Its address in the VPC.
    pub address: String,
    /// Its port; 0 keeps the mapping's server port.
    pub port: u16,
    /// Its share, 1..=100.
    pub weight: u8,
    /// Whether it gets new connections: `active`, `checking`, `draining` or `down`.
    pub state: String,
}

/// An endpoint service, as its owner sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct Service {
    /// Its id.
    pub id: String,
    /// Full name: `region.name.id` or `region.id`.
    pub service_name: String,
    /// Kind of its backend; a gateway has none.
    #[serde(default)]
    pub server_type: Option<String>,
    /// The provider's VPC.
    pub vpc_id: String,
    /// Whether new endpoints wait for the owner.
    pub approval_enabled: bool,
    /// Where it stands.
    pub status: ServiceStatus,
    /// Port mappings.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Endpoints that are creating or accepted; in lists only.
    pub connection_count: Option<u64>,
    /// Why it failed.
    pub error: Option<Vec<ErrorDetail>>,
}

impl Service {
    /// The name its owner gave it, the middle part of the full name.
    pub fn short_name(&self) -> Option<&str> {
        let before_id = self.service_name.strip_suffix(self.id.as_str())?.strip_suffix('.')?;
        before_id.rsplit_once('.').map(|(_region, name)| name)
    }
}

/// One port mapping.
#[derive(Clone, Debug, Deserialize)]
pub struct Port {
    /// Port at the endpoint.
    pub client_port: u16,
    /// Port at the backend.
    pub server_port: u16,
    /// `TCP` or `UDP`.
    pub protocol: String,
}

/// An endpoint service, as everyone may see it.
#[derive(Clone, Debug, Deserialize)]
pub struct ServiceDescription {
    /// Its id.
    pub id: String,
}

/// A service that everyone may connect to.
#[derive(Clone, Debug, Deserialize)]
pub struct PublicService {
    /// Its id.
    pub id: String,
    /// Full name.
    pub service_name: String,
    /// `interface` or `gateway`.
    pub service_type: String,
    /// Who offers it.
    pub owner: String,
}

/// A whitelist entry of an endpoint service.
#[derive(Clone, Debug, Deserialize)]
pub struct Permission {
    /// Its id.
    pub id: String,
    /// `iam:domain::ID`, `organizations:orgPath::PATH` or `*`.
    pub permission: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// When it was added.
    pub created_at: String,
}

/// An endpoint as the owner of the service sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct Connection {
    /// Id of the endpoint.
    pub id: String,
    /// Number of the endpoint.
    pub marker_id: u64,
    /// Who owns the endpoint.
    pub domain_id: String,
    /// Where it stands.
    pub status: EndpointStatus,
    /// When it was made.
    pub created_at: String,
    /// What the owner of the service has noted.
    #[serde(default)]
    pub description: Option<String>,
}

/// The consumer's end.
#[derive(Clone, Debug, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub id: String,
    /// Its number.
    pub marker_id: u64,
    /// Where it stands.
    pub status: EndpointStatus,
    /// Its address, once it was accepted.
    pub ip: Option<String>,
    /// Id of the service.
    pub endpoint_service_id: String,
    /// Full name of the service.
    pub endpoint_service_name: String,
    /// The consumer's VPC.
    pub vpc_id: String,
    /// Clients that may use it, when enabled.
    #[serde(default)]
    pub whitelist: Vec<String>,
    /// Whether the whitelist is enforced.
    #[serde(default)]
    pub enable_whitelist: bool,
    /// Why it failed.
    pub error: Option<Vec<ErrorDetail>>,
}

/// Why something failed.
#[derive(Clone, Debug, Deserialize)]
pub struct ErrorDetail {
    /// Stable code.
    pub error_code: String,
    /// What happened.
    pub error_message: String,
}

impl fmt::Display for ErrorDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error_code, self.error_message)
    }
}

/// One live session; addresses are `IP:PORT`.
#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    /// Id of the endpoint.
    pub endpoint_id: String,
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// The client.
    pub client: String,
    /// What the client connects to.
    pub endpoint: String,
    /// What the backend sees as its client.
    pub source: String,
    /// The server.
    pub backend: String,
    /// State of the connection.
    pub state: String,
    /// Seconds since it was opened.
    pub age_secs: u64,
    /// Seconds since its last packet.
    pub idle_secs: u64,
}

/// Counters of one endpoint.
#[derive(Clone, Debug, Deserialize)]
pub struct Stats {
    /// Id of the endpoint.
    pub endpoint_id: String,
    /// Number of the endpoint.
    pub marker_id: u64,
    /// Connections.
    pub connections: ConnectionCounters,
    /// Packets forwarded.
    pub packets: TrafficCounters,
    /// IP bytes forwarded.
    pub bytes: TrafficCounters,
    /// Packets refused, by reason.
    #[serde(default)]
    pub drops: BTreeMap<String, u64>,
}

/// Connections of one endpoint.
#[derive(Clone, Debug, Deserialize)]
pub struct ConnectionCounters {
    /// Concurrent now.
    pub current: u64,
    /// Most concurrent ever.
    pub peak: u64,
    /// Most allowed.
    pub limit: u64,
    /// Opened in all.
    pub opened: u64,
}

/// Traffic of one endpoint, seen from the client.
#[derive(Clone, Debug, Deserialize)]
pub struct TrafficCounters {
    /// Back to clients.
    #[serde(rename = "in")]
    pub inbound: u64,
    /// Towards the backend.
    #[serde(rename = "out")]
    pub outbound: u64,
}

/// Quotas of a project.
#[derive(Clone, Debug, Deserialize)]
pub struct Quotas {
    /// One entry per type.
    pub resources: Vec<Quota>,
}

/// A limit and its use.
#[derive(Clone, Debug, Deserialize)]
pub struct Quota {
    /// `endpoint_service`, `endpoint` or `connection`.
    #[serde(rename = "type")]
    pub quota_type: String,
    /// How many there are, where that is counted.
    pub used: Option<u64>,
    /// How many there may be.
    pub quota: u64,
}

/// What would become of a packet, and why.
#[derive(Clone, Debug, Deserialize)]
pub struct Explanation {
    /// `forwarded`, `refused` or `unknown`.
    pub verdict: String,
    /// One sentence for a person.
    pub summary: String,
    /// What was looked at, in order.
    pub steps: Vec<ExplanationStep>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Deserialize)]
pub struct ExplanationStep {
    /// What.
    pub name: String,
    /// `ok`, `stop`, `warn` or `unknown`.
    pub status: String,
    /// What was found.
    pub detail: String,
}

/// Declares a status with its words on the wire.
macro_rules! status {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $wire:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $wire)] $variant,)+
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $wire,)+ })
            }
        }
    };
}

status! {
    /// Where an endpoint service stands.
    ServiceStatus {
        /// Being made.
        Creating = "creating",
        /// May be connected to.
        Available = "available",
        /// Unusable; the error says why.
        Failed = "failed",
        /// Being deleted.
        Deleting = "deleting",
    }
}

status! {
    /// Where an endpoint stands.
    EndpointStatus {
        /// Waits for the owner of the service.
        PendingAcceptance = "pendingAcceptance",
        /// Being made.
        Creating = "creating",
        /// Carries traffic.
        Accepted = "accepted",
        /// The owner of the service refused it.
        Rejected = "rejected",
        /// Unusable; the error says why.
        Failed = "failed",
        /// Being deleted.
        Deleting = "deleting",
    }
}

status! {
    /// Whether an attachment handles packets.
    AttachmentStatus {
        /// Not tried yet.
        Pending = "pending",
        /// Packets are handled.
        Active = "active",
        /// Not attached; the error says why.
        Failed = "failed",
    }
}

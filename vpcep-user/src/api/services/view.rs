//! What a service looks like to its owner.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::tags::TagView;
use crate::controller::State;
use crate::controller::services::connection_count;
use crate::model::{
    BackendId, BackendKind, Cidr, DomainId, FullName, PortMapping, ProjectId, Protocol, Service, ServiceId,
    ServiceKind, ServiceStatus, Timestamp, VpcId,
};

/// Where a service is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Status {
    Creating,
    Available,
    Failed,
    Deleting,
}

impl Status {
    /// The word for a status.
    pub fn of(status: ServiceStatus) -> Self {
        match status {
            ServiceStatus::Creating => Self::Creating,
            ServiceStatus::Available => Self::Available,
            ServiceStatus::Deleting => Self::Deleting,
        }
    }
}

/// A service as its owner sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointService")]
pub struct ServiceView {
    /// Names it.
    id: ServiceId,
    /// The backend; null for a gateway service.
    port_id: Option<BackendId>,
    /// Its full name, by which consumers find it.
    service_name: FullName,
    /// What the backend is; null for a gateway service.
    server_type: Option<BackendKind>,
    /// The VPC it is reached in.
    vpc_id: VpcId,
    /// Whether a new endpoint waits for the provider.
    approval_enabled: bool,
    /// Where it is in its life.
    status: Status,
    /// `interface` or `gateway`.
    service_type: &'static str,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// Its owner.
    project_id: ProjectId,
    /// The owner's account.
    domain_id: DomainId,
    /// Which ports are reachable; none for a gateway service.
    ports: Vec<PortView>,
    /// How servers learn the addresses of clients.
    #[schemars(extend("enum" = ["close", "toa_open", "proxy_open", "open"]))]
    tcp_proxy: &'static str,
    /// In whose form PROXY headers name the endpoint.
    #[schemars(extend("enum" = ["own", "aws", "gcp", "azure"]))]
    proxy_profile: &'static str,
    /// The networks of a gateway service; absent for others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<Cidr>>")]
    prefixes: Vec<Cidr>,
    /// Whether it is offered to everyone.
    public: bool,
    /// Seconds that a connection may be idle which is established, or UDP that both sides have
    /// sent: 10 to 360000, or 0 for as long as the gateway's settings say.
    idle_timeout: u32,
    /// Whether both ends of an established TCP connection that was idle for too long get a
    /// reset then.
    idle_reset: bool,
    /// The provider's tags.
    tags: Vec<TagView>,
    /// The provider's note.
    description: String,
    /// Endpoints that are accepted or on the way to it.
    connection_count: usize,
    /// Whether endpoints may have policies.
    enable_policy: bool,
    /// Always `ipv4`.
    ip_version: &'static str,
    /// Always `internal`.
    cidr_type: &'static str,
    /// Always `basic`.
    supported_editions: [&'static str; 1],
}

/// One port mapping.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PortMapping")]
struct PortView {
    /// Port at the endpoint.
    #[schemars(range(min = 1))]
    client_port: u16,
    /// Port at the backend.
    #[schemars(range(min = 1))]
    server_port: u16,
    /// The protocol.
    protocol: Protocol,
}

impl PortView {
    fn new(mapping: &PortMapping) -> Self {
        let PortMapping { protocol, client_port, server_port } = *mapping;
        Self { client_port: client_port.get(), server_port: server_port.get(), protocol }
    }
}

impl ServiceView {
    /// The service as its owner sees it.
    pub fn new(state: &State, service: &Service) -> Self {
        let server_type = match &service.kind {
            ServiceKind::Interface { server_kind, .. } => Some(*server_kind),
            ServiceKind::Gateway { .. } => None,
        };
        let ports = service.kind.ports().iter().map(PortView::new);
        Self {
            id: service.id,
            port_id: service.kind.backend(),
            service_name: state.full_name(service),
            server_type,
            vpc_id: service.vpc,
            approval_enabled: service.approval_enabled,
            status: Status::of(service.status),
            service_type: service.kind.as_str(),
            created_at: service.created_at,
            updated_at: service.updated_at,
            project_id: service.project,
            domain_id: state.domain_of(service.project),
            ports: ports.collect(),
            tcp_proxy: service.client_address.means.as_str(),
            proxy_profile: service.client_address.profile.as_str(),
            prefixes: service.kind.prefixes().to_vec(),
            public: service.is_public,
            idle_timeout: service.idle.timeout_secs(),
            idle_reset: service.idle.reset,
            tags: TagView::all(&service.tags),
            description: service.description.as_str().into(),
            connection_count: connection_count(state, service.id),
            enable_policy: service.enable_policy,
            ip_version: "ipv4",
            cidr_type: "internal",
            supported_editions: ["basic"],
        }
    }
}

/// A page of endpoint services.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointServicePage")]
pub struct ServicePage {
    pub endpoint_services: Vec<ServiceView>,
    /// How many there are on all pages.
    pub total_count: usize,
}

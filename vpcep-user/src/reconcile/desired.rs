//! What should be true in the kernel, as plain data: the only thing the
//! control plane hands to the data plane.
//!
//! The controller derives a [`Desired`] from the store (`Controller::desired`)
//! and the reconciler turns it into map entries. Nothing here knows of maps, of
//! HTTP or of time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::model::{Algorithm, AttachmentId, BackendId, Cidr, ClientAddress, EndpointId, Idle};

/// Everything this gateway host should be doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Version of the model this was derived from; rises with every change.
    pub version: u64,
    /// Where VPCs reach this host.
    pub attachments: BTreeMap<AttachmentId, DesiredAttachment>,
    /// Every endpoint here, whatever its state: one that is not accepted answers
    /// ARP and refuses its clients.
    pub endpoints: BTreeMap<EndpointId, DesiredEndpoint>,
    /// Subnets that have a route table other than their VPC's default one, with the number of
    /// the VPC.
    pub routed_subnets: BTreeSet<(u16, Cidr)>,
}

/// One VPC on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredAttachment {
    /// Number of the VPC, unique on this host (1..=65535). Two VPCs with equal
    /// ranges differ here and nowhere else.
    pub vpc: u16,
    /// Interface name as the kernel knows it.
    pub interface: String,
    /// 802.1Q id (1..=4094) when the VPC is a VLAN of the interface.
    pub vlan: Option<u16>,
    /// The gateway's own address in the VPC.
    pub address: Ipv4Addr,
    /// Length of the on-link prefix around `address`.
    pub prefix_len: u8,
    /// Router for addresses of the VPC outside the on-link prefix.
    pub next_hop: Option<Ipv4Addr>,
    /// Which hook the operator asked for.
    pub mode: AttachMode,
}

/// How a program is attached to an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachMode {
    /// By driver: TC on virtual devices, XDP on NICs that support it.
    #[default]
    Auto,
    /// XDP in the driver.
    Xdp,
    /// XDP in the stack: any device, slow, for trying things.
    XdpGeneric,
    /// TC: tcx where the kernel has it (6.6), clsact else.
    Tc,
}

/// One endpoint and what is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredEndpoint {
    /// Number of the consumer's VPC.
    pub vpc: u16,
    /// The endpoint's address (node IP) in the consumer's VPC; `None` for a gateway
    /// endpoint, which has routes instead.
    pub address: Option<Ipv4Addr>,
    /// Destinations that a gateway endpoint leads to.
    pub routes: Vec<DesiredRoute>,
    /// Whether the provider's approval stands; traffic flows only then.
    pub accepted: bool,
    /// Port mappings of the service; at most 200.
    pub ports: Vec<DesiredPort>,
    /// Number of the provider's VPC.
    pub provider_vpc: u16,
    /// Where connections to its address go; shared by all endpoints of one backend
    /// resource.
    pub servers: Option<Arc<Servers>>,
    /// Client prefixes that may use the endpoint; `None` is everyone.
    pub whitelist: Option<Vec<Cidr>>,
    /// How much may flow.
    pub limits: DesiredLimits,
    /// What a refused client gets.
    pub refusal: Refusal,
    /// What becomes of idle connections.
    pub idle: Idle,
    /// How servers learn the addresses of clients.
    pub client_address: ClientAddress,
    /// What tells the endpoint from others of the service (`marker_id`).
    pub marker: u32,
}

/// How much may flow through an endpoint. But for `connections`, 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DesiredLimits {
    /// Most concurrent connections.
    pub connections: u32,
    /// Most unfinished TCP handshakes.
    pub half_open: u32,
    /// Most new connections in a second.
    pub connection_rate: u32,
    /// Most megabits in a second and direction.
    pub bandwidth: u32,
}

/// A destination that an endpoint leads to; packets keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DesiredRoute {
    /// The subnet whose clients have the route; `None` is every client without a route table
    /// of its own.
    pub subnet: Option<Cidr>,
    /// The network in the provider's VPC.
    pub destination: Cidr,
}

/// One port mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DesiredPort {
    /// IANA protocol number: 6 TCP, 17 UDP.
    pub protocol: u8,
    /// Port at the endpoint (1..=65535).
    pub client_port: u16,
    /// Port at the backend (1..=65535).
    pub server_port: u16,
}

/// What one backend resource consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers {
    /// The backend resource.
    pub id: BackendId,
    /// How new connections spread over them.
    pub algorithm: Algorithm,
    /// Several only behind a load balancer.
    pub members: Vec<DesiredBackend>,
}

/// One server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DesiredBackend {
    /// Address in the provider's VPC.
    pub address: Ipv4Addr,
    /// The member's own port; `None` keeps the mapping's server port.
    pub port: Option<u16>,
    /// Share of new connections (1..=100) relative to the other members.
    pub weight: u8,
    /// Whether it gets new connections. One that does not keeps those it has.
    pub takes_connections: bool,
}

/// What a refused client gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusal {
    /// A TCP reset, for UDP an ICMP error: the client knows at once.
    #[default]
    Reset,
    /// An ICMP error, also of a TCP connection: the client knows at once, and why.
    Icmp,
    /// Nothing: the client times out and learns nothing.
    Silent,
}

/// What a reconcile pass achieved, object by object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The [`Desired::version`] this pass applied.
    pub version: u64,
    /// Endpoints that could not be put into the kernel, with the reason.
    pub failed_endpoints: BTreeMap<EndpointId, String>,
    /// State of every desired attachment.
    pub attachments: BTreeMap<AttachmentId, AttachmentState>,
}

/// What became of an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachmentState {
    /// Programs are attached and packets are handled. Names the hook in use:
    /// `xdp`, `xdp-generic`, `tcx` or `clsact`.
    Active {
        /// The hook in use.
        hook: String,
    },
    /// Not attached; the text says why and what to do.
    Failed {
        /// Why, and what to do.
        reason: String,
    },
}

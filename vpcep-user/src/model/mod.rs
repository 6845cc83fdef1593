//! What vpcep is about, as types that can only exist valid.
//!
//! Owns the vocabulary (ids, prefixes, port mappings, names, permissions), the
//! objects made of it, and the state machines that move them. Leaves to
//! [`crate::controller`] every rule that needs to see more than one object, to
//! [`crate::store`] how objects are kept, and to [`crate::api`] how they look on
//! the wire. Nothing here reads a clock, a socket or a lock.
//!
//! Source: Huawei VPCEP and Open Telekom Cloud API references and user guides.

#![forbid(unsafe_code)]

mod account;
mod backend;
mod client_address;
pub mod connection;
mod endpoint;
mod error;
mod health;
mod id;
mod idle;
mod name;
mod network;
mod permission;
mod policy;
mod port;
mod prefix;
mod quota;
mod route_table;
mod secret;
mod service;
mod tag;
mod time;
mod user;

pub use account::Account;
pub use backend::{Algorithm, Backend, BackendKind, Member, MemberName};
pub use client_address::{ClientAddress, ProxyProfile, TcpProxy};
pub use connection::Connection;
pub use endpoint::{Endpoint, EndpointKind, MAX_WHITELIST, Whitelist, WhitelistEntry};
pub use error::{ModelError, parse_address};
pub use health::{HealthCheck, HealthCheckText, HealthStatus, HttpPath, MemberHealth, Probe, StatusCodes};
pub use id::{
    AttachmentId, BackendId, DomainId, EndpointId, PermissionId, ProjectId, RouteTableId, ServiceId,
    SubnetId, UserId, VpcId,
};
pub use idle::{Idle, IdleTimeout};
pub use name::{Description, DnsDomain, FullName, Name, Region, ServiceName};
pub use network::{Attachment, DnsServers, InterfaceAddress, InterfaceName, Subnet, VlanId, Vpc};
pub use permission::{MAX_PERMISSIONS, Permission, PermissionEntry, PermissionKind};
pub use policy::{MAX_POLICY_BYTES, MAX_STATEMENTS, Policy, PolicyEffect, PolicyStatement};
pub use port::{MAX_PORTS, Port, PortMapping, PortMappings, Protocol};
pub use prefix::Cidr;
pub use quota::{QuotaChange, Quotas};
pub use route_table::RouteTable;
pub use secret::Secret;
pub use service::{Prefixes, Service, ServiceKind, ServiceStatus};
pub use tag::{MAX_TAG_MATCHES, MAX_TAGS, Tag, TagMatch, TagMatches, TagQuery, TagRemoval, Tags};
pub use time::Timestamp;
pub use user::{AccessKey, AccessKeyId, PasswordHash, Role, Sealed, Token, TokenHash, User};

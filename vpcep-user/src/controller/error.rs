//! Why the controller refuses an operation.
//!
//! Every variant names what is wrong with which value; [`crate::api`] gives each
//! its stable code.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::LoadError;
use super::addresses::AddressOwner;
use crate::model::connection::Refused;
use crate::model::{
    AttachmentId, BackendId, BackendKind, Cidr, EndpointId, ModelError, Name, PortMapping, RouteTableId,
    ServiceId, VpcId,
};
use crate::store::StoreError;

/// An operation that was refused; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A value that cannot exist.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There is no such object, or the caller may not see it.
    #[error("{kind} {id} not found")]
    NotFound {
        /// What was looked for.
        kind: &'static str,
        /// By which id or name.
        id: String,
    },
    /// A request names a VPC that is not its project's.
    #[error("vpc {id} does not exist in this project")]
    NoSuchVpc {
        /// The id given.
        id: String,
    },
    /// A request names a subnet that is not its project's.
    #[error("subnet {id} does not exist in this project")]
    NoSuchSubnet {
        /// The id given.
        id: String,
    },
    /// A port names a network, which is a subnet, that is not its project's.
    #[error("network {id} does not exist in this project")]
    NoSuchNetwork {
        /// The id given.
        id: String,
    },
    /// The subnet is another VPC's.
    #[error("subnet {subnet} is not in vpc {vpc}")]
    SubnetElsewhere {
        /// The subnet given.
        subnet: String,
        /// The VPC given.
        vpc: String,
    },
    /// A prefix lies outside of what it must be part of.
    #[error("bad cidr {cidr}: it is not inside {outer}, the range of the vpc")]
    OutsideVpc {
        /// The prefix given.
        cidr: Cidr,
        /// The VPC's range.
        outer: Cidr,
    },
    /// A prefix overlaps one that must be free.
    #[error("bad cidr {cidr}: it overlaps {other}, {owner}")]
    Overlap {
        /// The prefix given.
        cidr: Cidr,
        /// The prefix it overlaps.
        other: Cidr,
        /// Whose that is.
        owner: String,
    },
    /// An address is not one a host of this network may have.
    #[error("bad {field} {address}: expected a host's address in {network}")]
    AddressOutside {
        /// Which field.
        field: &'static str,
        /// The address given.
        address: Ipv4Addr,
        /// Where it should be.
        network: Cidr,
    },
    /// An address was given and lies outside its subnet.
    #[error("bad {field} {address}: expected a host's address in the subnet {subnet}")]
    OutsideSubnet {
        /// Which field.
        field: &'static str,
        /// The address given.
        address: Ipv4Addr,
        /// Where it should be.
        subnet: Cidr,
    },
    /// An interface endpoint needs a subnet.
    #[error("subnet_id is missing: an endpoint of an interface service has an address from a subnet")]
    SubnetMissing,
    /// A field that its kind of service or endpoint has not.
    #[error("bad {field}: {what} {id} is of the type {kind}, which has none")]
    WrongKind {
        /// The field given.
        field: &'static str,
        /// What kind of object.
        what: &'static str,
        /// Which one.
        id: String,
        /// Interface or gateway.
        kind: &'static str,
    },
    /// A VPC has no such route table.
    #[error("route table {id} does not exist in vpc {vpc}")]
    NoSuchRouteTable {
        /// The id given.
        id: RouteTableId,
        /// The VPC.
        vpc: VpcId,
    },
    /// A route table leads elsewhere already.
    #[error("route table {id} leads to endpoint {endpoint} already, whose service has the same networks")]
    RouteTableInUse {
        /// The table given.
        id: RouteTableId,
        /// Where it leads.
        endpoint: EndpointId,
    },
    /// A gateway endpoint without a route table.
    #[error("bad routetables: the list is empty, a gateway endpoint is reached by at least one")]
    NoRouteTables,
    /// What a default route table is not for.
    #[error("route table {id} is its vpc's default one and cannot {refused}")]
    DefaultRouteTable {
        /// The table.
        id: RouteTableId,
        /// What it cannot, and what to do.
        refused: &'static str,
    },
    /// The service takes no policy.
    #[error("bad policy: endpoint service {id} takes none")]
    NoPolicy {
        /// The service.
        id: ServiceId,
    },
    /// A list that is longer than it may be.
    #[error("bad {field}: {count} given, expected at most {limit}")]
    TooMany {
        /// The list.
        field: &'static str,
        /// How many were given.
        count: usize,
        /// The most there may be.
        limit: usize,
    },
    /// A list that names something twice.
    #[error("bad {field}: id {id} is given twice, each id may appear once")]
    GivenTwice {
        /// The list.
        field: &'static str,
        /// What it names twice.
        id: String,
    },
    /// The address is taken.
    #[error("address {address} is in use by {owner}")]
    AddressInUse {
        /// The address given.
        address: Ipv4Addr,
        /// Who has it.
        owner: AddressOwner,
    },
    /// No address left.
    #[error(
        "subnet {subnet} has no free address left: the first and the last host's are only given as port_ip"
    )]
    SubnetFull {
        /// The subnet's range.
        subnet: Cidr,
    },
    /// The project may not have more.
    #[error("quota exceeded: the project has {limit} of {limit} {what}")]
    Quota {
        /// What of.
        what: &'static str,
        /// The limit in force.
        limit: u32,
    },
    /// Every number a kind of object may have is taken.
    #[error("cannot make another {what}: all {limit} numbers are in use")]
    NumbersExhausted {
        /// What kind of object.
        what: &'static str,
        /// How many numbers there are.
        limit: u32,
    },
    /// An endpoint names a service there is not.
    #[error("endpoint service {id} does not exist")]
    NoSuchService {
        /// The id given.
        id: String,
    },
    /// An endpoint names a service that is not ready.
    #[error("endpoint service {id} is {status}, it must be available")]
    ServiceNotAvailable {
        /// The service.
        id: ServiceId,
        /// Its status.
        status: &'static str,
    },
    /// The service's state forbids a change of it.
    #[error("endpoint service {id} is {status} and cannot be changed")]
    ServiceFrozen {
        /// The service.
        id: ServiceId,
        /// Its status.
        status: &'static str,
    },
    /// The account may not connect to the service.
    #[error("this account is not on the whitelist of endpoint service {id}")]
    NotWhitelisted {
        /// The service.
        id: ServiceId,
    },
    /// A connection action names an endpoint of another service.
    #[error("endpoint {endpoint} does not belong to endpoint service {service}")]
    ForeignEndpoint {
        /// The endpoint given.
        endpoint: String,
        /// The service given.
        service: ServiceId,
    },
    /// The connection's state forbids it.
    #[error("cannot change the connection of endpoint {endpoint}")]
    Connection {
        /// The endpoint.
        endpoint: String,
        /// Why.
        #[source]
        source: Refused,
    },
    /// The service still has connections.
    #[error(
        "endpoint service {id} is in use by {connections} connected endpoints: reject or delete them first"
    )]
    ServiceInUse {
        /// The service.
        id: ServiceId,
        /// How many are accepted or creating.
        connections: usize,
    },
    /// Connected endpoints need the attachment.
    #[error(
        "attachment {id} is in use by {endpoints} connected endpoints: delete them first, or use force \
         (?force=true, vpcep attachment delete --force), which stops the flows of the vpc until it is \
         attached again; endpoints and sessions stay"
    )]
    AttachmentInUse {
        /// The attachment.
        id: AttachmentId,
        /// How many have their client or their server behind it.
        endpoints: usize,
    },
    /// Something refers to what should be deleted.
    #[error("{what} {id} is in use by {users}: delete that first")]
    InUse {
        /// What should be deleted.
        what: &'static str,
        /// Its id.
        id: String,
        /// What refers to it.
        users: String,
    },
    /// A service names a backend that is not its project's.
    #[error("port_id {id} names no backend of this project")]
    NoSuchBackend {
        /// The id given.
        id: BackendId,
    },
    /// A service names a backend of another VPC.
    #[error("port_id {id} is not in vpc {vpc}")]
    BackendElsewhere {
        /// The backend.
        id: BackendId,
        /// The VPC given.
        vpc: String,
    },
    /// A service says its backend is something else.
    #[error("bad server_type \"{given}\": backend {id} is a {found}")]
    ServerKind {
        /// The backend.
        id: BackendId,
        /// What was given.
        given: BackendKind,
        /// What it is.
        found: BackendKind,
    },
    /// Two services would use one port of one backend.
    #[error("server port {} {} is already offered by endpoint service {service} on the same backend", mapping.protocol, mapping.server_port)]
    PortClash {
        /// The mapping given.
        mapping: PortMapping,
        /// The other service.
        service: ServiceId,
    },
    /// Too many permissions.
    #[error("too many permissions: {count}, a service may have at most {limit}")]
    TooManyPermissions {
        /// How many were given, or it would have.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Something of which there can be one is there already.
    #[error("{what} already exists{detail}")]
    Exists {
        /// What.
        what: String,
        /// Where, or what to do.
        detail: &'static str,
    },
    /// An account's name could be taken for an id.
    #[error("bad name \"{name}\": 32 hexadecimal digits are an id, give a name that is not one")]
    NameIsId {
        /// The name given.
        name: Name,
    },
    /// An operator outside of the operator's own domain.
    #[error(
        "bad role \"operator\": only users of the operator's own account may have it, expected member or reader"
    )]
    OperatorElsewhere,
    /// The user may not have more.
    #[error("too many access keys: the user has {limit} of {limit}, delete one first")]
    TooManyKeys {
        /// The limit.
        limit: usize,
    },
    /// A password or a token that was good when it was looked at.
    #[error("the password or the token has just been changed or ended: log in again")]
    ProofOver,
    /// A token that is worth nothing.
    #[error("the token does not exist or has expired")]
    NoSuchToken,
    /// The operator's project cannot be used here.
    #[error("project {id} not found")]
    NoSuchProject {
        /// The id given.
        id: String,
    },
    /// The store is open again, and what it holds cannot be read.
    #[error("cannot keep the change")]
    Reload(#[source] Box<LoadError>),
    /// The store refused.
    #[error("cannot keep the change")]
    Store(#[from] Arc<StoreError>),
}

//! Why a value cannot be part of the model.
//!
//! Every variant names the field and the value and says what would be right;
//! [`crate::api`] gives each its stable code.

use std::net::Ipv4Addr;

use super::port::MAX_PORTS;

/// A value that cannot exist in the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Not a UUID or not 32 hexadecimal digits.
    #[error("bad {kind} \"{value}\": expected {expected}")]
    Id {
        /// What the id names, such as `vpc id`.
        kind: &'static str,
        /// What was given.
        value: String,
        /// The form that would be right.
        expected: &'static str,
    },
    /// Not an IPv4 prefix.
    #[error("bad prefix \"{value}\": expected an IPv4 network such as 10.0.0.0/24")]
    Cidr {
        /// What was given.
        value: String,
    },
    /// A prefix whose address is not the network's.
    #[error("bad prefix \"{value}\": host bits are set, the network is {network}")]
    HostBits {
        /// What was given.
        value: String,
        /// The network it lies in.
        network: super::Cidr,
    },
    /// Not an interface address.
    #[error("bad address \"{value}\": {expected}")]
    InterfaceAddress {
        /// What was given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Not a kernel interface name.
    #[error("bad interface \"{value}\": expected 1 to 15 characters without \"/\" and spaces")]
    Interface {
        /// What was given.
        value: String,
    },
    /// Not an 802.1Q id.
    #[error("bad vlan {value}: expected 1 to 4094")]
    Vlan {
        /// What was given.
        value: u32,
    },
    /// Not a service name.
    #[error("bad service_name \"{value}\": expected 1 to 16 of letters, digits, \"_\" and \"-\"")]
    ServiceName {
        /// What was given.
        value: String,
    },
    /// Not a name of an account, network or backend.
    #[error("bad {field} \"{value}\": expected 1 to 64 of letters, digits, \"_\", \"-\" and \".\"")]
    Name {
        /// Which field.
        field: &'static str,
        /// What was given.
        value: String,
    },
    /// Not a description.
    #[error("bad description \"{value}\": expected at most 512 characters without \"<\" and \">\"")]
    Description {
        /// What was given.
        value: String,
    },
    /// Not a TCP or UDP port.
    #[error("bad {field} {value}: expected 1 to 65535")]
    Port {
        /// Which field.
        field: &'static str,
        /// What was given.
        value: i64,
    },
    /// Not a protocol this release carries.
    #[error("bad protocol \"{value}\": expected TCP or UDP")]
    Protocol {
        /// What was given.
        value: String,
    },
    /// No port mapping at all.
    #[error("bad ports: empty, expected 1 to {MAX_PORTS} mappings")]
    NoPorts,
    /// Too many port mappings.
    #[error("bad ports: {count} mappings, expected at most {MAX_PORTS}")]
    TooManyPorts {
        /// How many were given.
        count: usize,
    },
    /// Two mappings on one client port.
    #[error("bad ports: client_port {client_port} is mapped twice, each client_port may appear once")]
    DuplicatePort {
        /// The port.
        client_port: super::Port,
    },
    /// Not a permission.
    #[error(
        "bad permission \"{value}\": expected iam:domain::DOMAIN_ID, organizations:orgPath::PATH or \"*\" for everyone"
    )]
    Permission {
        /// What was given.
        value: String,
    },
    /// Not a whitelist entry.
    #[error("bad whitelist entry \"{value}\": {expected}")]
    WhitelistEntry {
        /// What was given.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// Too many whitelist entries.
    #[error("bad whitelist: {count} entries, expected at most {}", super::MAX_WHITELIST)]
    WhitelistTooLong {
        /// How many were given.
        count: usize,
    },
    /// Not a backend type.
    #[error("bad {field} \"{value}\": expected VM, BMS, VIP or LB")]
    BackendKind {
        /// Which field.
        field: &'static str,
        /// What was given.
        value: String,
    },
    /// Not a role.
    #[error("bad role \"{value}\": expected operator, member or reader")]
    Role {
        /// What was given.
        value: String,
    },
    /// Not a hash of a password.
    #[error("bad password hash: expected a PHC string of argon2id")]
    PasswordHash,
    /// Not a weight.
    #[error("bad weight {value}: expected 1 to 100")]
    Weight {
        /// What was given.
        value: i64,
    },
    /// Not a means to tell servers the client's address.
    #[error("bad tcp_proxy \"{value}\": expected close, toa_open, proxy_open or open")]
    TcpProxy {
        /// What was given.
        value: String,
    },
    /// Not a form of naming endpoints in PROXY headers.
    #[error("bad proxy_profile \"{value}\": expected own, aws, gcp or azure")]
    ProxyProfile {
        /// What was given.
        value: String,
    },
    /// Not a way to spread connections.
    #[error("bad algorithm \"{value}\": expected round_robin or source_hash")]
    Algorithm {
        /// What was given.
        value: String,
    },
    /// Not the address and port of a member.
    #[error("bad member \"{value}\": expected ADDRESS:PORT, with port 0 for a member without one of its own")]
    MemberName {
        /// What was given.
        value: String,
    },
    /// Not a health check.
    #[error("bad {field} \"{value}\": expected {expected}")]
    HealthCheck {
        /// Which field.
        field: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A health check or an algorithm on what has no members.
    #[error("bad {field}: {problem}")]
    Balancing {
        /// Which field.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Members on something that is no load balancer, or too many of them.
    #[error("bad members: {problem}")]
    Members {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Not a point in time.
    #[error("bad time \"{value}\": expected RFC 3339 in UTC, such as 2026-03-01T12:00:00Z")]
    Time {
        /// What was given.
        value: String,
    },
    /// A tag without a key.
    #[error("bad tags: a key is empty, expected 1 to 128 characters")]
    TagKeyEmpty,
    /// A tag key twice.
    #[error("bad tags: key \"{key}\" is given twice, each key may appear once")]
    TagDuplicate {
        /// The key.
        key: String,
    },
    /// A value of a search twice.
    #[error("bad tags: value \"{value}\" of key \"{key}\" is given twice, each value may appear once")]
    TagValueDuplicate {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Characters that tags cannot have.
    #[error("bad tag {field} \"{value}\": {expected}")]
    TagCharacters {
        /// Key or value.
        field: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A tag key that is too long.
    #[error("bad tag key \"{key}\": expected at most {limit} characters")]
    TagKeyLong {
        /// What was given.
        key: String,
        /// The most there may be.
        limit: usize,
    },
    /// A tag value that is too long.
    #[error("bad tag value \"{value}\": expected at most {limit} characters")]
    TagValueLong {
        /// What was given.
        value: String,
        /// The most there may be.
        limit: usize,
    },
    /// More tags than a resource may have.
    #[error("bad tags: there would be {count}, expected at most {}", super::MAX_TAGS)]
    TooManyTags {
        /// How many there would be.
        count: usize,
    },
    /// More keys or values than a search may have.
    #[error("bad tags: {count} {what} in one list, expected at most {}", super::MAX_TAG_MATCHES)]
    TooManyTagMatches {
        /// Keys or values.
        what: &'static str,
        /// How many were given.
        count: usize,
    },
    /// Networks that a gateway service cannot have.
    #[error("bad prefixes: {problem}")]
    Prefixes {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Not an idle time-out.
    #[error(
        "bad idle_timeout {value}: expected {} to {} seconds, or 0 for the gateway's setting",
        super::IdleTimeout::MIN_SECS,
        super::IdleTimeout::MAX_SECS
    )]
    IdleTimeout {
        /// The seconds given.
        value: i64,
    },
    /// Not a policy.
    #[error("bad policy: {problem}")]
    Policy {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Not a list of name servers.
    #[error("bad dnsList: {problem}")]
    DnsServers {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Not a DNS domain.
    #[error(
        "bad DNS domain \"{value}\": expected labels of letters, digits and \"-\", such as vpcep.internal"
    )]
    DnsDomain {
        /// What was given.
        value: String,
    },
    /// Neither of the kind interface nor of the kind gateway.
    #[error("bad {what}: expected all of {interface}, or only {gateway}")]
    MixedKind {
        /// What it is of.
        what: &'static str,
        /// What an interface one is made of.
        interface: &'static str,
        /// What a gateway one is made of.
        gateway: &'static str,
    },
    /// Not an IPv4 address.
    #[error("bad {field} \"{value}\": expected an IPv4 address such as 10.0.0.7")]
    Address {
        /// Which field.
        field: &'static str,
        /// What was given.
        value: String,
    },
}

/// Parses an IPv4 address; `field` names it in the error.
///
/// # Errors
/// When `text` is no IPv4 address.
pub fn parse_address(field: &'static str, text: &str) -> Result<Ipv4Addr, ModelError> {
    text.parse().map_err(|_| ModelError::Address { field, value: text.into() })
}

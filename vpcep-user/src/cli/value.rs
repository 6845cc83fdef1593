//! What may be typed for an argument, parsed before anything is sent.
//!
//! The vocabulary is [`crate::model`]'s; here are the forms that only a command
//! line has, such as `80:8080/tcp`, and the ways to name what exists. A value
//! can only be of a form the API knows; whether the thing exists, is free or is
//! permitted is the controller's to say. clap puts the argument and the value
//! before the error, so an error here says only what would be right.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

use serde::Serialize;

use crate::events::record::is_reason;
use crate::model::{self, Idle, IdleTimeout, ModelError, Timestamp, VlanId};

/// Why a text is not a value of its argument.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    #[error("give an id or a name")]
    Reference,
    #[error("want a time such as 2026-03-01T12:00:00Z, or how long ago, such as 90m or 2days")]
    Time,
    #[error(
        "want a reason of the drops in `vpcep stats`, such as not_accepted, or closed, cut_off, idle, refused_by_backend, reset_by_backend or reset_by_client"
    )]
    EventReason,
    #[error("want an 802.1Q id, a whole number from 1 to 4094")]
    Vlan,
    #[error("want CLIENT:SERVER[/tcp|/udp] with ports from 1 to 65535, such as 80:8080 or 53:53/udp")]
    PortMapping,
    #[error("want IP:PORT[/tcp|/udp] with a port from 1 to 65535, such as 10.0.0.9:443")]
    Destination,
    #[error(
        "want IP:PORT[,weight=N] with port 0 (keep the server port) to 65535 and weight 1 to 100, such as 10.0.0.7:8080,weight=50"
    )]
    Member,
    #[error("want *, a domain id, an account name, iam:domain::ID or organizations:orgPath::PATH")]
    Permission,
    #[error(
        "want whole seconds from {} to {}, or 0 for the gateway's setting",
        IdleTimeout::MIN_SECS,
        IdleTimeout::MAX_SECS
    )]
    IdleTimeout,
    #[error("want KEY=VALUE, such as env=prod")]
    Tag,
    #[error("want KEY or KEY=VALUE with values joined by commas, such as env=prod,staging")]
    TagMatch,
    #[error(
        "want TYPE=N with TYPE endpoint_service, endpoint, connection, vpc, subnet or port and N a whole number, such as endpoint=100"
    )]
    Quota,
}

/// The name of a thing to be made.
///
/// # Errors
/// When the model has no such name.
pub fn name(text: &str) -> Result<model::Name, ModelError> {
    model::Name::new("name", text)
}

/// The id of a VLAN.
///
/// # Errors
/// When it is no number from 1 to 4094.
pub fn vlan(text: &str) -> Result<VlanId, ValueError> {
    decimal(text).and_then(|id| VlanId::new(id).ok()).ok_or(ValueError::Vlan)
}

/// An idle time-out in seconds, 0 for none.
///
/// # Errors
/// When a service cannot have it.
pub fn idle_timeout(text: &str) -> Result<u32, ValueError> {
    let timeout = decimal(text).and_then(|secs| IdleTimeout::from_secs(secs).ok());
    let timeout = timeout.ok_or(ValueError::IdleTimeout)?;
    Ok(Idle { timeout, ..Idle::default() }.timeout_secs())
}

/// A point in time, as it is or as how long ago it was.
///
/// # Errors
/// When it is neither.
pub fn time(text: &str) -> Result<Timestamp, ValueError> {
    text.parse().or_else(|_| {
        let ago = humantime::parse_duration(text).map_err(|_| ValueError::Time)?;
        let ago = u64::try_from(ago.as_micros()).unwrap_or(u64::MAX);
        Ok(Timestamp::from_micros(Timestamp::now().as_micros().saturating_sub(ago)))
    })
}

/// Reads why a packet was refused, or how a session ended.
///
/// # Errors
/// When it is neither.
pub fn event_reason(text: &str) -> Result<String, ValueError> {
    if is_reason(text) { Ok(text.to_owned()) } else { Err(ValueError::EventReason) }
}

/// Reads digits only: no sign, which `str::parse` would take.
pub fn decimal<N: FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A thing that exists, by id or by name. A text in the form of an id (a dashed
/// lower-case UUID) is always taken as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// An id.
    Id(String),
    /// Anything else.
    Name(String),
}

impl Reference {
    /// The text as it was typed.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Id(text) | Self::Name(text) => text,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reference {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(ValueError::Reference);
        }
        Ok(if is_uuid(text) { Self::Id(text.to_owned()) } else { Self::Name(text.to_owned()) })
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Transport protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// The default.
    #[default]
    Tcp,
    /// User datagrams.
    Udp,
}

impl Protocol {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    /// Splits a trailing `/tcp` or `/udp` off; none is TCP.
    fn split_off(text: &str) -> Option<(&str, Self)> {
        match text.rsplit_once('/') {
            None => Some((text, Self::Tcp)),
            Some((rest, protocol)) if protocol.eq_ignore_ascii_case("tcp") => Some((rest, Self::Tcp)),
            Some((rest, protocol)) if protocol.eq_ignore_ascii_case("udp") => Some((rest, Self::Udp)),
            Some(_) => None,
        }
    }
}

/// Which port of the endpoint leads to which port of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PortMapping {
    client_port: u16,
    server_port: u16,
    protocol: Protocol,
}

impl FromStr for PortMapping {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (ports, protocol) = Protocol::split_off(text)?;
            let (client, server) = ports.split_once(':')?;
            let (client_port, server_port) = (decimal(client)?, decimal(server)?);
            (client_port != 0 && server_port != 0).then_some(Self { client_port, server_port, protocol })
        };
        parse().ok_or(ValueError::PortMapping)
    }
}

/// What a client connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Address and port, 1..=65535.
    pub address: SocketAddrV4,
    /// Transport.
    pub protocol: Protocol,
}

impl FromStr for Destination {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, protocol) = Protocol::split_off(text).ok_or(ValueError::Destination)?;
        let address: SocketAddrV4 = address.parse().map_err(|_| ValueError::Destination)?;
        if address.port() == 0 {
            return Err(ValueError::Destination);
        }
        Ok(Self { address, protocol })
    }
}

/// One server behind a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    address: Ipv4Addr,
    port: u16,
    weight: u8,
}

impl FromStr for Member {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (socket, weight) = match text.split_once(',') {
                Some((socket, option)) => (socket, decimal(option.strip_prefix("weight=")?)?),
                None => (text, 1),
            };
            let socket: SocketAddrV4 = socket.parse().ok()?;
            let member = Self { address: *socket.ip(), port: socket.port(), weight };
            (1..=100).contains(&weight).then_some(member)
        };
        parse().ok_or(ValueError::Member)
    }
}

/// Who may connect to a service, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// A permission as the API writes it, `*` included.
    Complete(model::Permission),
    /// A domain id or an account name.
    Bare(model::Name),
}

impl Permission {
    /// The text, when it is the id of a permission.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Bare(name) if is_uuid(name.as_str()) => Some(name.as_str()),
            _ => None,
        }
    }
}

/// The permission for one domain.
///
/// # Errors
/// When the text has not the form of a domain id.
pub fn domain_permission(domain_id: &str) -> Result<model::Permission, ModelError> {
    format!("iam:domain::{domain_id}").parse()
}

impl FromStr for Permission {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let complete = text.parse().map(Self::Complete);
        complete.or_else(|_| name(text).map(Self::Bare)).map_err(|_| ValueError::Permission)
    }
}

/// A tag to be given; the value may be empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tag {
    key: String,
    value: String,
}

impl FromStr for Tag {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or(ValueError::Tag)?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// Tags that are looked for: those of a key with one of these values, or any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TagMatch {
    /// The key.
    pub key: String,
    /// The values; any when there is none.
    pub values: Vec<String>,
}

impl FromStr for TagMatch {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, values) = match text.split_once('=') {
            Some((key, values)) => (key, values.split(',').map(ToOwned::to_owned).collect()),
            None => (text, Vec::new()),
        };
        if key.is_empty() {
            return Err(ValueError::TagMatch);
        }
        Ok(Self { key: key.to_owned(), values })
    }
}

/// A limit and its new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaSetting {
    /// Which limit, in the API's word.
    pub quota_type: &'static str,
    /// The limit.
    pub quota: u32,
}

impl FromStr for QuotaSetting {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (quota_type, quota) = text.split_once('=').ok_or(ValueError::Quota)?;
        let known = [
            "endpoint_service",
            "endpoint",
            "connection",
            "vpc",
            "subnet",
            "port",
            "half_open",
            "connection_rate",
            "bandwidth",
        ];
        let quota_type = known.into_iter().find(|known| *known == quota_type).ok_or(ValueError::Quota)?;
        Ok(Self { quota_type, quota: decimal(quota).ok_or(ValueError::Quota)? })
    }
}

#[cfg(test)]
mod tests;

//! Endpoints: a consumer's address, or routes, that lead to a service.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use super::{
    Cidr, Connection, Description, EndpointId, ModelError, Policy, ProjectId, RouteTableId, ServiceId,
    SubnetId, Tags, Timestamp, VpcId,
};
use crate::reconcile::desired::Refusal;

/// Most entries of one whitelist.
pub const MAX_WHITELIST: usize = 200;

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Names it, and its connection.
    pub id: EndpointId,
    /// Its owner.
    pub project: ProjectId,
    /// The service it leads to, which may be gone when the connection failed.
    pub service: ServiceId,
    /// The consumer's VPC.
    pub vpc: VpcId,
    /// How it is reached.
    pub kind: EndpointKind,
    /// Tells endpoints apart towards the provider; unique on this controller.
    pub marker: u32,
    /// Which clients may use it.
    pub whitelist: Whitelist,
    /// What a refused client gets.
    pub refusal: Refusal,
    /// What its users may do at the service.
    pub policy: Policy,
    /// The consumer's tags.
    pub tags: Tags,
    /// The consumer's note.
    pub description: Description,
    /// The provider's note on the connection.
    pub connection_description: Description,
    /// Where its connection is in its life.
    pub connection: Connection,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Endpoint {
    /// Its address in the VPC; the consumer learns it from [`Endpoint::shown_address`].
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        match self.kind {
            EndpointKind::Interface { address, .. } => Some(address),
            EndpointKind::Gateway { .. } => None,
        }
    }

    /// The address, once the consumer may know it: from the first acceptance on.
    #[must_use]
    pub fn shown_address(&self) -> Option<Ipv4Addr> {
        self.address().filter(|_| self.connection.was_accepted())
    }

    /// The subnet its address is from.
    #[must_use]
    pub fn subnet(&self) -> Option<SubnetId> {
        match self.kind {
            EndpointKind::Interface { subnet, .. } => Some(subnet),
            EndpointKind::Gateway { .. } => None,
        }
    }

    /// The route tables that lead to it.
    #[must_use]
    pub fn route_tables(&self) -> &[RouteTableId] {
        match &self.kind {
            EndpointKind::Interface { .. } => &[],
            EndpointKind::Gateway { route_tables } => route_tables,
        }
    }

    /// Whether it has a name of its own in the VPC.
    #[must_use]
    pub fn has_name(&self) -> bool {
        matches!(self.kind, EndpointKind::Interface { has_name: true, .. })
    }
}

/// How an endpoint is reached; what its service offers decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointKind {
    /// At an address.
    Interface {
        /// The subnet its address is from.
        subnet: SubnetId,
        /// Its address in the VPC.
        address: Ipv4Addr,
        /// Whether it has a name of its own in the VPC.
        has_name: bool,
    },
    /// By routes to the networks of the service.
    Gateway {
        /// The tables that have the routes, each once.
        route_tables: Vec<RouteTableId>,
    },
}

impl EndpointKind {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Interface { .. } => "interface",
            Self::Gateway { .. } => "gateway",
        }
    }
}

/// Which clients may use an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whitelist {
    enabled: bool,
    entries: Vec<WhitelistEntry>,
}

impl Whitelist {
    /// A whitelist of these entries, enforced only when `enabled`.
    ///
    /// # Errors
    /// When there are more than [`MAX_WHITELIST`].
    pub fn new(enabled: bool, mut entries: Vec<WhitelistEntry>) -> Result<Self, ModelError> {
        if entries.len() > MAX_WHITELIST {
            return Err(ModelError::WhitelistTooLong { count: entries.len() });
        }
        let mut seen = std::collections::BTreeSet::new();
        entries.retain(|entry| seen.insert(entry.prefix()));
        Ok(Self { enabled, entries })
    }

    /// Whether it is enforced.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The entries, each prefix once, as they were written.
    #[must_use]
    pub fn entries(&self) -> &[WhitelistEntry] {
        &self.entries
    }

    /// Whether a client of this address may use the endpoint.
    #[must_use]
    pub fn admits(&self, client: Ipv4Addr) -> bool {
        !self.enabled || self.entries.iter().any(|entry| entry.prefix().contains(client))
    }

    /// The prefixes that may use the endpoint; `None` is everyone.
    #[must_use]
    pub fn enforced(&self) -> Option<Vec<Cidr>> {
        self.enabled.then(|| self.entries.iter().map(|entry| entry.prefix()).collect())
    }
}

/// An address or a prefix, printed as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhitelistEntry {
    /// One client.
    Address(Ipv4Addr),
    /// Every client in a prefix.
    Prefix(Cidr),
}

impl WhitelistEntry {
    /// The clients it admits.
    #[must_use]
    pub fn prefix(self) -> Cidr {
        match self {
            Self::Address(address) => Cidr::host(address),
            Self::Prefix(prefix) => prefix,
        }
    }
}

impl FromStr for WhitelistEntry {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let bad = |expected| ModelError::WhitelistEntry { value: text.into(), expected };
        let form = || "expected an IPv4 address or network such as 10.0.0.0/24".to_owned();
        if !text.contains('/') {
            return text.parse().map(Self::Address).map_err(|_| bad(form()));
        }
        text.parse().map(Self::Prefix).map_err(|error| match error {
            ModelError::HostBits { network, .. } => {
                bad(format!("host bits are set, the network is {network}"))
            }
            _ => bad(form()),
        })
    }
}

impl fmt::Display for WhitelistEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whitelist(enabled: bool, entries: &[&str]) -> Whitelist {
        Whitelist::new(enabled, entries.iter().map(|e| e.parse().unwrap()).collect()).unwrap()
    }

    #[test]
    fn whitelist_counts_only_when_enabled() {
        let client = Ipv4Addr::new(10, 0, 0, 9);
        for (enabled, entries, admitted) in [
            (false, &[][..], true),
            (false, &["10.0.1.0/24"][..], true),
            (true, &[][..], false),
            (true, &["10.0.1.0/24"][..], false),
            (true, &["10.0.1.0/24", "10.0.0.9"][..], true),
            (true, &["0.0.0.0/0"][..], true),
        ] {
            assert_eq!(whitelist(enabled, entries).admits(client), admitted, "{enabled} {entries:?}");
        }
        assert_eq!(whitelist(false, &["10.0.0.9"]).enforced(), None);
    }

    #[test]
    fn entries_print_as_written_and_repeat_once() {
        let list = whitelist(true, &["10.0.0.9", "10.0.0.9/32", "10.0.0.0/24"]);
        assert_eq!(
            list.entries().iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.9", "10.0.0.0/24"]
        );
    }

    #[test]
    fn bad_entries_say_what_would_be_right() {
        for (text, message) in [
            (
                "192.0.2.77/28",
                "bad whitelist entry \"192.0.2.77/28\": host bits are set, the network is 192.0.2.64/28",
            ),
            ("x", "bad whitelist entry \"x\": expected an IPv4 address or network such as 10.0.0.0/24"),
        ] {
            assert_eq!(text.parse::<WhitelistEntry>().unwrap_err().to_string(), message);
        }
    }
}

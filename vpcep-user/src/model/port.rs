//! Port mappings: which port of the endpoint leads to which port of the backend.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use super::ModelError;

/// Most mappings of one service.
pub const MAX_PORTS: usize = 200;

/// A TCP or UDP port, 1..=65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port(NonZeroU16);

impl Port {
    /// The port of this number; `field` names it in the error.
    ///
    /// # Errors
    /// When the number is not in 1..=65535.
    pub fn new(field: &'static str, value: i64) -> Result<Self, ModelError> {
        let bad = || ModelError::Port { field, value };
        let number = u16::try_from(value).map_err(|_| bad())?;
        NonZeroU16::new(number).map(Self).ok_or_else(bad)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A transport protocol an endpoint carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The IANA number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl FromStr for Protocol {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        if text.eq_ignore_ascii_case("TCP") {
            Ok(Self::Tcp)
        } else if text.eq_ignore_ascii_case("UDP") {
            Ok(Self::Udp)
        } else {
            Err(ModelError::Protocol { value: text.into() })
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// One mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortMapping {
    /// The protocol.
    pub protocol: Protocol,
    /// Port at the endpoint.
    pub client_port: Port,
    /// Port at the backend.
    pub server_port: Port,
}

/// The mappings of one service: 1 to [`MAX_PORTS`], each client port once.
///
/// Two mappings may lead to the same server port; one client port that led to
/// two server ports would leave the data plane to guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMappings(Vec<PortMapping>);

impl PortMappings {
    /// Takes the mappings in the order given.
    ///
    /// # Errors
    /// When there are none, too many, or two of one client port.
    pub fn new(mappings: Vec<PortMapping>) -> Result<Self, ModelError> {
        if mappings.is_empty() {
            return Err(ModelError::NoPorts);
        }
        if mappings.len() > MAX_PORTS {
            return Err(ModelError::TooManyPorts { count: mappings.len() });
        }
        let mut seen = BTreeSet::new();
        match mappings.iter().find(|m| !seen.insert((m.protocol, m.client_port))) {
            Some(twice) => Err(ModelError::DuplicatePort { client_port: twice.client_port }),
            None => Ok(Self(mappings)),
        }
    }

    /// The mappings, in the order they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[PortMapping] {
        &self.0
    }

    /// The first server port both use with the same protocol.
    #[must_use]
    pub fn shared_server_port(&self, other: &Self) -> Option<PortMapping> {
        let theirs: BTreeSet<_> = other.0.iter().map(|m| (m.protocol, m.server_port)).collect();
        self.0.iter().copied().find(|m| theirs.contains(&(m.protocol, m.server_port)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(client: i64, server: i64) -> PortMapping {
        PortMapping {
            protocol: Protocol::Tcp,
            client_port: Port::new("client_port", client).unwrap(),
            server_port: Port::new("server_port", server).unwrap(),
        }
    }

    #[test]
    fn ports_are_1_to_65535() {
        for (value, ok) in [(-1, false), (0, false), (1, true), (65535, true), (65536, false)] {
            assert_eq!(Port::new("client_port", value).is_ok(), ok, "{value}");
        }
        assert_eq!(
            Port::new("server_port", 0).unwrap_err().to_string(),
            "bad server_port 0: expected 1 to 65535"
        );
    }

    #[test]
    fn protocol_is_tcp_or_udp_in_any_case_and_nothing_else() {
        assert_eq!(("tcp".parse(), "UDP".parse()), (Ok(Protocol::Tcp), Ok(Protocol::Udp)));
        for bad in ["", "TCP ", "ICMP", "17"] {
            assert!(bad.parse::<Protocol>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_client_port_is_mapped_once_and_a_server_port_may_repeat() {
        assert_eq!(PortMappings::new(vec![]), Err(ModelError::NoPorts));
        assert!(PortMappings::new(vec![mapping(80, 8080), mapping(81, 8080)]).is_ok());
        assert_eq!(
            PortMappings::new(vec![mapping(80, 8080), mapping(80, 8081)]).unwrap_err().to_string(),
            "bad ports: client_port 80 is mapped twice, each client_port may appear once"
        );
        let many = |n| PortMappings::new((1..=n).map(|p| mapping(p, 80)).collect());
        assert!(many(200).is_ok());
        assert_eq!(many(201), Err(ModelError::TooManyPorts { count: 201 }));
    }

    #[test]
    fn shared_server_ports_are_found() {
        let a = PortMappings::new(vec![mapping(80, 8080), mapping(22, 22)]).unwrap();
        let b = PortMappings::new(vec![mapping(2222, 22)]).unwrap();
        let c = PortMappings::new(vec![mapping(8080, 443)]).unwrap();
        assert_eq!(a.shared_server_port(&b), Some(mapping(22, 22)));
        assert_eq!(a.shared_server_port(&c), None);
    }
}

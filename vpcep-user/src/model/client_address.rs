//! How servers of a service learn the addresses of clients, since what they see is the gateway's.

use std::str::FromStr;

use super::ModelError;

/// By which means servers are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcpProxy {
    /// By none.
    #[default]
    Close,
    /// By a TCP option (TOA) of what completes the handshake.
    Toa,
    /// By a PROXY protocol header, version 2, in front of what the client sends.
    Proxy,
    /// By both.
    Both,
}

impl TcpProxy {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Close, Self::Toa, Self::Proxy, Self::Both];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Toa => "toa_open",
            Self::Proxy => "proxy_open",
            Self::Both => "open",
        }
    }

    /// Whether the option is one of them.
    #[must_use]
    pub fn has_toa(self) -> bool {
        matches!(self, Self::Toa | Self::Both)
    }

    /// Whether the header is one of them.
    #[must_use]
    pub fn has_header(self) -> bool {
        matches!(self, Self::Proxy | Self::Both)
    }
}

/// In any case.
impl FromStr for TcpProxy {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let known = Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| ModelError::TcpProxy { value: text.into() })
    }
}

/// In whose form a PROXY header names the endpoint: receivers know that of the cloud they were
/// written for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProfile {
    /// vpcep's own.
    #[default]
    Own,
    /// Of AWS PrivateLink.
    Aws,
    /// Of Private Service Connect.
    Gcp,
    /// Of Azure Private Link.
    Azure,
}

impl ProxyProfile {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Own, Self::Aws, Self::Gcp, Self::Azure];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
        }
    }
}

/// In any case.
impl FromStr for ProxyProfile {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let known = Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| ModelError::ProxyProfile { value: text.into() })
    }
}

/// What a service says of the addresses of its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientAddress {
    /// How servers are told. Of TCP alone.
    pub means: TcpProxy,
    /// In whose form headers name the endpoint.
    pub profile: ProxyProfile,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_in_any_case() {
        for means in TcpProxy::ALL {
            assert_eq!(means.as_str().to_uppercase().parse(), Ok(means));
        }
        for profile in ProxyProfile::ALL {
            assert_eq!(profile.as_str().to_uppercase().parse(), Ok(profile));
        }
        assert_eq!(
            "ajar".parse::<TcpProxy>().unwrap_err().to_string(),
            "bad tcp_proxy \"ajar\": expected close, toa_open, proxy_open or open"
        );
    }
}

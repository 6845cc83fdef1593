//! Where the controller is and who calls: socket, URL and token, each parsed
//! before anything is sent.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::HeaderValue;
use http::uri::{InvalidUri, Uri};
use rustls::pki_types::ServerName;

use super::{Trust, TrustError};

/// Ports of URLs that name none.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Where the controller is reached.
#[derive(Clone, Debug)]
pub enum Server {
    /// The operator's socket.
    Socket(PathBuf),
    /// The TCP listener.
    Http(ServerUrl),
    /// The TCP listener with TLS, and who vouches for it.
    Https(ServerUrl, Trust),
}

impl Server {
    /// The controller of a URL; with TLS one vouched for by the authorities in
    /// `ca_file`, or by those of the system.
    ///
    /// # Errors
    /// When there are no such authorities.
    pub fn at(url: ServerUrl, ca_file: Option<&Path>) -> Result<Self, TrustError> {
        Ok(match url.scheme {
            Scheme::Http => Self::Http(url),
            Scheme::Https => {
                let trust = ca_file.map_or_else(Trust::of_system, Trust::in_file)?;
                Self::Https(url, trust)
            }
        })
    }

    /// Value of the `Host` header.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Socket(_) => "localhost",
            Self::Http(url) | Self::Https(url, _) => &url.authority,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "socket {}", path.display()),
            Self::Http(url) | Self::Https(url, _) => url.fmt(f),
        }
    }
}

/// `http://HOST[:PORT]` or `https://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    scheme: Scheme,
    authority: String,
    host: String,
    port: u16,
    /// What a certificate has to be made out for.
    name: ServerName<'static>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl ServerUrl {
    /// Host name or address, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether others on the way can read what is sent.
    pub fn is_clear(&self) -> bool {
        let is_here = match &self.name {
            ServerName::IpAddress(address) => IpAddr::from(*address).is_loopback(),
            _ => self.host == "localhost",
        };
        self.scheme == Scheme::Http && !is_here
    }

    pub(super) fn certified_name(&self) -> ServerName<'static> {
        self.name.clone()
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// Why a text is not the URL of a controller.
#[derive(Debug, thiserror::Error)]
pub enum ServerUrlError {
    /// Not a URL at all.
    #[error("not a URL such as https://192.0.2.10:8774")]
    Syntax(#[source] InvalidUri),
    /// A scheme other than http and https, or none.
    #[error("the scheme must be http or https, as in https://192.0.2.10:8774")]
    Scheme,
    /// Neither a name nor an address.
    #[error("the host must be a name or an address, as in https://192.0.2.10:8774")]
    Host,
    /// User information, path or query after the host.
    #[error("only a host and a port may follow the scheme, as in https://192.0.2.10:8774")]
    Extra,
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(ServerUrlError::Syntax)?;
        let (scheme, default_port) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, HTTP_PORT),
            Some("https") => (Scheme::Https, HTTPS_PORT),
            _ => return Err(ServerUrlError::Scheme),
        };
        let authority = uri.authority().ok_or(ServerUrlError::Extra)?;
        let has_port_text = authority.as_str() != authority.host();
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(ServerUrlError::Extra);
        }
        let port = match authority.port_u16() {
            Some(0) => return Err(ServerUrlError::Extra),
            Some(port) => port,
            None if has_port_text => return Err(ServerUrlError::Extra),
            None => default_port,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| ServerUrlError::Host)?;
        Ok(Self { scheme, authority: authority.to_string(), host, port, name })
    }
}

/// An account's token; its text never appears in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(HeaderValue);

impl Token {
    /// Value of the `X-Auth-Token` header.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The token itself, to be kept where nobody else reads it.
    pub fn reveal(&self) -> &str {
        self.0.to_str().expect("a token is visible ASCII")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why a text is not a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nothing, or characters that no token has.
    #[error("a token is one word of visible ASCII characters, as `vpcep account create` printed it")]
    Characters,
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        let mut value = HeaderValue::from_str(text).map_err(|_| TokenError::Characters)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

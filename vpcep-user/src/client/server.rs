//! Where the controller is and who calls: socket, URL and token, each parsed
//! before anything is sent.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use http::HeaderValue;
use http::uri::{InvalidUri, Uri};

/// Port of a URL that names none.
const HTTP_PORT: u16 = 80;

/// Where the controller is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// The operator's socket.
    Socket(PathBuf),
    /// The TCP listener.
    Http(ServerUrl),
}

impl Server {
    /// Value of the `Host` header.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Socket(_) => "localhost",
            Self::Http(url) => &url.authority,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "socket {}", path.display()),
            Self::Http(url) => write!(f, "http://{}", url.authority),
        }
    }
}

/// `http://HOST[:PORT]`; TLS is left to a proxy in front of the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    authority: String,
    host: String,
    port: u16,
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
}

/// Why a text is not the URL of a controller.
#[derive(Debug, thiserror::Error)]
pub enum ServerUrlError {
    /// Not a URL at all.
    #[error("not a URL such as http://192.0.2.10:8774")]
    Syntax(#[source] InvalidUri),
    /// A scheme other than http, or none.
    #[error("the scheme must be http, as in http://192.0.2.10:8774")]
    Scheme,
    /// User information, path or query after the host.
    #[error("only a host and a port may follow http://, as in http://192.0.2.10:8774")]
    Extra,
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(ServerUrlError::Syntax)?;
        if uri.scheme_str() != Some("http") {
            return Err(ServerUrlError::Scheme);
        }
        let authority = uri.authority().ok_or(ServerUrlError::Extra)?;
        let has_port_text = authority.as_str() != authority.host();
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(ServerUrlError::Extra);
        }
        let port = match authority.port_u16() {
            Some(0) => return Err(ServerUrlError::Extra),
            Some(port) => port,
            None if has_port_text => return Err(ServerUrlError::Extra),
            None => HTTP_PORT,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { authority: authority.to_string(), host, port })
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

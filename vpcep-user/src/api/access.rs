//! What both doors share to tell who is asking.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use http::Uri;

use super::failures::Failures;
use super::password::Passwords;
use crate::store::Vault;

/// See the module.
#[derive(Debug)]
pub struct Access {
    /// Opens the secrets of access keys.
    pub(super) vault: Vault,
    /// How long a new token is worth something.
    pub(super) token_lifetime: Duration,
    /// Where callers reach the API, if the settings say so.
    pub(super) public_url: Option<PublicUrl>,
    /// Whether TCP has TLS.
    pub(super) tls: bool,
    /// Wrong passwords, tokens and signatures.
    pub(super) failures: Mutex<Failures>,
    /// Turns at working on passwords.
    pub(super) passwords: Passwords,
}

impl Access {
    /// With these secrets and settings.
    #[must_use]
    pub fn new(vault: Vault, settings: AccessSettings) -> Self {
        let AccessSettings { token_lifetime, public_url, tls } = settings;
        let (failures, passwords) = Default::default();
        Self { vault, token_lifetime, public_url, tls, failures, passwords }
    }
}

/// What may be set.
#[derive(Clone, Debug)]
pub struct AccessSettings {
    /// How long a new token is worth something.
    pub token_lifetime: Duration,
    /// Where callers reach the API; `None`: where each of them did.
    pub public_url: Option<PublicUrl>,
    /// Whether TCP has TLS.
    pub tls: bool,
}

/// A URL such as `https://vpcep.example:8774`, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

/// Why a text is no such URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not of the form http://HOST[:PORT] or https://HOST[:PORT]")]
pub struct PublicUrlError(String);

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        let bad = || PublicUrlError(text.into());
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(bad());
        };
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(bad());
        }
        Ok(Self(format!("{scheme}://{authority}")))
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_a_scheme_and_a_host() {
        for (text, expected) in [
            ("https://a.example", Some("https://a.example")),
            ("http://[2001:db8::1]:8774/", Some("http://[2001:db8::1]:8774")),
            ("a.example", None),
            ("ftp://a.example", None),
            ("https://a.example/v1", None),
            ("https://a.example/?x", None),
            ("https://me@a.example", None),
        ] {
            let parsed = text.parse::<PublicUrl>().ok().map(|url| url.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
    }
}

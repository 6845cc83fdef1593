//! How a load balancer spreads connections and checks its members, as typed.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::value::decimal;

/// Why a text is no health check.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("want tcp[:PORT], http[:PORT][/PATH] or none, such as http:8080/healthz")]
pub struct HealthCheckError;

/// What a member is asked, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// Nothing.
    None,
    /// Something.
    Some {
        /// `tcp` or `http`.
        protocol: &'static str,
        /// 0 is the port that serves.
        port: u16,
        /// Of HTTP.
        path: Option<String>,
    },
}

impl FromStr for HealthCheck {
    type Err = HealthCheckError;

    fn from_str(text: &str) -> Result<Self, HealthCheckError> {
        if text == "none" {
            return Ok(Self::None);
        }
        let (protocol, rest) = match (text.strip_prefix("tcp"), text.strip_prefix("http")) {
            (Some(rest), _) => ("tcp", rest),
            (_, Some(rest)) => ("http", rest),
            _ => return Err(HealthCheckError),
        };
        let (port, path) = match rest.find('/') {
            Some(at) => (&rest[..at], Some(rest[at..].to_owned())),
            None => (rest, None),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => decimal(port).filter(|port| *port != 0).ok_or(HealthCheckError)?,
            None if port.is_empty() => 0,
            None => return Err(HealthCheckError),
        };
        if protocol == "tcp" && path.is_some() {
            return Err(HealthCheckError);
        }
        Ok(Self::Some { protocol, port, path })
    }
}

/// Which member a new connection goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Algorithm {
    /// One after the other, as often as their weights say
    RoundRobin,
    /// By the client's address: a client stays with its member
    SourceHash,
}

/// Arguments of a load balancer.
#[derive(Debug, Args)]
pub struct BalancingArgs {
    /// How a load balancer chooses a member: in turn (the default), or by the client's address
    #[arg(long, value_enum)]
    algorithm: Option<Algorithm>,
    /// How it finds out which members serve. The port is that of the member, or else the
    /// service's, when none is given
    #[arg(long, value_name = "tcp[:PORT]|http[:PORT][/PATH]|none")]
    health_check: Option<HealthCheck>,
    /// Status codes that mean health, such as 200,300-399 (default 200-399)
    #[arg(long, value_name = "CODES", requires = "health_check")]
    expect: Option<String>,
    /// Seconds from one check to the next, 1 to 50 (default 5)
    #[arg(long, value_name = "SECONDS", requires = "health_check", value_parser = clap::value_parser!(u8).range(1..=50))]
    interval: Option<u8>,
    /// Seconds that a check may take, at most the interval (default 3)
    #[arg(long, value_name = "SECONDS", requires = "health_check", value_parser = clap::value_parser!(u8).range(1..=50))]
    check_timeout: Option<u8>,
    /// Successes in a row until a member is up, 1 to 10 (default 3)
    #[arg(long, value_name = "N", requires = "health_check", value_parser = clap::value_parser!(u8).range(1..=10))]
    healthy: Option<u8>,
    /// Failures in a row until it is down, 1 to 10 (default 3)
    #[arg(long, value_name = "N", requires = "health_check", value_parser = clap::value_parser!(u8).range(1..=10))]
    unhealthy: Option<u8>,
}

impl BalancingArgs {
    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.algorithm.is_none() && self.health_check.is_none()
    }

    /// Writes what was given into the body of a request.
    pub fn write_into(&self, body: &mut serde_json::Map<String, Value>) {
        let Self { algorithm, health_check, expect, interval, check_timeout, healthy, unhealthy } = self;
        if let Some(algorithm) = algorithm {
            body.insert("algorithm".into(), json!(algorithm));
        }
        let check = match health_check {
            None => return,
            Some(HealthCheck::None) => Value::Null,
            Some(HealthCheck::Some { protocol, port, path }) => {
                let fields = [
                    ("protocol", json!(protocol)),
                    ("port", json!(port)),
                    ("path", json!(path)),
                    ("expected_codes", json!(expect)),
                    ("interval", json!(interval)),
                    ("timeout", json!(check_timeout)),
                    ("healthy_threshold", json!(healthy)),
                    ("unhealthy_threshold", json!(unhealthy)),
                ];
                let given = fields.into_iter().filter(|(_, value)| !value.is_null());
                given.map(|(name, value)| (name.to_owned(), value)).collect()
            }
        };
        body.insert("health_check".into(), check);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_check_is_a_protocol_with_port_and_path() {
        let some = |protocol, port, path: Option<&str>| {
            Ok(HealthCheck::Some { protocol, port, path: path.map(ToOwned::to_owned) })
        };
        for (text, want) in [
            ("tcp", some("tcp", 0, None)),
            ("tcp:22", some("tcp", 22, None)),
            ("http", some("http", 0, None)),
            ("http/up", some("http", 0, Some("/up"))),
            ("http:8080/healthz?a:b/c", some("http", 8080, Some("/healthz?a:b/c"))),
            ("none", Ok(HealthCheck::None)),
            ("tcp/up", Err(HealthCheckError)),
            ("tcp:", Err(HealthCheckError)),
            ("tcp:0", Err(HealthCheckError)),
            ("http:+80", Err(HealthCheckError)),
            ("https:443/", Err(HealthCheckError)),
            ("udp:53", Err(HealthCheckError)),
            ("", Err(HealthCheckError)),
        ] {
            assert_eq!(text.parse(), want, "{text}");
        }
    }
}

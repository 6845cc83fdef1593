//! Why a call did not give an answer, in words that say what to check.

use std::io::{self, ErrorKind};
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use super::Server;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The controller refused the request, with its stable code and its text.
    #[error("{code}: {message}")]
    Refused {
        /// HTTP status of the answer.
        status: StatusCode,
        /// Code of the API, such as `EndPoint.2012`.
        code: String,
        /// What the API says to the caller.
        message: String,
    },
    /// No connection could be opened.
    #[error("cannot connect to {server}: {}", advice(server, source.kind()))]
    Connect {
        /// Where to.
        server: Server,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A connection was opened, and who is there could not be verified.
    #[error(
        "cannot trust {server}: is it vpcepd with TLS, and is its certificate for this host and of an authority in --ca-file or of this system?"
    )]
    Tls {
        /// Who was called.
        server: Server,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// A login was answered without a token.
    #[error("{server} accepted the login and gave no token: is it vpcepd?")]
    NoToken {
        /// Who was asked.
        server: Server,
    },
    /// A connection was opened and no whole answer came.
    #[error("{server} gave no answer within {} s: is vpcepd overloaded or stopped?", timeout.as_secs())]
    Timeout {
        /// Who was asked.
        server: Server,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The connection ended or what came was not HTTP.
    #[error("the exchange with {server} broke off: is it vpcepd, and still running?")]
    Broken {
        /// Who was asked.
        server: Server,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An HTTP error that is none of the API's.
    #[error(
        "{server} answered HTTP {status} without an error of the API: is it vpcepd, and no proxy before it?"
    )]
    Foreign {
        /// Who was asked.
        server: Server,
        /// HTTP status of the answer.
        status: StatusCode,
    },
    /// A success whose body is not what the API documents.
    #[error("cannot read the answer to {path}: are vpcep and vpcepd of the same version?")]
    Malformed {
        /// Path and query of the request.
        path: String,
        /// Where the body differs.
        #[source]
        source: serde_json::Error,
    },
}

impl ClientError {
    /// The error an unsuccessful answer stands for.
    pub(super) fn from_answer(server: &Server, status: StatusCode, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Body {
            Vpcep { error_code: String, error_msg: String },
            Keystone { error: Keystone },
        }
        #[derive(Deserialize)]
        struct Keystone {
            title: String,
            message: String,
        }
        let (code, message) = match serde_json::from_slice(body) {
            Ok(Body::Vpcep { error_code, error_msg }) => (error_code, error_msg),
            Ok(Body::Keystone { error: Keystone { title, message } }) => (title, message),
            Err(_) => return Self::Foreign { server: server.clone(), status },
        };
        Self::Refused { status, code, message }
    }

    /// Whether the caller has not proved who it is.
    pub fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::UNAUTHORIZED, .. })
    }

    /// Whether the caller may not do what it asked for.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::FORBIDDEN, .. })
    }

    /// Whether the thing asked for does not exist, or not for this caller.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND, .. })
    }
}

fn advice(server: &Server, kind: ErrorKind) -> &'static str {
    match (server, kind) {
        (Server::Socket(_), ErrorKind::NotFound) => {
            "there is no such socket: start vpcepd, or name its socket with --socket or VPCEP_SOCKET"
        }
        (Server::Socket(_), ErrorKind::PermissionDenied) => {
            "the socket is the operator's: run as its owner, or use --server with --token"
        }
        (Server::Socket(_), ErrorKind::ConnectionRefused) => {
            "nothing listens on it: vpcepd is not running, start it"
        }
        (Server::Http(_) | Server::Https(..), ErrorKind::ConnectionRefused) => {
            "nothing listens there: check the port, and that vpcepd runs with its TCP listener on"
        }
        (Server::Http(_) | Server::Https(..), ErrorKind::TimedOut) => {
            "no answer: check the address, the route to it and firewalls between"
        }
        (Server::Socket(_), _) => "check the path given with --socket or VPCEP_SOCKET",
        (Server::Http(_) | Server::Https(..), _) => {
            "check the address given with --server or VPCEP_SERVER, or in the profile"
        }
    }
}

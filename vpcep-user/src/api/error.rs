//! The only table from errors to HTTP status and code.
//!
//! A 4xx says what to change. A 5xx says nothing of the inside: the detail goes
//! to the log, beside the request id the caller has been given.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::auth::AuthError;
use super::serve::Limits;
use crate::controller::ControlError;
use crate::datapath::DatapathError;
use crate::events::ListenError;
use crate::model::ModelError;
use crate::model::connection::Refused;
use crate::store::{Revision, StoreError};
use crate::telemetry::Chain;

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The controller refused.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The data plane could not be read.
    #[error("cannot read the data plane")]
    Datapath(#[from] DatapathError),
    /// Nobody can listen to events.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The audit log could not be read.
    #[error("cannot read the audit log")]
    AuditLog(#[source] std::io::Error),
    /// A handler came to an unexpected end.
    #[error("the request came to an unexpected end")]
    Panicked(#[source] tokio::task::JoinError),
    /// The change is durable, and the data plane did not take it in time.
    #[error(
        "stored, but not applied to the data plane yet: vpcepd keeps trying, repeat the call to wait for it"
    )]
    NotApplied {
        /// The version of the model that has the change.
        version: Revision,
    },
    /// It is not known who is asking.
    #[error(transparent)]
    Auth(#[from] Arc<AuthError>),
    /// A new password of a length it cannot have.
    #[error("bad password: expected {min} to {max} characters")]
    Password {
        /// Fewest.
        min: usize,
        /// Most.
        max: usize,
    },
    /// The caller is known and may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// No such path.
    #[error("no such resource: see the API reference for the paths there are")]
    NoRoute,
    /// The path has no such method.
    #[error("this path does not take this method")]
    Method,
    /// The body cannot be read.
    #[error("bad body: expected JSON of at most 1 MiB, sent within {} seconds", Limits::TCP.body_within.as_secs())]
    TooLarge,
    /// The body is not JSON, or not of the right types.
    #[error("bad body: {problem}")]
    Body {
        /// The field of the wrong type; empty where it is not one field's.
        field: String,
        /// What the parser said, with the field's path.
        problem: String,
    },
    /// The query string cannot be read.
    #[error("bad query string: expected name=value pairs joined by \"&\"")]
    Query,
    /// A query parameter cannot be what it is.
    #[error("bad query: {field}: {problem}")]
    Parameter {
        /// Its name.
        field: String,
        /// What is wrong with which value.
        problem: String,
    },
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field has a value there is not.
    #[error("bad {field} \"{value}\": expected {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A field has a value this release would not honour.
    #[error("{field} {value} is not supported in this release: expected {expected}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is supported.
        expected: &'static str,
    },
    /// A path names a project that cannot be one.
    #[error(transparent)]
    Project(ModelError),
    /// `limit` out of range.
    #[error("bad limit \"{value}\": expected {min} to {max}")]
    Limit {
        /// What was given.
        value: String,
        /// The least there may be.
        min: usize,
        /// The most there may be.
        max: usize,
    },
    /// `offset` out of range.
    #[error("bad offset \"{value}\": expected 0 to 4294967295")]
    Offset {
        /// What was given.
        value: String,
    },
    /// An action there is not.
    #[error("bad action \"{value}\": expected {expected}")]
    Action {
        /// What was given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A path names a kind of resource that has no tags.
    #[error("bad resource_type \"{value}\": expected endpoint_service or endpoint")]
    ResourceType {
        /// What was given.
        value: String,
    },
    /// A field that only the operator may set.
    #[error("bad {field}: only the operator makes such a service, leave it out")]
    OperatorOnly {
        /// The field.
        field: &'static str,
    },
    /// A connection action on several endpoints.
    #[error("bad endpoints: {count} given, expected exactly one")]
    EndpointCount {
        /// How many.
        count: usize,
    },
    /// A list of permissions without one.
    #[error("bad permissions: the list is empty")]
    NoPermissions,
}

impl From<ModelError> for ApiError {
    fn from(error: ModelError) -> Self {
        Self::Control(error.into())
    }
}

impl ApiError {
    /// HTTP status and number of the code.
    fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::Control(error) => control(error),
            Self::Datapath(_) | Self::AuditLog(_) | Self::Panicked(_) | Self::NotApplied { .. } => {
                (500, "0001")
            }
            Self::Listen(ListenError::Datapath(_)) => (500, "0001"),
            Self::Listen(ListenError::TooMany) => (400, "1018"),
            Self::Listen(ListenError::Off) => (409, "0002"),
            Self::Auth(error) => auth(error),
            Self::Forbidden(_) => (403, "0004"),
            Self::NoRoute => (404, "0005"),
            Self::Method => (405, "1004"),
            Self::TooLarge => (413, "1004"),
            Self::Body { field, .. } => (400, wrong_type(field)),
            Self::Unsupported { .. } | Self::Password { .. } | Self::OperatorOnly { .. } => (400, "0002"),
            Self::Action { .. } => (400, "0007"),
            Self::ResourceType { .. } => (400, "3070"),
            Self::Query => (400, "1004"),
            Self::Parameter { field, .. } => (400, bad_field(field)),
            Self::Missing(field) => (400, missing(field)),
            Self::Field { field, .. } => (400, bad_field(field)),
            Self::Project(_) => (400, "0014"),
            Self::Limit { .. } => (400, "0006"),
            Self::Offset { .. } => (400, "0010"),
            Self::EndpointCount { .. } => (400, "2031"),
            Self::NoPermissions => (400, "3036"),
        }
    }
}

fn auth(error: &AuthError) -> (u16, &'static str) {
    match error {
        AuthError::NoProof
        | AuthError::Repeated(_)
        | AuthError::Token
        | AuthError::Password
        | AuthError::Signature(_)
        | AuthError::AccessKey(_) => (401, "0003"),
        AuthError::TooMany { .. } => (400, "0022"),
        AuthError::Body => (413, "1004"),
        AuthError::Sealed(_) | AuthError::Panicked(_) => (500, "0001"),
    }
}

fn wrong_type(field: &str) -> &'static str {
    match field {
        "enable_dns" => "2033",
        _ => "0002",
    }
}

fn missing(field: &str) -> &'static str {
    match field {
        "vpc_id" => "2011",
        "subnet_id" => "2010",
        "endpoint_service_id" => "2029",
        "port_id" => "3003",
        "server_type" => "3021",
        "ports" | "client_port" | "server_port" => "2028",
        "permissions" => "3036",
        "prefixes" => "3017",
        "routetables" => "2040",
        "policy_statement" => "2049",
        _ => "2002",
    }
}

fn bad_field(field: &str) -> &'static str {
    match field {
        "sort_key" => "0017",
        "sort_dir" => "0018",
        "status" => "0019",
        "vpc_id" => "0020",
        "marker_id" => "0021",
        "subnet_id" => "0023",
        "endpoint_id" => "2017",
        "action" => "3035",
        "specification_name" => "0015",
        _ => "0002",
    }
}

/// A field the other kind of service or endpoint has.
fn wrong_kind(field: &str) -> &'static str {
    match field {
        "routetables" => "1019",
        "subnet_id" => "0023",
        "port_ip" => "2041",
        // Ports, backend and networks of a service.
        _ => "3057",
    }
}

fn control(error: &ControlError) -> (u16, &'static str) {
    match error {
        ControlError::Model(error) => (400, model(error)),
        ControlError::NotFound { kind: "endpoint", .. } => (404, "2006"),
        ControlError::NotFound { .. } | ControlError::NoSuchProject { .. } => (404, "0005"),
        ControlError::NoSuchVpc { .. } => (400, "2001"),
        ControlError::NoSuchSubnet { .. } => (404, "4004"),
        ControlError::SubnetElsewhere { .. } => (400, "2037"),
        ControlError::OutsideVpc { .. } | ControlError::Overlap { .. } => (400, "3009"),
        ControlError::AddressOutside { .. } => (400, "3010"),
        ControlError::OutsideSubnet { .. } => (400, "2043"),
        ControlError::SubnetMissing => (400, "2010"),
        ControlError::WrongKind { field, .. } => (400, wrong_kind(field)),
        ControlError::NoSuchRouteTable { .. } => (404, "4030"),
        ControlError::RouteTableInUse { .. } => (400, "2039"),
        ControlError::NoRouteTables => (400, "2040"),
        ControlError::DefaultRouteTable { .. } => (409, "3006"),
        ControlError::NoPolicy { .. } => (400, "2049"),
        ControlError::NoSuchNetwork { .. } => (404, "4008"),
        ControlError::TooMany { .. } => (400, "0016"),
        ControlError::AddressInUse { .. } | ControlError::SubnetFull { .. } => (400, "2042"),
        ControlError::Quota { .. } | ControlError::NumbersExhausted { .. } => (400, "1018"),
        ControlError::NoSuchService { .. } => (400, "2003"),
        ControlError::ServiceNotAvailable { .. } => (400, "2004"),
        ControlError::ServiceFrozen { .. } => (400, "3045"),
        ControlError::NotWhitelisted { .. } => (400, "2012"),
        ControlError::ForeignEndpoint { .. } => (400, "2013"),
        ControlError::Connection { source: Refused::Deleting, .. } => (400, "2018"),
        ControlError::Connection { source: Refused::Failed, .. } => (400, "2047"),
        ControlError::Connection { source: Refused::Connected, .. } | ControlError::ServiceInUse { .. } => {
            (400, "3006")
        }
        ControlError::InUse { .. } | ControlError::AttachmentInUse { .. } => (409, "3006"),
        ControlError::NoSuchBackend { .. } => (400, "3008"),
        ControlError::BackendElsewhere { .. } => (400, "3042"),
        ControlError::ServerKind { .. } => (400, "3021"),
        ControlError::PortClash { .. } => (400, "3044"),
        ControlError::NameIsId { .. } | ControlError::OperatorElsewhere | ControlError::GivenTwice { .. } => {
            (400, "0002")
        }
        ControlError::TooManyKeys { .. } => (400, "1018"),
        ControlError::ProofOver => (401, "0003"),
        ControlError::NoSuchToken => (404, "0005"),
        ControlError::TooManyPermissions { .. } => (400, "3049"),
        ControlError::Exists { .. } => (409, "0002"),
        ControlError::Store(error) if is_conflict(error) => (409, "1004"),
        ControlError::Store(_) | ControlError::Reload(_) => (500, "0001"),
    }
}

fn is_conflict(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict { .. })
}

fn model(error: &ModelError) -> &'static str {
    match error {
        ModelError::Id { kind, .. } => match *kind {
            "vpc id" => "0020",
            "subnet id" => "0023",
            "port_id" => "3003",
            "route table id" => "1019",
            "endpoint id" => "2017",
            "endpoint service id" => "3062",
            "project id" => "0014",
            _ => "0002",
        },
        ModelError::Cidr { .. } | ModelError::HostBits { .. } => "3009",
        ModelError::Address { field: "port_ip", .. } => "2041",
        ModelError::Address { .. } | ModelError::InterfaceAddress { .. } => "3010",
        ModelError::ServiceName { .. } => "1003",
        ModelError::Port { .. } => "3043",
        ModelError::Protocol { .. } => "3075",
        ModelError::NoPorts => "2028",
        ModelError::TooManyPorts { .. } => "3074",
        ModelError::DuplicatePort { .. } => "3004",
        ModelError::Permission { .. } => "3002",
        ModelError::WhitelistEntry { .. } => "2044",
        ModelError::WhitelistTooLong { .. } => "2045",
        ModelError::BackendKind { .. } => "3021",
        ModelError::TagKeyEmpty => "3066",
        ModelError::TagDuplicate { .. } => "3067",
        ModelError::TagCharacters { .. } => "3068",
        ModelError::TooManyTags { .. } | ModelError::TooManyTagMatches { .. } => "3069",
        ModelError::TagValueDuplicate { .. } => "3071",
        ModelError::TagKeyLong { .. } => "3072",
        ModelError::TagValueLong { .. } => "3073",
        ModelError::Prefixes { .. } => "3017",
        ModelError::Policy { .. } => "2048",
        ModelError::MixedKind { .. } => "3057",
        ModelError::Interface { .. }
        | ModelError::DnsServers { .. }
        | ModelError::DnsDomain { .. }
        | ModelError::Vlan { .. }
        | ModelError::Name { .. }
        | ModelError::Description { .. }
        | ModelError::Role { .. }
        | ModelError::PasswordHash
        | ModelError::Time { .. }
        | ModelError::Weight { .. }
        | ModelError::IdleTimeout { .. }
        | ModelError::Algorithm { .. }
        | ModelError::TcpProxy { .. }
        | ModelError::ProxyProfile { .. }
        | ModelError::MemberName { .. }
        | ModelError::HealthCheck { .. }
        | ModelError::Balancing { .. }
        | ModelError::Members { .. } => "0002",
    }
}

/// The body of every refusal.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct ErrorBody {
    /// A stable code; the API references list them.
    #[schemars(regex(pattern = "^EndPoint\\.[0-9]{4}$"))]
    error_code: String,
    /// What is wrong with which value, and what would be right.
    #[schemars(length(min = 1))]
    error_msg: String,
}

/// What the caller is told, on its way to where it is told in another form.
#[derive(Clone)]
pub struct Told(pub Arc<str>);

/// What the operator should know of a failed request, on its way to the log.
#[derive(Clone)]
pub struct Detail(pub Arc<str>);

/// The code of an error, on its way to the audit log.
#[derive(Clone)]
pub struct Code(pub String);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        let message = match (status, &self) {
            // What became of the change is the caller's business; why is the operator's.
            (_, Self::NotApplied { .. }) => self.to_string(),
            (500.., _) => {
                "internal error: the log has the detail under the X-Request-Id of this answer".into()
            }
            (_, Self::Control(ControlError::Store(error))) if is_conflict(error) => {
                "the resource has changed meanwhile: read it again and retry".into()
            }
            _ => Chain(&self).to_string(),
        };
        let code = format!("EndPoint.{code}");
        let body = ErrorBody { error_code: code.clone(), error_msg: message.clone() };
        let status_code = StatusCode::from_u16(status).expect("the table holds valid status numbers");
        let mut response = (status_code, Json(body)).into_response();
        response.extensions_mut().insert(Code(code));
        response.extensions_mut().insert(Told(message.into()));
        if let Self::Auth(error) = &self
            && let AuthError::TooMany { retry_after } = **error
        {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs() + 1));
        }
        if status >= 500 {
            let detail = match &self {
                Self::NotApplied { version } => format!("version {version} is {self}"),
                other => Chain(other).to_string(),
            };
            response.extensions_mut().insert(Detail(detail.into()));
        }
        response
    }
}

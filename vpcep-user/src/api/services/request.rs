//! What may be asked of a service: the bodies of creation and change.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::super::auth::Caller;
use super::super::error::ApiError;
use super::super::request::{only, require, require_text, unset};
use super::super::tags::{TagRequest, parse_tags};
use crate::controller::services::{NewService, ServiceChange};
use crate::model::{
    BackendId, BackendKind, Cidr, ClientAddress, Description, Idle, IdleTimeout, MAX_PORTS, MAX_TAGS,
    ModelError, Port, PortMapping, PortMappings, Prefixes, Protocol, ProxyProfile, ServiceKind, ServiceName,
    TcpProxy, VpcId,
};

/// One port mapping of a request.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewPortMapping")]
pub struct PortRequest {
    /// Port at the endpoint.
    #[schemars(with = "i64", range(min = 1, max = 65535))]
    client_port: Option<i64>,
    /// Port at the backend.
    #[schemars(with = "i64", range(min = 1, max = 65535))]
    server_port: Option<i64>,
    /// The protocol; TCP when absent.
    #[schemars(with = "Option<Protocol>")]
    protocol: Option<String>,
}

impl TryFrom<PortRequest> for PortMapping {
    type Error = ApiError;

    fn try_from(request: PortRequest) -> Result<Self, ApiError> {
        let PortRequest { client_port, server_port, protocol } = request;
        Ok(Self {
            protocol: protocol.map(|text| text.parse()).transpose()?.unwrap_or_default(),
            client_port: Port::new("client_port", require("client_port", client_port)?)?,
            server_port: Port::new("server_port", require("server_port", server_port)?)?,
        })
    }
}

fn port_mappings(requests: Vec<PortRequest>) -> Result<PortMappings, ApiError> {
    let mappings = requests.into_iter().map(PortMapping::try_from).collect::<Result<_, _>>()?;
    Ok(PortMappings::new(mappings)?)
}

/// The body of a creation.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CreateEndpointService")]
pub struct CreateRequest {
    /// The backend; an interface service has one.
    #[schemars(with = "Option<BackendId>")]
    port_id: Option<String>,
    /// The VPC it is reached in; that of the backend.
    #[schemars(with = "VpcId")]
    vpc_id: Option<String>,
    /// What the backend is.
    #[schemars(with = "Option<BackendKind>")]
    server_type: Option<String>,
    /// Which ports are reachable; each client port once.
    #[schemars(length(min = 1, max = MAX_PORTS))]
    ports: Option<Vec<PortRequest>>,
    /// The networks of a gateway service, instead of backend and ports.
    #[schemars(with = "Option<Vec<Cidr>>", length(min = 1, max = Prefixes::MAX))]
    prefixes: Option<Vec<String>>,
    /// Whether it is offered to everyone. The operator's to say.
    public: Option<bool>,
    /// Whether its endpoints may have policies, which it enforces. The operator's
    /// to say.
    enable_policy: Option<bool>,
    /// The middle of the full name; may be empty.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{0,16}$"))]
    service_name: Option<String>,
    /// Whether a new endpoint waits for the provider; true when absent.
    approval_enabled: Option<bool>,
    /// `interface`, the default, or `gateway`, which only the operator makes; in any
    /// case.
    #[schemars(extend("enum" = ["interface", "gateway", null]))]
    service_type: Option<String>,
    /// Seconds that a connection may be idle which is established, or UDP that both sides have
    /// sent: 10 to 360000, or 0 for as long as the gateway's settings say.
    #[schemars(range(min = 0, max = IdleTimeout::MAX_SECS))]
    idle_timeout: Option<i64>,
    /// Whether both ends of an established TCP connection that was idle for too long get a
    /// reset then. Else each learns it when it next sends.
    idle_reset: Option<bool>,
    /// How servers learn the addresses of clients, over TCP: not (`close`), by a TCP option
    /// (`toa_open`), by a PROXY protocol header (`proxy_open`), by both (`open`); in any case. For
    /// new connections, and not of a gateway service.
    #[schemars(extend("enum" = ["close", "toa_open", "proxy_open", "open", null]))]
    tcp_proxy: Option<String>,
    /// In whose form PROXY headers name the endpoint; `own` when never given, in any case.
    #[schemars(extend("enum" = ["own", "aws", "gcp", "azure", null]))]
    proxy_profile: Option<String>,
    /// Each key once.
    #[schemars(length(max = MAX_TAGS))]
    tags: Option<Vec<TagRequest>>,
    /// The provider's note.
    #[schemars(with = "Option<Description>")]
    description: Option<String>,
    /// Only `ipv4` is supported, in any case.
    #[schemars(extend("enum" = ["ipv4", null]))]
    ip_version: Option<String>,
    /// None is supported.
    #[schemars(with = "Option<()>")]
    snat_network_id: Option<Value>,
}

impl CreateRequest {
    fn is_gateway(&self) -> bool {
        self.service_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("gateway"))
    }

    /// Refuses what only the operator may ask for.
    pub fn check_caller(&self, caller: &Caller) -> Result<(), ApiError> {
        refuse_unless_operator(
            caller,
            &[
                ("service_type", self.is_gateway()),
                ("public", self.public == Some(true)),
                ("enable_policy", self.enable_policy == Some(true)),
            ],
        )
    }
}

fn refuse_unless_operator(caller: &Caller, asked: &[(&'static str, bool)]) -> Result<(), ApiError> {
    match asked.iter().find(|(_, is_asked)| *is_asked) {
        Some((field, _)) if !caller.is_operator() => Err(ApiError::OperatorOnly { field }),
        _ => Ok(()),
    }
}

fn parse_prefixes(texts: &[String]) -> Result<Prefixes, ApiError> {
    Ok(Prefixes::new(texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?)?)
}

impl TryFrom<CreateRequest> for NewService {
    type Error = ApiError;

    fn try_from(request: CreateRequest) -> Result<Self, ApiError> {
        let is_gateway = request.is_gateway();
        let CreateRequest {
            port_id,
            vpc_id,
            server_type,
            ports,
            prefixes,
            public,
            enable_policy,
            idle_timeout,
            idle_reset,
            service_name,
            approval_enabled,
            service_type,
            tcp_proxy,
            proxy_profile,
            tags,
            description,
            ip_version,
            snat_network_id,
        } = request;
        only("service_type", service_type.as_deref(), &["interface", "gateway"], "interface or gateway")?;
        only("ip_version", ip_version.as_deref(), &["ipv4"], "ipv4")?;
        unset("snat_network_id", snat_network_id.as_ref(), "none")?;
        let vpc = require_text("vpc_id", vpc_id)?.parse()?;
        let has_backend = port_id.is_some() || server_type.is_some() || ports.is_some();
        if if is_gateway { has_backend } else { prefixes.is_some() } {
            let (what, interface) = ("endpoint service", "port_id, server_type and ports");
            return Err(ModelError::MixedKind { what, interface, gateway: "prefixes" }.into());
        }
        let kind = if is_gateway {
            ServiceKind::Gateway { prefixes: parse_prefixes(&require("prefixes", prefixes)?)? }
        } else {
            ServiceKind::Interface {
                backend: require_text("port_id", port_id)?.parse()?,
                server_kind: BackendKind::parse("server_type", &require("server_type", server_type)?)?,
                ports: port_mappings(require("ports", ports)?)?,
            }
        };
        Ok(Self {
            vpc,
            kind,
            name: service_name.filter(|name| !name.is_empty()).map(|name| name.parse()).transpose()?,
            approval_enabled: approval_enabled.unwrap_or(true),
            is_public: public.unwrap_or(false),
            enable_policy: enable_policy.unwrap_or(false),
            idle: Idle {
                timeout: IdleTimeout::from_secs(idle_timeout.unwrap_or(0))?,
                reset: idle_reset.unwrap_or(Idle::default().reset),
            },
            client_address: ClientAddress {
                means: tcp_proxy.map_or(Ok(TcpProxy::default()), |word| word.parse())?,
                profile: proxy_profile.map_or(Ok(ProxyProfile::default()), |word| word.parse())?,
            },
            tags: parse_tags(tags)?,
            description: description.map(|text| text.parse()).transpose()?.unwrap_or_default(),
        })
    }
}

/// The body of an update; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "UpdateEndpointService")]
pub struct UpdateRequest {
    /// Whether a new endpoint waits for the provider.
    approval_enabled: Option<bool>,
    /// The middle of the full name.
    #[schemars(with = "Option<ServiceName>")]
    service_name: Option<String>,
    /// Which ports are reachable, all of them; each client port once.
    #[schemars(length(min = 1, max = MAX_PORTS))]
    ports: Option<Vec<PortRequest>>,
    /// The backend, in the same VPC.
    #[schemars(with = "Option<BackendId>")]
    port_id: Option<String>,
    /// The networks of a gateway service, all of them.
    #[schemars(with = "Option<Vec<Cidr>>", length(min = 1, max = Prefixes::MAX))]
    prefixes: Option<Vec<String>>,
    /// Whether it is offered to everyone. The operator's to say.
    public: Option<bool>,
    /// Seconds that a connection may be idle which is established, or UDP that both sides have
    /// sent: 10 to 360000, or 0 for as long as the gateway's settings say.
    #[schemars(range(min = 0, max = IdleTimeout::MAX_SECS))]
    idle_timeout: Option<i64>,
    /// Whether both ends of an established TCP connection that was idle for too long get a
    /// reset then. Else each learns it when it next sends.
    idle_reset: Option<bool>,
    /// How servers learn the addresses of clients, over TCP: not (`close`), by a TCP option
    /// (`toa_open`), by a PROXY protocol header (`proxy_open`), by both (`open`); in any case. For
    /// new connections, and not of a gateway service.
    #[schemars(extend("enum" = ["close", "toa_open", "proxy_open", "open", null]))]
    tcp_proxy: Option<String>,
    /// In whose form PROXY headers name the endpoint; `own` when never given, in any case.
    #[schemars(extend("enum" = ["own", "aws", "gcp", "azure", null]))]
    proxy_profile: Option<String>,
    /// The provider's note.
    #[schemars(with = "Option<Description>")]
    description: Option<String>,
}

impl UpdateRequest {
    /// Refuses what only the operator may ask for.
    pub fn check_caller(&self, caller: &Caller) -> Result<(), ApiError> {
        refuse_unless_operator(
            caller,
            &[("prefixes", self.prefixes.is_some()), ("public", self.public == Some(true))],
        )
    }
}

impl TryFrom<UpdateRequest> for ServiceChange {
    type Error = ApiError;

    fn try_from(request: UpdateRequest) -> Result<Self, ApiError> {
        let UpdateRequest {
            approval_enabled,
            service_name,
            ports,
            port_id,
            prefixes,
            public,
            idle_timeout,
            idle_reset,
            tcp_proxy,
            proxy_profile,
            description,
        } = request;
        Ok(Self {
            approval_enabled,
            name: service_name.map(|name| name.parse()).transpose()?,
            ports: ports.map(port_mappings).transpose()?,
            backend: port_id.map(|id| id.parse()).transpose()?,
            prefixes: prefixes.map(|texts| parse_prefixes(&texts)).transpose()?,
            is_public: public,
            idle_timeout: idle_timeout.map(IdleTimeout::from_secs).transpose()?,
            idle_reset,
            tcp_proxy: tcp_proxy.map(|word| word.parse()).transpose()?,
            proxy_profile: proxy_profile.map(|word| word.parse()).transpose()?,
            description: description.map(|text| text.parse()).transpose()?,
        })
    }
}

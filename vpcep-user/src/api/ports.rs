//! `/v1/{project_id}/ports`: list, create, show and delete. A port is a backend,
//! seen as an address of a network; see `backends.rs` for what else it is.
//!
//! Source: Huawei VPC API v1, "Port".

use std::net::Ipv4Addr;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Context;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::App;
use super::auth::InProject;
use super::error::ApiError;
use super::openapi::named;
use super::page::{Marker, Paging};
use super::request::{Body, Id, Query, require};
use super::vpcs::optional_name;
use crate::controller::backends::NewPort;
use crate::controller::networks::subnet_of;
use crate::controller::{ControlError, State, backends};
use crate::datapath::Neighbour;
use crate::model::{Backend, BackendId, BackendKind, Name, ProjectId, SubnetId, Timestamp, parse_address};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/{project_id}/ports",
            get_with(list, named("listPorts", "List ports"))
                .post_with(create, named("createPort", "Make a port: a backend with an address of its own")),
        )
        .api_route(
            "/v1/{project_id}/ports/{id}",
            get_with(show, named("showPort", "Show a port"))
                .delete_with(delete, named("deletePort", "Delete a port no service refers to")),
        )
        .with_path_items(|path| path.tag("Networks"))
}

const VIP_PORT: &str = "neutron:VIP_PORT";

/// Whose a port is, in the words of the network's API.
fn device_owner(state: &State, kind: BackendKind) -> String {
    match kind {
        BackendKind::Vm => format!("compute:{}", state.region.as_str()),
        BackendKind::Bms => format!("baremetal:{}", state.region.as_str()),
        BackendKind::Vip => VIP_PORT.into(),
        BackendKind::Lb => "neutron:LOADBALANCERV2".into(),
    }
}

/// A backend, as an address of a network.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Port")]
struct PortView {
    /// Names it, and the backend it is.
    id: BackendId,
    /// For people; not unique.
    name: Name,
    /// The subnet its address is in; null when it is in none.
    network_id: Option<SubnetId>,
    /// Always true.
    admin_state_up: bool,
    /// What has answered ARP for its address; null as long as nothing has.
    mac_address: Option<String>,
    fixed_ips: [FixedIp; 1],
    /// Always empty: vpcep does not know devices.
    device_id: &'static str,
    /// `compute:..`, `baremetal:..`, `neutron:VIP_PORT` or `neutron:LOADBALANCERV2`.
    device_owner: String,
    /// Its owner.
    tenant_id: ProjectId,
    /// Its owner.
    project_id: ProjectId,
    /// Always `ACTIVE`.
    status: &'static str,
    /// Always empty.
    #[schemars(with = "Vec<Value>")]
    security_groups: [(); 0],
    /// Always empty.
    #[schemars(with = "Vec<Value>")]
    allowed_address_pairs: [(); 0],
    /// Always empty.
    #[schemars(with = "Vec<Value>")]
    extra_dhcp_opts: [(); 0],
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

/// The address of a port.
#[derive(Serialize, JsonSchema)]
struct FixedIp {
    /// The subnet it is in.
    subnet_id: Option<SubnetId>,
    ip_address: Ipv4Addr,
}

impl PortView {
    fn new(app: &App, state: &State, backend: &Backend) -> Self {
        let network_id = subnet_of(state, backend.vpc, backend.address).map(|subnet| subnet.id);
        Self {
            id: backend.id,
            name: backend.name.clone(),
            network_id,
            admin_state_up: true,
            mac_address: mac(app, state, backend),
            fixed_ips: [FixedIp { subnet_id: network_id, ip_address: backend.address }],
            device_id: "",
            device_owner: device_owner(state, backend.kind),
            tenant_id: backend.project,
            project_id: backend.project,
            status: "ACTIVE",
            security_groups: [],
            allowed_address_pairs: [],
            extra_dhcp_opts: [],
            created_at: backend.created_at,
            updated_at: backend.updated_at,
        }
    }
}

/// The MAC address of a port, when the data plane has learned it.
fn mac(app: &App, state: &State, backend: &Backend) -> Option<String> {
    let vpc = state.vpcs.get(backend.vpc)?;
    let (Neighbour::Resolved { mac } | Neighbour::Stale { mac, .. }) =
        app.datapath.neighbour(vpc.number, backend.address).ok()?
    else {
        return None;
    };
    Some(mac.map(|byte| format!("{byte:02x}")).join(":"))
}

/// One port.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShownPort")]
pub struct OnePort {
    port: PortView,
}

/// A page of ports, oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Ports")]
pub struct PortPage {
    ports: Vec<PortView>,
    /// How many there are on all pages.
    total_count: usize,
}

/// The body of a creation.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CreatePort")]
pub struct CreateRequest {
    #[schemars(with = "PortRequest")]
    port: Option<PortRequest>,
}

/// What a port is made of.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewPort")]
pub struct PortRequest {
    /// The subnet its address is from.
    #[schemars(with = "SubnetId")]
    network_id: Option<String>,
    /// For people; made from the id when absent or empty.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]{0,64}$"))]
    name: Option<String>,
    /// Its address; one is chosen when it is absent.
    #[schemars(length(max = 1))]
    fixed_ips: Option<Vec<FixedIpRequest>>,
    /// Empty or absent makes a server's port, `neutron:VIP_PORT` that of a virtual
    /// address.
    #[schemars(extend("enum" = ["", "neutron:VIP_PORT", null]))]
    device_owner: Option<String>,
    /// Only true is supported.
    #[schemars(extend("enum" = [true, null]))]
    admin_state_up: Option<bool>,
}

/// The address of a new port.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewFixedIp")]
pub struct FixedIpRequest {
    /// The same as `network_id`.
    #[schemars(with = "Option<SubnetId>")]
    subnet_id: Option<String>,
    #[schemars(with = "Option<Ipv4Addr>")]
    ip_address: Option<String>,
}

impl TryFrom<PortRequest> for NewPort {
    type Error = ApiError;

    fn try_from(request: PortRequest) -> Result<Self, ApiError> {
        let PortRequest { network_id, name, fixed_ips, device_owner, admin_state_up } = request;
        let network_id = require("network_id", network_id)?;
        let kind = match device_owner.unwrap_or_default() {
            owner if owner.is_empty() => BackendKind::Vm,
            owner if owner == VIP_PORT => BackendKind::Vip,
            value => return Err(ApiError::Field { field: "device_owner", value, expected: VIP_PORT }),
        };
        if admin_state_up == Some(false) {
            let value = "false".into();
            return Err(ApiError::Unsupported { field: "admin_state_up", value, expected: "true" });
        }
        let fixed_ips = fixed_ips.unwrap_or_default();
        if fixed_ips.len() > 1 {
            return Err(ControlError::TooMany { field: "fixed_ips", count: fixed_ips.len(), limit: 1 }.into());
        }
        let mut address = None;
        for FixedIpRequest { subnet_id, ip_address } in fixed_ips {
            if let Some(value) = subnet_id.filter(|subnet| *subnet != network_id) {
                return Err(ApiError::Field {
                    field: "subnet_id",
                    value,
                    expected: "the same as network_id",
                });
            }
            address = ip_address.map(|text| parse_address("ip_address", &text)).transpose()?;
        }
        Ok(Self { subnet: network_id.parse()?, name: optional_name(name)?, kind, address })
    }
}

/// `POST`
pub async fn create(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<OnePort>, ApiError> {
    let new = NewPort::try_from(require("port", request.port)?)?;
    let backend = app.write(move |tx| backends::create_port(tx, scope, new)).await?;
    let view = move |app: &App, state: &State| PortView::new(app, state, &backend);
    app.blocking(move |app| Ok(Json(OnePort { port: app.controller.read(|state| view(app, state)) }))).await
}

/// Which ports are wanted.
#[derive(Deserialize, JsonSchema)]
pub struct Filter {
    /// Only that of this id.
    id: Option<String>,
    /// Only those of this name.
    name: Option<String>,
    /// Only those in this subnet.
    network_id: Option<SubnetId>,
    /// Only those of this owner.
    device_owner: Option<String>,
}

impl Filter {
    fn wants(&self, state: &State, backend: &Backend) -> bool {
        let Self { id, name, network_id, device_owner: owner } = self;
        let subnet = || subnet_of(state, backend.vpc, backend.address).map(|subnet| subnet.id);
        id.as_ref().is_none_or(|id| backend.id.to_string() == *id)
            && name.as_ref().is_none_or(|name| backend.name.as_str() == *name)
            && network_id.is_none_or(|network| subnet() == Some(network))
            && owner.as_ref().is_none_or(|owner| device_owner(state, backend.kind) == *owner)
    }
}

/// `GET`
pub async fn list(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Paging(page): Paging<1000, 1000>,
    Query(marker): Query<Marker>,
    Query(filter): Query<Filter>,
) -> Result<Json<PortPage>, ApiError> {
    app.blocking(move |app| {
        app.controller.read(|state| {
            let mut rows = state.visible::<Backend>(scope);
            rows.retain(|backend| filter.wants(state, backend));
            let total_count = rows.len();
            let rows = page.cut(marker.after(rows, |backend| backend.id.to_string())?);
            let ports = rows.into_iter().map(|backend| PortView::new(app, state, backend)).collect();
            Ok(Json(PortPage { ports, total_count }))
        })
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Backend>,
) -> Result<Json<OnePort>, ApiError> {
    app.blocking(move |app| {
        app.controller
            .read(|state| Ok(Json(OnePort { port: PortView::new(app, state, state.find(scope, id)?) })))
    })
    .await
}

/// `DELETE /{id}`
pub async fn delete(
    InProject(scope): InProject,
    Context(app): Context<App>,
    Id(id): Id<Backend>,
) -> Result<NoContent, ApiError> {
    app.write(move |tx| backends::delete(tx, scope, id)).await?;
    Ok(NoContent)
}

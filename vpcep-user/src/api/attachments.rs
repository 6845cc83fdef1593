//! `/operator/v1/attachments`: list, create, show and delete. The operator's
//! alone.

use std::net::Ipv4Addr;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Context;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::Operator;
use super::error::ApiError;
use super::openapi::named;
use super::page::Paging;
use super::request::{Body, Id, Query, Switch, require};
use crate::controller::attachments::NewAttachment;
use crate::controller::{State, attachments};
use crate::model::connection::Effect;
use crate::model::{
    Attachment, AttachmentId, InterfaceAddress, InterfaceName, Timestamp, VlanId, VpcId, parse_address,
};
use crate::reconcile::desired::{AttachMode, AttachmentState};

pub fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/operator/v1/attachments",
            get_with(list, named("listAttachments", "List where VPCs reach this host"))
                .post_with(create, named("createAttachment", "Attach a VPC to an interface of this host")),
        )
        .api_route(
            "/operator/v1/attachments/{id}",
            get_with(show, named("showAttachment", "Show where a VPC reaches this host"))
                .delete_with(delete, named("deleteAttachment", "Take a VPC off an interface")),
        )
        .with_path_items(|path| path.tag("Operation"))
}

fn mode_word(mode: AttachMode) -> &'static str {
    match mode {
        AttachMode::Auto => "auto",
        AttachMode::Xdp => "xdp",
        AttachMode::XdpGeneric => "xdp-generic",
        AttachMode::Tc => "tc",
    }
}

fn parse_mode(text: &str) -> Result<AttachMode, ApiError> {
    match text {
        "auto" => Ok(AttachMode::Auto),
        "xdp" => Ok(AttachMode::Xdp),
        "xdp-generic" => Ok(AttachMode::XdpGeneric),
        "tc" => Ok(AttachMode::Tc),
        other => Err(ApiError::Field {
            field: "mode",
            value: other.into(),
            expected: "auto, xdp, xdp-generic or tc",
        }),
    }
}

/// Where a VPC reaches this host.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Attachment")]
pub struct AttachmentView {
    /// Names it.
    id: AttachmentId,
    /// The VPC.
    vpc_id: VpcId,
    /// The interface.
    interface: String,
    /// The VLAN of it that is the VPC; null when the VPC is untagged.
    #[schemars(range(min = 1, max = 4094))]
    vlan: Option<u16>,
    /// The gateway's own address in the VPC, with the on-link prefix.
    address: InterfaceAddress,
    /// How the programs should be attached.
    #[schemars(extend("enum" = ["auto", "xdp", "xdp-generic", "tc"]))]
    mode: &'static str,
    /// Router for addresses outside the on-link prefix.
    next_hop: Option<Ipv4Addr>,
    /// Whether packets are seen.
    #[schemars(extend("enum" = ["pending", "active", "failed"]))]
    status: &'static str,
    /// How the programs are attached; null unless active.
    hook: Option<String>,
    /// Why it failed; null unless failed.
    error: Option<String>,
    /// When it was made.
    created_at: Timestamp,
}

impl AttachmentView {
    fn new(state: &State, attachment: &Attachment) -> Self {
        let (status, hook, error) = match state.attachment_states.get(&attachment.id) {
            None => ("pending", None, None),
            Some(AttachmentState::Active { hook }) => ("active", Some(hook.to_string()), None),
            Some(AttachmentState::Failed { reason }) => ("failed", None, Some(reason.clone())),
        };
        Self {
            id: attachment.id,
            vpc_id: attachment.vpc,
            interface: attachment.interface.as_str().into(),
            vlan: attachment.vlan.map(VlanId::get),
            address: attachment.address,
            mode: mode_word(attachment.mode),
            next_hop: attachment.next_hop,
            status,
            hook,
            error,
            created_at: attachment.created_at,
        }
    }
}

/// A page of attachments, oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Attachments")]
pub struct AttachmentPage {
    attachments: Vec<AttachmentView>,
    /// How many there are on all pages.
    total_count: usize,
}

/// The body of a creation.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CreateAttachment")]
pub struct CreateRequest {
    /// The VPC.
    #[schemars(with = "VpcId")]
    vpc_id: Option<String>,
    /// The interface.
    #[schemars(with = "InterfaceName")]
    interface: Option<String>,
    /// The VLAN of it that is the VPC, if it is one.
    #[schemars(range(min = 1, max = 4094))]
    vlan: Option<u32>,
    /// The gateway's own address in the VPC, with the on-link prefix.
    #[schemars(with = "InterfaceAddress")]
    address: Option<String>,
    /// How the programs should be attached; `auto` when absent.
    #[schemars(extend("enum" = ["auto", "xdp", "xdp-generic", "tc", null]))]
    mode: Option<String>,
    /// Router for addresses outside the on-link prefix.
    #[schemars(with = "Option<Ipv4Addr>")]
    next_hop: Option<String>,
}

impl TryFrom<CreateRequest> for NewAttachment {
    type Error = ApiError;

    fn try_from(request: CreateRequest) -> Result<Self, ApiError> {
        let CreateRequest { vpc_id, interface, vlan, address, mode, next_hop } = request;
        Ok(Self {
            vpc: require("vpc_id", vpc_id)?.parse()?,
            interface: require("interface", interface)?.parse()?,
            vlan: vlan.map(VlanId::new).transpose()?,
            address: require("address", address)?.parse()?,
            mode: mode.map(|text| parse_mode(&text)).transpose()?.unwrap_or_default(),
            next_hop: next_hop.map(|text| parse_address("next_hop", &text)).transpose()?,
        })
    }
}

/// `POST`
pub async fn create(
    _: Operator,
    Context(app): Context<App>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<AttachmentView>, ApiError> {
    let new = NewAttachment::try_from(request)?;
    let attachment = app.write(move |tx| attachments::create(tx, new)).await?;
    app.read(move |state| Ok(Json(AttachmentView::new(state, &attachment)))).await
}

/// `GET`
pub async fn list(
    _: Operator,
    Context(app): Context<App>,
    Paging(page): Paging<1000, 1000>,
) -> Result<Json<AttachmentPage>, ApiError> {
    app.read(move |state| {
        let mut rows: Vec<_> = state.attachments.iter().collect();
        rows.sort_by_key(|attachment| (attachment.created_at, attachment.id));
        let total_count = rows.len();
        let views = page.cut(rows).into_iter().map(|attachment| AttachmentView::new(state, attachment));
        Ok(Json(AttachmentPage { attachments: views.collect(), total_count }))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    _: Operator,
    Context(app): Context<App>,
    Id(id): Id<Attachment>,
) -> Result<Json<AttachmentView>, ApiError> {
    app.read(move |state| Ok(Json(AttachmentView::new(state, attachments::find(state, id)?)))).await
}

/// How to delete.
#[derive(Deserialize, JsonSchema)]
pub struct Deletion {
    /// Also while connected endpoints need it: their flows stop until the VPC is attached again.
    #[serde(default)]
    force: Switch,
}

/// `DELETE /{id}`, with `?force=true` also while it is in use.
pub async fn delete(
    _: Operator,
    Context(app): Context<App>,
    Id(id): Id<Attachment>,
    Query(Deletion { force }): Query<Deletion>,
) -> Result<NoContent, ApiError> {
    let force = force == Switch::True;
    // The interface may be attached again right after this answer, so its programs are gone by then.
    app.write_through(move |tx| Ok((attachments::delete(tx, id, force)?, Effect::Reconcile))).await?;
    Ok(NoContent)
}

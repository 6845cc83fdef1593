//! `/operator/v1/attachments`: list, create, show and delete. The operator's
//! alone.

use axum::Json;
use axum::extract::State as Context;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Operator;
use super::error::ApiError;
use super::request::{Body, Id, Params, require};
use super::{App, deleted};
use crate::controller::attachments::NewAttachment;
use crate::controller::{State, attachments};
use crate::model::connection::Effect;
use crate::model::{Attachment, VlanId, parse_address};
use crate::reconcile::desired::{AttachMode, AttachmentState};

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

fn view(state: &State, attachment: &Attachment) -> Value {
    let (status, hook, error) = match state.attachment_states.get(&attachment.id) {
        None => ("pending", None, None),
        Some(AttachmentState::Active { hook }) => ("active", Some(hook), None),
        Some(AttachmentState::Failed { reason }) => ("failed", None, Some(reason)),
    };
    json!({
        "id": attachment.id.to_string(),
        "vpc_id": attachment.vpc.to_string(),
        "interface": attachment.interface.as_str(),
        "vlan": attachment.vlan.map(VlanId::get),
        "address": attachment.address.to_string(),
        "mode": mode_word(attachment.mode),
        "next_hop": attachment.next_hop.map(|hop| hop.to_string()),
        "status": status,
        "hook": hook,
        "error": error,
        "created_at": attachment.created_at.to_string(),
    })
}

/// The body of a creation.
#[derive(Deserialize)]
pub struct CreateRequest {
    vpc_id: Option<String>,
    interface: Option<String>,
    vlan: Option<u32>,
    address: Option<String>,
    mode: Option<String>,
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
) -> Result<Json<Value>, ApiError> {
    let new = NewAttachment::try_from(request)?;
    let attachment = app.write(move |tx| attachments::create(tx, new)).await?;
    app.read(move |state| Ok(Json(view(state, &attachment)))).await
}

/// `GET`
pub async fn list(_: Operator, Context(app): Context<App>, params: Params) -> Result<Json<Value>, ApiError> {
    let page = params.page(1000, 1000)?;
    app.read(move |state| {
        let mut rows: Vec<_> = state.attachments.iter().collect();
        rows.sort_by_key(|attachment| (attachment.created_at, attachment.id));
        let (rows, total_count) = page.cut(rows);
        let rows: Vec<_> = rows.into_iter().map(|attachment| view(state, attachment)).collect();
        Ok(Json(json!({"attachments": rows, "total_count": total_count})))
    })
    .await
}

/// `GET /{id}`
pub async fn show(
    _: Operator,
    Context(app): Context<App>,
    Id(id): Id<Attachment>,
) -> Result<Json<Value>, ApiError> {
    app.read(move |state| Ok(Json(view(state, attachments::find(state, id)?)))).await
}

/// `DELETE /{id}`, with `?force=true` also while it is in use.
pub async fn delete(
    _: Operator,
    Context(app): Context<App>,
    Id(id): Id<Attachment>,
    params: Params,
) -> Result<Response, ApiError> {
    let force = params.switch("force")?;
    // The interface may be attached again right after this answer, so its programs are gone by then.
    app.write_through(move |tx| Ok((attachments::delete(tx, id, force)?, Effect::Reconcile))).await?;
    Ok(deleted())
}

//! `vpcep attachment`: interfaces of the gateway host and the VPCs they lead to.
//! The operator's alone.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde::Serialize;

use super::output::{Answer, Column, or_dash};
use super::resolve::{find, id_of};
use super::value::{Reference, vlan};
use super::wait::{Progress, WaitArgs};
use crate::client::{Attachment, AttachmentStatus, Client, Vpc};
use crate::model::{InterfaceAddress, InterfaceName, VlanId};

/// What can be done with attachments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Connect a VPC to an interface of the gateway host
    ///
    /// Example: vpcep attachment create --vpc net1 --interface eth1 --vlan 100 --address 10.0.0.1/24 --wait
    Create(CreateArgs),
    /// Show all attachments
    List,
    /// Show one attachment, with the reason when it failed
    Show {
        /// Id, or interface with its VLAN: eth1, eth1.100
        attachment: Reference,
    },
    /// Detach a VPC that no connected endpoint needs
    Delete {
        /// Id, or interface with its VLAN: eth1, eth1.100
        attachment: Reference,
        /// Also while connected endpoints need it: flows of the VPC stop until it is attached again,
        /// endpoints and sessions stay
        #[arg(long)]
        force: bool,
    },
}

/// Arguments of `attachment create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// VPC, by name or id
    #[arg(long)]
    vpc: Reference,
    /// Interface of the gateway host, as `ip link` shows it
    #[arg(long)]
    interface: InterfaceName,
    /// 802.1Q id when the VPC is a VLAN of the interface, 1 to 4094
    #[arg(long, value_name = "ID", value_parser = vlan)]
    vlan: Option<VlanId>,
    /// The gateway's own address in the VPC with the on-link prefix, such as 10.0.0.1/24
    #[arg(long)]
    address: InterfaceAddress,
    /// Router for addresses of the VPC outside that prefix
    #[arg(long, value_name = "IP")]
    next_hop: Option<Ipv4Addr>,
    /// Which kernel hook handles the packets
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// By driver: TC on virtual devices, XDP where the NIC supports it
    #[default]
    Auto,
    /// XDP in the driver
    Xdp,
    /// XDP in the stack: any device, slow
    XdpGeneric,
    /// TC: tcx where the kernel has it, clsact else
    Tc,
}

#[derive(Serialize)]
struct NewAttachment {
    vpc_id: String,
    interface: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<u16>,
    address: String,
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_hop: Option<Ipv4Addr>,
}

const COLUMNS: &[Column<Attachment>] = &[
    Column::whole("ID", |attachment| attachment.id.clone()),
    Column::whole("VPC ID", |attachment| attachment.vpc_id.clone()),
    Column::whole("INTERFACE", |attachment| attachment.interface.clone()),
    Column::whole("VLAN", |attachment| or_dash(&attachment.vlan)),
    Column::whole("ADDRESS", |attachment| attachment.address.clone()),
    Column::whole("NEXT HOP", |attachment| or_dash(&attachment.next_hop)),
    Column::whole("MODE", |attachment| attachment.mode.clone()),
    Column::whole("HOOK", |attachment| or_dash(&attachment.hook)),
    Column::whole("STATUS", |attachment| attachment.status.to_string()),
    Column::text("ERROR", |attachment| or_dash(&attachment.error)),
];

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Create(args) => args.run(client).await,
            Self::List => {
                let attachments = client.list(&[]).await.context("cannot list attachments")?;
                Ok(Answer::list::<Attachment>(&attachments, COLUMNS))
            }
            Self::Show { attachment } => {
                Ok(Answer::object(find::<Attachment>(client, &attachment, &[]).await?))
            }
            Self::Delete { attachment, force } => {
                let id = id_of::<Attachment>(client, &attachment, &[]).await?;
                let mut path = client.path_of::<Attachment>(&[&id]);
                if force {
                    path = path.query("force", "true");
                }
                let deleted = client.send(Method::DELETE, &path, None).await;
                deleted.with_context(|| format!("cannot delete attachment {attachment}"))?;
                Ok(Answer::deleted("attachment", &id))
            }
        }
    }
}

impl CreateArgs {
    async fn run(self, client: &Client) -> Result<Answer> {
        let Self { vpc, interface, vlan, address, next_hop, mode, wait } = self;
        let vpc_id = id_of::<Vpc>(client, &vpc, &[]).await?;
        let body = NewAttachment {
            vpc_id,
            interface: interface.as_str().to_owned(),
            vlan: vlan.map(VlanId::get),
            address: address.to_string(),
            mode,
            next_hop,
        };
        let attachment = client.create::<Attachment>(&body).await.context("cannot create the attachment")?;
        let id = attachment.data.id.clone();
        Ok(Answer::object(wait.until_done(client, &id, attachment, progress).await?))
    }
}

fn progress(attachment: &Attachment) -> Progress {
    match attachment.status {
        AttachmentStatus::Active => Progress::Done,
        AttachmentStatus::Pending => Progress::Pending("is still pending".to_owned()),
        AttachmentStatus::Failed => {
            let reason = attachment.error.as_deref().unwrap_or("see the log of vpcepd");
            Progress::Failed(format!("failed: {reason}"))
        }
    }
}

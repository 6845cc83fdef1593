//! Stored forms of VPCs, subnets, attachments and backends.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Stored, whole};
use crate::model::{
    Attachment, AttachmentId, Backend, BackendId, BackendKind, DnsServers, HealthCheck, HealthCheckText,
    Member, ModelError, Name, Port, Subnet, SubnetId, Timestamp, VlanId, Vpc, VpcId, parse_address,
};
use crate::reconcile::desired::AttachMode;

/// See [`Vpc`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpcForm {
    id: String,
    project: String,
    name: String,
    cidr: String,
    number: u16,
    created_at: u64,
    /// Since schema 2, like what follows.
    #[serde(default)]
    description: String,
    #[serde(default)]
    updated_at: Option<u64>,
}

impl Stored for Vpc {
    const PREFIX: &'static str = "vpcs/";
    const SCHEMA: u32 = 2;
    const OLDEST: u32 = 1;
    type Form = VpcForm;
    type Id = VpcId;

    fn id(&self) -> VpcId {
        self.id
    }

    fn audited(&self) -> Option<Value> {
        whole(self)
    }
}

impl From<&Vpc> for VpcForm {
    fn from(vpc: &Vpc) -> Self {
        let Vpc { id, project, name, cidr, number, description, created_at, updated_at } = vpc;
        Self {
            id: id.to_string(),
            project: project.to_string(),
            name: name.to_string(),
            cidr: cidr.to_string(),
            number: *number,
            created_at: created_at.as_micros(),
            description: description.as_str().into(),
            updated_at: Some(updated_at.as_micros()),
        }
    }
}

impl TryFrom<VpcForm> for Vpc {
    type Error = ModelError;

    fn try_from(form: VpcForm) -> Result<Self, ModelError> {
        let VpcForm { id, project, name, cidr, number, created_at, description, updated_at } = form;
        Ok(Self {
            id: id.parse()?,
            project: project.parse()?,
            name: Name::new("name", &name)?,
            cidr: cidr.parse()?,
            number,
            description: description.parse()?,
            created_at: Timestamp::from_micros(created_at),
            updated_at: Timestamp::from_micros(updated_at.unwrap_or(created_at)),
        })
    }
}

/// See [`Subnet`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetForm {
    id: String,
    vpc: String,
    project: String,
    name: String,
    cidr: String,
    created_at: u64,
    /// Since schema 2, like what follows.
    #[serde(default)]
    gateway: Option<String>,
    #[serde(default = "enabled")]
    dhcp_enabled: bool,
    #[serde(default)]
    dns: Vec<String>,
    #[serde(default)]
    availability_zone: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    updated_at: Option<u64>,
}

fn enabled() -> bool {
    true
}

impl Stored for Subnet {
    const PREFIX: &'static str = "subnets/";
    const SCHEMA: u32 = 2;
    const OLDEST: u32 = 1;
    type Form = SubnetForm;
    type Id = SubnetId;

    fn id(&self) -> SubnetId {
        self.id
    }

    fn audited(&self) -> Option<Value> {
        whole(self)
    }
}

impl From<&Subnet> for SubnetForm {
    fn from(subnet: &Subnet) -> Self {
        let Subnet {
            id,
            vpc,
            project,
            name,
            cidr,
            gateway,
            dhcp_enabled,
            dns,
            availability_zone,
            description,
            created_at,
            updated_at,
        } = subnet;
        Self {
            id: id.to_string(),
            vpc: vpc.to_string(),
            project: project.to_string(),
            name: name.to_string(),
            cidr: cidr.to_string(),
            created_at: created_at.as_micros(),
            gateway: gateway.map(|address| address.to_string()),
            dhcp_enabled: *dhcp_enabled,
            dns: dns.as_slice().iter().map(ToString::to_string).collect(),
            availability_zone: availability_zone.as_ref().map(ToString::to_string),
            description: description.as_str().into(),
            updated_at: Some(updated_at.as_micros()),
        }
    }
}

impl TryFrom<SubnetForm> for Subnet {
    type Error = ModelError;

    fn try_from(form: SubnetForm) -> Result<Self, ModelError> {
        let SubnetForm {
            id,
            vpc,
            project,
            name,
            cidr,
            created_at,
            gateway,
            dhcp_enabled,
            dns,
            availability_zone,
            description,
            updated_at,
        } = form;
        let dns = dns.iter().map(|server| parse_address("dnsList", server)).collect::<Result<_, _>>()?;
        Ok(Self {
            id: id.parse()?,
            vpc: vpc.parse()?,
            project: project.parse()?,
            name: Name::new("name", &name)?,
            cidr: cidr.parse()?,
            gateway: gateway.map(|address| parse_address("gateway_ip", &address)).transpose()?,
            dhcp_enabled,
            dns: DnsServers::new(dns)?,
            availability_zone: availability_zone
                .map(|name| Name::new("availability_zone", &name))
                .transpose()?,
            description: description.parse()?,
            created_at: Timestamp::from_micros(created_at),
            updated_at: Timestamp::from_micros(updated_at.unwrap_or(created_at)),
        })
    }
}

/// See [`Attachment`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachmentForm {
    id: String,
    vpc: String,
    interface: String,
    vlan: Option<u16>,
    address: String,
    mode: ModeForm,
    next_hop: Option<String>,
    created_at: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ModeForm {
    Auto,
    Xdp,
    XdpGeneric,
    Tc,
}

impl From<AttachMode> for ModeForm {
    fn from(mode: AttachMode) -> Self {
        match mode {
            AttachMode::Auto => Self::Auto,
            AttachMode::Xdp => Self::Xdp,
            AttachMode::XdpGeneric => Self::XdpGeneric,
            AttachMode::Tc => Self::Tc,
        }
    }
}

impl From<ModeForm> for AttachMode {
    fn from(mode: ModeForm) -> Self {
        match mode {
            ModeForm::Auto => Self::Auto,
            ModeForm::Xdp => Self::Xdp,
            ModeForm::XdpGeneric => Self::XdpGeneric,
            ModeForm::Tc => Self::Tc,
        }
    }
}

impl Stored for Attachment {
    const PREFIX: &'static str = "attachments/";
    const SCHEMA: u32 = 1;
    type Form = AttachmentForm;
    type Id = AttachmentId;

    fn id(&self) -> AttachmentId {
        self.id
    }

    fn audited(&self) -> Option<Value> {
        whole(self)
    }
}

impl From<&Attachment> for AttachmentForm {
    fn from(attachment: &Attachment) -> Self {
        let Attachment { id, vpc, interface, vlan, address, mode, next_hop, created_at } = attachment;
        Self {
            id: id.to_string(),
            vpc: vpc.to_string(),
            interface: interface.as_str().into(),
            vlan: vlan.map(VlanId::get),
            address: address.to_string(),
            mode: (*mode).into(),
            next_hop: next_hop.map(|hop| hop.to_string()),
            created_at: created_at.as_micros(),
        }
    }
}

impl TryFrom<AttachmentForm> for Attachment {
    type Error = ModelError;

    fn try_from(form: AttachmentForm) -> Result<Self, ModelError> {
        let AttachmentForm { id, vpc, interface, vlan, address, mode, next_hop, created_at } = form;
        Ok(Self {
            id: id.parse()?,
            vpc: vpc.parse()?,
            interface: interface.parse()?,
            vlan: vlan.map(|id| VlanId::new(id.into())).transpose()?,
            address: address.parse()?,
            mode: mode.into(),
            next_hop: next_hop.map(|hop| parse_address("next_hop", &hop)).transpose()?,
            created_at: Timestamp::from_micros(created_at),
        })
    }
}

/// See [`Backend`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendForm {
    id: String,
    vpc: String,
    project: String,
    name: String,
    kind: String,
    address: String,
    members: Vec<MemberForm>,
    created_at: u64,
    /// Since schema 2, like what follows. `None` is round robin.
    #[serde(default)]
    algorithm: Option<String>,
    #[serde(default)]
    health_check: Option<HealthCheckForm>,
    #[serde(default)]
    updated_at: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthCheckForm {
    protocol: String,
    port: Option<i64>,
    path: Option<String>,
    expected_codes: Option<String>,
    interval: Option<i64>,
    timeout: Option<i64>,
    healthy_threshold: Option<i64>,
    unhealthy_threshold: Option<i64>,
}

impl From<&HealthCheck> for HealthCheckForm {
    fn from(check: &HealthCheck) -> Self {
        let HealthCheckText {
            protocol,
            port,
            path,
            expected_codes,
            interval,
            timeout,
            healthy_threshold,
            unhealthy_threshold,
        } = check.into();
        Self {
            protocol,
            port,
            path,
            expected_codes,
            interval,
            timeout,
            healthy_threshold,
            unhealthy_threshold,
        }
    }
}

impl TryFrom<HealthCheckForm> for HealthCheck {
    type Error = ModelError;

    fn try_from(form: HealthCheckForm) -> Result<Self, ModelError> {
        let HealthCheckForm {
            protocol,
            port,
            path,
            expected_codes,
            interval,
            timeout,
            healthy_threshold,
            unhealthy_threshold,
        } = form;
        HealthCheckText {
            protocol,
            port,
            path,
            expected_codes,
            interval,
            timeout,
            healthy_threshold,
            unhealthy_threshold,
        }
        .try_into()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberForm {
    address: String,
    port: Option<u16>,
    weight: u8,
    /// Since schema 2 of [`BackendForm`].
    #[serde(default)]
    is_draining: bool,
}

impl Stored for Backend {
    const PREFIX: &'static str = "backends/";
    const SCHEMA: u32 = 2;
    const OLDEST: u32 = 1;
    type Form = BackendForm;
    type Id = BackendId;

    fn id(&self) -> BackendId {
        self.id
    }

    fn audited(&self) -> Option<Value> {
        whole(self)
    }
}

impl From<&Backend> for BackendForm {
    fn from(backend: &Backend) -> Self {
        let Backend {
            id,
            vpc,
            project,
            name,
            kind,
            address,
            members,
            algorithm,
            health_check,
            created_at,
            updated_at,
        } = backend;
        let members = members.iter().map(|member| MemberForm {
            address: member.address.to_string(),
            port: member.port.map(Port::get),
            weight: member.weight(),
            is_draining: member.is_draining,
        });
        Self {
            id: id.to_string(),
            vpc: vpc.to_string(),
            project: project.to_string(),
            name: name.to_string(),
            kind: kind.to_string(),
            address: address.to_string(),
            members: members.collect(),
            created_at: created_at.as_micros(),
            algorithm: Some(algorithm.as_str().into()),
            health_check: health_check.as_ref().map(HealthCheckForm::from),
            updated_at: Some(updated_at.as_micros()),
        }
    }
}

impl TryFrom<MemberForm> for Member {
    type Error = ModelError;

    fn try_from(form: MemberForm) -> Result<Self, ModelError> {
        let MemberForm { address, port, weight, is_draining } = form;
        let port = port.map(|port| Port::new("port", port.into())).transpose()?;
        let member = Self::new(parse_address("address", &address)?, port, weight.into())?;
        Ok(member.draining(is_draining))
    }
}

impl TryFrom<BackendForm> for Backend {
    type Error = ModelError;

    fn try_from(form: BackendForm) -> Result<Self, ModelError> {
        let BackendForm {
            id,
            vpc,
            project,
            name,
            kind,
            address,
            members,
            created_at,
            algorithm,
            health_check,
            updated_at,
        } = form;
        Ok(Self {
            id: id.parse()?,
            vpc: vpc.parse()?,
            project: project.parse()?,
            name: Name::new("name", &name)?,
            kind: BackendKind::parse("kind", &kind)?,
            address: parse_address("address", &address)?,
            members: members.into_iter().map(Member::try_from).collect::<Result<_, _>>()?,
            algorithm: algorithm.map(|text| text.parse()).transpose()?.unwrap_or_default(),
            health_check: health_check.map(HealthCheck::try_from).transpose()?,
            created_at: Timestamp::from_micros(created_at),
            updated_at: Timestamp::from_micros(updated_at.unwrap_or(created_at)),
        })
    }
}

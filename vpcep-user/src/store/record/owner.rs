//! Stored forms of accounts, quotas, number counters and the home region.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Home, Numbers, QuotaRecord, Stored, whole};
use crate::model::{Account, DomainId, ModelError, Name, ProjectId, QuotaChange, Timestamp};

/// See [`Account`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountForm {
    domain: String,
    project: String,
    name: String,
    created_at: u64,
}

impl Stored for Account {
    const PREFIX: &'static str = "accounts/";
    // 1 had the account's only key pair and token in it: see version_0_1.rs.
    const SCHEMA: u32 = 2;
    type Form = AccountForm;
    type Id = DomainId;

    fn id(&self) -> DomainId {
        self.domain
    }

    fn audited(&self) -> Option<Value> {
        whole(self)
    }
}

impl From<&Account> for AccountForm {
    fn from(account: &Account) -> Self {
        let Account { domain, project, name, created_at } = account;
        Self {
            domain: domain.to_string(),
            project: project.to_string(),
            name: name.to_string(),
            created_at: created_at.as_micros(),
        }
    }
}

impl TryFrom<AccountForm> for Account {
    type Error = ModelError;

    fn try_from(form: AccountForm) -> Result<Self, ModelError> {
        let AccountForm { domain, project, name, created_at } = form;
        Ok(Self {
            domain: domain.parse()?,
            project: project.parse()?,
            name: Name::new("name", &name)?,
            created_at: Timestamp::from_micros(created_at),
        })
    }
}

/// See [`QuotaRecord`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaForm {
    project: Option<String>,
    services: Option<u32>,
    endpoints: Option<u32>,
    connections: Option<u32>,
    #[serde(default)]
    vpcs: Option<u32>,
    #[serde(default)]
    subnets: Option<u32>,
    #[serde(default)]
    backends: Option<u32>,
    #[serde(default)]
    half_open: Option<u32>,
    #[serde(default)]
    connection_rate: Option<u32>,
    #[serde(default)]
    bandwidth: Option<u32>,
}

/// Whose limits: one project's, or everyone's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaId(pub Option<ProjectId>);

impl fmt::Display for QuotaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(project) => project.fmt(f),
            None => f.write_str("default"),
        }
    }
}

impl Stored for QuotaRecord {
    const PREFIX: &'static str = "quotas/";
    const SCHEMA: u32 = 3;
    // 1 had no limits of networks, 2 none of rates.
    const OLDEST: u32 = 1;
    type Form = QuotaForm;
    type Id = QuotaId;

    fn id(&self) -> QuotaId {
        QuotaId(self.project)
    }

    fn audited(&self) -> Option<Value> {
        whole(self)
    }
}

impl From<&QuotaRecord> for QuotaForm {
    fn from(record: &QuotaRecord) -> Self {
        let QuotaRecord { project, change } = *record;
        Self {
            project: project.map(|id| id.to_string()),
            services: change.services,
            endpoints: change.endpoints,
            connections: change.connections,
            vpcs: change.vpcs,
            subnets: change.subnets,
            backends: change.backends,
            half_open: change.half_open,
            connection_rate: change.connection_rate,
            bandwidth: change.bandwidth,
        }
    }
}

impl TryFrom<QuotaForm> for QuotaRecord {
    type Error = ModelError;

    fn try_from(form: QuotaForm) -> Result<Self, ModelError> {
        let change = QuotaChange {
            services: form.services,
            endpoints: form.endpoints,
            connections: form.connections,
            vpcs: form.vpcs,
            subnets: form.subnets,
            backends: form.backends,
            half_open: form.half_open,
            connection_rate: form.connection_rate,
            bandwidth: form.bandwidth,
        };
        Ok(Self { project: form.project.map(|id| id.parse()).transpose()?, change })
    }
}

/// See [`Numbers`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumbersForm {
    next_vpc: u16,
    next_marker: u32,
}

/// There is one record of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumbersId;

impl fmt::Display for NumbersId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("next")
    }
}

impl Stored for Numbers {
    const PREFIX: &'static str = "numbers/";
    const SCHEMA: u32 = 1;
    type Form = NumbersForm;
    type Id = NumbersId;

    fn id(&self) -> NumbersId {
        NumbersId
    }

    fn audited(&self) -> Option<Value> {
        None
    }
}

impl From<&Numbers> for NumbersForm {
    fn from(numbers: &Numbers) -> Self {
        let Numbers { next_vpc, next_marker } = *numbers;
        Self { next_vpc, next_marker }
    }
}

impl TryFrom<NumbersForm> for Numbers {
    type Error = ModelError;

    fn try_from(form: NumbersForm) -> Result<Self, ModelError> {
        let NumbersForm { next_vpc, next_marker } = form;
        Ok(Self { next_vpc, next_marker })
    }
}

/// See [`Home`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeForm {
    region: String,
}

/// There is one home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HomeId;

impl fmt::Display for HomeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("region")
    }
}

impl Stored for Home {
    const PREFIX: &'static str = "home/";
    const SCHEMA: u32 = 1;
    type Form = HomeForm;
    type Id = HomeId;

    fn id(&self) -> HomeId {
        HomeId
    }

    fn audited(&self) -> Option<Value> {
        whole(self)
    }
}

impl From<&Home> for HomeForm {
    fn from(home: &Home) -> Self {
        let Home { region } = home;
        Self { region: region.as_str().into() }
    }
}

impl TryFrom<HomeForm> for Home {
    type Error = ModelError;

    fn try_from(form: HomeForm) -> Result<Self, ModelError> {
        let HomeForm { region } = form;
        Ok(Self { region: region.parse()? })
    }
}

//! Stored form of route tables.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Stored, whole};
use crate::model::{ModelError, Name, RouteTable, RouteTableId, Timestamp};

/// See [`RouteTable`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTableForm {
    id: String,
    vpc: String,
    project: String,
    name: String,
    is_default: bool,
    subnets: Vec<String>,
    description: String,
    created_at: u64,
    updated_at: u64,
}

impl Stored for RouteTable {
    const PREFIX: &'static str = "route-tables/";
    const SCHEMA: u32 = 1;
    type Form = RouteTableForm;
    type Id = RouteTableId;

    fn id(&self) -> RouteTableId {
        self.id
    }

    fn audited(&self) -> Option<Value> {
        whole(self)
    }
}

impl From<&RouteTable> for RouteTableForm {
    fn from(table: &RouteTable) -> Self {
        let RouteTable { id, vpc, project, name, is_default, subnets, description, created_at, updated_at } =
            table;
        Self {
            id: id.to_string(),
            vpc: vpc.to_string(),
            project: project.to_string(),
            name: name.to_string(),
            is_default: *is_default,
            subnets: subnets.iter().map(ToString::to_string).collect(),
            description: description.as_str().into(),
            created_at: created_at.as_micros(),
            updated_at: updated_at.as_micros(),
        }
    }
}

impl TryFrom<RouteTableForm> for RouteTable {
    type Error = ModelError;

    fn try_from(form: RouteTableForm) -> Result<Self, ModelError> {
        let RouteTableForm {
            id,
            vpc,
            project,
            name,
            is_default,
            subnets,
            description,
            created_at,
            updated_at,
        } = form;
        Ok(Self {
            id: id.parse()?,
            vpc: vpc.parse()?,
            project: project.parse()?,
            name: Name::new("name", &name)?,
            is_default,
            subnets: subnets.iter().map(|id| id.parse()).collect::<Result<_, _>>()?,
            description: description.parse()?,
            created_at: Timestamp::from_micros(created_at),
            updated_at: Timestamp::from_micros(updated_at),
        })
    }
}

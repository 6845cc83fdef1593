//! Stored form of endpoints and their connections.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::tag::{self, TagForm};
use super::{Stored, whole};
use crate::model::connection::{Connection, Failure, State};
use crate::model::{
    Endpoint, EndpointId, EndpointKind, ModelError, Policy, PolicyStatement, Timestamp, Whitelist,
    parse_address,
};
use crate::reconcile::desired::Refusal;

/// See [`Endpoint`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointForm {
    id: String,
    project: String,
    service: String,
    vpc: String,
    /// Of an interface endpoint; with `address`.
    subnet: Option<String>,
    address: Option<String>,
    marker: u32,
    whitelist_enabled: bool,
    whitelist: Vec<String>,
    refusal: RefusalForm,
    description: String,
    connection_description: String,
    connection: ConnectionForm,
    created_at: u64,
    updated_at: u64,
    /// Of an interface endpoint. Since schema 2, like what follows.
    #[serde(default)]
    has_name: bool,
    /// Of a gateway endpoint.
    #[serde(default)]
    route_tables: Vec<String>,
    #[serde(default)]
    policy_statements: Vec<StatementForm>,
    #[serde(default)]
    policy_document: Option<Map<String, Value>>,
    #[serde(default)]
    tags: Vec<TagForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementForm {
    effect: String,
    actions: Vec<String>,
    resources: Vec<String>,
    condition: Option<Map<String, Value>>,
    sid: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RefusalForm {
    Reset,
    Icmp,
    Silent,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionForm {
    state: StateForm,
    since: u64,
    accepted_once: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum StateForm {
    PendingAcceptance,
    Creating,
    Accepted,
    Rejected,
    FailedDataPlane { reason: String },
    FailedServiceDeleted { service: String },
    Deleting,
}

impl Stored for Endpoint {
    const PREFIX: &'static str = "endpoints/";
    const SCHEMA: u32 = 3;
    const OLDEST: u32 = 1;
    type Form = EndpointForm;
    type Id = EndpointId;

    fn id(&self) -> EndpointId {
        self.id
    }

    fn audited(&self) -> Option<Value> {
        whole(self)
    }
}

impl From<&Connection> for ConnectionForm {
    fn from(connection: &Connection) -> Self {
        let Connection { state, since, accepted_once } = connection;
        let state = match state {
            State::PendingAcceptance => StateForm::PendingAcceptance,
            State::Creating => StateForm::Creating,
            State::Accepted => StateForm::Accepted,
            State::Rejected => StateForm::Rejected,
            State::Failed(Failure::DataPlane { reason }) => {
                StateForm::FailedDataPlane { reason: reason.clone() }
            }
            State::Failed(Failure::ServiceDeleted { service }) => {
                StateForm::FailedServiceDeleted { service: service.to_string() }
            }
            State::Deleting => StateForm::Deleting,
        };
        Self { state, since: since.as_micros(), accepted_once: *accepted_once }
    }
}

impl TryFrom<ConnectionForm> for Connection {
    type Error = ModelError;

    fn try_from(form: ConnectionForm) -> Result<Self, ModelError> {
        let ConnectionForm { state, since, accepted_once } = form;
        let state = match state {
            StateForm::PendingAcceptance => State::PendingAcceptance,
            StateForm::Creating => State::Creating,
            StateForm::Accepted => State::Accepted,
            StateForm::Rejected => State::Rejected,
            StateForm::FailedDataPlane { reason } => State::Failed(Failure::DataPlane { reason }),
            StateForm::FailedServiceDeleted { service } => {
                State::Failed(Failure::ServiceDeleted { service: service.parse()? })
            }
            StateForm::Deleting => State::Deleting,
        };
        Ok(Self { state, since: Timestamp::from_micros(since), accepted_once })
    }
}

impl From<&Endpoint> for EndpointForm {
    fn from(endpoint: &Endpoint) -> Self {
        let Endpoint {
            id,
            project,
            service,
            vpc,
            kind,
            marker,
            whitelist,
            refusal,
            policy,
            tags,
            description,
            connection_description,
            connection,
            created_at,
            updated_at,
        } = endpoint;
        let (subnet, address, has_name, route_tables) = match kind {
            EndpointKind::Interface { subnet, address, has_name } => {
                (Some(subnet.to_string()), Some(address.to_string()), *has_name, Vec::new())
            }
            EndpointKind::Gateway { route_tables } => {
                (None, None, false, route_tables.iter().map(ToString::to_string).collect())
            }
        };
        Self {
            id: id.to_string(),
            project: project.to_string(),
            service: service.to_string(),
            vpc: vpc.to_string(),
            subnet,
            address,
            marker: *marker,
            whitelist_enabled: whitelist.is_enabled(),
            whitelist: whitelist.entries().iter().map(ToString::to_string).collect(),
            refusal: match refusal {
                Refusal::Reset => RefusalForm::Reset,
                Refusal::Icmp => RefusalForm::Icmp,
                Refusal::Silent => RefusalForm::Silent,
            },
            description: description.as_str().into(),
            connection_description: connection_description.as_str().into(),
            connection: connection.into(),
            created_at: created_at.as_micros(),
            updated_at: updated_at.as_micros(),
            has_name,
            route_tables,
            policy_statements: policy.statements().iter().map(StatementForm::from).collect(),
            policy_document: policy.document().cloned(),
            tags: tag::forms(tags),
        }
    }
}

impl From<&PolicyStatement> for StatementForm {
    fn from(statement: &PolicyStatement) -> Self {
        let PolicyStatement { effect, actions, resources, condition, sid } = statement;
        Self {
            effect: effect.as_str().into(),
            actions: actions.clone(),
            resources: resources.clone(),
            condition: condition.clone(),
            sid: sid.clone(),
        }
    }
}

impl TryFrom<StatementForm> for PolicyStatement {
    type Error = ModelError;

    fn try_from(form: StatementForm) -> Result<Self, ModelError> {
        let StatementForm { effect, actions, resources, condition, sid } = form;
        Ok(Self { effect: effect.parse()?, actions, resources, condition, sid })
    }
}

fn kind(
    subnet: Option<String>,
    address: Option<String>,
    has_name: bool,
    route_tables: &[String],
) -> Result<EndpointKind, ModelError> {
    match (subnet, address, route_tables) {
        (Some(subnet), Some(address), []) => Ok(EndpointKind::Interface {
            subnet: subnet.parse()?,
            address: parse_address("address", &address)?,
            has_name,
        }),
        (None, None, tables @ [_, ..]) if !has_name => {
            let route_tables = tables.iter().map(|id| id.parse()).collect::<Result<_, _>>()?;
            Ok(EndpointKind::Gateway { route_tables })
        }
        _ => Err(ModelError::MixedKind {
            what: "endpoint",
            interface: "subnet and address",
            gateway: "route_tables",
        }),
    }
}

impl TryFrom<EndpointForm> for Endpoint {
    type Error = ModelError;

    fn try_from(form: EndpointForm) -> Result<Self, ModelError> {
        let EndpointForm {
            id,
            project,
            service,
            vpc,
            subnet,
            address,
            marker,
            whitelist_enabled,
            whitelist,
            refusal,
            description,
            connection_description,
            connection,
            created_at,
            updated_at,
            has_name,
            route_tables,
            policy_statements,
            policy_document,
            tags,
        } = form;
        let statements =
            policy_statements.into_iter().map(PolicyStatement::try_from).collect::<Result<_, _>>()?;
        let entries = whitelist.iter().map(|entry| entry.parse()).collect::<Result<_, _>>()?;
        Ok(Self {
            id: id.parse()?,
            project: project.parse()?,
            service: service.parse()?,
            vpc: vpc.parse()?,
            kind: kind(subnet, address, has_name, &route_tables)?,
            marker,
            whitelist: Whitelist::new(whitelist_enabled, entries)?,
            policy: Policy::new(statements, policy_document)?,
            tags: tag::parse(&tags)?,
            refusal: match refusal {
                RefusalForm::Reset => Refusal::Reset,
                RefusalForm::Icmp => Refusal::Icmp,
                RefusalForm::Silent => Refusal::Silent,
            },
            description: description.parse()?,
            connection_description: connection_description.parse()?,
            connection: connection.try_into()?,
            created_at: Timestamp::from_micros(created_at),
            updated_at: Timestamp::from_micros(updated_at),
        })
    }
}

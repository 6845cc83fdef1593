//! Stored form of endpoints and their connections.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Stored, whole};
use crate::model::connection::{Connection, Failure, State};
use crate::model::{Endpoint, EndpointId, ModelError, Timestamp, Whitelist, parse_address};
use crate::reconcile::desired::Refusal;

/// See [`Endpoint`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointForm {
    id: String,
    project: String,
    service: String,
    vpc: String,
    subnet: String,
    address: String,
    marker: u32,
    whitelist_enabled: bool,
    whitelist: Vec<String>,
    refusal: RefusalForm,
    description: String,
    connection_description: String,
    connection: ConnectionForm,
    created_at: u64,
    updated_at: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RefusalForm {
    Reset,
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
    const SCHEMA: u32 = 1;
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
            subnet,
            address,
            marker,
            whitelist,
            refusal,
            description,
            connection_description,
            connection,
            created_at,
            updated_at,
        } = endpoint;
        Self {
            id: id.to_string(),
            project: project.to_string(),
            service: service.to_string(),
            vpc: vpc.to_string(),
            subnet: subnet.to_string(),
            address: address.to_string(),
            marker: *marker,
            whitelist_enabled: whitelist.is_enabled(),
            whitelist: whitelist.entries().iter().map(ToString::to_string).collect(),
            refusal: match refusal {
                Refusal::Reset => RefusalForm::Reset,
                Refusal::Silent => RefusalForm::Silent,
            },
            description: description.as_str().into(),
            connection_description: connection_description.as_str().into(),
            connection: connection.into(),
            created_at: created_at.as_micros(),
            updated_at: updated_at.as_micros(),
        }
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
        } = form;
        let entries = whitelist.iter().map(|entry| entry.parse()).collect::<Result<_, _>>()?;
        Ok(Self {
            id: id.parse()?,
            project: project.parse()?,
            service: service.parse()?,
            vpc: vpc.parse()?,
            subnet: subnet.parse()?,
            address: parse_address("address", &address)?,
            marker,
            whitelist: Whitelist::new(whitelist_enabled, entries)?,
            refusal: match refusal {
                RefusalForm::Reset => Refusal::Reset,
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

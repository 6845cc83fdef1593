//! Connections, as the provider sees and moves them.

use std::collections::BTreeSet;

use super::endpoints::changeable;
use super::error::ControlError;
use super::index::Ages;
use super::state::{Scope, State};
use super::tx::Tx;
use crate::model::connection::{Effect, Event, Step};
use crate::model::{Description, Endpoint, EndpointId, Service, ServiceId};

/// What a provider does to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lets it carry traffic.
    Receive,
    /// Refuses it, at any time.
    Reject,
}

/// What an operation on a connection did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acted {
    /// The endpoint as it is now.
    pub endpoint: Endpoint,
    /// Whether the data plane must change before it is true.
    pub effect: Effect,
}

/// The endpoints of a service, for its owner.
///
/// # Errors
/// When the service is not the caller's.
pub fn list(state: &State, scope: Scope, service: ServiceId) -> Result<Ages<EndpointId>, ControlError> {
    state.find::<Service>(scope, service)?;
    Ok(state.index.endpoints_of_service(service))
}

fn find(state: &State, scope: Scope, service: ServiceId, id: EndpointId) -> Result<&Endpoint, ControlError> {
    state.find::<Service>(scope, service)?;
    let endpoint = state.endpoints.get(id).filter(|e| e.service == service);
    endpoint.ok_or_else(|| ControlError::ForeignEndpoint { endpoint: id.to_string(), service })
}

/// Accepts or rejects.
///
/// # Errors
/// When the service is not the caller's, the endpoint not the service's, or the
/// connection's state forbids it.
pub fn act(
    tx: &mut Tx<'_>,
    scope: Scope,
    service: ServiceId,
    id: EndpointId,
    action: Action,
) -> Result<Acted, ControlError> {
    let endpoint = find(tx.state, scope, service, id)?;
    let event = match action {
        Action::Receive => Event::Receive,
        Action::Reject => Event::Reject,
    };
    step(tx, endpoint, event)
}

/// Puts an event into the connection of an endpoint.
pub(super) fn step(tx: &mut Tx<'_>, endpoint: &Endpoint, event: Event) -> Result<Acted, ControlError> {
    let refused = |source| ControlError::Connection { endpoint: endpoint.id.to_string(), source };
    match endpoint.connection.on(event, tx.now).map_err(refused)? {
        Step::Move(connection, effect) => {
            let endpoint = Endpoint { connection, updated_at: tx.now, ..endpoint.clone() };
            tx.put(&endpoint);
            Ok(Acted { endpoint, effect })
        }
        Step::Gone => {
            tx.delete::<Endpoint>(endpoint.id);
            Ok(Acted { endpoint: endpoint.clone(), effect: Effect::None })
        }
        // It is so in the model; whether the data plane has it is what who asks again wants to know.
        Step::Stay => Ok(Acted { endpoint: endpoint.clone(), effect: Effect::Reconcile }),
    }
}

/// Changes the provider's notes on connections, all or none.
///
/// # Errors
/// When the service is not the caller's, or an endpoint not the service's, being
/// deleted or named twice.
pub fn describe(
    tx: &mut Tx<'_>,
    scope: Scope,
    service: ServiceId,
    notes: Vec<(EndpointId, Description)>,
) -> Result<Vec<Endpoint>, ControlError> {
    let (mut seen, mut answer) = (BTreeSet::new(), Vec::new());
    for (id, connection_description) in notes {
        if !seen.insert(id) {
            return Err(ControlError::GivenTwice { field: "connections", id: id.to_string() });
        }
        find(tx.state, scope, service, id)?;
        let endpoint = changeable(tx.state, Scope::Every, id)?;
        let endpoint = Endpoint { connection_description, ..endpoint.clone() };
        answer.push(tx.revise(endpoint));
    }
    Ok(answer)
}

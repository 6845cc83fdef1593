//! What a reconcile pass means for the states of services and endpoints.

use tracing::{info, warn};

use super::tx::Tx;
use crate::model::connection::{Event, Failure, State as ConnectionState, Step};
use crate::model::{Endpoint, Service, ServiceStatus};
use crate::reconcile::desired::{AttachmentState, Report};

/// Moves every transient state that the pass has covered.
///
/// An object that changed after the pass began has a version above the
/// report's: the report says nothing about it as it is now.
pub fn apply(tx: &mut Tx<'_>, report: &Report) {
    let state = tx.state;
    for row in state.services.rows().filter(|row| row.version <= report.version) {
        let service = &row.value;
        match service.status {
            ServiceStatus::Creating => {
                tx.put(&Service { status: ServiceStatus::Available, updated_at: tx.now, ..service.clone() });
            }
            ServiceStatus::Deleting => tx.delete::<Service>(service.id),
            ServiceStatus::Available => {}
        }
    }
    for row in state.endpoints.rows().filter(|row| row.version <= report.version) {
        let endpoint = &row.value;
        let event = match report.failed_endpoints.get(&endpoint.id) {
            Some(reason) => Event::ApplyFailed { reason: reason.clone() },
            None => Event::Applied,
        };
        match endpoint.connection.on(event, tx.now) {
            Ok(Step::Move(connection, _)) => {
                log(endpoint, &connection.state);
                tx.put(&Endpoint { connection, updated_at: tx.now, ..endpoint.clone() });
            }
            Ok(Step::Gone) => tx.delete::<Endpoint>(endpoint.id),
            Ok(Step::Stay) | Err(_) => {}
        }
    }
}

fn log(endpoint: &Endpoint, next: &ConnectionState) {
    match next {
        ConnectionState::Failed(Failure::DataPlane { reason }) => {
            warn!(endpoint = %endpoint.id, reason, "the data plane cannot take the endpoint");
        }
        next => info!(endpoint = %endpoint.id, state = next.as_str(), "endpoint state"),
    }
}

/// How many objects a pass could not put into the data plane.
pub fn failures(report: &Report) -> usize {
    let attachments =
        report.attachments.values().filter(|state| matches!(state, AttachmentState::Failed { .. }));
    report.failed_endpoints.len() + attachments.count()
}

//! The connection of an endpoint to its service, as a state machine.
//!
//! ```text
//!  (create, approval on)                  (create, approval off)
//!            |                                      |
//!            v              Receive                 v      Applied
//!    PendingAcceptance ------------------------> Creating ---------> Accepted
//!            |                                    ^     |               |
//!            | Reject                     Receive |     | Reject        | Reject
//!            +------------> Rejected -------------+     |               |
//!                              ^                        |               |
//!                              +------------------------+---------------+
//!
//!  Creating, Accepted                              --ApplyFailed-->    Failed(data plane)
//!  Failed(data plane)                              --Applied-->        Accepted
//!  Failed(data plane)                              --Receive-->        Creating
//!  Failed(data plane)                              --Reject-->         Rejected
//!  PendingAcceptance, Rejected, Failed(data plane) --ServiceDeleted--> Failed(service deleted)
//!  any                                             --Delete-->         Deleting --Applied--> (gone)
//! ```
//!
//! `Receive` and `Reject` are the provider's, `Delete` the consumer's,
//! `ServiceDeleted` comes with the deletion of the service, `Applied` and
//! `ApplyFailed` are what a reconcile pass found. A reconcile pass reports on
//! every endpoint every time, so its events are silent where they bring no news;
//! a request that finds its wish already fulfilled is answered as fulfilled.
//!
//! Source: Huawei VPCEP API reference, "status" of endpoints and connections.

use super::{FullName, Timestamp};

/// A connection: its state, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Where it is in its life.
    pub state: State,
    /// When it came there.
    pub since: Timestamp,
    /// Whether it has ever been accepted: from then on its address is known.
    pub accepted_once: bool,
}

/// Where a connection is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for the provider.
    PendingAcceptance,
    /// Accepted by the provider, not yet in the data plane.
    Creating,
    /// Carries traffic.
    Accepted,
    /// Refused by the provider.
    Rejected,
    /// Cannot carry traffic.
    Failed(Failure),
    /// Will be gone after the next reconcile pass.
    Deleting,
}

/// Why a connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The data plane could not take it; every pass tries again.
    DataPlane {
        /// What the data plane said.
        reason: String,
    },
    /// The service is gone for good.
    ServiceDeleted {
        /// By what name it was known.
        service: FullName,
    },
}

/// What happens to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The provider accepts.
    Receive,
    /// The provider refuses.
    Reject,
    /// The consumer deletes the endpoint.
    Delete,
    /// The provider deletes the service.
    ServiceDeleted {
        /// By what name it was known.
        service: FullName,
    },
    /// A reconcile pass has put this state into the data plane.
    Applied,
    /// A reconcile pass could not.
    ApplyFailed {
        /// What the data plane said.
        reason: String,
    },
}

/// What an event leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing changes.
    Stay,
    /// The connection is now this, and the effect is due.
    Move(Connection, Effect),
    /// The endpoint is no more.
    Gone,
}

/// What must follow a change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing outside the model.
    None,
    /// The data plane must change before the change can be called done: traffic
    /// begins to flow or is cut.
    Reconcile,
}

/// Why an event cannot happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is being deleted.
    #[error("the endpoint is being deleted")]
    Deleting,
    /// It failed for good.
    #[error("the connection has failed and cannot be changed, only deleted")]
    Failed,
    /// It carries traffic, or will: its service cannot go.
    #[error("the endpoint is connected")]
    Connected,
}

impl Connection {
    /// A new connection, waiting when the service asks for approval.
    #[must_use]
    pub fn new(approval_enabled: bool, now: Timestamp) -> Self {
        let state = if approval_enabled { State::PendingAcceptance } else { State::Creating };
        Self { state, since: now, accepted_once: false }
    }

    /// Whether it was accepted at least once.
    #[must_use]
    pub fn was_accepted(&self) -> bool {
        self.accepted_once
    }

    /// Whether the provider's approval stands, so that the data plane should
    /// carry traffic.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        matches!(self.state, State::Creating | State::Accepted | State::Failed(Failure::DataPlane { .. }))
    }

    /// Whether it counts as a connection of its service and keeps it in use.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Creating | State::Accepted)
    }

    /// What `event` at the time `now` leads to.
    ///
    /// # Errors
    /// When the event cannot happen in this state.
    pub fn on(&self, event: Event, now: Timestamp) -> Result<Step, Refused> {
        use State::{Accepted, Creating, Deleting, Failed, PendingAcceptance, Rejected};
        let orphaned = matches!(self.state, Failed(Failure::ServiceDeleted { .. }));
        let next = match (&self.state, event) {
            (Deleting, Event::Applied) => return Ok(Step::Gone),
            (Deleting, Event::Receive | Event::Reject) => return Err(Refused::Deleting),
            (Deleting, _) => return Ok(Step::Stay),

            (_, Event::Delete) => Deleting,

            (Failed(_), Event::Receive | Event::Reject) if orphaned => return Err(Refused::Failed),
            (Failed(_), _) if orphaned => return Ok(Step::Stay),

            (Creating | Accepted, Event::Receive) => return Ok(Step::Stay),
            (PendingAcceptance | Rejected | Failed(_), Event::Receive) => Creating,

            (Rejected, Event::Reject) => return Ok(Step::Stay),
            (_, Event::Reject) => Rejected,

            (Creating | Accepted, Event::ServiceDeleted { .. }) => return Err(Refused::Connected),
            (_, Event::ServiceDeleted { service }) => Failed(Failure::ServiceDeleted { service }),

            (Creating | Failed(_), Event::Applied) => Accepted,
            (PendingAcceptance | Accepted | Rejected, Event::Applied) => return Ok(Step::Stay),

            (PendingAcceptance | Rejected, Event::ApplyFailed { .. }) => return Ok(Step::Stay),
            (state, Event::ApplyFailed { reason }) => {
                let failed = Failed(Failure::DataPlane { reason });
                if *state == failed {
                    return Ok(Step::Stay);
                }
                failed
            }
        };
        let next = Self { accepted_once: self.accepted_once || next == Accepted, state: next, since: now };
        // Creating is only over when a pass has said how it went, even if the data plane was tried before.
        let is_due = next.state == Creating || next.data_plane_view() != self.data_plane_view();
        let effect = if is_due { Effect::Reconcile } else { Effect::None };
        Ok(Step::Move(next, effect))
    }

    /// What of it the data plane sees: absent, refusing or forwarding.
    fn data_plane_view(&self) -> Option<bool> {
        match self.state {
            State::Deleting | State::Failed(Failure::ServiceDeleted { .. }) => None,
            _ => Some(self.is_approved()),
        }
    }

    /// Whether the data plane should know of it at all.
    #[must_use]
    pub fn is_in_data_plane(&self) -> bool {
        self.data_plane_view().is_some()
    }
}

impl State {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::PendingAcceptance => "pendingAcceptance",
            Self::Creating => "creating",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Failed(_) => "failed",
            Self::Deleting => "deleting",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Timestamp = Timestamp::ZERO;

    fn orphan() -> State {
        let name = FullName::new(&"r".parse().unwrap(), None, crate::model::ServiceId::from_u128(1));
        State::Failed(Failure::ServiceDeleted { service: name })
    }

    fn broken(reason: &str) -> State {
        State::Failed(Failure::DataPlane { reason: reason.into() })
    }

    fn events() -> [Event; 6] {
        let name = FullName::new(&"r".parse().unwrap(), None, crate::model::ServiceId::from_u128(1));
        [
            Event::Receive,
            Event::Reject,
            Event::Delete,
            Event::ServiceDeleted { service: name },
            Event::Applied,
            Event::ApplyFailed { reason: "full".into() },
        ]
    }

    /// What a cell of the table says.
    #[derive(Debug, PartialEq)]
    enum Cell {
        Stay,
        To(State, Effect),
        Gone,
        No(Refused),
    }

    #[test]
    fn every_event_in_every_state_does_what_the_diagram_says() {
        use Cell::{Gone, No, Stay, To};
        use Effect::{None as Quiet, Reconcile as Act};
        use State::{Accepted, Creating, Deleting, PendingAcceptance, Rejected};
        // Columns: Receive, Reject, Delete, ServiceDeleted, Applied, ApplyFailed("full").
        let table: [(State, [Cell; 6]); 8] = [
            (
                PendingAcceptance,
                [To(Creating, Act), To(Rejected, Quiet), To(Deleting, Act), To(orphan(), Act), Stay, Stay],
            ),
            (
                Creating,
                [
                    Stay,
                    To(Rejected, Act),
                    To(Deleting, Act),
                    No(Refused::Connected),
                    To(Accepted, Quiet),
                    To(broken("full"), Quiet),
                ],
            ),
            (
                Accepted,
                [
                    Stay,
                    To(Rejected, Act),
                    To(Deleting, Act),
                    No(Refused::Connected),
                    Stay,
                    To(broken("full"), Quiet),
                ],
            ),
            (Rejected, [To(Creating, Act), Stay, To(Deleting, Act), To(orphan(), Act), Stay, Stay]),
            (
                broken("full"),
                [
                    To(Creating, Act),
                    To(Rejected, Act),
                    To(Deleting, Act),
                    To(orphan(), Act),
                    To(Accepted, Quiet),
                    Stay,
                ],
            ),
            (
                broken("lost"),
                [
                    To(Creating, Act),
                    To(Rejected, Act),
                    To(Deleting, Act),
                    To(orphan(), Act),
                    To(Accepted, Quiet),
                    To(broken("full"), Quiet),
                ],
            ),
            (orphan(), [No(Refused::Failed), No(Refused::Failed), To(Deleting, Quiet), Stay, Stay, Stay]),
            (Deleting, [No(Refused::Deleting), No(Refused::Deleting), Stay, Stay, Gone, Stay]),
        ];
        let now = Timestamp::from_micros(7);
        for (state, row) in table {
            for (event, expected) in events().into_iter().zip(row) {
                let connection = Connection { state: state.clone(), since: BEFORE, accepted_once: false };
                let found = match connection.on(event.clone(), now) {
                    Ok(Step::Stay) => Stay,
                    Ok(Step::Gone) => Gone,
                    Ok(Step::Move(next, effect)) => {
                        assert_eq!(next.since, now);
                        assert_eq!(next.accepted_once, next.state == Accepted, "{state:?} {event:?}");
                        To(next.state, effect)
                    }
                    Err(refused) => No(refused),
                };
                assert_eq!(found, expected, "{state:?} on {event:?}");
            }
        }
    }

    #[test]
    fn an_accepted_connection_stays_known_after_it_is_rejected() {
        let mut connection = Connection::new(false, BEFORE);
        for event in [Event::Applied, Event::Reject] {
            match connection.on(event, BEFORE).unwrap() {
                Step::Move(next, _) => connection = next,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(connection.state, State::Rejected);
        assert!(connection.was_accepted());
    }

    #[test]
    fn approval_decides_how_a_connection_begins() {
        assert_eq!(Connection::new(true, BEFORE).state, State::PendingAcceptance);
        assert_eq!(Connection::new(false, BEFORE).state, State::Creating);
    }
}

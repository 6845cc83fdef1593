//! Making the data plane match the model.
//!
//! Owns the moment: a pass right at the start, after every commit (several
//! commits during a pass make one more) or when a member of a load balancer goes down
//! or comes back, and on a timer, so that what changed
//! behind our back is put right. A pass is always the whole desired state, so it
//! also resumes whatever a crash left unfinished. How a state becomes map entries
//! is the data plane's ([`crate::datapath`]); what a pass means for the model is
//! the controller's ([`Controller::report`]).

pub mod compile;
pub mod desired;
pub mod tables;
mod tlv;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{debug, error};

use crate::controller::{ControlError, Controller};
use crate::datapath::{Datapath, DatapathError};
use crate::telemetry::Chain;

/// How long the data plane is left alone when nothing changes.
const FULL_PASS_EVERY: Duration = Duration::from_secs(10);
/// How long after a failed pass it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Keeps the data plane matching the model until `stop` turns true or its sender
/// is gone.
pub async fn run(controller: Arc<Controller>, datapath: Arc<dyn Datapath>, mut stop: watch::Receiver<bool>) {
    let mut changes = controller.watch();
    let mut health = controller.watch_health();
    loop {
        // Before the pass, so that a commit during it makes another.
        changes.mark_unchanged();
        health.mark_unchanged();
        let done = pass(&controller, Arc::clone(&datapath)).await;
        let pause = if done { FULL_PASS_EVERY } else { RETRY_AFTER };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            changed = changes.changed(), if done => if changed.is_err() { return },
            changed = health.changed(), if done => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Why a pass achieved nothing.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error("cannot make the data plane match the model")]
    Apply(#[source] DatapathError),
    #[error("cannot keep what the pass achieved")]
    Keep(#[source] ControlError),
    #[error("the pass came to an unexpected end")]
    Panicked(#[source] tokio::task::JoinError),
}

/// One pass; answers whether it could be done.
async fn pass(controller: &Arc<Controller>, datapath: Arc<dyn Datapath>) -> bool {
    let of_task = Arc::clone(controller);
    let task = tokio::task::spawn_blocking(move || {
        let report = datapath.reconcile(&of_task.desired()).map_err(PassError::Apply)?;
        of_task.report(&report).map_err(PassError::Keep)?;
        Ok(report.version)
    });
    match task.await.unwrap_or_else(|error| Err(PassError::Panicked(error))) {
        Ok(version) => {
            debug!(version, "pass");
            true
        }
        Err(error) => {
            let error = Chain(&error).to_string();
            error!(error, "reconcile pass failed");
            controller.report_failure(error);
            false
        }
    }
}

#[cfg(test)]
mod tests;

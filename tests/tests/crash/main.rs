//! `vpcepd` killed with SIGKILL, between calls, in the middle of calls and in the
//! middle of its start: what it has acknowledged is there when it is started
//! again, what it has refused is not, and of what it has not answered all or
//! nothing.
//!
//! Needs no privileges, and vpcepd and vpcep beside this program in the target
//! directory: run `cargo build` first.

#[path = "../../benches/caller.rs"]
mod caller;
mod calls;
mod daemon;
mod journal;
mod party;

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use caller::Caller;
use daemon::Daemon;
use party::Party;

/// Kills between calls, and calls before each.
const KILLS: usize = 15;
const CALLS: u64 = 4;
/// Kills in the middle of calls, and callers at work.
const ROUNDS: usize = 12;
const PARTIES: u64 = 4;

#[test]
fn a_kill_between_calls_loses_nothing() -> Result<()> {
    let mut daemon = Daemon::start()?;
    let mut party = Party::new(&daemon, 1)?;
    for kill in 0..KILLS {
        let mut caller = Caller::connect(daemon.address())?;
        for _ in 0..CALLS {
            party.step(&mut caller).context("every call is answered")?;
        }
        // Right after the answer.
        daemon.kill_and_start()?;
        party.compare(&daemon).with_context(|| format!("kill {kill}, {party}"))?;
        party.check_token(&daemon)?;
    }
    check_audit(&daemon, &[party])
}

#[test]
fn a_kill_during_calls_leaves_all_or_nothing_of_each() -> Result<()> {
    let mut daemon = Daemon::start()?;
    let mut parties = (1..=PARTIES).map(|seed| Party::new(&daemon, seed)).collect::<Result<Vec<_>>>()?;
    for round in 0..ROUNDS {
        let (address, answered) = (daemon.address(), AtomicUsize::new(0));
        thread::scope(|scope| {
            let callers: Vec<_> = parties
                .iter_mut()
                .map(|party| {
                    let answered = &answered;
                    scope.spawn(move || -> Result<()> {
                        // The kill may come before the first call.
                        let Ok(mut caller) = Caller::connect(address) else { return Ok(()) };
                        while party.step_or_break(&mut caller)? {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(())
                    })
                })
                .collect();
            // The moment is as good as any: some calls are being answered, others made durable.
            while answered.load(Ordering::Relaxed) < round * 5 && !callers.iter().any(|c| c.is_finished()) {
                thread::yield_now();
            }
            daemon.kill()?;
            callers.into_iter().try_for_each(|caller| caller.join().expect("callers do not panic"))
        })?;
        daemon.start_again()?;
        for party in &mut parties {
            party.compare(&daemon).with_context(|| format!("round {round}, {party}"))?;
        }
        let markers: Vec<_> = parties.iter().flat_map(Party::markers).collect();
        let distinct: BTreeSet<_> = markers.iter().collect();
        ensure!(distinct.len() == markers.len(), "round {round}: one marker for two: {markers:?}");
    }
    check_audit(&daemon, &parties)
}

#[test]
fn a_kill_during_the_first_start_is_no_obstacle() -> Result<()> {
    let mut made = BTreeSet::new();
    // Each file a start makes is a moment to be killed at.
    while let Some((mut daemon, file)) = Daemon::killed_at_a_new_file(&made)? {
        daemon.start_again().with_context(|| format!("killed when {file} was made"))?;
        Party::new(&daemon, 1)?.compare(&daemon)?;
        made.insert(file);
    }
    ensure!(made.contains("vpcep.redb") && made.contains("audit.log"), "files that are made: {made:?}");
    Ok(())
}

/// That each change which was acknowledged has its line.
fn check_audit(daemon: &Daemon, parties: &[Party]) -> Result<()> {
    let text = fs::read_to_string(daemon.state().join("audit.log"))?;
    // A line that was being written when vpcepd was killed is nobody's: it was not answered.
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let done = records.filter(|record| record["changes"].is_array() && record["outcome"] == "done");
    let recorded: BTreeSet<_> =
        done.filter_map(|record| record["request_id"].as_str().map(ToOwned::to_owned)).collect();
    for party in parties {
        let missing: Vec<_> = party.changes().iter().filter(|id| !recorded.contains(*id)).collect();
        ensure!(missing.is_empty(), "acknowledged, and not in the audit log: {missing:?}");
        ensure!(!party.changes().is_empty(), "{party} has changed nothing");
    }
    Ok(())
}

//! What keeps the data plane alive between passes: one thread that sweeps
//! sessions, one that asks for neighbours.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use aya::programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _};
use vpcep_common::attachment::word_mac;
use vpcep_common::limits::{REAP_BATCH, reaped};
use vpcep_common::route::Route;
use vpcep_common::session::Slot;

use super::DatapathError;
use super::bpf::Shared;
use super::load::Log;
use super::nudge::{self, End, Nudges};
use super::object::programs;
use super::sweep::{self, Recount};
use super::wanted;
use crate::net::arp::Request;
use crate::reconcile::tables::Hop;

/// Time between requests for a neighbour that does not answer, and between
/// refreshes of one that has.
const ARP_RETRY: Duration = Duration::from_secs(1);
const ARP_REFRESH: Duration = Duration::from_secs(30);
/// How often neighbours that packets are for are taken up, where there can be such.
const WANTED_POLL: Duration = Duration::from_millis(100);

/// Sweeps every second, has idle sessions ended, and their ends told.
pub(super) fn sweep_forever(shared: &Shared, mut log: Option<Log>) {
    let mut recount = Recount::default();
    let mut nudges = Nudges::default();
    while !shared.pause(sweep::INTERVAL, false) {
        let sweep = sweep::look(&shared.mapped, &shared.programs);
        let mut ended = Vec::new();
        for batch in sweep.idle.chunks(REAP_BATCH as usize) {
            match reap(shared, batch) {
                Ok(freed) => ended.extend(freed.into_iter().filter_map(|n| sweep.untold.get_key_value(&n))),
                Err(error) => {
                    tracing::error!(%error, "the reaper does not run");
                    break;
                }
            }
        }
        nudges.send(&shared.sender, ends(shared, &ended));
        recount.judge(&shared.mapped, &sweep);
        if let Some(log) = &mut log {
            log.flush();
        }
        *shared.sweep.lock().unwrap_or_else(PoisonError::into_inner) = Some(sweep);
    }
}

/// Has the sessions in these slots ended if they are idle; the slots that were freed.
fn reap(shared: &Shared, slots: &[u32]) -> Result<Vec<u32>, DatapathError> {
    let failed = |source| DatapathError::Program { action: "run", program: programs::REAP, source };
    let state = shared.lock();
    for (i, slot) in (0..).zip(slots) {
        shared.mapped.reap_list.set(i, u64::from(*slot));
    }
    let program =
        state.ebpf.program(programs::REAP).ok_or_else(|| failed(aya::programs::ProgramError::NotLoaded))?;
    let program: &RawTracePoint = program.try_into().map_err(failed)?;
    let mut options = RawTracePointRunOptions::new();
    options.args[0] = slots.len() as u64;
    program.test_run(options).map_err(failed)?;
    let mut freed = Vec::new();
    for (i, slot) in (0..).zip(slots) {
        let result = reaped::of(shared.mapped.reap_list.get(i));
        if result == reaped::FREED_UNINDEXED {
            tracing::error!(slot, "a session was not in the forward index");
        }
        if result != reaped::KEPT {
            freed.push(*slot);
        }
    }
    Ok(freed)
}

/// The ends of sessions that are over, by slot number.
fn ends(shared: &Shared, sessions: &[(&u32, &Slot)]) -> Vec<End> {
    let state = shared.lock();
    let mac = |number| word_mac(shared.mapped.next_hops.get(u32::from(number)).mac);
    let shard = shared.programs.shard();
    let ends = |(number, slot): &(&u32, &Slot)| nudge::ends(shard, &state.observed, mac, **number, slot);
    sessions.iter().flat_map(ends).flatten().collect()
}

/// Asks for every next hop: at once when it is new, every second while there is
/// no answer, now and then afterwards.
pub(super) fn resolve_forever(shared: &Shared) {
    let mut asked: BTreeMap<u16, Instant> = BTreeMap::new();
    loop {
        let pause = if take_up_wanted(shared) { WANTED_POLL } else { ARP_RETRY };
        let wanted = requests(shared);
        asked.retain(|number, _| wanted.contains_key(number));
        for (number, request) in wanted {
            let mac = shared.mapped.next_hops.get(u32::from(number)).mac;
            let interval = if word_mac(mac).is_some() { ARP_REFRESH } else { ARP_RETRY };
            // A little early rather than a whole round late.
            let is_due = asked.get(&number).is_none_or(|at| at.elapsed() + ARP_RETRY / 10 >= interval);
            if is_due {
                asked.insert(number, Instant::now());
                if let Err(error) = shared.sender.send(request.ifindex, &request.frame()) {
                    tracing::debug!(target = %request.target, %error, "cannot send an ARP request");
                }
            }
        }
        if shared.pause(pause, true) {
            return;
        }
    }
}

/// Takes up the neighbours that packets were for; says whether there can be any.
fn take_up_wanted(shared: &Shared) -> bool {
    let mut state = shared.lock();
    let state = &mut *state;
    let is_on_link = |route: &Route| route.attachment != 0 && route.next_hop == 0;
    if !state.observed.routes.values().any(is_on_link) {
        return false;
    }
    let is_silent = |number: &&u16| word_mac(shared.mapped.next_hops.get(u32::from(**number)).mac).is_none();
    let mut silent = None;
    while let Some(neighbour) = state.maps.next_wanted() {
        let Some(actions) = wanted::take_up(&state.observed, neighbour) else { continue };
        let silent = silent.get_or_insert_with(|| state.observed.next_hops.keys().filter(is_silent).count());
        if *silent >= wanted::MAX_UNANSWERED {
            continue;
        }
        *silent += 1;
        for action in actions {
            match state.maps.apply(&action) {
                Ok(()) => state.observed.apply(&action),
                Err(error) => tracing::error!(%error, "a neighbour cannot be taken up"),
            }
        }
    }
    true
}

fn requests(shared: &Shared) -> BTreeMap<u16, Request> {
    let state = shared.lock();
    let request = |(number, hop): (&u16, &Hop)| {
        let attachment = state.observed.attachments.get(&u32::from(hop.attachment))?;
        let request = Request {
            ifindex: attachment.ifindex,
            vlan: attachment.vlan,
            sender_mac: attachment.mac,
            sender: attachment.address.into(),
            target: hop.address,
        };
        (attachment.ifindex != 0).then_some((*number, request))
    };
    state.observed.next_hops.iter().filter_map(request).collect()
}

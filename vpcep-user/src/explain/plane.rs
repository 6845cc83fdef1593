//! What the data plane reads, as findings: limits, neighbours, and what live
//! sessions tell of the servers.
//!
//! Counters of drops only ever grow, so they say what has happened and not what
//! stops a client now: they are told, and decide nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

use vpcep_common::counter::DropReason;
use vpcep_common::{index, maps};

use super::{Facts, Finding, Status};
use crate::datapath::{Datapath, DatapathError, DatapathStatus, Neighbour, SessionInfo};
use crate::model::Vpc;

/// The newest sessions of an endpoint that are looked at for its servers.
pub const SESSIONS_LOOKED_AT: usize = 1000;
/// How long a server may take to answer a SYN, and how soon after it a reset is a refusal.
const ANSWER_SECS: u64 = 3;

/// Whether the endpoint has room for one more connection.
pub fn limit(current: Option<u64>, limit: u32) -> Finding {
    match current {
        None => (Status::Unknown, "the data plane does not have the endpoint".into()),
        Some(current) if current >= limit.into() => {
            (Status::Stop, format!("the endpoint has {current} of {limit} connections: new ones are refused"))
        }
        Some(current) => (Status::Ok, format!("the endpoint has {current} of {limit} connections")),
    }
}

/// Whether the host has room for one more session.
pub fn sessions(status: &DatapathStatus, drops: &BTreeMap<String, u64>, is_operator: bool) -> Finding {
    let buckets = status.maps.get(maps::INDEX).and_then(|map| u32::try_from(map.capacity).ok());
    let index = buckets.map_or(u64::MAX, |buckets| index::sessions(buckets).into());
    let (used, room) = (status.sessions, status.session_slots.min(index));
    let numbers = if is_operator { format!(": {used} of {room} are in use") } else { String::new() };
    if room > 0 && used >= room {
        return (Status::Stop, format!("the gateway host has no room for another session{numbers}"));
    }
    let wanting = [DropReason::NoSourcePort, DropReason::IndexFull].into_iter().filter_map(|reason| {
        let count = drops.get(reason.name())?;
        Some(format!("{} {count}", reason.name()))
    });
    let wanting: Vec<_> = wanting.collect();
    let history = match wanting.as_slice() {
        [] => String::new(),
        some => format!("; dropped for want of it since the endpoint was made: {}", some.join(", ")),
    };
    (Status::Ok, format!("the gateway host has room for sessions{numbers}{history}"))
}

/// Whether the servers answer ARP, or the router to those that are not on link.
pub fn neighbours(facts: &Facts, provider: &Vpc, datapath: &dyn Datapath) -> Result<Finding, DatapathError> {
    let servers = facts.servers();
    let Some((attachment, _)) = facts.provider_attachment.as_ref().filter(|_| !servers.is_empty()) else {
        return Ok((Status::Unknown, "the way to the backend cannot be looked at".into()));
    };
    let (mut resolved, mut unknown) = (0, 0);
    let (mut silent, mut silent_secs) = (Vec::new(), None);
    for server in &servers {
        let on_link = attachment.address.network().contains(*server);
        let next = if on_link { *server } else { attachment.next_hop.unwrap_or(*server) };
        match datapath.neighbour(provider.number, next)? {
            Neighbour::Resolved { .. } => resolved += 1,
            Neighbour::Unresolved => silent.push(next.to_string()),
            Neighbour::Stale { since_secs, .. } => {
                silent.push(next.to_string());
                silent_secs = silent_secs.max(Some(since_secs));
            }
            Neighbour::Unknown => unknown += 1,
        }
    }
    let all = servers.len();
    let names = if facts.shows_provider { format!(" ({})", silent.join(", ")) } else { String::new() };
    let since = silent_secs.map_or_else(String::new, |secs| format!(", one has not answered for {secs} s"));
    Ok(match (resolved, silent.len(), unknown) {
        // Nothing sends to some of several servers yet: those that answer are enough.
        (1.., 0, _) => (Status::Ok, format!("{resolved} of {all} servers answer ARP")),
        (0, 1, 0) if let Some(secs) = silent_secs => {
            (Status::Stop, format!("the server has not answered ARP for {secs} s{names}"))
        }
        (0, 0, _) if facts.backend.is_none() => {
            (Status::Ok, "the server has not been looked for yet: it is with the first packet".into())
        }
        (0, _, 0) => (Status::Stop, format!("none of {all} servers answers ARP{names}{since}")),
        (_, 1.., _) => {
            (Status::Warn, format!("{} of {all} servers do not answer ARP{names}{since}", silent.len()))
        }
        _ => (Status::Unknown, format!("{unknown} of {all} servers have not been looked for yet")),
    })
}

/// What became of a connection at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// The server answered the SYN.
    Answer,
    /// It had the time to and did not.
    Silence,
    /// A reset ended it at once, of whichever side.
    Reset,
}

impl Heard {
    /// `None` when it is too early to tell.
    fn of(session: &SessionInfo) -> Option<Self> {
        let active_secs = session.age_secs.saturating_sub(session.idle_secs);
        match session.state.as_str() {
            "syn-sent" => (session.age_secs > ANSWER_SECS).then_some(Self::Silence),
            "reset" if active_secs <= ANSWER_SECS => Some(Self::Reset),
            _ => Some(Self::Answer),
        }
    }
}

/// Whether the servers answer connection requests, by the newest sessions of the
/// port that is asked about.
///
/// The newest connection to a server that had the time to be answered speaks for
/// it: older ones may be from before it went down, or came back.
pub fn backend(facts: &Facts, newest_first: &[SessionInfo]) -> Finding {
    let servers = BTreeSet::from_iter(facts.servers());
    let of_port = newest_first
        .iter()
        .filter(|session| session.destination.port() == facts.question.port.get())
        .filter(|session| servers.contains(session.backend.ip()));
    let mut heard: BTreeMap<SocketAddrV4, Heard> = BTreeMap::new();
    for session in of_port {
        if let Some(outcome) = Heard::of(session) {
            heard.entry(session.backend).or_insert(outcome);
        }
    }
    let with = |outcome| {
        let found: Vec<_> = heard
            .iter()
            .filter(|(_, heard)| **heard == outcome)
            .map(|(server, _)| server.to_string())
            .collect();
        let names = if facts.shows_provider { format!(" ({})", found.join(", ")) } else { String::new() };
        (found.len(), names)
    };
    let ((silent, silent_names), (reset, reset_names)) = (with(Heard::Silence), with(Heard::Reset));
    let all = servers.len();
    match (silent, reset) {
        (0, 0) => match heard.len() {
            0 => (Status::Ok, "no connection of late tells of the backend".into()),
            answering => (Status::Ok, format!("{answering} of {all} servers answer connection requests")),
        },
        (silent, _) if silent == all => {
            (Status::Stop, format!("the backend does not answer connection requests{silent_names}"))
        }
        // Sessions do not tell whose the reset was.
        (0, reset) if reset == all => (
            Status::Unknown,
            format!(
                "the newest connections were reset at once, by the backend if nothing listens there{reset_names}"
            ),
        ),
        (0, reset) => (
            Status::Warn,
            format!("the newest connections to {reset} of {all} servers were reset at once{reset_names}"),
        ),
        (silent, _) => (
            Status::Warn,
            format!("{silent} of {all} servers do not answer connection requests{silent_names}"),
        ),
    }
}

/// What the endpoint has dropped so far.
pub fn drops(drops: &BTreeMap<String, u64>) -> Finding {
    if drops.is_empty() {
        return (Status::Ok, "the endpoint has dropped no packets".into());
    }
    let list: Vec<_> = drops.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    (Status::Ok, format!("packets dropped since the endpoint was made: {}", list.join(", ")))
}

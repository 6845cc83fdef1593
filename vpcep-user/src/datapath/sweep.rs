//! Once a second, a look at every session slot: which are idle, which numbers
//! sessions name, and whether the connection counts are right.
//!
//! Slots are read in this process's mapping, without system calls (about 10 ms
//! for 4 Mi slots). Ending a session is the reaper program's work.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use vpcep_common::counter::Connections;
use vpcep_common::endpoint::idle;
use vpcep_common::session::{Slot, TICK_SHIFT, Word};
use vpcep_common::settings::{Settings, Standing};
use vpcep_common::tcp::State;

use super::maps::Mapped;
use super::mmap;

/// Time between two sweeps.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Sessions of one sweep whose ends are told. Both get two packets, so this is 2000 packets
/// a second at most; the ends of others learn it when they next send.
pub const MOST_TOLD: usize = 500;

/// What one sweep saw.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// When it began: what lost its owner later may have been named after the look.
    pub started: Instant,
    /// Endpoint numbers that sessions name.
    pub endpoints: BTreeSet<u32>,
    /// Next-hop numbers likewise.
    pub next_hops: BTreeSet<u16>,
    /// Attachment numbers likewise.
    pub attachments: BTreeSet<u32>,
    /// Sessions.
    pub sessions: u64,
    /// Sessions in each endpoint's count.
    pub counted: BTreeMap<u32, u64>,
    /// Slots whose sessions look idle.
    pub idle: Vec<u32>,
    /// Those among them whose ends do not know yet and are to be told, as they were;
    /// [`MOST_TOLD`] at most.
    pub untold: BTreeMap<u32, Slot>,
}

/// Now, in the ticks of sessions.
#[must_use]
pub fn now_ticks() -> u32 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    (now.as_nanos() >> TICK_SHIFT) as u32
}

/// Looks at every slot.
#[must_use]
pub fn look(mapped: &Mapped, settings: &Settings) -> Sweep {
    let mut seen = Seen::new(mapped);
    let started = Instant::now();
    let now = now_ticks();
    let mut idle = Vec::new();
    let mut untold = BTreeMap::new();
    let mut sessions = 0;
    for number in 0..mapped.slots.len() {
        let word = Word(mmap::load(mapped.slots.word(number, offset_of!(Slot, word))));
        if !word.is_live() {
            continue;
        }
        sessions += 1;
        let slot = mapped.slots.get(number);
        seen.note(word, &slot);
        let silence = now.wrapping_sub(slot.last_seen);
        let standing = standing(mapped, word.endpoint());
        if settings.is_idle(word, standing, silence) {
            idle.push(number);
            if standing.is_accepted && is_told(mapped, word) && untold.len() < MOST_TOLD {
                untold.insert(number, slot);
            }
        }
    }
    seen.into_sweep(started, sessions, idle, untold)
}

/// Whether the ends of a session are told when it has been idle for too long.
fn is_told(mapped: &Mapped, word: Word) -> bool {
    word.tcp() == State::Established && idle::resets(mapped.policies.get(word.endpoint()).idle)
}

/// What an endpoint means for its sessions.
fn standing(mapped: &Mapped, endpoint: u32) -> Standing {
    if endpoint >= mapped.policies.len() {
        return Standing::ABSENT;
    }
    let policy = mapped.policies.get(endpoint);
    Standing::of(policy.word, policy.limit, policy.idle, mapped.connections.get(endpoint).current)
}

/// Flat tables while looking: a million sessions go through here.
struct Seen {
    endpoints: Vec<bool>,
    counted: Vec<u64>,
    next_hops: Vec<bool>,
    attachments: Vec<bool>,
}

impl Seen {
    fn new(mapped: &Mapped) -> Self {
        Self {
            endpoints: vec![false; mapped.policies.len() as usize],
            counted: vec![0; mapped.policies.len() as usize],
            next_hops: vec![false; usize::from(u16::MAX) + 1],
            attachments: vec![false; usize::from(u16::MAX) + 1],
        }
    }

    fn note(&mut self, word: Word, slot: &Slot) {
        let endpoint = word.endpoint() as usize;
        if endpoint < self.endpoints.len() {
            self.endpoints[endpoint] = true;
            self.counted[endpoint] += u64::from(word.is_counted());
        }
        self.next_hops[usize::from(slot.next_hop)] = true;
        self.attachments[usize::from(slot.attachment)] = true;
    }

    fn into_sweep(
        self,
        started: Instant,
        sessions: u64,
        idle: Vec<u32>,
        untold: BTreeMap<u32, Slot>,
    ) -> Sweep {
        let numbers =
            |flags: Vec<bool>| (0u32..).zip(flags).filter(|(_, flag)| *flag).map(|(number, _)| number);
        Sweep {
            started,
            endpoints: numbers(self.endpoints).collect(),
            next_hops: numbers(self.next_hops).map(|number| number as u16).collect(),
            attachments: numbers(self.attachments).collect(),
            sessions,
            counted: (0u32..).zip(self.counted).filter(|(_, count)| *count != 0).collect(),
            idle,
            untold,
        }
    }
}

/// Compares the connection counts with what is there.
///
/// A count and the slots change apart by the length of a program run, so a
/// difference means nothing by itself; one that stays the same over sweeps in
/// which the endpoint opened nothing is a defect, reported and repaired.
#[derive(Debug, Default)]
pub struct Recount {
    suspects: BTreeMap<u32, Suspect>,
    /// Counts repaired since the start.
    pub repairs: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Suspect {
    current: u64,
    counted: u64,
    opened: u64,
    sweeps: u32,
}

/// Sweeps for which a difference must stay.
const STABLE_SWEEPS: u32 = 3;

impl Recount {
    /// Judges one sweep.
    pub fn judge(&mut self, mapped: &Mapped, sweep: &Sweep) {
        let mut suspects = BTreeMap::new();
        for endpoint in 1..mapped.connections.len() {
            let known = mapped.connections.get(endpoint);
            let counted = sweep.counted.get(&endpoint).copied().unwrap_or(0);
            if known.current == counted {
                continue;
            }
            let mut suspect = Suspect { current: known.current, counted, opened: known.opened, sweeps: 1 };
            if let Some(before) = self.suspects.get(&endpoint)
                && (before.current, before.counted, before.opened) == (known.current, counted, known.opened)
            {
                suspect.sweeps += before.sweeps;
            }
            if suspect.sweeps >= STABLE_SWEEPS {
                self.repair(mapped, endpoint, &suspect);
            } else {
                suspects.insert(endpoint, suspect);
            }
        }
        self.suspects = suspects;
    }

    fn repair(&mut self, mapped: &Mapped, endpoint: u32, suspect: &Suspect) {
        let current = mapped.connections.word(endpoint, offset_of!(Connections, current));
        let done = current
            .compare_exchange(suspect.current, suspect.counted, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        self.repairs += u64::from(done);
        tracing::error!(
            endpoint,
            counter = suspect.current,
            sessions = suspect.counted,
            repaired = done,
            "connection count differs from the sessions there are"
        );
    }
}

//! Which numbers may change owner: those that no session names any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::sweep::Sweep;
use crate::reconcile::compile::Busy;
use crate::reconcile::tables::Tables;

/// How long a neighbour that answers is kept without anybody's need, for whoever comes back to it.
const NEIGHBOUR_REST: Duration = Duration::from_secs(300);

/// Numbers without an owner, and since when.
#[derive(Default)]
pub(super) struct Orphans {
    endpoints: BTreeMap<u32, Instant>,
    next_hops: BTreeMap<u16, Instant>,
    backends: BTreeMap<u16, Instant>,
    attachments: BTreeMap<u32, Instant>,
}

impl Orphans {
    /// Remembers since when numbers have had no owner.
    pub(super) fn note(&mut self, retained: &Busy) {
        fn note<T: Ord + Copy>(orphans: &mut BTreeMap<T, Instant>, retained: &BTreeSet<T>) {
            orphans.retain(|number, _| retained.contains(number));
            for number in retained {
                orphans.entry(*number).or_insert_with(Instant::now);
            }
        }
        note(&mut self.endpoints, &retained.endpoints);
        note(&mut self.next_hops, &retained.next_hops);
        note(&mut self.backends, &retained.backends);
        note(&mut self.attachments, &retained.attachments);
    }

    /// Everything that has a number is busy, but for what lost its owner before
    /// the last sweep began and was named by no session then.
    pub(super) fn busy(
        &self,
        observed: &Tables,
        sweep: Option<&Sweep>,
        answers: impl Fn(u16) -> bool,
    ) -> Busy {
        let is_past =
            |since: Option<&Instant>| since.zip(sweep).is_some_and(|(since, sweep)| *since < sweep.started);
        let (named, orphans) = (sweep, self);
        Busy {
            endpoints: keep(observed.policies.keys(), |number| {
                is_past(orphans.endpoints.get(number)) && named.is_some_and(|s| !s.endpoints.contains(number))
            }),
            next_hops: keep(observed.next_hops.keys(), |number| {
                let since = orphans.next_hops.get(number);
                is_past(since)
                    && named.is_some_and(|s| !s.next_hops.contains(number))
                    && (!answers(*number) || since.is_some_and(|since| since.elapsed() > NEIGHBOUR_REST))
            }),
            backends: keep(observed.backends.keys(), |number| is_past(orphans.backends.get(number))),
            attachments: keep(observed.attachments.keys(), |number| {
                is_past(orphans.attachments.get(number))
                    && named.is_some_and(|s| !s.attachments.contains(number))
                    // Sessions name the way to their backend through a next hop.
                    && !observed.next_hops.values().any(|hop| u32::from(hop.attachment) == *number)
            }),
        }
    }
}

fn keep<T: Ord + Copy>(
    numbers: impl Iterator<Item = impl std::ops::Deref<Target = T>>,
    is_free: impl Fn(&T) -> bool,
) -> BTreeSet<T> {
    numbers.map(|number| *number).filter(|number| !is_free(number)).collect()
}

//! How many connections one address has, so that nobody alone has all there are.
//!
//! Of IPv6 a /64 counts as one address. This host's own are not counted: behind a
//! proxy on it they are everybody's. Those refused are counted, and vpcepd's log is
//! told once a minute at most.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

use super::failures::network;

/// Between two lines in the log.
const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct PerAddress {
    most: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// No address has none.
    connections: HashMap<IpAddr, usize>,
    refused: Refused,
}

/// A connection that counts as long as this lives.
#[derive(Debug)]
pub struct Counted(Option<(Arc<PerAddress>, IpAddr)>);

impl PerAddress {
    /// At most so many each.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// Counts a connection; `None` when its address has as many as it may.
    #[must_use]
    pub fn enter(self: &Arc<Self>, address: Option<IpAddr>, now: Instant) -> Option<Counted> {
        let Some(from) = address.and_then(network) else { return Some(Counted(None)) };
        let mut open = self.open();
        let connections = open.connections.entry(from).or_default();
        if *connections < self.most {
            *connections += 1;
            return Some(Counted(Some((Arc::clone(self), from))));
        }
        if let Some(refused) = open.refused.count(now) {
            warn!(%from, refused, "connections refused: this address has as many as it may");
        }
        None
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing panics between two changes that belong together.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((of, from)) = self.0.take() else { return };
        let mut open = of.open();
        if let Some(connections) = open.connections.get_mut(&from) {
            *connections -= 1;
            if *connections == 0 {
                open.connections.remove(&from);
            }
        }
    }
}

/// What has been refused since the log was told.
#[derive(Debug, Default)]
struct Refused {
    told_at: Option<Instant>,
    untold: u64,
}

impl Refused {
    /// Counts one more; answers how many to tell of, when it is time.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told_at.is_some_and(|told_at| now.duration_since(told_at) < BETWEEN_LINES) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_and_one_more_when_one_has_ended() {
        let now = Instant::now();
        // Two addresses, and whether they share what there is.
        for (one, other, is_shared) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::2", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("127.0.0.1", "127.0.0.1", false),
            ("::1", "::1", false),
        ] {
            let addresses = PerAddress::new(2);
            let enter = |text: &str| addresses.enter(Some(text.parse().unwrap()), now);
            let (first, second) = (enter(one).unwrap(), enter(one).unwrap());
            let third = enter(other);
            assert_eq!(third.is_none(), is_shared, "{one} and {other}");
            drop((first, third));
            assert!(enter(other).is_some(), "{one} and {other}");
            drop(second);
            assert!(addresses.open().connections.is_empty(), "nothing is left of {one} and {other}");
        }
        let socket = PerAddress::new(1);
        let _first = socket.enter(None, now).unwrap();
        assert!(socket.enter(None, now).is_some());
    }

    #[test]
    fn what_is_refused_is_told_of_once_a_minute() {
        let (start, mut refused) = (Instant::now(), Refused::default());
        let mut at = |secs| refused.count(start + Duration::from_secs(secs));
        assert_eq!(
            [at(0), at(1), at(59), at(60), at(61), at(200)],
            [Some(1), None, None, Some(3), None, Some(2)]
        );
    }
}

//! Failed attempts to prove who one is, counted by user and by address.
//!
//! Pure: the clock is an argument. In memory and bounded: whoever comes from
//! everywhere under every name pushes out those with the fewest failures first.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::model::UserId;

/// How long failures count, from the first on.
const WINDOW: Duration = Duration::from_secs(300);
/// Most users and most addresses that are remembered.
const REMEMBERED: usize = 4096;

/// Whose password is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Login {
    /// A user's.
    User(UserId),
    /// Nobody's: hash of the name that was given. Treated as a user, so that the
    /// answers do not tell which names there are.
    Unknown([u8; 32]),
}

/// See the module.
#[derive(Debug)]
pub struct Failures {
    logins: Counter<Login>,
    login_addresses: Counter<IpAddr>,
    proof_addresses: Counter<IpAddr>,
}

impl Default for Failures {
    fn default() -> Self {
        Self {
            logins: Counter::new(10),
            // Several users may be behind one address, and one with an old token asks often.
            login_addresses: Counter::new(50),
            proof_addresses: Counter::new(200),
        }
    }
}

impl Failures {
    /// For how long passwords of this user, or from this address, are not looked
    /// at; `None` when they are.
    #[must_use]
    pub fn login_blocked(&self, login: Login, from: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let of_login = self.logins.blocked(&login, now);
        let of_address = from.and_then(network).and_then(|net| self.login_addresses.blocked(&net, now));
        of_login.max(of_address)
    }

    /// Takes note of a wrong password.
    pub fn login_failed(&mut self, login: Login, from: Option<IpAddr>, now: Instant) {
        self.logins.count(login, now);
        if let Some(network) = from.and_then(network) {
            self.login_addresses.count(network, now);
        }
    }

    /// Takes note of a right password. The address keeps its failures: who has
    /// one password does not get more tries at others'.
    pub fn login_succeeded(&mut self, login: Login) {
        self.logins.entries.remove(&login);
    }

    /// Takes note of a wrong token or signature. Answers for how long the caller
    /// should not try again when there have been too many from its address.
    #[must_use]
    pub fn proof_failed(&mut self, from: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let network = network(from?)?;
        let blocked = self.proof_addresses.blocked(&network, now);
        self.proof_addresses.count(network, now);
        blocked
    }
}

/// What one host can choose from: an IPv6 address is one of a /64. `None` for this
/// host itself, whose address is everybody's behind a proxy on it.
pub(super) fn network(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V4(address) => Some(address.into()),
        IpAddr::V6(address) => Some(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

#[derive(Debug)]
struct Counter<K> {
    limit: u32,
    entries: HashMap<K, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    since: Instant,
}

impl Entry {
    fn left(self, now: Instant) -> Option<Duration> {
        WINDOW.checked_sub(now.duration_since(self.since)).filter(|left| !left.is_zero())
    }
}

impl<K: Copy + Eq + Hash> Counter<K> {
    fn new(limit: u32) -> Self {
        Self { limit, entries: HashMap::new() }
    }

    fn blocked(&self, key: &K, now: Instant) -> Option<Duration> {
        self.entries.get(key).filter(|entry| entry.failures >= self.limit)?.left(now)
    }

    fn count(&mut self, key: K, now: Instant) {
        if !self.entries.contains_key(&key) && self.entries.len() >= REMEMBERED {
            self.make_room(now);
        }
        let entry = self.entries.entry(key).or_insert(Entry { failures: 0, since: now });
        if entry.left(now).is_none() {
            *entry = Entry { failures: 0, since: now };
        }
        entry.failures = entry.failures.saturating_add(1);
    }

    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, entry| entry.left(now).is_some());
        if self.entries.len() >= REMEMBERED {
            let least = self.entries.iter().min_by_key(|(_, entry)| (entry.failures, entry.since));
            if let Some(least) = least.map(|(key, _)| *key) {
                self.entries.remove(&least);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTACKER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn user(number: u128) -> Login {
        Login::User(UserId::from_u128(number))
    }

    #[test]
    fn too_many_failures_block_the_user_and_the_address_and_nobody_else() {
        let start = Instant::now();
        let after = |secs| start + Duration::from_secs(secs);
        // Who failed how often and from where; whether (that user elsewhere, another user from
        // there, another elsewhere) is blocked then.
        let cases = [
            ("a few by one", &[(1, 9)][..], [false, false, false]),
            ("many by one", &[(1, 10)], [true, false, false]),
            ("many by several", &[(1, 9), (2, 9), (3, 9), (4, 9), (5, 9), (6, 5)], [false, true, false]),
            ("many by all", &[(1, 10), (2, 40)], [true, true, false]),
        ];
        for (what, failed, expected) in cases {
            let mut failures = Failures::default();
            for (number, times) in failed {
                for _ in 0..*times {
                    failures.login_failed(user(*number), Some(ATTACKER), start);
                }
            }
            let blocked = |at| {
                [(1, OTHER), (9, ATTACKER), (9, OTHER)]
                    .map(|(number, from)| failures.login_blocked(user(number), Some(from), at).is_some())
            };
            assert_eq!(blocked(after(1)), expected, "{what}");
            assert_eq!(blocked(after(299)), expected, "{what}");
            assert_eq!(blocked(after(300)), [false; 3], "{what}: a window later");
        }
    }

    /// Behind a TLS proxy on this host, which is how vpcepd may be reached without TLS of its
    /// own, one guesser kept everybody from logging in.
    #[test]
    fn callers_who_share_the_hosts_own_address_do_not_share_its_failures() {
        let start = Instant::now();
        for proxy in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let proxy = Some(proxy.parse().unwrap());
            let mut failures = Failures::default();
            for number in 0..300 {
                failures.login_failed(user(number / 10), proxy, start);
                assert_eq!(failures.proof_failed(proxy, start), None);
            }
            assert_eq!(failures.login_blocked(user(999), proxy, start), None, "{proxy:?}");
            assert!(failures.login_blocked(user(3), proxy, start).is_some(), "users have their own count");
        }
    }

    #[test]
    fn a_right_password_frees_the_user_but_not_the_address() {
        let start = Instant::now();
        let mut failures = Failures::default();
        for number in 1..=10 {
            for _ in 0..5 {
                failures.login_failed(user(number), Some(ATTACKER), start);
            }
        }
        failures.login_succeeded(user(1));
        for _ in 0..5 {
            failures.login_failed(user(1), None, start);
        }
        assert_eq!(failures.login_blocked(user(1), None, start), None, "its count began anew");
        assert_eq!(failures.login_blocked(user(1), Some(ATTACKER), start), Some(WINDOW));
    }

    #[test]
    fn wrong_proofs_are_told_to_wait_and_block_no_login() {
        let start = Instant::now();
        let mut failures = Failures::default();
        for _ in 0..200 {
            assert_eq!(failures.proof_failed(Some(ATTACKER), start), None);
        }
        let later = start + Duration::from_secs(100);
        assert_eq!(failures.proof_failed(Some(ATTACKER), later), Some(Duration::from_secs(200)));
        assert_eq!(failures.proof_failed(Some(OTHER), later), None);
        assert_eq!(failures.proof_failed(None, later), None, "the socket has no address");
        assert_eq!(failures.login_blocked(user(1), Some(ATTACKER), later), None);
    }

    #[test]
    fn one_network_of_ipv6_is_one_caller() {
        for (a, b, same) in [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
        ] {
            let (a, b): (IpAddr, IpAddr) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(network(a) == network(b), same, "{a} {b}");
        }
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let start = Instant::now();
        let mut failures = Failures::default();
        for _ in 0..10 {
            failures.login_failed(user(0), None, start);
        }
        for number in 1..=2 * REMEMBERED as u128 {
            failures.login_failed(user(number), None, start);
        }
        assert_eq!(failures.logins.entries.len(), REMEMBERED);
        assert!(failures.login_blocked(user(0), None, start).is_some());
    }
}

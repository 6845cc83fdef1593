//! How many refusals are recorded: of each user, and of all callers nobody knows
//! together.
//!
//! Whoever can reach the API could otherwise fill the log with failed attempts
//! until what really happened is rotated away. In memory and bounded: users beyond
//! those that are remembered share one limit.

use std::collections::BTreeMap;

use super::Author;
use crate::model::Timestamp;

/// Lines in a minute.
pub const PER_MINUTE: u32 = 60;
/// A minute, microseconds.
const MINUTE: u64 = 60_000_000;
/// Most users that have a limit of their own.
const REMEMBERED: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Refusals {
    strangers: Limit,
    users: BTreeMap<String, Limit>,
    other_users: Limit,
}

impl Refusals {
    /// Whether one more of this caller may be recorded now; if so, how many were left
    /// out since the last that was.
    pub fn admit(&mut self, author: &Author, now: Timestamp) -> Option<u64> {
        self.limit_of(author, now).admit(now)
    }

    fn limit_of(&mut self, author: &Author, now: Timestamp) -> &mut Limit {
        if author.role.is_none() {
            return &mut self.strangers;
        }
        // On the socket nobody has a name.
        let part = |name: &Option<String>| name.clone().unwrap_or_default();
        let user = format!("{}@{}", part(&author.user), part(&author.account));
        if self.users.len() >= REMEMBERED && !self.users.contains_key(&user) {
            self.users.retain(|_, limit| limit.is_needed(now));
            if self.users.len() >= REMEMBERED {
                return &mut self.other_users;
            }
        }
        self.users.entry(user).or_default()
    }
}

/// Counts refusals by minutes of the clock.
#[derive(Debug, Default)]
struct Limit {
    minute: u64,
    recorded: u32,
    left_out: u64,
}

impl Limit {
    fn admit(&mut self, now: Timestamp) -> Option<u64> {
        let minute = now.as_micros() / MINUTE;
        if minute != self.minute {
            (self.minute, self.recorded) = (minute, 0);
        }
        if self.recorded == PER_MINUTE {
            self.left_out += 1;
            return None;
        }
        self.recorded += 1;
        Some(std::mem::take(&mut self.left_out))
    }

    /// Whether a new one would admit more, or tell less.
    fn is_needed(&self, now: Timestamp) -> bool {
        self.left_out > 0 || now.as_micros() / MINUTE == self.minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> Timestamp {
        Timestamp::from_micros(minute * MINUTE + 7)
    }

    fn user(name: &str) -> Author {
        let part = |text: &str| Some(text.to_owned());
        Author { role: part("member"), user: part(name), account: part("acme"), ..Author::default() }
    }

    #[test]
    fn a_flood_is_cut_to_its_share_of_a_minute_and_counted() {
        let socket = Author { role: Some("operator".into()), ..Author::default() };
        let mut refusals = Refusals::default();
        // None of them takes anything from another.
        for author in [Author::default(), user("ann"), user("bob"), socket] {
            for _ in 0..PER_MINUTE {
                assert_eq!(refusals.admit(&author, at(5)), Some(0), "{author:?}");
            }
            let mut admit = |now| refusals.admit(&author, now);
            assert_eq!((admit(at(5)), admit(at(5))), (None, None));
            assert_eq!((admit(at(6)), admit(at(6))), (Some(2), Some(0)));
            // A clock that was set back opens a minute of its own, and no more.
            assert_eq!(admit(at(2)), Some(0));
        }
    }

    #[test]
    fn more_users_than_are_remembered_share_a_limit_until_others_are_silent() {
        let mut refusals = Refusals::default();
        let many = || (0..REMEMBERED).map(|number| user(&number.to_string()));
        for author in many() {
            assert_eq!(refusals.admit(&author, at(5)), Some(0));
        }
        for number in 0..PER_MINUTE {
            assert_eq!(refusals.admit(&user(&format!("late{number}")), at(5)), Some(0));
        }
        assert_eq!(refusals.admit(&user("late"), at(5)), None);
        assert_eq!(refusals.users.len(), REMEMBERED);
        assert_eq!(refusals.admit(&user("late"), at(6)), Some(0), "a place of its own");
        assert_eq!(refusals.users.len(), 1, "nobody else has been refused in this minute");
    }
}

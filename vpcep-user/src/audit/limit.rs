//! How many refusals of callers nobody knows are recorded.
//!
//! Whoever can reach the API could otherwise fill the log with failed attempts
//! until what really happened is rotated away.

use crate::model::Timestamp;

/// Lines in a minute.
pub const PER_MINUTE: u32 = 60;
/// A minute, microseconds.
const MINUTE: u64 = 60_000_000;

/// Counts refusals by minutes of the clock.
#[derive(Debug, Default)]
pub struct StrangerLimit {
    minute: u64,
    recorded: u32,
    left_out: u64,
}

impl StrangerLimit {
    /// Whether one more may be recorded now; if so, how many were left out since
    /// the last that was.
    pub fn admit(&mut self, now: Timestamp) -> Option<u64> {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_its_share_of_a_minute_and_counted() {
        let mut limit = StrangerLimit::default();
        let at = |minute: u64| Timestamp::from_micros(minute * MINUTE + 7);
        for _ in 0..PER_MINUTE {
            assert_eq!(limit.admit(at(5)), Some(0));
        }
        assert_eq!((limit.admit(at(5)), limit.admit(at(5))), (None, None));
        assert_eq!((limit.admit(at(6)), limit.admit(at(6))), (Some(2), Some(0)));
        // A clock that was set back opens a minute of its own, and no more.
        assert_eq!(limit.admit(at(2)), Some(0));
    }
}

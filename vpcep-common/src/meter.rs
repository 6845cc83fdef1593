//! Rates: new connections, bytes and ICMP errors, by the generic cell rate algorithm (ITU-T I.371, annex A):
//! one word, the time at which what was admitted so far is paid for.
//!
//! Times are nanoseconds of the monotonic clock. The coarse clock of the packet path stands still
//! for up to 10 ms, which a burst has to be longer than.

/// How far new connections may run ahead of their rate: a second's worth.
pub const CONNECTION_BURST: u64 = 1_000_000_000;
/// How far bytes may: what a queue of that length would hold.
pub const BYTE_BURST: u64 = 50_000_000;
/// How far ICMP errors may: 50 of them at a thousand a second.
pub const ERROR_BURST: u64 = 50_000_000;
/// Binary digits of [`byte_cost`] behind the point.
const COST_SHIFT: u32 = 16;

/// Nanoseconds a connection at this rate takes; 0 for no limit. Rates are 1 to 10^9 a second.
pub const fn connection_cost(per_second: u32) -> u32 {
    match per_second {
        0 => 0,
        rate if rate > 1_000_000_000 => 1,
        rate => 1_000_000_000 / rate,
    }
}

/// Nanoseconds a byte takes at this bandwidth, times 2^16; 0 for no limit.
pub const fn byte_cost(megabits_per_second: u32) -> u32 {
    match megabits_per_second {
        0 => 0,
        // Above half a petabit a byte costs less than the last digit.
        rate => {
            let cost = (8_000_u64 << COST_SHIFT) / rate as u64;
            if cost == 0 { 1 } else { cost as u32 }
        }
    }
}

/// Nanoseconds that a packet takes.
#[inline(always)]
pub const fn packet_cost(byte_cost: u32, bytes: u32) -> u64 {
    (byte_cost as u64 * bytes as u64) >> COST_SHIFT
}

/// The word after admitting something of this cost; 0, which no time is, if it may not be.
#[inline(always)]
pub const fn admit(paid_until: u64, now: u64, cost: u64, burst: u64) -> u64 {
    if paid_until <= now {
        return now + cost;
    }
    if paid_until - now > burst { 0 } else { paid_until + cost }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// How many of those that come every `gap` ns are admitted within `duration`.
    fn admitted(gap: u64, duration: u64, cost: u64, burst: u64) -> u64 {
        let (mut word, mut count) = (0, 0);
        for i in 0..duration / gap {
            let next = admit(word, SECOND + i * gap, cost, burst);
            if next != 0 {
                (word, count) = (next, count + 1);
            }
        }
        count
    }

    #[test]
    fn the_rate_is_kept_beyond_the_burst_and_nothing_below_it_is_refused() {
        for (name, offered, rate, seconds, expected) in [
            ("half of the rate", 50, 100, 10, 500..=500),
            ("just the rate", 100, 100, 10, 1000..=1000),
            // The burst is a second's worth.
            ("ten times the rate", 1000, 100, 10, 1099..=1102),
            ("at once", 1_000_000, 100, 1, 199..=202),
        ] {
            let cost = u64::from(connection_cost(rate));
            let count = admitted(SECOND / offered, seconds * SECOND, cost, CONNECTION_BURST);
            assert!(expected.contains(&count), "{name}: {count}");
        }
    }

    #[test]
    fn a_bandwidth_is_kept_to_within_a_percent() {
        for megabits in [1, 100, 3072, 100_000] {
            let cost = packet_cost(byte_cost(megabits), 1500);
            // Twice as much is offered as may pass.
            let gap = SECOND * 1500 * 8 / (u64::from(megabits) * 2_000_000);
            let packets = admitted(gap.max(1), 5 * SECOND, cost, BYTE_BURST);
            let passed = packets as f64 * 1500.0 * 8.0 / 1e6 / 5.05;
            let ratio = passed / f64::from(megabits);
            assert!((0.97..1.03).contains(&ratio), "{megabits} Mbit/s: {passed}");
        }
    }

    #[test]
    fn none_is_no_limit() {
        assert_eq!((connection_cost(0), byte_cost(0)), (0, 0));
        assert_ne!((connection_cost(u32::MAX), byte_cost(u32::MAX)), (0, 0));
    }
}

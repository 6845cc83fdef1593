//! Points in time, as the model keeps them.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::ModelError;

/// A point in time: microseconds since 1970-01-01 UTC.
///
/// Prints as the API writes times, `YYYY-MM-DDTHH:MM:SSZ`; the microseconds
/// only order objects made within the same second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01 UTC.
    pub const ZERO: Self = Self(0);

    /// The latest time that prints: the end of the year 9999.
    const MAX: u64 = 253_402_300_799_999_999;

    /// The time this many microseconds after 1970; later than the year 9999 is
    /// the end of it.
    #[must_use]
    pub fn from_micros(micros: u64) -> Self {
        Self(micros.min(Self::MAX))
    }

    /// The wall clock's now.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// The time this much later, at most the end of the year 9999.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn as_micros(self) -> u64 {
        self.0
    }

    /// The same with its microseconds, `YYYY-MM-DDTHH:MM:SS.ffffffZ`: texts of
    /// equal length, which sort as the times do.
    #[must_use]
    pub fn precise(self) -> impl fmt::Display {
        humantime::format_rfc3339_micros(self.system_time())
    }

    fn system_time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.0)
    }
}

impl FromStr for Timestamp {
    type Err = ModelError;

    /// Reads RFC 3339 in UTC, with or without a fraction.
    fn from_str(text: &str) -> Result<Self, ModelError> {
        let bad = || ModelError::Time { value: text.into() };
        let time = humantime::parse_rfc3339(text).map_err(|_| bad())?;
        let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| bad())?;
        Ok(Self::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(self.system_time()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_in_utc_without_a_fraction() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_709_210_096_999_999, "2024-02-29T12:34:56Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
        }
        assert_eq!(Timestamp::from_micros(1).precise().to_string(), "1970-01-01T00:00:00.000001Z");
    }
}

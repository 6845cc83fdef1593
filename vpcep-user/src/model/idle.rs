//! How long connections of a service may be idle, and what becomes of them then.

use super::ModelError;

/// An idle time-out of a service's own, in seconds: [`Self::MIN_SECS`] to
/// [`Self::MAX_SECS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleTimeout(u32);

impl IdleTimeout {
    /// Below it, TCP's own retransmissions after a loss could come too late.
    pub const MIN_SECS: u32 = 10;
    /// A hundred hours: what nobody ends still gives its place back within days.
    pub const MAX_SECS: u32 = 360_000;

    /// A time-out of so many seconds; none for 0.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn from_secs(secs: i64) -> Result<Option<Self>, ModelError> {
        match u32::try_from(secs) {
            Ok(0) => Ok(None),
            Ok(secs) if (Self::MIN_SECS..=Self::MAX_SECS).contains(&secs) => Ok(Some(Self(secs))),
            _ => Err(ModelError::IdleTimeout { value: secs }),
        }
    }

    /// The seconds.
    #[must_use]
    pub fn secs(self) -> u32 {
        self.0
    }
}

/// What a service says of idle connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// How long a TCP connection that is established, or UDP that both sides have sent, may
    /// be idle; `None` is as long as the gateway's settings say.
    pub timeout: Option<IdleTimeout>,
    /// Whether both ends of an established TCP connection that was idle for too long get a
    /// reset then. Else each learns it when it next sends something.
    pub reset: bool,
}

impl Idle {
    /// The time-out in seconds; 0 is none of its own.
    #[must_use]
    pub fn timeout_secs(self) -> u32 {
        self.timeout.map_or(0, IdleTimeout::secs)
    }
}

/// The connection is lost either way, and an end that only waits would never learn it: so
/// both are told.
impl Default for Idle {
    fn default() -> Self {
        Self { timeout: None, reset: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_is_in_range_or_none() {
        for (secs, expected) in [
            (0, Some(0)),
            (10, Some(10)),
            (350, Some(350)),
            (360_000, Some(360_000)),
            (-1, None),
            (1, None),
            (9, None),
            (360_001, None),
            (1 << 32, None),
        ] {
            let timeout = IdleTimeout::from_secs(secs).ok();
            let read = timeout.map(|timeout| Idle { timeout, ..Idle::default() }.timeout_secs());
            assert_eq!(read, expected, "{secs}");
        }
        let error = IdleTimeout::from_secs(9).unwrap_err().to_string();
        assert_eq!(
            error,
            "bad idle_timeout 9: expected 10 to 360000 seconds, or 0 for the gateway's setting"
        );
    }
}

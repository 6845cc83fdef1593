//! Whether a member of a load balancer serves: how it is asked, and what a row of
//! answers means.
//!
//! ```text
//!              healthy_threshold successes in a row
//!  checking ──────────────────────────────────────▶ up ◀─┐
//!      │                                            │    │ healthy_threshold
//!      │ unhealthy_threshold failures in a row      ▼    │ successes in a row
//!      └─────────────────────────────────────────▶ down ─┘
//! ```
//!
//! One that is still `checking` is used: a restart of the checks stops nothing.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::{ModelError, Port, Timestamp};

/// How the members of a load balancer are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    probe: Probe,
    port: Option<Port>,
    interval_secs: u8,
    timeout_secs: u8,
    healthy_threshold: u8,
    unhealthy_threshold: u8,
}

/// What a member is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether it accepts a connection.
    Tcp,
    /// What it answers to a GET.
    Http {
        /// Of what.
        path: HttpPath,
        /// What it has to answer.
        expected: StatusCodes,
    },
}

/// A health check as it is asked for, nothing of it checked yet. What is absent has a
/// default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthCheckText {
    /// `tcp` or `http`.
    pub protocol: String,
    /// The member's own port, or the server port of the service, when absent.
    pub port: Option<i64>,
    /// HTTP only; `/` when absent.
    pub path: Option<String>,
    /// HTTP only; `200-399` when absent.
    pub expected_codes: Option<String>,
    /// Seconds from one check to the next, 1..=50; 5 when absent.
    pub interval: Option<i64>,
    /// Seconds that a check may take, 1 up to the interval; 3 at most when absent.
    pub timeout: Option<i64>,
    /// Successes in a row until a member is up, 1..=10; 3 when absent.
    pub healthy_threshold: Option<i64>,
    /// Failures in a row until it is down, 1..=10; 3 when absent.
    pub unhealthy_threshold: Option<i64>,
}

fn bad(field: &'static str, value: impl ToString, expected: impl Into<String>) -> ModelError {
    ModelError::HealthCheck { field, value: value.to_string(), expected: expected.into() }
}

fn within(field: &'static str, value: i64, range: RangeInclusive<u8>) -> Result<u8, ModelError> {
    let expected = || format!("a whole number from {} to {}", range.start(), range.end());
    let number = u8::try_from(value).ok().filter(|number| range.contains(number));
    number.ok_or_else(|| bad(field, value, expected()))
}

impl HealthCheck {
    const INTERVAL_SECS: i64 = 5;
    const TIMEOUT_SECS: i64 = 3;
    const THRESHOLD: i64 = 3;

    /// What is asked.
    #[must_use]
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Where, unless at the port that serves.
    #[must_use]
    pub fn port(&self) -> Option<Port> {
        self.port
    }

    /// Seconds from one check to the next, 1..=50.
    #[must_use]
    pub fn interval_secs(&self) -> u8 {
        self.interval_secs
    }

    /// Seconds that a check may take, 1 up to the interval.
    #[must_use]
    pub fn timeout_secs(&self) -> u8 {
        self.timeout_secs
    }

    /// Successes in a row until a member is up, 1..=10.
    #[must_use]
    pub fn healthy_threshold(&self) -> u8 {
        self.healthy_threshold
    }

    /// Failures in a row until it is down, 1..=10.
    #[must_use]
    pub fn unhealthy_threshold(&self) -> u8 {
        self.unhealthy_threshold
    }
}

impl TryFrom<HealthCheckText> for HealthCheck {
    type Error = ModelError;

    fn try_from(text: HealthCheckText) -> Result<Self, ModelError> {
        let HealthCheckText {
            protocol,
            port,
            path,
            expected_codes,
            interval,
            timeout,
            healthy_threshold,
            unhealthy_threshold,
        } = text;
        let probe = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => {
                let given = [("path", path), ("expected_codes", expected_codes)]
                    .into_iter()
                    .find_map(|(field, value)| Some((field, value?)));
                if let Some((field, value)) = given {
                    return Err(bad(field, value, "none, only a check over http has one"));
                }
                Probe::Tcp
            }
            "http" => Probe::Http {
                path: path.as_deref().unwrap_or("/").parse()?,
                expected: expected_codes.as_deref().unwrap_or("200-399").parse()?,
            },
            _ => return Err(bad("protocol", protocol, "tcp or http")),
        };
        let interval_secs = within("interval", interval.unwrap_or(Self::INTERVAL_SECS), 1..=50)?;
        let timeout = timeout.unwrap_or(Self::TIMEOUT_SECS.min(interval_secs.into()));
        let threshold = |field, value: Option<i64>| within(field, value.unwrap_or(Self::THRESHOLD), 1..=10);
        Ok(Self {
            probe,
            port: port.filter(|port| *port != 0).map(|port| Port::new("port", port)).transpose()?,
            interval_secs,
            timeout_secs: within("timeout", timeout, 1..=interval_secs)?,
            healthy_threshold: threshold("healthy_threshold", healthy_threshold)?,
            unhealthy_threshold: threshold("unhealthy_threshold", unhealthy_threshold)?,
        })
    }
}

impl From<&HealthCheck> for HealthCheckText {
    fn from(check: &HealthCheck) -> Self {
        let HealthCheck { probe, port, interval_secs, timeout_secs, healthy_threshold, unhealthy_threshold } =
            check;
        let (protocol, path, expected_codes) = match probe {
            Probe::Tcp => ("tcp", None, None),
            Probe::Http { path, expected } => ("http", Some(path.to_string()), Some(expected.to_string())),
        };
        Self {
            protocol: protocol.into(),
            port: port.map(|port| port.get().into()),
            path,
            expected_codes,
            interval: Some((*interval_secs).into()),
            timeout: Some((*timeout_secs).into()),
            healthy_threshold: Some((*healthy_threshold).into()),
            unhealthy_threshold: Some((*unhealthy_threshold).into()),
        }
    }
}

/// What a GET is of: 1 to 255 visible ASCII characters that begin with a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpPath(String);

impl FromStr for HttpPath {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let fits = text.starts_with('/') && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
        if !fits {
            return Err(bad("path", text, "1 to 255 visible ASCII characters that begin with /"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for HttpPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Status codes of HTTP, such as `200,300-399`: at most 16 codes or ranges in 100..=599.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCodes(Vec<RangeInclusive<u16>>);

impl StatusCodes {
    const MOST: usize = 16;

    /// Whether a code is among them.
    #[must_use]
    pub fn contain(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }
}

impl FromStr for StatusCodes {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let code = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code));
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let range = code(first)?..=code(last)?;
            (!range.is_empty()).then_some(range)
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        ranges.filter(|ranges| ranges.len() <= Self::MOST).map(Self).ok_or_else(|| {
            bad("expected_codes", text, "at most 16 codes or ranges in 100 to 599, such as 200,300-399")
        })
    }
}

impl fmt::Display for StatusCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// What the checks of one member have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthStatus {
    /// Not enough answers yet to tell.
    Checking,
    /// It serves.
    Up,
    /// It does not.
    Down,
}

impl HealthStatus {
    /// The word in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// The health of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberHealth {
    /// What it has come to.
    pub status: HealthStatus,
    /// Since when.
    pub since: Timestamp,
    /// What the last check that failed met with; `None` once the member is up and
    /// answers.
    pub last_error: Option<String>,
    was_success: bool,
    in_a_row: u8,
}

impl MemberHealth {
    /// Nothing is known.
    #[must_use]
    pub fn unknown(now: Timestamp) -> Self {
        Self { status: HealthStatus::Checking, since: now, last_error: None, was_success: true, in_a_row: 0 }
    }

    /// The health after one more check.
    #[must_use]
    pub fn after(&self, result: Result<(), String>, check: &HealthCheck, now: Timestamp) -> Self {
        let is_success = result.is_ok();
        let before = if is_success == self.was_success { self.in_a_row } else { 0 };
        let in_a_row = before.saturating_add(1);
        let status = match self.status {
            HealthStatus::Checking | HealthStatus::Down
                if is_success && in_a_row >= check.healthy_threshold =>
            {
                HealthStatus::Up
            }
            HealthStatus::Checking | HealthStatus::Up
                if !is_success && in_a_row >= check.unhealthy_threshold =>
            {
                HealthStatus::Down
            }
            status => status,
        };
        let last_error = match result {
            Err(error) => Some(error),
            Ok(()) if status == HealthStatus::Up => None,
            Ok(()) => self.last_error.clone(),
        };
        let since = if status == self.status { self.since } else { now };
        Self { status, since, last_error, was_success: is_success, in_a_row }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(healthy: i64, unhealthy: i64) -> HealthCheck {
        let text = HealthCheckText {
            protocol: "tcp".into(),
            healthy_threshold: Some(healthy),
            unhealthy_threshold: Some(unhealthy),
            ..HealthCheckText::default()
        };
        text.try_into().unwrap()
    }

    /// `+` is a success, `-` a failure; the word is the status after it.
    #[test]
    fn a_row_of_results_decides() {
        use HealthStatus::{Checking, Down, Up};
        for (thresholds, story) in [
            ((3, 3), &[('+', Checking), ('+', Checking), ('+', Up)][..]),
            ((3, 3), &[('-', Checking), ('-', Checking), ('-', Down), ('+', Down), ('+', Down), ('+', Up)]),
            ((3, 3), &[('-', Checking), ('-', Checking), ('+', Checking), ('-', Checking), ('-', Checking)]),
            ((1, 2), &[('+', Up), ('-', Up), ('+', Up), ('-', Up), ('-', Down), ('-', Down), ('+', Up)]),
            ((2, 1), &[('-', Down), ('+', Down), ('-', Down), ('+', Down), ('+', Up), ('-', Down)]),
        ] {
            let check = check(thresholds.0, thresholds.1);
            let mut health = MemberHealth::unknown(Timestamp::ZERO);
            for (step, (result, want)) in story.iter().enumerate() {
                let now = Timestamp::from_micros(step as u64 + 1);
                let before = health.clone();
                let result = if *result == '+' { Ok(()) } else { Err(format!("failure {step}")) };
                health = health.after(result, &check, now);
                assert_eq!(health.status, *want, "{thresholds:?}, step {step} of {story:?}");
                let since = if before.status == health.status { before.since } else { now };
                assert_eq!(health.since, since, "{thresholds:?}, step {step} of {story:?}");
            }
        }
    }

    #[test]
    fn the_last_error_stays_until_the_member_is_up_and_answers() {
        let check = check(2, 1);
        let failed =
            MemberHealth::unknown(Timestamp::ZERO).after(Err("refused".into()), &check, Timestamp::ZERO);
        assert_eq!(failed.last_error.as_deref(), Some("refused"));
        let once = failed.after(Ok(()), &check, Timestamp::ZERO);
        assert_eq!((once.status, once.last_error.as_deref()), (HealthStatus::Down, Some("refused")));
        assert_eq!(once.after(Ok(()), &check, Timestamp::ZERO).last_error, None);
    }

    #[test]
    fn what_cannot_be_checked_is_refused_by_field() {
        let text = |change: fn(&mut HealthCheckText)| {
            let mut text = HealthCheckText { protocol: "http".into(), ..HealthCheckText::default() };
            change(&mut text);
            HealthCheck::try_from(text)
        };
        for (field, change) in [
            ("protocol", (|t| t.protocol = "udp".into()) as fn(&mut HealthCheckText)),
            ("port", |t| t.port = Some(65_536)),
            ("path", |t| t.path = Some("healthz".into())),
            ("path", |t| t.path = Some("/a b".into())),
            ("path", |t| t.path = Some("/a\r\nX: y".into())),
            ("path", |t| (t.protocol, t.path) = ("tcp".into(), Some("/".into()))),
            ("expected_codes", |t| t.expected_codes = Some("ok".into())),
            ("expected_codes", |t| t.expected_codes = Some("399-200".into())),
            ("expected_codes", |t| t.expected_codes = Some("600".into())),
            ("expected_codes", |t| (t.protocol, t.expected_codes) = ("tcp".into(), Some("200".into()))),
            ("interval", |t| t.interval = Some(0)),
            ("interval", |t| t.interval = Some(51)),
            ("timeout", |t| t.timeout = Some(6)),
            ("timeout", |t| t.timeout = Some(0)),
            ("healthy_threshold", |t| t.healthy_threshold = Some(11)),
            ("unhealthy_threshold", |t| t.unhealthy_threshold = Some(0)),
        ] {
            let error = text(change).unwrap_err().to_string();
            assert!(error.starts_with(&format!("bad {field} ")), "{error}");
        }
        let defaults = text(|t| t.interval = Some(2)).unwrap();
        assert_eq!((defaults.interval_secs, defaults.timeout_secs), (2, 2), "no longer than the interval");
        assert_eq!(HealthCheck::try_from(HealthCheckText::from(&defaults)).unwrap(), defaults);
    }

    #[test]
    fn codes_are_what_they_say() {
        let codes: StatusCodes = "200,301-303".parse().unwrap();
        for (code, want) in [(200, true), (201, false), (300, false), (301, true), (303, true), (304, false)]
        {
            assert_eq!(codes.contain(code), want, "{code}");
        }
        assert_eq!(codes.to_string(), "200,301-303");
    }
}

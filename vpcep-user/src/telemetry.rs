//! Logging: where it goes and how errors look in it.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Sends the log to standard error, filtered as `filter` says
/// (`info`, `debug`, `vpcep=debug,info`, ...).
///
/// # Errors
/// When the filter cannot be understood.
pub fn init(filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    Ok(())
}

/// An error and its causes on one line: `cannot load the state: cannot read ...`.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::connection::Refused;

    #[test]
    fn causes_are_printed_after_what_they_caused() {
        let error =
            crate::controller::ControlError::Connection { endpoint: "e".into(), source: Refused::Deleting };
        assert_eq!(
            Chain(&error).to_string(),
            "cannot change the connection of endpoint e: the endpoint is being deleted"
        );
    }
}

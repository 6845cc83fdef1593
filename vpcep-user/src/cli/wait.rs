//! Waiting until a thing is what was asked for.
//!
//! The controller answers before the work is done; `--wait` asks again until
//! the status is final. What counts as final is each noun's to say. Meanwhile a
//! terminal shows what is waited for; a pipe is not told.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokio::time::{Instant, sleep};

use crate::client::{Client, ErrorDetail, Object, Resource};

/// Between the first two looks; most changes are done by then.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between two looks.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Whether and how long to wait.
#[derive(Clone, Copy, Debug, Args)]
pub struct WaitArgs {
    /// Return only when the outcome is known; exit 1 unless it is the one asked for
    #[arg(long)]
    pub wait: bool,

    /// Longest time to wait, seconds (1 to 86400)
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=86400),
        requires = "wait"
    )]
    pub timeout: u64,
}

/// What a look at a thing says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is as asked for.
    Done,
    /// It may still become so; the text says what it is now.
    Pending(String),
    /// It will not become so; the text says why.
    Failed(String),
}

impl WaitArgs {
    /// The object as it is once `progress` says so; at once without `--wait`.
    ///
    /// # Errors
    /// When a call fails, the outcome is another one, or time is up.
    pub async fn until_done<T: Resource>(
        self,
        client: &Client,
        id: &str,
        mut object: Object<T>,
        progress: impl Fn(&T) -> Progress,
    ) -> Result<Object<T>> {
        if !self.wait {
            return Ok(object);
        }
        let noun = T::KIND.noun;
        let mut looks = Looks::until(self.timeout);
        let mut line = Line::on(io::stderr());
        loop {
            match progress(&object.data) {
                Progress::Done => return Ok(object),
                Progress::Failed(reason) => bail!("{noun} {id} {reason}"),
                Progress::Pending(state) => {
                    line.show(&format!("{noun} {id} {state}, {} s", looks.secs()));
                    if !looks.pause().await {
                        bail!("{noun} {id} {state} after {} s", self.timeout)
                    }
                }
            }
            object = client.get(id).await.with_context(|| format!("cannot wait for {noun} {id}"))?;
        }
    }

    /// Returns once the object is gone; at once without `--wait`.
    ///
    /// # Errors
    /// When a call fails or time is up.
    pub async fn until_gone<T: Resource>(self, client: &Client, id: &str) -> Result<()> {
        if !self.wait {
            return Ok(());
        }
        let noun = T::KIND.noun;
        let mut looks = Looks::until(self.timeout);
        let mut line = Line::on(io::stderr());
        loop {
            match client.get::<T>(id).await {
                Ok(_) => {
                    line.show(&format!("{noun} {id} is still being deleted, {} s", looks.secs()));
                    if !looks.pause().await {
                        bail!("{noun} {id} is still being deleted after {} s", self.timeout)
                    }
                }
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error).with_context(|| format!("cannot wait for {noun} {id}")),
            }
        }
    }
}

/// Ever longer pauses up to a deadline.
struct Looks {
    began: Instant,
    deadline: Instant,
    pause: Duration,
}

impl Looks {
    fn until(timeout_secs: u64) -> Self {
        let began = Instant::now();
        Self { began, deadline: began + Duration::from_secs(timeout_secs), pause: FIRST_PAUSE }
    }

    /// How long it has been waited.
    fn secs(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// Waits until the next look; false when the last one is past.
    async fn pause(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        !left.is_zero()
    }
}

/// A line of the terminal that is written over, and gone when it is dropped.
struct Line<W: Write> {
    /// `None` in a pipe.
    out: Option<W>,
    is_shown: bool,
}

/// Back to the beginning of the line, and clear it (ECMA-48, EL).
const CLEARED: &str = "\r\x1b[K";

impl<W: Write + IsTerminal> Line<W> {
    fn on(out: W) -> Self {
        let out = Some(out).filter(IsTerminal::is_terminal);
        Self { out, is_shown: false }
    }
}

impl<W: Write> Line<W> {
    fn show(&mut self, text: &str) {
        // Whoever cannot be shown anything is waiting all the same.
        if let Some(out) = &mut self.out {
            let _ = write!(out, "{CLEARED}{text}").and_then(|()| out.flush());
            self.is_shown = true;
        }
    }
}

impl<W: Write> Drop for Line<W> {
    fn drop(&mut self) {
        if let (Some(out), true) = (&mut self.out, self.is_shown) {
            let _ = write!(out, "{CLEARED}").and_then(|()| out.flush());
        }
    }
}

/// Why something failed, in the API's words.
pub fn reason(error: Option<&Vec<ErrorDetail>>) -> String {
    match error {
        Some(details) if !details.is_empty() => {
            details.iter().map(ErrorDetail::to_string).collect::<Vec<_>>().join("; ")
        }
        _ => "the controller gives no reason, see its log".to_owned(),
    }
}

#[cfg(test)]
mod tests;

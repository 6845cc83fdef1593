//! How a story is told: lines typed by callers, and what must come of them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::daemon::Daemon;
use crate::story::STORY;
use crate::{REFUSED, vpcep};

/// Who types a line.
#[derive(Clone, Copy, Debug)]
pub enum Caller {
    /// The operator, on the socket.
    Operator,
    /// An account on the socket, by the name its token was kept under.
    Account(&'static str),
    /// An account over TCP.
    Remote(&'static str),
}

/// What must come of it.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// Exit 0 and JSON with these values at these pointers; `*` is anything
    /// but null.
    Prints(&'static [(&'static str, &'static str)]),
    /// Exit 1 and this on stderr.
    Refused(&'static str),
}

/// One line of the story.
pub struct Step {
    /// Who types it.
    pub caller: Caller,
    /// Words in braces stand for values kept before.
    pub line: &'static str,
    /// What must come of it.
    outcome: Outcome,
    /// Values to keep: name and pointer.
    keep: &'static [(&'static str, &'static str)],
}

pub const fn step(caller: Caller, line: &'static str, outcome: Outcome) -> Step {
    Step { caller, line, outcome, keep: &[] }
}

pub const fn keeping(step: Step, keep: &'static [(&'static str, &'static str)]) -> Step {
    Step { keep, ..step }
}

/// What steps have kept, by name.
type Kept = BTreeMap<&'static str, String>;

fn filled(text: &str, kept: &Kept) -> String {
    kept.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn play(daemon: &Daemon, step: &Step, kept: &mut Kept) -> Result<()> {
    let caller = match step.caller {
        Caller::Operator => String::new(),
        Caller::Account(name) => format!("--token {{{name}}}"),
        Caller::Remote(name) => format!("--token {{{name}}} --server http://127.0.0.1:{}", daemon.port),
    };
    let line = filled(&format!("{caller} -o json {}", step.line), kept);
    let ran = vpcep(&daemon.socket(), &line)?;
    let expected = match step.outcome {
        Outcome::Refused(message) => {
            let message = &filled(message, kept);
            ensure!(ran.code == Some(REFUSED) && ran.stdout.is_empty(), "not refused: {ran:?}");
            ensure!(ran.stderr.contains(message), "refused, but not with {message}: {}", ran.stderr);
            return Ok(());
        }
        Outcome::Prints(expected) => expected,
    };
    ensure!(ran.code == Some(0), "refused: {}", ran.stderr);
    let json: Value = serde_json::from_str(&ran.stdout).with_context(|| format!("no JSON: {ran:?}"))?;
    for (pointer, value) in expected {
        let value = filled(value, kept);
        let found = json.pointer(pointer).filter(|found| !found.is_null());
        let is_right = found.is_some_and(|found| value == "*" || plain(found) == value);
        ensure!(is_right, "expected {value} at {pointer} of {json:#}");
    }
    for (name, pointer) in step.keep {
        let value =
            json.pointer(pointer).with_context(|| format!("nothing to keep at {pointer} of {json}"))?;
        kept.insert(name, plain(value));
    }
    let is_reading = [
        "list",
        "show",
        "find",
        "connections",
        "permissions",
        "status",
        "stats",
        "sessions",
        "explain",
        "audit",
    ]
    .iter()
    .any(|verb| step.line.split(' ').any(|word| word == *verb));
    if is_reading {
        let table = vpcep(&daemon.socket(), &line.replacen("-o json", "-o table", 1))?;
        ensure!(table.code == Some(0) && !table.stdout.trim().is_empty(), "no table: {table:?}");
    }
    Ok(())
}

#[test]
fn every_command_does_what_it_says_or_is_refused_with_a_code() -> Result<()> {
    let daemon = Daemon::start()?;
    let policy = daemon.socket().with_file_name("policy.json");
    std::fs::write(&policy, r#"[{"Effect": "Deny", "Action": ["obs:*:*"], "Resource": ["obs:*"]}]"#)?;
    let mut kept = Kept::from([("policy", policy.display().to_string())]);
    for step in STORY {
        play(&daemon, step, &mut kept).with_context(|| {
            format!(
                "{:?}: vpcep {}\n--- vpcepd's log\n{}",
                step.caller,
                filled(step.line, &kept),
                daemon.log()
            )
        })?;
    }
    Ok(())
}

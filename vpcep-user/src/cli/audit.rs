//! `vpcep audit`: who changed what. The operator's alone.

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::Value;

use super::output::{Answer, Column};
use super::value::{Reference, time};
use crate::audit::{Action, Outcome, Record};
use crate::client::{Client, List, Object};
use crate::model::Timestamp;

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vpcep audit --since 2h
  vpcep audit --account acme --limit 20
  vpcep audit --object 0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d -o json

--account shows what an account has done and what happened to what it owns. With
-o json each record has the object before and after.")]
pub struct Args {
    /// Not older than this: a time such as 2026-03-01T12:00:00Z, or how long ago, such as 90m or 2days
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Older than this, in the same forms
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Only about the object of this id
    #[arg(long, value_name = "ID")]
    object: Option<Reference>,
    /// Most rows to show, newest first (1 to 1000)
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
}

const COLUMNS: &[Column<Record>] = &[
    Column::whole("TIME", |record| record.time.clone()),
    Column::text("WHO", who),
    Column::text("ACTION", action),
    Column::whole("OBJECT", |record| {
        record.changes.first().map_or_else(|| "-".to_owned(), |change| change.id.clone())
    }),
    Column::whole("RESULT", result),
];

fn who(record: &Record) -> String {
    let author = &record.author;
    let account = author.account.as_ref().or(author.project_id.as_ref()).or(author.role.as_ref());
    match (&author.user, account) {
        (Some(user), Some(account)) => format!("{user} of {account}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => author.from.clone(),
    }
}

/// What was done; for an attempt, what was asked for.
fn action(record: &Record) -> String {
    let Some(change) = record.changes.first() else {
        let words = [&record.author.method, &record.author.path];
        return words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    };
    let verb = match change.action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
    };
    match record.changes.len() - 1 {
        0 => format!("{verb} {}", change.kind),
        more => format!("{verb} {} and {more} more", change.kind),
    }
}

fn result(record: &Record) -> String {
    let word = match record.outcome {
        Outcome::Done => "done",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    };
    let status = record.status.map(|status| status.to_string());
    match record.error_code.as_ref().or(status.as_ref()) {
        Some(code) => format!("{word} {code}"),
        None => word.to_owned(),
    }
}

impl Args {
    /// Shows the records.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        let mut path = Client::operator_path(&["audit"]).query("limit", &self.limit.to_string());
        for (name, time) in [("since", self.since), ("until", self.until)] {
            if let Some(time) = time {
                path = path.query(name, &time.precise().to_string());
            }
        }
        if let Some(object) = &self.object {
            path = path.query("object", object.as_str());
        }
        if let Some(project_id) = client.project_id() {
            path = path.query("account", project_id);
        }
        let mut answer = client.send(Method::GET, &path, None).await.context("cannot read the audit log")?;
        let unreadable = answer["unreadable"].as_u64().unwrap_or(0);
        let rows = answer["records"].take();
        let rows: Vec<Value> = serde_json::from_value(rows).context("cannot read the audit log's answer")?;
        let items = rows.into_iter().map(|json| {
            Ok(Object { data: serde_json::from_value(json.clone()).context("cannot read a record")?, json })
        });
        let items: Vec<Object<Record>> = items.collect::<Result<_>>()?;
        let records = List { total_count: items.len() as u64, items };
        let answer = Answer::rows(&records, "records", COLUMNS);
        Ok(match unreadable {
            0 => answer,
            lines => answer.with_note(format!("{lines} lines of the audit log cannot be read")),
        })
    }
}

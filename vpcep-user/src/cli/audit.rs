//! `vpcep audit`: who changed what. The operator's alone.

use std::rc::Rc;

use anyhow::{Context as _, Result};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::output::{Answer, Column, or_dash};
use super::value::{Reference, time};
use crate::audit::{Action, Author, Change, Outcome, Record};
use crate::client::Client;
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
    /// Most records to show, newest first, each with all its changes (1 to 1000)
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
}

/// A line of the table: a change, or an attempt that changed nothing.
struct Row {
    record: Rc<Record>,
    change: Option<Change>,
}

const COLUMNS: &[Column<Row>] = &[
    Column::whole("TIME", |row| row.record.time.clone()),
    Column::text("WHO", |row| who(&row.record.author)),
    Column::text("ACTION", action),
    Column::whole("OBJECT", |row| or_dash(&row.change.as_ref().map(|change| &change.id))),
    Column::whole("RESULT", |row| result(&row.record)),
];

fn rows(record: Record) -> Vec<Row> {
    let record = Rc::new(record);
    let row = |change| Row { record: Rc::clone(&record), change };
    match record.changes.is_empty() {
        true => vec![row(None)],
        false => record.changes.iter().cloned().map(Some).map(row).collect(),
    }
}

fn who(author: &Author) -> String {
    match (&author.user, &author.account) {
        (Some(user), Some(account)) => format!("{user}@{account}"),
        _ => author.role.as_ref().unwrap_or(&author.from).clone(),
    }
}

/// What was done; for an attempt, what was asked for.
fn action(row: &Row) -> String {
    let Some(change) = &row.change else {
        let words = [&row.record.author.method, &row.record.author.path];
        return words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    };
    let verb = match change.action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
    };
    format!("{verb} {}", change.kind)
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
        let json = json!({ "records": answer["records"].take() });
        let records: Vec<Record> =
            Deserialize::deserialize(&json["records"]).context("cannot read the audit log's answer")?;
        let rows: Vec<Row> = records.into_iter().flat_map(rows).collect();
        let answer = Answer::table(json, None, &rows, COLUMNS);
        Ok(match unreadable {
            0 => answer,
            lines => answer.with_note(format!("{lines} lines of the audit log cannot be read")),
        })
    }
}

//! How answers are shown: one JSON document, or tables that fit the terminal.
//!
//! JSON is the API's own object or list. A table row that is wider than the
//! terminal first gives up the ends of its free texts; ids and addresses are
//! never cut, so when that is not enough the rows are shown as records, one
//! field a line. Into a pipe nothing is cut. There are no colours.

use std::io::{self, ErrorKind, IsTerminal, Write};

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::client::{List, Object, Resource};

/// Narrowest a free text is cut to, characters.
const MIN_TEXT_WIDTH: usize = 10;
/// Between two columns.
const GAP: &str = "  ";

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON document with the API's field names.
    Json,
}

/// What a command has to say.
#[derive(Debug)]
pub struct Answer {
    json: Value,
    view: View,
    note: Option<String>,
}

#[derive(Debug)]
enum View {
    /// Every field of the JSON object, a line each.
    Record,
    /// A sentence, a table, or both.
    Text { heading: Option<String>, table: Option<Table> },
}

/// A column of a table: its header and what it shows of a row.
pub struct Column<T> {
    header: &'static str,
    is_text: bool,
    cell: fn(&T) -> String,
}

impl<T> Column<T> {
    /// A column that is always shown whole.
    pub const fn whole(header: &'static str, cell: fn(&T) -> String) -> Self {
        Self { header, is_text: false, cell }
    }

    /// A free text, whose end may be cut to fit the terminal.
    pub const fn text(header: &'static str, cell: fn(&T) -> String) -> Self {
        Self { header, is_text: true, cell }
    }
}

impl Answer {
    /// One object, with every field it has.
    pub fn object<T>(object: Object<T>) -> Self {
        Self::record(object.json)
    }

    /// Every field of a JSON object.
    pub fn record(json: Value) -> Self {
        Self { json, view: View::Record, note: None }
    }

    /// Rows of a kind of resource.
    pub fn list<T: Resource>(list: &List<T>, columns: &[Column<T>]) -> Self {
        Self::rows(list, T::KIND.plural, columns)
    }

    /// Rows that a list holds under `plural`.
    pub fn rows<T>(list: &List<T>, plural: &str, columns: &[Column<T>]) -> Self {
        let rows: Vec<&Value> = list.items.iter().map(|item| &item.json).collect();
        let json = json!({ plural: rows, "total_count": list.total_count });
        let table = Table::of(list.items.iter().map(|item| &item.data), columns);
        Self { json, view: View::Text { heading: None, table: Some(table) }, note: None }
    }

    /// A JSON object shown as a table of something in it, below a heading.
    pub fn table<T>(json: Value, heading: Option<String>, rows: &[T], columns: &[Column<T>]) -> Self {
        Self { json, view: View::Text { heading, table: Some(Table::of(rows, columns)) }, note: None }
    }

    /// That something is gone. The API has no answer to a deletion, so the JSON
    /// document is the id alone.
    pub fn deleted(noun: &str, id: &str) -> Self {
        Self::said(json!({ "id": id }), format!("deleted {noun} {id}"))
    }

    /// A JSON object and what it means to a person.
    pub fn said(json: Value, text: String) -> Self {
        Self { json, view: View::Text { heading: Some(text), table: None }, note: None }
    }

    /// The same answer with a line on standard error, for what the rows cannot
    /// say.
    pub fn with_note(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }

    /// The text to print, for a terminal of `width` columns or a pipe.
    pub fn render(&self, format: Format, width: Option<usize>) -> String {
        match (format, &self.view) {
            (Format::Json, _) => format!("{:#}\n", self.json),
            (Format::Table, View::Record) => render_record(&fields_of(&self.json)),
            (Format::Table, View::Text { heading, table }) => {
                let heading = heading.as_ref().map(|line| format!("{line}\n")).unwrap_or_default();
                heading + &table.as_ref().map(|table| table.render(width)).unwrap_or_default()
            }
        }
    }

    /// Prints to standard output. A reader that has left, such as `head`, is no
    /// error.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print(&self, format: Format) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let width = stdout.is_terminal().then(terminal_size::terminal_size).flatten();
        let text = self.render(format, width.map(|(width, _)| width.0.into()));
        if let Some(note) = &self.note {
            eprintln!("{note}");
        }
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

#[derive(Debug)]
struct Table {
    headers: Vec<&'static str>,
    text_columns: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn of<'a, T: 'a>(rows: impl IntoIterator<Item = &'a T>, columns: &[Column<T>]) -> Self {
        Self {
            headers: columns.iter().map(|column| column.header).collect(),
            text_columns: (0..columns.len()).filter(|&index| columns[index].is_text).collect(),
            rows: rows
                .into_iter()
                .map(|row| columns.iter().map(|column| one_line(&(column.cell)(row))).collect())
                .collect(),
        }
    }

    fn render(&self, width: Option<usize>) -> String {
        match self.column_widths(width.unwrap_or(usize::MAX)) {
            Some(widths) => self.render_columns(&widths),
            None => self.render_records(),
        }
    }

    /// Widths that fit into `available`; `None` when none do.
    fn column_widths(&self, available: usize) -> Option<Vec<usize>> {
        let mut widths: Vec<usize> = (0..self.headers.len())
            .map(|index| {
                let cells = self.rows.iter().map(|row| row[index].chars().count());
                cells.chain([self.headers[index].len()]).max().unwrap_or(0)
            })
            .collect();
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(available);
        for &index in &self.text_columns {
            let least = MIN_TEXT_WIDTH.max(self.headers[index].len());
            let cut = excess.min(widths[index].saturating_sub(least));
            widths[index] -= cut;
            excess -= cut;
        }
        (excess == 0).then_some(widths)
    }

    fn render_columns(&self, widths: &[usize]) -> String {
        let headers: Vec<String> = self.headers.iter().map(|&header| header.to_owned()).collect();
        let lines = std::iter::once(&headers).chain(&self.rows).map(|cells| {
            let padded: Vec<String> = cells
                .iter()
                .zip(widths)
                .map(|(cell, &width)| format!("{:width$}", shortened(cell, width)))
                .collect();
            format!("{}\n", padded.join(GAP).trim_end())
        });
        lines.collect()
    }

    fn render_records(&self) -> String {
        let records: Vec<String> = self
            .rows
            .iter()
            .map(|row| {
                let fields: Vec<(String, String)> = self
                    .headers
                    .iter()
                    .zip(row)
                    .map(|(header, cell)| (header.to_string(), cell.clone()))
                    .collect();
                render_record(&fields)
            })
            .collect();
        records.join("\n")
    }
}

/// The text itself when it fits, or its beginning and `…`.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Keeps a row on its line, and control characters off the terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn render_record(fields: &[(String, String)]) -> String {
    let width = fields.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    fields
        .iter()
        .map(|(label, text)| format!("{}\n", format!("{label:width$}{GAP}{}", one_line(text)).trim_end()))
        .collect()
}

/// The fields of an object in lines of label and text: an object of plain
/// values takes one line, deeper ones dotted labels, and a list of objects a
/// line each.
fn fields_of(json: &Value) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    if let Value::Object(object) = json {
        for (label, value) in object {
            push_fields(&mut fields, label.clone(), value);
        }
    }
    fields
}

fn push_fields(fields: &mut Vec<(String, String)>, label: String, value: &Value) {
    match value {
        Value::Object(object) if !object.values().all(is_plain) => {
            for (name, value) in object {
                push_fields(fields, format!("{label}.{name}"), value);
            }
        }
        Value::Array(items) if !items.iter().all(is_plain) => {
            for (index, item) in items.iter().enumerate() {
                let label = if index == 0 { label.clone() } else { String::new() };
                fields.push((label, plain_text(item)));
            }
        }
        _ => fields.push((label, plain_text(value))),
    }
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(_) => false,
        _ => true,
    }
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain_text).collect::<Vec<_>>().join(", "),
        Value::Object(object) if object.is_empty() => "-".to_owned(),
        Value::Object(object) => {
            let pairs = object.iter().map(|(name, value)| format!("{name}={}", plain_text(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
    }
}

/// A value that may be missing, `-` when it is.
pub fn or_dash<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "-".to_owned(), T::to_string)
}

#[cfg(test)]
mod tests;

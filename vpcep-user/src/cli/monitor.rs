//! `vpcep monitor`: what happens to sessions, as it happens.

use std::io::{self, ErrorKind, Write as _};
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::output::Format;
use super::resolve::id_of;
use super::value::{Reference, event_reason};
use crate::client::{Client, Endpoint, Service};
use crate::events::record::{EventKind, Record};

/// Arguments of `monitor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vpcep monitor --endpoint 7
  vpcep monitor --event refused --reason not_whitelisted
  vpcep monitor --event opened,closed --count 10 -o json

Runs until Ctrl-C, or until vpcepd ends. A connection that is over shows when it is
forgotten, a while after its last packet. Events that are missing are said to be.
With -o json each event is an object on a line of its own.")]
pub struct Args {
    /// Only of this endpoint, by id or marker_id
    #[arg(long)]
    endpoint: Option<Reference>,
    /// Only of endpoints of this service, by name or id
    #[arg(long)]
    service: Option<Reference>,
    /// Only these kinds, joined by commas
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = ["opened", "closed", "refused"])]
    event: Vec<String>,
    /// Only with this reason: of the drops in `vpcep stats`, or how a session ended
    #[arg(long, value_name = "REASON", value_parser = event_reason)]
    reason: Option<String>,
    /// Stop after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Stop after this long
    #[arg(long = "for", value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..))]
    secs: Option<u64>,
}

impl Args {
    /// Prints events until there are no more, or nobody wants more.
    pub async fn run(self, client: &Client, format: Format) -> Result<()> {
        let limit = self.secs.map(Duration::from_secs);
        let until = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            heard = self.hear(client, format) => heard,
            () = until => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C"),
        }
    }

    async fn hear(&self, client: &Client, format: Format) -> Result<()> {
        let mut path = client.tenant_path(&["events"]);
        if let Some(endpoint) = &self.endpoint {
            path = path.query("endpoint_id", &id_of::<Endpoint>(client, endpoint, &[]).await?);
        }
        if let Some(service) = &self.service {
            path = path.query("endpoint_service_id", &id_of::<Service>(client, service, &[]).await?);
        }
        if !self.event.is_empty() {
            path = path.query("event", &self.event.join(","));
        }
        if let Some(reason) = &self.reason {
            path = path.query("reason", reason);
        }
        let mut lines = client.listen(&path).await.context("cannot listen to events")?;
        let mut left = self.count;
        while left != Some(0) {
            let Some(line) = lines.next().await.context("cannot hear more events")? else {
                eprintln!("vpcepd has ended the events");
                return Ok(());
            };
            let record: Record = serde_json::from_slice(&line).context("cannot read an event")?;
            let text = match format {
                Format::Json => String::from_utf8(line).context("cannot read an event")?,
                Format::Table => sentence(&record),
            };
            if !print(&text)? {
                return Ok(());
            }
            if record.event != EventKind::Unreported {
                left = left.map(|left| left - 1);
            }
        }
        Ok(())
    }
}

/// Prints a line at once; answers whether anybody still reads.
fn print(line: &str) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// An event for a person.
fn sentence(record: &Record) -> String {
    let time = &record.time;
    let reason = record.reason.as_deref().unwrap_or("-");
    if record.event == EventKind::Unreported {
        let kind = record.kind.map(|kind| format!("{} ", kind.as_str())).unwrap_or_default();
        return format!("{time} {} {kind}events were not reported: {reason}", record.count.unwrap_or(0));
    }
    let hops = [
        shown(record.client, record.client_port),
        shown(record.endpoint_address, record.endpoint_port),
        shown(record.source, record.source_port),
        shown(record.backend, record.backend_port),
    ];
    let mut hops: Vec<String> = hops.into_iter().flatten().collect();
    if record.event == EventKind::Refused && record.client.is_none() {
        // From the backend's side.
        hops.reverse();
    }
    let protocol = record.protocol.as_deref().unwrap_or("-");
    let mut text = format!("{time} {:7} {protocol} {}", record.event.as_str(), hops.join(" > "));
    if record.event != EventKind::Opened {
        text.push_str(&format!(" {reason}"));
    }
    if let Some(secs) = record.duration_secs {
        text.push_str(&format!(" {secs} s"));
    }
    for (bytes, direction) in [(record.bytes_out, "out"), (record.bytes_in, "in")] {
        if let Some(bytes) = bytes {
            text.push_str(&format!(" {bytes} B {direction}"));
        }
    }
    if let Some(endpoint) = &record.endpoint_id {
        text.push_str(&format!(" endpoint {endpoint}"));
    }
    text
}

fn shown(address: Option<Ipv4Addr>, port: Option<u16>) -> Option<String> {
    let address = address?;
    Some(port.map_or_else(|| address.to_string(), |port| format!("{address}:{port}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_read_as_sentences() {
        let session = json!({
            "time": "T", "event": "opened", "endpoint_id": "e", "protocol": "TCP",
            "client": "10.0.0.182", "client_port": 50_000, "endpoint_address": "10.0.0.100",
            "endpoint_port": 80, "source": "198.19.128.0", "source_port": 40_000,
            "backend": "192.168.24.10", "backend_port": 8080,
        });
        let way = "10.0.0.182:50000 > 10.0.0.100:80 > 198.19.128.0:40000 > 192.168.24.10:8080";
        let with = |more: serde_json::Value| {
            let mut event = session.clone();
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        for (event, expected) in [
            (session.clone(), format!("T opened  TCP {way} endpoint e")),
            (
                with(json!({"event": "closed", "reason": "idle", "duration_secs": 3, "bytes_out": 7})),
                format!("T closed  TCP {way} idle 3 s 7 B out endpoint e"),
            ),
            (
                json!({"time": "T", "event": "refused", "protocol": "1", "client": "10.0.0.182",
                       "endpoint_address": "10.0.0.99", "reason": "not_forwarded"}),
                "T refused 1 10.0.0.182 > 10.0.0.99 not_forwarded".into(),
            ),
            (
                json!({"time": "T", "event": "refused", "protocol": "TCP", "backend": "192.168.24.10",
                       "backend_port": 1, "source": "198.19.128.0", "source_port": 2,
                       "reason": "unsolicited"}),
                "T refused TCP 192.168.24.10:1 > 198.19.128.0:2 unsolicited".into(),
            ),
            (
                json!({"time": "T", "event": "unreported", "kind": "refused", "reason": "rate", "count": 5}),
                "T 5 refused events were not reported: rate".into(),
            ),
            (
                json!({"time": "T", "event": "unreported", "reason": "slow_reader", "count": 5}),
                "T 5 events were not reported: slow_reader".into(),
            ),
        ] {
            let record: Record = serde_json::from_value(event).unwrap();
            assert_eq!(sentence(&record), expected);
        }
    }
}

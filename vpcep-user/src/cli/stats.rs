//! `vpcep stats`: what endpoints have carried and refused.

use anyhow::{Context as _, Result};

use super::output::{Answer, Column};
use super::resolve::id_of;
use super::value::Reference;
use crate::client::{Client, Endpoint, Stats};

/// Arguments of `stats`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
CONN, PEAK and LIMIT are concurrent connections, OPENED all since the endpoint
was made. Packets and IP bytes are what was forwarded: OUT towards the backend,
IN back to clients. DROPS are packets by reason.")]
pub struct Args {
    /// Only this endpoint, by id or marker_id
    #[arg(long)]
    endpoint: Option<Reference>,
}

const COLUMNS: &[Column<Stats>] = &[
    Column::whole("ENDPOINT ID", |stats| stats.endpoint_id.clone()),
    Column::whole("MARKER ID", |stats| stats.marker_id.to_string()),
    Column::whole("CONN", |stats| stats.connections.current.to_string()),
    Column::whole("PEAK", |stats| stats.connections.peak.to_string()),
    Column::whole("LIMIT", |stats| stats.connections.limit.to_string()),
    Column::whole("OPENED", |stats| stats.connections.opened.to_string()),
    Column::whole("PACKETS OUT", |stats| stats.packets.outbound.to_string()),
    Column::whole("PACKETS IN", |stats| stats.packets.inbound.to_string()),
    Column::whole("BYTES OUT", |stats| stats.bytes.outbound.to_string()),
    Column::whole("BYTES IN", |stats| stats.bytes.inbound.to_string()),
    Column::text("DROPS", drops_text),
];

fn drops_text(stats: &Stats) -> String {
    let texts: Vec<String> = stats.drops.iter().map(|(reason, count)| format!("{reason}={count}")).collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(" ") }
}

impl Args {
    /// Shows them.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        let endpoint_id = match &self.endpoint {
            Some(endpoint) => Some(id_of::<Endpoint>(client, endpoint, &[]).await?),
            None => None,
        };
        let filters: Vec<_> = endpoint_id.iter().map(|id| ("endpoint_id", id.as_str())).collect();
        let stats = client.list(&filters).await.context("cannot read counters")?;
        Ok(Answer::list::<Stats>(&stats, COLUMNS))
    }
}

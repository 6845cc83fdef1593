//! `vpcep sessions`: live connections through endpoints.

use anyhow::{Context as _, Result};

use super::output::{Answer, Column};
use super::resolve::id_of;
use super::value::Reference;
use crate::client::{Client, Endpoint, Session};

/// Arguments of `sessions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only sessions of this endpoint, by id or marker_id
    #[arg(long)]
    endpoint: Option<Reference>,
    /// Most rows to show, newest first (1 to 1000); total_count tells how many there are
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
}

const COLUMNS: &[Column<Session>] = &[
    Column::whole("ENDPOINT ID", |session| session.endpoint_id.clone()),
    Column::whole("PROTOCOL", |session| session.protocol.clone()),
    Column::whole("CLIENT", |session| session.client.clone()),
    Column::whole("ENDPOINT", |session| session.endpoint.clone()),
    Column::whole("SOURCE", |session| session.source.clone()),
    Column::whole("BACKEND", |session| session.backend.clone()),
    Column::whole("STATE", |session| session.state.clone()),
    Column::whole("AGE SECS", |session| session.age_secs.to_string()),
    Column::whole("IDLE SECS", |session| session.idle_secs.to_string()),
];

impl Args {
    /// Shows them.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        let endpoint_id = match &self.endpoint {
            Some(endpoint) => Some(id_of::<Endpoint>(client, endpoint, &[]).await?),
            None => None,
        };
        let filters: Vec<_> = endpoint_id.iter().map(|id| ("endpoint_id", id.as_str())).collect();
        let sessions = client.first(&filters, self.limit).await.context("cannot list sessions")?;
        let answer = Answer::list::<Session>(&sessions, COLUMNS);
        let shown = sessions.items.len() as u64;
        Ok(match sessions.total_count > shown {
            true => answer.with_note(format!("{shown} of {} sessions", sessions.total_count)),
            false => answer,
        })
    }
}

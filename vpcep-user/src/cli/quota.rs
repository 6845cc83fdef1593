//! `vpcep quota`: how much there may be of what. Setting is the operator's.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use super::UsageError;
use super::output::{Answer, Column, or_dash};
use super::value::QuotaSetting;
use crate::client::{Client, Quota, Quotas};

/// What can be done with quotas.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the limits in force for an account and what is used of them
    ///
    /// connection, half_open (unfinished handshakes), connection_rate (new ones a second) and
    /// bandwidth (Mbit/s, each direction) are of each endpoint, the last three without a limit at 0;
    /// the others count what a project owns. A backend is a port. The operator names the account with
    /// --account.
    Show,
    /// Set limits for the account given with --account, or the default for all (operator)
    ///
    /// Example: vpcep quota set endpoint=100 connection=10000 --account acme
    Set {
        /// connection=N (concurrent), half_open=N, connection_rate=N (a second) or bandwidth=N (Mbit/s)
        /// per endpoint; endpoint_service=N, endpoint=N, vpc=N, subnet=N or port=N per project
        #[arg(required = true, value_name = "TYPE=N")]
        quotas: Vec<QuotaSetting>,
    },
}

const COLUMNS: &[Column<Quota>] = &[
    Column::whole("TYPE", |quota| quota.quota_type.clone()),
    Column::whole("USED", |quota| or_dash(&quota.used)),
    Column::whole("QUOTA", |quota| quota.quota.to_string()),
];

impl Command {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        match self {
            Self::Show => show(client).await,
            Self::Set { quotas } => set(client, &quotas).await,
        }
    }
}

async fn show(client: &Client) -> Result<Answer> {
    // Limits are each project's; the sum over all of them has none to be compared with.
    if client.is_operator() && client.project_id().is_none() {
        return Err(UsageError {
            argument: "quota show",
            reason: "quotas are each account's own: name one with --account",
        }
        .into());
    }
    let path = client.tenant_path(&["quotas"]);
    let context = "cannot show quotas";
    let mut quotas = client.send(Method::GET, &path, None).await.context(context)?;
    // The cloud's API answers its two types by default and knows no others.
    for quota_type in ["connection", "vpc", "subnet", "port", "half_open", "connection_rate", "bandwidth"] {
        let path = client.tenant_path(&["quotas"]).query("type", quota_type);
        let mut one = client.send(Method::GET, &path, None).await.context(context)?;
        if let (Some(all), Some(more)) =
            (quotas["quotas"]["resources"].as_array_mut(), one["quotas"]["resources"].as_array_mut())
        {
            all.append(more);
        }
    }
    answer(quotas)
}

async fn set(client: &Client, settings: &[QuotaSetting]) -> Result<Answer> {
    let quotas: Map<String, Value> =
        settings.iter().map(|setting| (setting.quota_type.to_owned(), json!(setting.quota))).collect();
    let mut body = json!({ "quotas": quotas });
    if let Some(project_id) = client.project_id() {
        body["project_id"] = json!(project_id);
    }
    let path = Client::operator_path(&["quotas"]);
    let quotas = client.send(Method::PUT, &path, Some(body)).await.context("cannot set quotas")?;
    answer(quotas)
}

/// The API wraps quotas in `quotas`.
fn answer(mut wrapped: Value) -> Result<Answer> {
    let json = wrapped["quotas"].take();
    let rows: Quotas = serde_json::from_value(json.clone()).context("cannot read the quotas")?;
    Ok(Answer::table(json, None, &rows.resources, COLUMNS))
}

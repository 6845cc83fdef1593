//! `vpcep explain`: why a connection does, or does not, get through.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use http::Method;

use super::output::{Answer, Column};
use super::resolve::id_of;
use super::value::{Destination, Reference};
use crate::client::{Client, Explanation, ExplanationStep, Vpc};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: vpcep explain --vpc net1 --client 10.0.0.182 --endpoint 10.0.0.9:80

The exit status is 0 whenever there is an answer, whatever it says; scripts read
`verdict` (forwarded, refused, unknown) and `stopped_by` with -o json.")]
pub struct Args {
    /// VPC of the client, by name or id
    #[arg(long)]
    vpc: Reference,
    /// IPv4 address of the client
    #[arg(long, value_name = "IP")]
    client: Ipv4Addr,
    /// What the client connects to: address of an endpoint, port, and protocol (tcp unless given)
    #[arg(long, value_name = "IP:PORT[/tcp|/udp]")]
    endpoint: Destination,
}

const COLUMNS: &[Column<ExplanationStep>] = &[
    Column::whole("STATUS", |step| step.status.clone()),
    Column::whole("STEP", |step| step.name.clone()),
    Column::text("DETAIL", |step| step.detail.clone()),
];

impl Args {
    /// Asks.
    pub async fn run(self, client: &Client) -> Result<Answer> {
        let vpc_id = id_of::<Vpc>(client, &self.vpc, &[]).await?;
        let Destination { address, protocol } = self.endpoint;
        let path = client
            .tenant_path(&["explain"])
            .query("vpc_id", &vpc_id)
            .query("client", &self.client.to_string())
            .query("address", &address.ip().to_string())
            .query("port", &address.port().to_string())
            .query("protocol", protocol.as_str());
        let json = client.send(Method::GET, &path, None).await.context("cannot explain")?;
        let explanation: Explanation =
            serde_json::from_value(json.clone()).context("cannot read the explanation")?;
        let heading = format!("{}: {}", explanation.verdict, explanation.summary);
        Ok(Answer::table(json, Some(heading), &explanation.steps, COLUMNS))
    }
}

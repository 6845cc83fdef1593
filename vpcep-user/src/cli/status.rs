//! `vpcep status`: the controller and its data plane. The operator's alone.

use anyhow::{Context as _, Result};
use http::Method;

use super::output::Answer;
use crate::client::Client;

/// Asks.
pub async fn run(client: &Client) -> Result<Answer> {
    let status = client.send(Method::GET, &Client::operator_path(&["status"]), None).await;
    Ok(Answer::record(status.context("cannot read the status")?))
}

//! Other people's clients, unmodified, against a real `vpcepd`: the SDK of
//! Huawei Cloud, the SDK and the command line of Open Telekom Cloud with the
//! functional tests they bring along, and a tool that compares the API with its
//! own document.
//!
//! The tests are Python, in `tests/clients`: one directory for each client, run
//! by one pytest in the namespace of a daemon of its own. Here is the stage:
//! the daemon, and hosts for what goes through to the kernel.
//!
//! `cargo xtask test clients` brings the clients and runs all of it; `--filter`
//! picks by the names below, `cargo xtask test clients --filter huawei`.

mod kernel;
mod pytest;

use anyhow::Result;
use serde_json::json;
use vpcep_tests::World;

/// The functional tests that otcextensions brings along.
const SHIPPED: &str = "otcextensions.tests.functional.sdk.vpcep";

#[test]
fn huawei() -> Result<()> {
    without_data_plane(&["huawei"])
}

#[test]
fn otc_sdk() -> Result<()> {
    without_data_plane(&["otc_sdk"])
}

#[test]
fn otc_commands() -> Result<()> {
    without_data_plane(&["otc_commands"])
}

#[test]
fn otc_shipped() -> Result<()> {
    without_data_plane(&["otc_shipped", "--pyargs", SHIPPED])
}

#[test]
fn document() -> Result<()> {
    without_data_plane(&["document"])
}

fn without_data_plane(what: &[&str]) -> Result<()> {
    pytest::run(&World::start_without_data_plane()?, what, json!({}))
}

//! Quotas of a project, set by the operator.

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::cli::number_at;
use vpcep_tests::tenant::endpoint_create;
use vpcep_tests::{Offer, World};

crate::scenarios!(creating_beyond_a_quota_is_refused);

const QUOTA_EXCEEDED: &str = "EndPoint.1018";

fn creating_beyond_a_quota_is_refused(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    account.set_quota("endpoint_service=1")?;
    account.set_quota("endpoint=2")?;

    let service = account.offer(&servers, Offer { name: "one", ports: &["80:80"], approval: false })?;
    let second = account.offer(&servers, Offer { name: "two", ports: &["81:81"], approval: false });
    let refusal = second.map(|_| "a second service was made".to_owned()).unwrap_or_else(|e| format!("{e:#}"));
    ensure!(refusal.contains(QUOTA_EXCEEDED), "{refusal}");

    let first = account.connect(&clients, &service, &[])?;
    account.connect(&clients, &service, &[])?;
    account.cli.refused(&endpoint_create(&clients, &service), QUOTA_EXCEEDED)?;
    let shown = account.cli.json(&["quota", "show"])?;
    let rows = shown["resources"].as_array().with_context(|| format!("no quotas in {shown}"))?;
    let endpoints = rows.iter().find(|row| row["type"] == "endpoint");
    let endpoints = endpoints.with_context(|| format!("no quota of endpoints in {shown}"))?;
    ensure!((number_at(endpoints, "/used")?, number_at(endpoints, "/quota")?) == (2, 2), "{endpoints}");

    account.cli.json(&["endpoint", "delete", &first.id, "--wait"])?;
    account.connect(&clients, &service, &[])?;
    Ok(())
}

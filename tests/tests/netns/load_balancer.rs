//! A load balancer with weighted members behind one endpoint.

use anyhow::{Result, ensure};
use vpcep_tests::{Nginx, World};

crate::scenarios!(members_share_connections_by_weight);

/// Connections to make; with weights 3 : 1 the light member's share has a
/// standard deviation of 5.5.
const CONNECTIONS: usize = 160;

/// Five standard deviations around the expected 40.
const LIGHT_SHARE: std::ops::RangeInclusive<usize> = 13..=67;

fn members_share_connections_by_weight(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10", "192.168.24.11"])?;
    let _nginx = Nginx::start("web", &servers.host, &[80], world.directory())?;
    let cli = &account.cli;
    let members = ["--member", "192.168.24.10:80,weight=3", "--member", "192.168.24.11:80,weight=1"];
    let balancer = ["--vpc", &servers.id, "--type", "lb", "--address", "192.168.24.100"];
    let backend = cli.text(&[&["backend", "create", "lb"], &balancer[..], &members[..]].concat(), "id")?;
    let what =
        ["--vpc", &servers.id, "--backend", &backend, "--port", "80:80", "--approval", "off", "--wait"];
    let service = cli.json(&[&["service", "create"], &what[..]].concat())?;
    let service = vpcep_tests::Service {
        id: vpcep_tests::cli::text_field(&service, "id")?,
        full_name: vpcep_tests::cli::text_field(&service, "service_name")?,
    };
    let endpoint = account.connect(&clients, &service, &[])?;
    let url = format!("http://{}/", account.await_address(&endpoint)?);

    let mut light = 0;
    for _ in 0..CONNECTIONS {
        let fetched = clients.host.curl(&[&url])?;
        match fetched.body.as_str() {
            "web at 192.168.24.10\n" => {}
            "web at 192.168.24.11\n" => light += 1,
            _ => anyhow::bail!("{fetched:?}"),
        }
    }
    ensure!(LIGHT_SHARE.contains(&light), "the member of weight 1 of 4 got {light} of {CONNECTIONS}");
    Ok(())
}

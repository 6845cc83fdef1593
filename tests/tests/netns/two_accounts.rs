//! Two accounts: refused, whitelisted, waiting, accepted, rejected, accepted.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use vpcep_tests::tenant::endpoint_create;
use vpcep_tests::{Nginx, Offer, World};

crate::scenarios!(provider_decides_who_connects, reject_cuts_a_running_download, deleting_ends_connections);

/// The API's code for a caller who is not on the whitelist.
const NOT_WHITELISTED: &str = "EndPoint.2012";

/// The most that may pass between the provider's word and the end of traffic.
const AT_ONCE: Duration = Duration::from_secs(2);

fn provider_decides_who_connects(world: &mut World) -> Result<()> {
    let provider = world.tenant("provider")?;
    let consumer = world.tenant("consumer")?;
    let servers = world.provider_vpc(&provider, "servers", &["10.0.0.10"])?;
    let clients = world.vpc(&consumer, "clients", &["10.0.0.182"])?;
    let _nginx = Nginx::start("web", &servers.host, &[8080], world.directory())?;
    let service = provider.offer(&servers, Offer { name: "web", ports: &["80:8080"], approval: true })?;

    consumer.cli.refused(&endpoint_create(&clients, &service), NOT_WHITELISTED)?;

    provider.allow(&service, &consumer)?;
    let endpoint = consumer.connect(&clients, &service, &["--ip", "10.0.0.100"])?;
    consumer.await_status(&endpoint, "pendingAcceptance")?;
    let waiting = clients.host.curl(&["http://10.0.0.100/"])?;
    ensure!(!waiting.is_ok(), "traffic flows before the accept: {waiting:?}");

    provider.accept(&service, &endpoint)?;
    let address = consumer.await_address(&endpoint)?;
    let url = format!("http://{address}/");
    let accepted = clients.host.curl(&[&url])?;
    ensure!(accepted.body == "web at 10.0.0.10\n", "{accepted:?}");

    provider.reject(&service, &endpoint)?;
    consumer.await_status(&endpoint, "rejected")?;
    let rejected = clients.host.curl(&[&url])?;
    ensure!(!rejected.is_ok(), "traffic flows after the reject: {rejected:?}");

    provider.accept(&service, &endpoint)?;
    let same_address = consumer.await_address(&endpoint)?;
    ensure!(same_address == address, "the address was {address}, now it is {same_address}");
    let again = clients.host.curl(&[&url])?;
    ensure!(again.is_ok(), "{again:?}");

    // Taking the account off the whitelist stops new endpoints only.
    let permission = format!("iam:domain::{}", consumer.domain_id);
    provider.cli.json(&["service", "disallow", &service.id, &permission])?;
    ensure!(clients.host.curl(&[&url])?.is_ok(), "the existing endpoint was cut by the whitelist");
    consumer.cli.refused(&endpoint_create(&clients, &service), NOT_WHITELISTED)?;
    Ok(())
}

fn reject_cuts_a_running_download(world: &mut World) -> Result<()> {
    let provider = world.tenant("provider")?;
    let consumer = world.tenant("consumer")?;
    let servers = world.provider_vpc(&provider, "servers", &["10.0.0.10"])?;
    let clients = world.vpc(&consumer, "clients", &["10.0.0.182"])?;
    let _nginx = Nginx::start("web", &servers.host, &[8080], world.directory())?;
    let service = provider.offer(&servers, Offer { name: "web", ports: &["80:8080"], approval: true })?;
    provider.allow(&service, &consumer)?;
    let endpoint = consumer.connect(&clients, &service, &[])?;
    provider.accept(&service, &endpoint)?;
    let address = consumer.await_address(&endpoint)?;

    let file = world.directory().join("download");
    let mut download = clients.host.download(&format!("http://{address}/slow/file"), &file)?;
    vpcep_tests::wait_until("the download runs", Duration::from_secs(5), || {
        Ok(file.metadata().is_ok_and(|metadata| metadata.len() > 1 << 20))
    })?;

    let rejected_at = Instant::now();
    provider.reject(&service, &endpoint)?;
    let status = download.wait(AT_ONCE)?;
    ensure!(!status.success(), "the download ended well in spite of the reject");
    println!("cut after {:?}: {}", rejected_at.elapsed(), download.log_tail());
    Ok(())
}

fn deleting_ends_connections(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let servers = world.provider_vpc(&account, "servers", &["10.0.0.10"])?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let _nginx = Nginx::start("web", &servers.host, &[8080], world.directory())?;
    let service = account.offer(&servers, Offer { name: "web", ports: &["80:8080"], approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;

    // A service in use cannot be deleted, and saying so must not hurt it.
    account.cli.refused(&["service", "delete", &service.id], "EndPoint.3006")?;

    let file = world.directory().join("download");
    let mut download = clients.host.download(&format!("http://{address}/slow/file"), &file)?;
    vpcep_tests::wait_until("the download runs", Duration::from_secs(5), || {
        Ok(file.metadata().is_ok_and(|metadata| metadata.len() > 1 << 20))
    })?;
    account.cli.json(&["endpoint", "delete", &endpoint.id])?;
    let status = download.wait(AT_ONCE)?;
    ensure!(!status.success(), "the download ended well though its endpoint is deleted");
    Ok(())
}

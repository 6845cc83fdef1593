//! What happens to connections is told: to who listens, and in the flow log.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use vpcep_tests::cli::number_at;
use vpcep_tests::{Cli, Endpoint, Nginx, Offer, Process, Service, Tenant, Vpc, World, wait_until};

crate::scenarios!(a_connection_is_seen_to_open_and_to_close, what_happens_without_vpcepd_is_told_later);

/// Closed connections are forgotten a second later, and seen by the next sweep.
const SOON: Duration = Duration::from_secs(10);

/// The most that a monitor may live on without vpcepd.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A server behind an endpoint.
struct Stage {
    account: Tenant,
    clients: Vpc,
    servers: Vpc,
    service: Service,
    endpoint: Endpoint,
    address: String,
    _nginx: Nginx,
}

fn stage(world: &mut World) -> Result<Stage> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let nginx = Nginx::start("web", &servers.host, &[8080], world.directory())?;
    let service = account.offer(&servers, Offer { name: "web", ports: &["80:8080"], approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = account.await_address(&endpoint)?;
    Ok(Stage { account, clients, servers, service, endpoint, address, _nginx: nginx })
}

fn a_connection_is_seen_to_open_and_to_close(world: &mut World) -> Result<()> {
    let log = keep_flow_log(world)?;
    let Stage { account, clients, servers, service, endpoint, address, _nginx } = stage(world)?;

    let output = world.directory().join("monitor.log");
    let arguments = ["monitor", "--endpoint", &endpoint.id, "--event", "opened,closed", "--count", "2"];
    let mut monitor = Process::spawn("monitor", &mut account.cli.command(&arguments), &output)?;
    await_listeners(&world.operator()?, 1)?;
    let answer = clients.host.curl(&[&format!("http://{address}/")])?;
    ensure!(answer.is_ok(), "{answer:?}");
    let refused = clients.host.curl(&[&format!("http://{address}:81/")])?;
    ensure!(!refused.is_ok(), "a port that is not mapped answers: {refused:?}");
    let status = monitor.wait(SOON)?;
    ensure!(status.success(), "monitor: {status}\n{}", monitor.log_tail());

    let [opened, closed] = events_in(&output)?.try_into().ok().context("two events were asked for")?;
    for (event, what) in [(&opened, "opened"), (&closed, "closed")] {
        for (field, value) in [
            ("event", what),
            ("endpoint_id", &endpoint.id),
            ("endpoint_service_id", &service.id),
            ("vpc_id", &clients.id),
            ("provider_vpc_id", &servers.id),
            ("protocol", "TCP"),
            ("client", "10.0.0.182"),
            ("endpoint_address", &address),
            ("backend", "192.168.24.10"),
        ] {
            ensure!(event[field] == value, "{field} should be {value}: {event:#}");
        }
        ensure!(event["endpoint_port"] == 80 && event["backend_port"] == 8080, "{event:#}");
    }
    ensure!(opened["client_port"] == closed["client_port"], "{opened:#}{closed:#}");
    ensure!(closed["reason"] == "closed", "{closed:#}");
    let stats = account.stats(&endpoint)?;
    for (event, counter) in [("/bytes_out", "/bytes/out"), ("/bytes_in", "/bytes/in")] {
        ensure!(number_at(&closed, event)? == number_at(&stats, counter)?, "{closed:#}{stats:#}");
    }

    let logged = |wanted: &'static str, reason: Value| {
        let is_it = move |event: &Value| event["event"] == wanted && event["reason"] == reason;
        wait_until(&format!("the flow log has a connection {wanted}"), SOON, || {
            Ok(events_in(&log)?.iter().any(&is_it))
        })
    };
    logged("opened", Value::Null)?;
    logged("closed", "closed".into())?;
    logged("refused", "port_not_mapped".into())
}

fn what_happens_without_vpcepd_is_told_later(world: &mut World) -> Result<()> {
    let log = keep_flow_log(world)?;
    let Stage { account, clients, address, _nginx, .. } = stage(world)?;

    let output = world.directory().join("monitor.log");
    let mut monitor = Process::spawn("monitor", &mut account.cli.command(&["monitor"]), &output)?;
    await_listeners(&world.operator()?, 1)?;
    world.daemon.stop()?;
    let status = monitor.wait(AT_ONCE)?;
    ensure!(status.success(), "monitor: {status}\n{}", monitor.log_tail());

    ensure!(of_sessions(&log)?.is_empty(), "nobody has connected yet");
    ensure!(clients.host.curl(&[&format!("http://{address}/")])?.is_ok(), "no answer without vpcepd");
    world.daemon.start()?;
    wait_until("the flow log has what happened meanwhile", SOON, || {
        Ok(of_sessions(&log)? == ["opened", "closed"])
    })
}

/// Has vpcepd keep a flow log, which needs a start; answers where it is.
fn keep_flow_log(world: &mut World) -> Result<std::path::PathBuf> {
    let log = world.directory().join("flow.log");
    world.daemon.stop()?;
    world.daemon.set("--flow-log", log.clone());
    world.daemon.start()?;
    Ok(log)
}

fn await_listeners(operator: &Cli, count: u64) -> Result<()> {
    wait_until(&format!("{count} listen"), SOON, || {
        Ok(number_at(&operator.json(&["status"])?, "/events/listeners")? == count)
    })
}

/// Which events of sessions a flow log has. Refusals of what hosts send by themselves are not
/// counted.
fn of_sessions(log: &Path) -> Result<Vec<Value>> {
    let kinds = events_in(log)?.into_iter().map(|event| event["event"].clone());
    Ok(kinds.filter(|kind| kind != "refused").collect())
}

/// The events in a file; other lines are what a program says besides.
fn events_in(file: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).with_context(|| format!("no event: {line}"))).collect()
}

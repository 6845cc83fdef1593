//! How fast the API is with ten thousand services and fifty thousand endpoints:
//! start, lists, signed reads, durable creations, memory. vpcepd has one
//! processor, the callers another; there is no data plane.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use vpcep_tests::cli::text_field;
use vpcep_tests::process::Process;
use vpcep_tests::wait::wait_until;
use vpcep_tests::{Cli, world};

use crate::caller::{Caller, Key};
use crate::report::{Table, median};

const ACCOUNTS: usize = 500;
const SERVICES_EACH: usize = 20;
const ENDPOINTS_EACH: usize = 100;
/// Callers at once when the rate is measured.
const CALLERS: usize = 32;
const READS: usize = 20_000;
const CREATIONS: usize = 3_000;
const PAGES: usize = 200;
const ROUNDS: usize = 5;
const START_WITHIN: Duration = Duration::from_secs(60);

/// A vpcepd on a processor of its own.
struct Server {
    process: Process,
    address: SocketAddr,
}

impl Server {
    /// Starts it and answers how long it took until the first request was answered.
    fn start(directory: &Path) -> Result<(Self, f64)> {
        let address = free_address()?;
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", "0"]).arg(world::program("vpcepd")?);
        command.args(["--datapath", "none", "--log", "warn", "--listen", &address.to_string()]);
        command.arg("--state-dir").arg(directory.join("state")).arg("--run-dir").arg(directory.join("run"));
        let began = Instant::now();
        let process = Process::spawn("vpcepd", &mut command, &directory.join("vpcepd.log"))?;
        wait_until("vpcepd answers", START_WITHIN, || Ok(Caller::connect(address).is_ok()))
            .with_context(|| process.log_tail())?;
        Ok((Self { process, address }, began.elapsed().as_secs_f64()))
    }

    /// Memory that is its own, MB: now, and at most so far.
    fn memory(&self) -> Result<(f64, f64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.pid()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
            kib.map(|kib| kib * 1024.0 / 1e6).with_context(|| format!("no {name} in the process's status"))
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }
}

/// An address on loopback that nobody listens on.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Measures and fills two tables: lists, and all else.
pub fn run() -> Result<[Table; 2]> {
    let directory = tempfile::tempdir()?;
    let (server, _) = Server::start(directory.path())?;
    let operator = Cli::new(&directory.path().join("run/vpcepd.sock"))?;
    operator.json(&["quota", "set", "endpoint=1000000", "endpoint_service=1000000"])?;
    let keys = (0..ACCOUNTS).map(|n| account(&operator, n)).collect::<Result<Vec<_>>>()?;
    let began = Instant::now();
    at_once(server.address, ACCOUNTS, |caller, n| populate(caller, &keys[n]))?;
    let filled = (ACCOUNTS * (3 + SERVICES_EACH + ENDPOINTS_EACH)) as f64 / began.elapsed().as_secs_f64();

    let mut starts = Vec::new();
    let mut server = server;
    for _ in 0..ROUNDS {
        server.process.terminate(Duration::from_secs(10))?;
        let (again, took) = Server::start(directory.path())?;
        server = again;
        starts.push(took);
    }
    let mut caller = Caller::connect(server.address)?;
    let everything = Key { project: "-".into(), ..operators_key(&operator)? };
    let (own, all) = (&keys[0], &everything);
    let pages = lists(&mut caller, own, all)?;
    let service = caller.call(own, "GET", "/vpc-endpoint-services", "limit=1", "")?;
    let service = text_field(&service["endpoint_services"][0], "id")?;
    let path = format!("/vpc-endpoint-services/{service}");
    let reads = rate(server.address, READS, |caller, _| caller.call(own, "GET", &path, "", "").map(drop))?;
    let subnet = caller.call(own, "GET", "/subnets", "", "")?["subnets"][0].clone();
    let body = endpoint_body(&service, &text_field(&subnet, "vpc_id")?, &text_field(&subnet, "id")?);
    let creations = rate(server.address, CREATIONS, |caller, _| {
        caller.call(own, "POST", "/vpc-endpoints", "", &body).map(drop)
    })?;
    let (now, most) = server.memory()?;

    let mut table = Table::new(
        "API with 10 000 services and 50 000 endpoints, vpcepd on one processor",
        &["start, s", "signed GET/s", "durable creations/s", "filling, creations/s", "memory now / most, MB"],
    );
    table.row(vec![
        format!("{:.2}", median(starts)),
        format!("{reads:.0}"),
        format!("{creations:.0}"),
        format!("{filled:.0}"),
        format!("{now:.0} / {most:.0}"),
    ]);
    Ok([table, pages])
}

/// How long a page of different lists takes: one account's, and the operator's.
fn lists(caller: &mut Caller, own: &Key, all: &Key) -> Result<Table> {
    let mut pages = Table::new("Lists of the API, with the same", &["page of 100", "median, ms"]);
    let vpc = text_field(&caller.call(own, "GET", "/vpcs", "", "")?["vpcs"][0], "id")?;
    for (what, key, path, query) in [
        ("endpoints of one project", own, "/vpc-endpoints", ""),
        ("endpoints of all projects", all, "/vpc-endpoints", ""),
        ("the same, from 40 000", all, "/vpc-endpoints", "&offset=40000"),
        ("the same, by time of change", all, "/vpc-endpoints", "&sort_key=updated_at"),
        ("the same, one VPC's", all, "/vpc-endpoints", &format!("&vpc_id={vpc}")),
        ("the same, by name of service", all, "/vpc-endpoints", "&endpoint_service_name=s7"),
        ("services of all projects", all, "/vpc-endpoint-services", ""),
        ("the same, by name", all, "/vpc-endpoint-services", "&endpoint_service_name=s7"),
    ] {
        let query = signed_query(&format!("limit=100{query}"));
        let samples = (0..PAGES).map(|_| {
            let began = Instant::now();
            let answer = caller.call(key, "GET", path, &query, "")?;
            ensure!(answer["total_count"].as_u64() > Some(0), "an empty page: {answer}");
            Ok(began.elapsed().as_secs_f64() * 1e3)
        });
        let median = median(samples.collect::<Result<_>>()?);
        pages.row(vec![what.into(), format!("{median:.2}")]);
    }
    Ok(pages)
}

/// The query as the signature has it: sorted by name.
fn signed_query(query: &str) -> String {
    let mut parts: Vec<&str> = query.split('&').collect();
    parts.sort_unstable();
    parts.join("&")
}

/// Calls `work` for 0 to `count`, by several callers at once.
fn at_once(
    address: SocketAddr,
    count: usize,
    work: impl Fn(&mut Caller, usize) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let calls = || {
        let mut caller = Caller::connect(address)?;
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                n if n < count => work(&mut caller, n)?,
                _ => return Ok(()),
            }
        }
    };
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(calls)).collect();
        callers.into_iter().try_for_each(|caller| caller.join().expect("callers do not panic"))
    })
}

/// Calls a second.
fn rate(
    address: SocketAddr,
    count: usize,
    work: impl Fn(&mut Caller, usize) -> Result<()> + Sync,
) -> Result<f64> {
    let began = Instant::now();
    at_once(address, count, work)?;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

fn account(operator: &Cli, n: usize) -> Result<Key> {
    let account = operator.json(&["account", "create", &format!("account{n}")])?;
    Ok(Key {
        access: text_field(&account, "access_key")?,
        secret: text_field(&account, "secret_key")?,
        project: text_field(&account, "project_id")?,
    })
}

/// A key of a user who is the operator.
fn operators_key(operator: &Cli) -> Result<Key> {
    let user = operator.json(&["user", "create", "bench", "--role", "operator"])?;
    let key = operator.json(&["key", "create", "--user", &text_field(&user, "id")?])?;
    Ok(Key { access: text_field(&key, "access")?, secret: text_field(&key, "secret")?, project: "-".into() })
}

fn endpoint_body(service: &str, vpc: &str, subnet: &str) -> String {
    json!({"endpoint_service_id": service, "vpc_id": vpc, "subnet_id": subnet}).to_string()
}

/// One account's network, services and endpoints of its own services.
fn populate(caller: &mut Caller, key: &Key) -> Result<()> {
    let mut post = |path: &str, body: &str| caller.call(key, "POST", path, "", body);
    let vpc = post("/vpcs", &json!({"vpc": {"name": "net", "cidr": "10.0.0.0/16"}}).to_string())?;
    let vpc = text_field(&vpc["vpc"], "id")?;
    let subnet = json!({"subnet": {"name": "net", "cidr": "10.0.0.0/16", "vpc_id": vpc}});
    let subnet = text_field(&post("/subnets", &subnet.to_string())?["subnet"], "id")?;
    let backend = json!({"backend": {"name": "web", "vpc_id": vpc, "type": "VM", "address": "10.0.0.9"}});
    let backend = text_field(&post("/backends", &backend.to_string())?["backend"], "id")?;
    for n in 0..SERVICES_EACH {
        let service = json!({
            "port_id": backend, "vpc_id": vpc, "server_type": "VM", "service_name": format!("s{n}"),
            "ports": [{"client_port": 80, "server_port": 8000 + n}],
        });
        let service = text_field(&post("/vpc-endpoint-services", &service.to_string())?, "id")?;
        let endpoint = endpoint_body(&service, &vpc, &subnet);
        for _ in 0..ENDPOINTS_EACH / SERVICES_EACH {
            post("/vpc-endpoints", &endpoint)?;
        }
    }
    Ok(())
}

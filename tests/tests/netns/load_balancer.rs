//! Load balancers: shares of connections, and members that go down, come back and are
//! drained.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use vpcep_tests::cli::text_field;
use vpcep_tests::{Cli, Endpoint, Nginx, Service, Tenant, Vpc, World, wait_until};

crate::scenarios!(members_share_connections_by_weight, members_go_down_come_back_and_are_drained);

/// Interval and thresholds of the checks here are one or two seconds; the rest is for a
/// slow machine.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(15);

/// Offers a load balancer over `members` in `servers` at port 80 and connects `clients`
/// to it.
fn balance(
    account: &Tenant,
    servers: &Vpc,
    clients: &Vpc,
    members: &[&str],
    extra: &[&str],
) -> Result<(String, Endpoint)> {
    let cli = &account.cli;
    let mut arguments =
        vec!["backend", "create", "lb", "--vpc", &servers.id, "--type", "lb", "--address", "192.168.24.100"];
    for member in members {
        arguments.extend(["--member", member]);
    }
    arguments.extend(extra);
    let backend = cli.text(&arguments, "id")?;
    let what =
        ["--vpc", &servers.id, "--backend", &backend, "--port", "80:80", "--approval", "off", "--wait"];
    let service = cli.json(&[&["service", "create"], &what[..]].concat())?;
    let full_name = text_field(&service, "service_name")?;
    let service = Service { id: text_field(&service, "id")?, full_name };
    Ok((backend, account.connect(clients, &service, &[])?))
}

/// Who answers `count` requests, and how often.
fn shares(clients: &Vpc, address: &str, count: usize) -> Result<BTreeMap<String, usize>> {
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        let fetched = clients.host.curl(&[&format!("http://{address}/")])?;
        ensure!(fetched.is_ok(), "{fetched:?}");
        *shares.entry(fetched.body.trim().to_owned()).or_default() += 1;
    }
    Ok(shares)
}

fn members_share_connections_by_weight(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10", "192.168.24.11"])?;
    let _nginx = Nginx::start("web", &servers.host, &[80], world.directory())?;
    let members = ["192.168.24.10:80,weight=3", "192.168.24.11:80,weight=1"];
    let (backend, endpoint) = balance(&account, &servers, &clients, &members, &[])?;
    let address = account.await_address(&endpoint)?;
    let by_weight = shares(&clients, &address, 40)?;
    let expected = [("web at 192.168.24.10".to_owned(), 30), ("web at 192.168.24.11".to_owned(), 10)];
    ensure!(by_weight == expected.into(), "weights 3 and 1: {by_weight:?}");

    account.cli.json(&["backend", "update", &backend, "--algorithm", "source_hash"])?;
    let by_client = shares(&clients, &address, 20)?;
    ensure!(by_client.len() == 1, "one client has one member: {by_client:?}");
    Ok(())
}

/// Two providers with one and the same range and load balancer, so that a check which
/// ended up in the wrong VPC would show.
fn members_go_down_come_back_and_are_drained(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let alpha = Pool::start(world, &account, &clients, "alpha")?;
    let beta = Pool::start(world, &account, &clients, "beta")?;
    let evenly = shares(&clients, &alpha.address, 9)?;
    ensure!(evenly.len() == 3 && evenly.values().all(|count| *count == 3), "{evenly:?}");

    stopped_and_started(world, &clients, alpha, &beta)
        .and_then(|alpha| drained_and_activated(&clients, alpha))
        .and_then(|alpha| all_down(&clients, alpha, &beta))
}

/// A server stops: new connections go to the others. The other VPC's is none the worse.
fn stopped_and_started(world: &World, clients: &Vpc, mut pool: Pool, other: &Pool) -> Result<Pool> {
    pool.servers[1] = None;
    pool.await_states(["active", "down", "active"])?;
    let shown = pool.show()?;
    ensure!(shown["members"][1]["last_error"] == "refused a connection to port 80", "{shown}");
    let rest = shares(clients, &pool.address, 6)?;
    ensure!(rest.len() == 2 && !rest.contains_key(&pool.body(1)), "{rest:?}");
    other.await_states(["active"; 3])?;
    ensure!(shares(clients, &other.address, 3)?.len() == 3, "equal ranges do not mix");

    pool.servers[1] = Some(pool.server(1, world)?);
    pool.await_states(["active"; 3])?;
    ensure!(shares(clients, &pool.address, 3)?.len() == 3, "it gets connections again");
    Ok(pool)
}

/// A drained member keeps its connection and gets no new one.
fn drained_and_activated(clients: &Vpc, pool: Pool) -> Result<Pool> {
    let address = format!("{}:80", pool.address);
    let connect = || -> Result<(TcpStream, String)> {
        let mut stream = clients.host.netns.inside(|| Ok(TcpStream::connect(&address)?))?;
        let body = ask(&mut stream)?;
        Ok((stream, body))
    };
    // The members come in turn.
    let connections: Vec<_> = (0..3).map(|_| connect()).collect::<Result<_>>()?;
    let of_first = connections.into_iter().find(|(_, body)| *body == pool.body(0));
    let (mut open, _) = of_first.context("no connection to the first member")?;

    pool.cli.json(&["backend", "member", "drain", &pool.backend, &pool.member(0)])?;
    pool.await_states(["draining", "active", "active"])?;
    let rest = shares(clients, &pool.address, 6)?;
    ensure!(rest.len() == 2 && !rest.contains_key(&pool.body(0)), "{rest:?}");
    ensure!(ask(&mut open)? == pool.body(0), "the open connection goes on");

    pool.cli.json(&["backend", "member", "activate", &pool.backend, &pool.member(0)])?;
    pool.await_states(["active"; 3])?;
    ensure!(shares(clients, &pool.address, 3)?.len() == 3, "it gets connections again");
    Ok(pool)
}

/// Nobody is left: clients are refused, and told why when they ask.
fn all_down(clients: &Vpc, mut pool: Pool, other: &Pool) -> Result<()> {
    const CONNECTION_REFUSED: Option<i32> = Some(7);
    pool.servers.iter_mut().for_each(|server| *server = None);
    pool.await_states(["down"; 3])?;
    let refused = clients.host.curl(&[&format!("http://{}/", pool.address)])?;
    ensure!(refused.exit_code == CONNECTION_REFUSED, "{refused:?}");
    let endpoint = format!("{}:80", pool.address);
    let question = ["explain", "--vpc", &clients.id, "--client", "10.0.0.182", "--endpoint", &endpoint];
    let answer = pool.cli.json(&question)?;
    ensure!(answer["stopped_by"] == "members", "{answer}");
    let summary = text_field(&answer, "summary")?;
    ensure!(
        summary.contains("all 3 members are down or draining")
            && summary.contains("192.168.24.10:80 down, last error: refused a connection to port 80"),
        "{summary}"
    );
    ensure!(shares(clients, &other.address, 3)?.len() == 3, "equal ranges do not mix");
    Ok(())
}

const SERVERS: [&str; 3] = ["192.168.24.10", "192.168.24.11", "192.168.24.12"];

/// Three servers behind a load balancer, and an endpoint that leads there.
struct Pool {
    name: &'static str,
    vpc: Vpc,
    servers: [Option<Nginx>; 3],
    backend: String,
    /// Of the endpoint.
    address: String,
    cli: Cli,
}

impl Pool {
    fn start(world: &mut World, account: &Tenant, clients: &Vpc, name: &'static str) -> Result<Self> {
        let vpc = world.provider_vpc(account, name, &SERVERS)?;
        let members = SERVERS.map(|address| format!("{address}:80"));
        let check = ["--health-check", "http/", "--interval", "1", "--healthy", "2", "--unhealthy", "2"];
        let (backend, endpoint) =
            balance(account, &vpc, clients, &members.each_ref().map(String::as_str), &check)?;
        let address = account.await_address(&endpoint)?;
        let cli = account.cli.clone();
        let mut pool = Self { name, vpc, servers: [const { None }; 3], backend, address, cli };
        for i in 0..3 {
            pool.servers[i] = Some(pool.server(i, world)?);
        }
        pool.await_states(["active"; 3])?;
        Ok(pool)
    }

    fn server(&self, i: usize, world: &World) -> Result<Nginx> {
        Nginx::start_at(self.name, &self.vpc.host, &self.member(i), world.directory())
    }

    fn member(&self, i: usize) -> String {
        format!("{}:80", SERVERS[i])
    }

    /// What a member answers.
    fn body(&self, i: usize) -> String {
        format!("{} at {}", self.name, SERVERS[i])
    }

    fn show(&self) -> Result<Value> {
        self.cli.json(&["backend", "show", &self.backend])
    }

    /// Waits until the members have these states.
    fn await_states(&self, states: [&str; 3]) -> Result<()> {
        let mut shown = Value::Null;
        let waited = wait_until(&format!("members of {} are {states:?}", self.name), HEALTH_TIMEOUT, || {
            shown = self.show()?;
            Ok((0..3).all(|i| shown["members"][i]["state"] == states[i]))
        });
        waited.with_context(|| format!("last seen: {shown}"))
    }
}

/// Asks who is there, over a connection that stays open.
fn ask(stream: &mut TcpStream) -> Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lb\r\n\r\n")?;
    let mut answer = String::new();
    let mut piece = [0; 1024];
    // The body is one line, and the head has none like it.
    while !answer.ends_with("\n") || answer.ends_with("\r\n") {
        let len = stream.read(&mut piece).context("the server does not answer")?;
        ensure!(len > 0, "the server ended the connection: {answer:?}");
        answer.push_str(std::str::from_utf8(&piece[..len])?);
    }
    Ok(answer.lines().last().unwrap_or_default().to_owned())
}

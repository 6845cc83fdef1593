//! A story told to the model and to the server, step by step; after each step both
//! have to show the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::{Client, ENDPOINTS, SERVICES, World, id};
use super::look::{get, text};
use super::model::{BACKENDS, Model, QUOTAS};
use super::steps::{Account, Act, Caller, Step};
use super::view::Planned;

/// An account, and what it has from the beginning.
pub struct Tenant {
    pub client: Client,
    pub vpc: String,
    pub subnet: String,
    pub backends: Vec<String>,
}

/// See the module.
pub struct Player<'a> {
    world: &'a World,
    operator: Client,
    pub tenants: BTreeMap<Account, Tenant>,
    pub model: Model,
    /// Ids of the model's services and endpoints, by number.
    pub services: Vec<String>,
    pub endpoints: Vec<String>,
    /// Of endpoints by their names.
    pub markers: BTreeMap<String, u64>,
    /// The limit of connections that was set last.
    connections: u32,
}

/// Plays a story in a new world.
pub async fn play(story: &[Step]) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let world = World::open(dir.path());
    let mut player = Player::new(&world).await;
    for (number, step) in story.iter().enumerate() {
        player.step(step).await.with_context(|| format!("step {}, {step:?}", number + 1))?;
    }
    drop(player);
    world.close().await;
    Ok(())
}

impl<'a> Player<'a> {
    async fn new(world: &'a World) -> Self {
        let operator = world.operator();
        let [service, endpoint] = QUOTAS;
        let quotas = json!({"quotas": {"endpoint_service": service, "endpoint": endpoint}});
        operator.ok("PUT", "/operator/v1/quotas", quotas).await;
        let mut tenants = BTreeMap::new();
        for account in Account::BOTH {
            let client = world.account(&format!("{account:?}")).await;
            let vpc = client.vpc("10.0.0.0/24").await;
            let subnet = client.subnet(&vpc, "10.0.0.0/29").await;
            let mut backends = Vec::new();
            for address in BACKENDS {
                backends.push(client.backend(&vpc, &format!("10.0.0.{address}")).await);
            }
            tenants.insert(account, Tenant { client, vpc, subnet, backends });
        }
        let (services, endpoints) = (Vec::new(), Vec::new());
        Self {
            world,
            operator,
            tenants,
            model: Model::new(),
            services,
            endpoints,
            markers: BTreeMap::new(),
            connections: 3000,
        }
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Call(caller, act) => self.call(*caller, act, step).await?,
            Step::Break(label) | Step::Mend(label) => {
                let reason = matches!(step, Step::Break(_)).then_some("no room");
                if let Some(number) = self.model.endpoint(*label) {
                    self.world.datapath.fail_endpoint(self.endpoints[number].parse()?, reason);
                }
                self.model.play(step);
                // Any commit makes a pass, and only a pass finds out.
                self.connections += 1;
                let changed = json!({"quotas": {"connection": self.connections}});
                self.operator.ok("PUT", "/operator/v1/quotas", changed).await;
            }
        }
        self.operator.settle().await;
        self.compare().await
    }

    async fn call(&mut self, caller: Caller, act: &Act, step: &Step) -> Result<()> {
        let caller = self.model.caller(caller, act);
        let (method, path, body) = self.request(act);
        let why_not = self.model.play(step);
        let (status, answer) = self.client(caller).call(method, &path, body).await;
        if why_not.is_empty() {
            let expected = if act.has_no_answer() { 204 } else { 200 };
            ensure!(status == expected, "{caller:?} is refused: {status} {answer}");
            return self.done(caller, act, &answer);
        }
        let code = answer["error_code"].as_str().unwrap_or_default();
        ensure!(
            why_not.iter().any(|reason| reason.is_told_by(status, code)),
            "{caller:?} should be refused, {why_not:?}: {status} {answer}"
        );
        Ok(())
    }

    fn client(&self, caller: Caller) -> &Client {
        match caller {
            Caller::Account(account) => &self.tenants[&account].client,
            Caller::Owner | Caller::Operator => &self.operator,
        }
    }

    /// Takes note of a call that succeeded, and of what its answer says.
    fn done(&mut self, caller: Caller, act: &Act, answer: &Value) -> Result<()> {
        match act {
            Act::Offer { .. } => {
                self.services.push(id(answer));
                ensure!(answer["status"] == "creating", "shown as it was made: {answer}");
            }
            Act::Connect { .. } => {
                self.endpoints.push(id(answer));
                let made = self.model.endpoints.last().context("the model has made it")?;
                ensure!(answer["status"] == made.status_at_first(), "shown as it was made: {answer}");
                ensure!(answer["ip"].is_null(), "no address before the first acceptance: {answer}");
            }
            Act::Receive { endpoint, .. } | Act::Reject { endpoint, .. } => {
                let number = self.model.endpoint(*endpoint).context("the model has it")?;
                let status = self.model.endpoints[number].status();
                ensure!(answer["connections"][0]["status"] == status, "{status} is to be told: {answer}");
            }
            Act::LookUp { service } => {
                let number = self.model.service(*service).context("the model has it")?;
                ensure!(answer["id"] == self.services[number].as_str(), "another one is found: {answer}");
            }
            Act::Search { services, key, value } => {
                let accounts = Account::BOTH.into_iter().filter(|account| caller.may(*account));
                let tagged = |account| self.model.tagged(account, *services, key, value);
                let expected: BTreeSet<_> = accounts.flat_map(tagged).collect();
                let found = answer["resources"].as_array().context("what is found is a list")?.iter();
                let found = found.map(|row| self.name(&text(&row["resource_id"]))).collect();
                same("what is found", &found, &expected)?;
            }
            Act::Browse { whose } => {
                let count = self.model.view(*whose).endpoints.len();
                ensure!(answer["total_count"] == count, "there are {count}: {answer}");
            }
            _ => {}
        }
        Ok(())
    }

    async fn compare(&mut self) -> Result<()> {
        let [mut services, mut endpoints] = [0, 0];
        for account in Account::BOTH {
            let (seen, expected) = (self.look(account).await?, self.model.view(account));
            same(&format!("what {account:?} sees"), &seen, &expected)?;
            services += seen.services.len();
            endpoints += seen.endpoints.len();
        }
        for (path, count) in [(SERVICES, services), (ENDPOINTS, endpoints)] {
            let total = &get(&self.operator, path).await?["total_count"];
            ensure!(*total == count, "the operator sees {total} below {path}, the accounts {count}");
        }
        let markers: BTreeSet<_> = self.markers.values().collect();
        ensure!(markers.len() == self.markers.len(), "one marker for two: {:?}", self.markers);
        self.compare_plane()
    }

    fn compare_plane(&self) -> Result<()> {
        let desired = self.world.datapath.desired().endpoints;
        let places: BTreeSet<_> = desired.values().map(|endpoint| (endpoint.vpc, endpoint.address)).collect();
        ensure!(places.len() == desired.len(), "one address for two endpoints of a VPC: {desired:?}");
        let planned = desired.iter().map(|(id, endpoint)| {
            let planned = Planned {
                address: endpoint.address.map_or_else(String::new, |address| address.to_string()),
                is_accepted: endpoint.accepted,
                port: endpoint.ports[0].server_port,
                is_restricted: endpoint.whitelist.is_some(),
            };
            (self.name(&id.to_string()), planned)
        });
        same("the data plane", &planned.collect::<BTreeMap<_, _>>(), &self.model.plane())
    }
}

/// That two are the same; says which lines of their long forms differ.
fn same<T: Debug + PartialEq>(what: &str, seen: &T, expected: &T) -> Result<()> {
    let mut differences = String::new();
    if seen != expected {
        let (seen, expected) = (format!("{seen:#?}"), format!("{expected:#?}"));
        let only = |text: &str, other: &str, mark: char, differences: &mut String| {
            let other: BTreeSet<_> = other.lines().collect();
            for line in text.lines().filter(|line| !other.contains(line)) {
                let _ = writeln!(differences, "{mark} {line}");
            }
        };
        only(&seen, &expected, '+', &mut differences);
        only(&expected, &seen, '-', &mut differences);
        let _ = writeln!(differences, "should be {expected}");
    }
    ensure!(seen == expected, "{what} differs (+ is there, - should be):\n{differences}");
    Ok(())
}

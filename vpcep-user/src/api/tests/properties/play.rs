//! A story told to the model and to the server, step by step; after each step both
//! have to show the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::{Client, ENDPOINTS, SERVICES, World, id};
use super::model::{BACKENDS, Model, QUOTAS};
use super::steps::{Account, Act, Caller, Clients, Step, Whom};
use super::view::{EndpointView, Planned, ServiceView, View};

/// An id nothing has.
const NOWHERE: &str = "5d1c6a0e-3c2f-4b7e-9a55-0f6f5a1b2c3d";

/// An account, and what it has from the beginning.
struct Tenant {
    client: Client,
    vpc: String,
    subnet: String,
    backends: Vec<String>,
}

/// See the module.
struct Player<'a> {
    world: &'a World,
    operator: Client,
    tenants: BTreeMap<Account, Tenant>,
    model: Model,
    /// Ids of the model's services and endpoints, by number.
    services: Vec<String>,
    endpoints: Vec<String>,
    /// Of endpoints by their names.
    markers: BTreeMap<String, u64>,
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
        Self { world, operator, tenants, model: Model::new(), services, endpoints, markers: BTreeMap::new() }
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
                let unchanged = json!({"quotas": {"connection": 3000}});
                self.operator.ok("PUT", "/operator/v1/quotas", unchanged).await;
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
            let expected = if method == "DELETE" { 204 } else { 200 };
            ensure!(status == expected, "{caller:?} is refused: {status} {answer}");
            return self.done(act, &answer);
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

    fn request(&self, act: &Act) -> (&'static str, String, Value) {
        let named = |ids: &[String], number: Option<usize>| {
            number.map_or_else(|| NOWHERE.to_owned(), |number| ids[number].clone())
        };
        let service_id = |label| named(&self.services, self.model.service(label));
        let endpoint_id = |label| named(&self.endpoints, self.model.endpoint(label));
        let service = |label, rest: &str| format!("{SERVICES}/{}{rest}", service_id(label));
        let endpoint = |label| format!("{ENDPOINTS}/{}", endpoint_id(label));
        let ports = |port| json!([{"client_port": 80, "server_port": port}]);
        let permissions = |label, whom, action| {
            let body = json!({"permissions": [self.permission(whom)], "action": action});
            ("POST", service(label, "/permissions/action"), body)
        };
        let decision = |label, at, action| {
            let provider = named(&self.services, self.model.provider(label, at));
            let body = json!({"endpoints": [endpoint_id(label)], "action": action});
            ("POST", format!("{SERVICES}/{provider}/connections/action"), body)
        };
        match *act {
            Act::Offer { vpc, backend: (owner, number), port, approval, .. } => {
                let backend = &self.tenants[&owner].backends[usize::from(number)];
                let body = json!({
                    "vpc_id": self.tenants[&vpc].vpc, "port_id": backend, "server_type": "VM",
                    "approval_enabled": approval, "ports": ports(port),
                });
                ("POST", SERVICES.into(), body)
            }
            Act::Change { service: label, approval, port } => {
                let body = json!({"approval_enabled": approval, "ports": port.map(ports)});
                ("PUT", service(label, ""), body)
            }
            Act::Rename { service: label, name } => {
                ("PUT", service(label, "/name"), json!({"endpoint_service_name": name}))
            }
            Act::Withdraw { service: label } => ("DELETE", service(label, ""), Value::Null),
            Act::Permit { service, whom } => permissions(service, whom, "add"),
            Act::Forbid { service, whom } => permissions(service, whom, "remove"),
            Act::LookUp { service } => {
                ("GET", format!("{SERVICES}/describe?id={}", service_id(service)), Value::Null)
            }
            Act::Connect { service, vpc, address, .. } => {
                let tenant = &self.tenants[&vpc];
                let address = address.map(|address| format!("10.0.0.{address}"));
                let body = json!({
                    "endpoint_service_id": service_id(service), "vpc_id": tenant.vpc,
                    "subnet_id": tenant.subnet, "port_ip": address,
                });
                ("POST", ENDPOINTS.into(), body)
            }
            Act::Receive { endpoint, at } => decision(endpoint, at, "receive"),
            Act::Reject { endpoint, at } => decision(endpoint, at, "reject"),
            Act::Restrict { endpoint: label, clients } => {
                let whitelist = match clients {
                    Clients::All => &[],
                    Clients::Only(clients) => clients,
                    Clients::Nonsense => &["10.0.0.0/24", "10.0.0.0/33"][..],
                };
                let body = json!({"whitelist": whitelist, "enable_whitelist": clients != Clients::All});
                ("PUT", endpoint(label), body)
            }
            Act::Show { endpoint: label } => ("GET", endpoint(label), Value::Null),
            Act::Disconnect { endpoint: label } => ("DELETE", endpoint(label), Value::Null),
            Act::Browse { whose } => {
                let project = &self.tenants[&whose].client.project;
                ("GET", format!("/v1/{project}/vpc-endpoints"), Value::Null)
            }
            Act::Limit { account, services, endpoints } => {
                let quotas = json!({"endpoint_service": services, "endpoint": endpoints});
                let project = &self.tenants[&account].client.project;
                ("PUT", "/operator/v1/quotas".into(), json!({"project_id": project, "quotas": quotas}))
            }
        }
    }

    fn permission(&self, whom: Whom) -> String {
        let domain = |account: Account| &self.tenants[&account].client.domain;
        match whom {
            Whom::Account(account) => format!("iam:domain::{}", domain(account)),
            Whom::Capitals(account) => format!("iam:domain::{}", domain(account).to_uppercase()),
            Whom::Everyone => "*".into(),
            Whom::EveryDomain => "iam:domain::*".into(),
            Whom::Stranger => "iam:domain::nobody".into(),
            Whom::Nonsense => "iam:user::nobody".into(),
        }
    }

    /// Takes note of a call that succeeded, and of what its answer says.
    fn done(&mut self, act: &Act, answer: &Value) -> Result<()> {
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
                address: endpoint.address.to_string(),
                is_accepted: endpoint.accepted,
                port: endpoint.ports[0].server_port,
                is_restricted: endpoint.whitelist.is_some(),
            };
            (self.name(&id.to_string()), planned)
        });
        same("the data plane", &planned.collect::<BTreeMap<_, _>>(), &self.model.plane())
    }

    /// How something is called in the story; its id if it is not in it.
    fn name(&self, id: &str) -> String {
        let services = self.services.iter().zip(self.model.services.iter().map(|service| &service.name));
        let endpoints = self.endpoints.iter().zip(self.model.endpoints.iter().map(|endpoint| &endpoint.name));
        let mut known = services.chain(endpoints);
        known.find(|(known, _)| *known == id).map_or_else(|| id.to_owned(), |(_, name)| name.clone())
    }

    /// What an account sees of what is its own.
    async fn look(&mut self, account: Account) -> Result<View> {
        let client = self.tenants[&account].client.clone();
        let mut view = View::default();
        for row in rows(&client, SERVICES, "endpoint_services").await? {
            view.services.insert(self.name(&id(&row)), self.look_at_service(&client, &row).await?);
        }
        for row in rows(&client, ENDPOINTS, "endpoints").await? {
            let name = self.name(&id(&row));
            let marker = row["marker_id"].as_u64().context("a marker is a number")?;
            let known = *self.markers.entry(name.clone()).or_insert(marker);
            ensure!(known == marker, "the marker of {name} was {known}: {row}");
            view.endpoints.insert(name, self.endpoint_view(&row));
        }
        let quotas = get(&client, "/v1/{p}/quotas").await?;
        for row in quotas["quotas"]["resources"].as_array().context("quotas are a list")? {
            let number = |field: &str| row[field].as_u64().and_then(|number| usize::try_from(number).ok());
            view.quotas.push(number("used").zip(number("quota")).context("quotas are numbers")?);
        }
        Ok(view)
    }

    async fn look_at_service(&self, client: &Client, row: &Value) -> Result<ServiceView> {
        let path = |rest: &str| format!("{SERVICES}/{}/{rest}", id(row));
        let mut connections = BTreeMap::new();
        for row in rows(client, &path("connections"), "connections").await? {
            let owner = Account::BOTH.into_iter().find(|account| {
                let domain = &self.tenants[account].client.domain;
                row["domain_id"] == domain.as_str()
            });
            let owner = owner.map_or_else(|| text(&row["domain_id"]), |account| format!("{account:?}"));
            connections.insert(self.name(&id(&row)), (text(&row["status"]), owner));
        }
        let permissions = rows(client, &path("permissions"), "permissions").await?;
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        Ok(ServiceView {
            full_name: self.full_name(&row["service_name"]),
            status: text(&row["status"]),
            approval: row["approval_enabled"] == true,
            port: u16::try_from(number(&row["ports"][0]["server_port"]))?,
            permissions: permissions.iter().map(|row| self.whom(&row["permission"])).collect(),
            connection_count: usize::try_from(number(&row["connection_count"]))?,
            connections,
        })
    }

    fn whom(&self, permission: &Value) -> String {
        let accounts = Account::BOTH.into_iter();
        let of_accounts = accounts.flat_map(|account| [Whom::Account(account), Whom::Capitals(account)]);
        let mut all = of_accounts.chain([Whom::Everyone, Whom::EveryDomain, Whom::Stranger]);
        let known = all.find(|whom| *permission == self.permission(*whom));
        known.map_or_else(|| text(permission), |whom| format!("{whom:?}"))
    }

    /// A full name, with the name of the story for the id.
    fn full_name(&self, name: &Value) -> String {
        let name = text(name);
        let known = self.services.iter().find(|id| name.ends_with(*id));
        known.map_or_else(|| name.clone(), |id| name.replace(id, &self.name(id)))
    }

    fn endpoint_view(&self, row: &Value) -> EndpointView {
        let clients = || row["whitelist"].as_array().into_iter().flatten().map(text).collect();
        EndpointView {
            status: text(&row["status"]),
            address: row["ip"].as_str().map(Into::into),
            service: self.name(&text(&row["endpoint_service_id"])),
            service_name: self.full_name(&row["endpoint_service_name"]),
            clients: (row["enable_whitelist"] == true).then(clients),
            error: row["error"][0]["error_code"].as_str().map(Into::into),
        }
    }
}

async fn get(client: &Client, path: &str) -> Result<Value> {
    let (status, answer) = client.call("GET", path, Value::Null).await;
    ensure!(status == 200, "GET {path}: {status} {answer}");
    Ok(answer)
}

/// All rows of a list.
async fn rows(client: &Client, path: &str, list: &str) -> Result<Vec<Value>> {
    let answer = get(client, &format!("{path}?limit=500")).await?;
    let rows = answer[list].as_array().with_context(|| format!("{path} has no {list}"))?.clone();
    ensure!(answer["total_count"] == rows.len(), "the count of {path} is wrong: {answer}");
    Ok(rows)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}

/// That two are the same; says which lines of their long forms differ.
fn same<T: std::fmt::Debug + PartialEq>(what: &str, seen: &T, expected: &T) -> Result<()> {
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

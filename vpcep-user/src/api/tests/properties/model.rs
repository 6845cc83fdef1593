//! What should happen: the rules of the control plane once more, short and slow.
//!
//! Written from what the product promises, not from how the controller does it:
//! there are no transient states, no versions and no passes. A connection's status
//! is not kept but follows from what the provider last decided, from whether the
//! data plane can carry the endpoint, and from whether the service is still there.

use std::collections::{BTreeMap, BTreeSet};

use super::steps::{Account, Act, Caller, Clients, EndpointLabel, ServiceLabel, Step, TagSet, Thing, Whom};
use super::tags::{self, Tags};

/// Addresses of backends in the subnet 10.0.0.0/29 that each account has, last byte.
pub const BACKENDS: [u8; 2] = [2, 3];
/// Addresses hosts of the subnet may have, last byte.
const HOSTS: std::ops::RangeInclusive<u8> = 1..=6;
/// Services and endpoints an account may have before anybody says otherwise.
pub const QUOTAS: [usize; 2] = [3, 4];

/// Why a call is refused. Where several reasons are true, any may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not there, or not the caller's to see.
    NotThere,
    /// Somebody else's project, or the operator's business.
    Forbidden,
    NoVpc,
    NoBackend,
    PortClash,
    BadName,
    BadPermission,
    NoService,
    NotAdmitted,
    Quota,
    AddressTaken,
    AddressOutside,
    ServiceInUse,
    NotOfService,
    BadClients,
    BadTag,
    TooManyTags,
}

impl Refusal {
    /// Whether an answer says this.
    pub fn is_told_by(self, status: u16, code: &str) -> bool {
        let (expected, codes): (u16, &[&str]) = match self {
            Self::NotThere => (404, &["0005", "2006"]),
            Self::Forbidden => (403, &["0004"]),
            Self::NoVpc => (400, &["2001"]),
            Self::NoBackend => (400, &["3008"]),
            Self::PortClash => (400, &["3044"]),
            Self::BadName => (400, &["1003"]),
            Self::BadPermission => (400, &["3002"]),
            Self::NoService => (400, &["2003"]),
            Self::NotAdmitted => (400, &["2012"]),
            Self::Quota => (400, &["1018"]),
            Self::AddressTaken => (400, &["2042"]),
            Self::AddressOutside => (400, &["2043"]),
            Self::ServiceInUse => (400, &["3006"]),
            Self::NotOfService => (400, &["2013"]),
            Self::BadClients => (400, &["2044"]),
            Self::BadTag => (400, &["3068"]),
            Self::TooManyTags => (400, &["3069"]),
        };
        status == expected && codes.iter().any(|number| code == format!("EndPoint.{number}"))
    }
}

/// What the provider last said, or nothing yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Waiting,
    Accepted,
    Rejected,
}

pub struct Service {
    pub label: ServiceLabel,
    /// How it is called here: by its label, with a prime for each older one of that label.
    pub name: String,
    pub owner: Account,
    pub backend: (Account, u8),
    pub port: u16,
    pub approval: bool,
    pub title: &'static str,
    pub tags: Tags,
    pub permissions: Vec<Whom>,
    pub is_gone: bool,
}

pub struct Endpoint {
    pub label: EndpointLabel,
    pub name: String,
    pub owner: Account,
    /// Its service, by number.
    pub service: usize,
    pub address: u8,
    pub decision: Decision,
    pub is_broken: bool,
    pub was_accepted: bool,
    /// The full name of its service, which is gone.
    pub orphan_of: Option<String>,
    pub clients: Option<&'static [&'static str]>,
    pub tags: Tags,
    pub is_gone: bool,
}

/// See the module.
pub struct Model {
    /// In the order they were made, those that are gone too.
    pub services: Vec<Service>,
    pub endpoints: Vec<Endpoint>,
    pub quotas: BTreeMap<Account, [usize; 2]>,
}

impl Service {
    pub fn full_name(&self) -> String {
        let parts = ["eu", self.title, &self.name];
        parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(".")
    }

    fn admits(&self, consumer: Account) -> bool {
        let is_admitted = |whom: &Whom| [Whom::Everyone, Whom::Account(consumer)].contains(&whom.meaning());
        self.owner == consumer || self.permissions.iter().any(is_admitted)
    }
}

impl Whom {
    /// The same in the first of its spellings.
    fn meaning(self) -> Self {
        match self {
            Self::Capitals(account) => Self::Account(account),
            Self::EveryDomain => Self::Everyone,
            other => other,
        }
    }
}

impl Endpoint {
    pub fn status(&self) -> &'static str {
        match self.decision {
            _ if self.orphan_of.is_some() => "failed",
            Decision::Waiting => "pendingAcceptance",
            Decision::Rejected => "rejected",
            Decision::Accepted if self.is_broken => "failed",
            Decision::Accepted => "accepted",
        }
    }

    /// The status in the answer of its creation, which shows it as it was made.
    pub fn status_at_first(&self) -> &'static str {
        if self.decision == Decision::Waiting { "pendingAcceptance" } else { "creating" }
    }

    pub fn is_connected(&self) -> bool {
        !self.is_gone && self.status() == "accepted"
    }
}

impl Model {
    pub fn new() -> Self {
        let quotas = Account::BOTH.map(|account| (account, QUOTAS)).into();
        Self { services: Vec::new(), endpoints: Vec::new(), quotas }
    }

    /// The last service of a label, also one that is gone.
    pub fn service(&self, label: ServiceLabel) -> Option<usize> {
        self.services.iter().rposition(|service| service.label == label)
    }

    /// The last endpoint of a label, also one that is gone.
    pub fn endpoint(&self, label: EndpointLabel) -> Option<usize> {
        self.endpoints.iter().rposition(|endpoint| endpoint.label == label)
    }

    /// The service an act on a connection names; none where nobody knows it.
    pub fn provider(&self, endpoint: EndpointLabel, at: Option<ServiceLabel>) -> Option<usize> {
        match at {
            Some(label) => self.service(label),
            None => self.endpoint(endpoint).map(|number| self.endpoints[number].service),
        }
    }

    /// Who calls, with the owner by name: A's are what there is not.
    pub fn caller(&self, caller: Caller, act: &Act) -> Caller {
        if caller != Caller::Owner {
            return caller;
        }
        let of_service = |number: Option<usize>| number.map(|number| self.services[number].owner);
        let owner = match act {
            Act::Offer { vpc, .. } | Act::Connect { vpc, .. } => Some(*vpc),
            Act::Change { service, .. }
            | Act::Rename { service, .. }
            | Act::Withdraw { service }
            | Act::Permit { service, .. }
            | Act::Forbid { service, .. }
            | Act::LookUp { service } => of_service(self.service(*service)),
            Act::Receive { endpoint, at } | Act::Reject { endpoint, at } => {
                of_service(self.provider(*endpoint, *at))
            }
            Act::Restrict { endpoint, .. } | Act::Show { endpoint } | Act::Disconnect { endpoint } => {
                self.endpoint(*endpoint).map(|number| self.endpoints[number].owner)
            }
            Act::Tag { thing, .. } | Act::Untag { thing, .. } => match *thing {
                Thing::Service(label) => of_service(self.service(label)),
                Thing::Endpoint(label) => self.endpoint(label).map(|number| self.endpoints[number].owner),
            },
            Act::Search { .. } => None,
            Act::Browse { whose } => Some(*whose),
            Act::Limit { .. } => return Caller::Operator,
        };
        Caller::Account(owner.unwrap_or(Account::A))
    }

    /// Lets a step happen. Answers why the call is refused; if there is no reason,
    /// it is done.
    pub fn play(&mut self, step: &Step) -> Vec<Refusal> {
        let why_not = match step {
            Step::Call(caller, act) => self.call(self.caller(*caller, act), act),
            Step::Break(label) => self.set_broken(*label, true),
            Step::Mend(label) => self.set_broken(*label, false),
        };
        for endpoint in &mut self.endpoints {
            endpoint.was_accepted |= endpoint.status() == "accepted";
        }
        why_not
    }

    fn set_broken(&mut self, label: EndpointLabel, is_broken: bool) -> Vec<Refusal> {
        if let Some(number) = self.endpoint(label) {
            self.endpoints[number].is_broken = is_broken;
        }
        vec![]
    }

    fn call(&mut self, by: Caller, act: &Act) -> Vec<Refusal> {
        let may = |owner| by.may(owner);
        let forbid_unless = |allowed: bool| if allowed { vec![] } else { vec![Refusal::Forbidden] };
        match *act {
            Act::Offer { label, vpc, backend, port, approval } if may(vpc) => {
                self.offer(label, vpc, backend, port, approval)
            }
            Act::Connect { label, service, vpc, address } if may(vpc) => {
                self.connect(label, self.service(service), vpc, address)
            }
            Act::Offer { .. } | Act::Connect { .. } => vec![Refusal::NoVpc],
            Act::LookUp { service } => match self.service(service) {
                Some(number) if !self.services[number].is_gone => vec![],
                _ => vec![Refusal::NotThere],
            },
            Act::Change { service, .. }
            | Act::Rename { service, .. }
            | Act::Withdraw { service }
            | Act::Permit { service, .. }
            | Act::Forbid { service, .. } => match self.service(service) {
                Some(number) if self.is_service_of(number, may) => self.provide(number, act),
                _ => [vec![Refusal::NotThere], malformed(act)].concat(),
            },
            Act::Receive { endpoint, at } | Act::Reject { endpoint, at } => {
                match self.provider(endpoint, at) {
                    Some(number) if self.is_service_of(number, may) => self.decide(number, endpoint, act),
                    _ => [vec![Refusal::NotThere], malformed(act)].concat(),
                }
            }
            Act::Restrict { endpoint, .. } | Act::Show { endpoint } | Act::Disconnect { endpoint } => {
                match self.endpoint(endpoint) {
                    Some(number) if !self.endpoints[number].is_gone && may(self.endpoints[number].owner) => {
                        self.consume(number, act)
                    }
                    _ => [vec![Refusal::NotThere], malformed(act)].concat(),
                }
            }
            Act::Tag { thing, .. } | Act::Untag { thing, .. } => match self.tags_of(thing, may) {
                Some(tags) => tags::change(tags, act),
                None => [vec![Refusal::NotThere], malformed(act)].concat(),
            },
            Act::Search { .. } => vec![],
            Act::Browse { whose } => forbid_unless(may(whose)),
            Act::Limit { account, services, endpoints } => {
                if by == Caller::Operator {
                    let quotas = self.quotas.get_mut(&account).expect("both accounts have quotas");
                    for (quota, new) in quotas.iter_mut().zip([services, endpoints]) {
                        *quota = new.map_or(*quota, |new| new as usize);
                    }
                }
                forbid_unless(by == Caller::Operator)
            }
        }
    }

    fn is_service_of(&self, number: usize, may: impl Fn(Account) -> bool) -> bool {
        !self.services[number].is_gone && may(self.services[number].owner)
    }

    pub fn services_of(&self, owner: Account) -> impl Iterator<Item = (usize, &Service)> {
        self.services
            .iter()
            .enumerate()
            .filter(move |(_, service)| service.owner == owner && !service.is_gone)
    }

    pub fn endpoints_of(&self, owner: Account) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(move |endpoint| endpoint.owner == owner && !endpoint.is_gone)
    }

    /// Whether another service offers this port of this backend.
    fn clashes(&self, own: Option<usize>, backend: (Account, u8), port: u16) -> bool {
        let mut others = self.services.iter().enumerate().filter(|(number, _)| Some(*number) != own);
        others.any(|(_, other)| !other.is_gone && other.backend == backend && other.port == port)
    }

    fn offer(
        &mut self,
        label: ServiceLabel,
        owner: Account,
        backend: (Account, u8),
        port: u16,
        approval: bool,
    ) -> Vec<Refusal> {
        let why_not = reasons([
            (Refusal::NoBackend, backend.0 != owner),
            (Refusal::PortClash, self.clashes(None, backend, port)),
            (Refusal::Quota, self.services_of(owner).count() >= self.quotas[&owner][0]),
        ]);
        if why_not.is_empty() {
            let older = self.services.iter().filter(|service| service.label == label).count();
            let name = format!("{label:?}{}", "'".repeat(older));
            self.services.push(Service {
                label,
                name,
                owner,
                backend,
                port,
                approval,
                title: "",
                tags: Tags::new(),
                permissions: Vec::new(),
                is_gone: false,
            });
        }
        why_not
    }

    fn connect(
        &mut self,
        label: EndpointLabel,
        service: Option<usize>,
        owner: Account,
        asked: Option<u8>,
    ) -> Vec<Refusal> {
        let taken: BTreeSet<u8> =
            self.endpoints_of(owner).map(|endpoint| endpoint.address).chain(BACKENDS).collect();
        // Routers live at either end: those addresses are given only to who asks for them.
        let free = || (HOSTS.start() + 1..*HOSTS.end()).rev().find(|address| !taken.contains(address));
        let address = asked.or_else(free);
        let known = service.filter(|number| !self.services[*number].is_gone);
        let why_not = reasons([
            (Refusal::NoService, known.is_none()),
            (Refusal::NotAdmitted, known.is_some_and(|number| !self.services[number].admits(owner))),
            (Refusal::Quota, self.endpoints_of(owner).count() >= self.quotas[&owner][1]),
            (Refusal::AddressOutside, address.is_some_and(|address| !HOSTS.contains(&address))),
            (Refusal::AddressTaken, address.is_none_or(|address| taken.contains(&address))),
        ]);
        if let ([], Some(service), Some(address)) = (why_not.as_slice(), known, address) {
            let older = self.endpoints.iter().filter(|endpoint| endpoint.label == label).count();
            let waits = self.services[service].approval;
            self.endpoints.push(Endpoint {
                label,
                name: format!("{label:?}{}", "'".repeat(older)),
                owner,
                service,
                address,
                decision: if waits { Decision::Waiting } else { Decision::Accepted },
                is_broken: false,
                was_accepted: false,
                orphan_of: None,
                clients: None,
                tags: Tags::new(),
                is_gone: false,
            });
        }
        why_not
    }

    /// What the owner of a service does to it.
    fn provide(&mut self, number: usize, act: &Act) -> Vec<Refusal> {
        let in_use =
            self.endpoints.iter().any(|endpoint| endpoint.service == number && endpoint.is_connected());
        let backend = self.services[number].backend;
        let why_not = match *act {
            Act::Change { port: Some(port), .. } => {
                reasons([(Refusal::PortClash, self.clashes(Some(number), backend, port))])
            }
            Act::Withdraw { .. } => reasons([(Refusal::ServiceInUse, in_use)]),
            _ => malformed(act),
        };
        if !why_not.is_empty() {
            return why_not;
        }
        let service = &mut self.services[number];
        let known = |whom: Whom| move |other: &Whom| other.meaning() == whom.meaning();
        match *act {
            Act::Change { approval, port, .. } => {
                service.approval = approval.unwrap_or(service.approval);
                service.port = port.unwrap_or(service.port);
            }
            Act::Rename { name, .. } => service.title = name,
            Act::Permit { whom, .. } if !service.permissions.iter().any(known(whom)) => {
                service.permissions.push(whom);
            }
            Act::Forbid { whom, .. } => service.permissions.retain(|other| !known(whom)(other)),
            Act::Withdraw { .. } => {
                service.is_gone = true;
                let full_name = service.full_name();
                let theirs = self.endpoints.iter_mut().filter(|endpoint| endpoint.service == number);
                theirs.for_each(|endpoint| endpoint.orphan_of = Some(full_name.clone()));
            }
            _ => {}
        }
        why_not
    }

    /// What the owner of a service does to a connection.
    fn decide(&mut self, service: usize, endpoint: EndpointLabel, act: &Act) -> Vec<Refusal> {
        let number = self.endpoint(endpoint);
        let of_service = number.filter(|number| {
            let endpoint = &self.endpoints[*number];
            endpoint.service == service && !endpoint.is_gone
        });
        let Some(number) = of_service else { return vec![Refusal::NotOfService] };
        let is_accepted = matches!(act, Act::Receive { .. });
        self.endpoints[number].decision = if is_accepted { Decision::Accepted } else { Decision::Rejected };
        vec![]
    }

    /// What the owner of an endpoint does with it.
    fn consume(&mut self, number: usize, act: &Act) -> Vec<Refusal> {
        let why_not = malformed(act);
        if !why_not.is_empty() {
            return why_not;
        }
        let endpoint = &mut self.endpoints[number];
        match *act {
            Act::Restrict { clients: Clients::Only(clients), .. } => endpoint.clients = Some(clients),
            Act::Restrict { clients: Clients::All, .. } => endpoint.clients = None,
            Act::Disconnect { .. } => endpoint.is_gone = true,
            _ => {}
        }
        why_not
    }
}

/// What is wrong with a call whatever there is.
fn malformed(act: &Act) -> Vec<Refusal> {
    match *act {
        Act::Rename { name, .. } => reasons([(Refusal::BadName, name.contains(' '))]),
        Act::Permit { whom, .. } | Act::Forbid { whom, .. } => {
            reasons([(Refusal::BadPermission, whom == Whom::Nonsense)])
        }
        Act::Tag { set, .. } => reasons([(Refusal::BadTag, set == TagSet::Nonsense)]),
        Act::Restrict { clients, .. } => reasons([(Refusal::BadClients, clients == Clients::Nonsense)]),
        _ => vec![],
    }
}

/// The reasons that are true.
pub fn reasons<const N: usize>(all: [(Refusal, bool); N]) -> Vec<Refusal> {
    all.into_iter().filter(|(_, is_true)| *is_true).map(|(reason, _)| reason).collect()
}

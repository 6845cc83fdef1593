//! An account at work: calls made up by a sequence of numbers, the journal of what
//! they were answered, and the comparison of that with what is there.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use vpcep_tests::cli::text_field;
use vpcep_tests::wait_until;

use crate::caller::{Answer, Caller, Key};
use crate::calls::{Call, Place};
use crate::daemon::Daemon;
use crate::journal::{self, ENDPOINTS, Journal, id};

/// How long a transient state may last.
const AT_REST_WITHIN: Duration = Duration::from_secs(10);
const MOST_SERVICES: usize = 3;
const MOST_ENDPOINTS: usize = 8;

/// See the module.
pub struct Party {
    key: Key,
    token: String,
    place: Place,
    journal: Journal,
    /// Of endpoints that were accepted.
    addresses: BTreeMap<String, String>,
    /// Request ids of the changes that were acknowledged.
    changes: Vec<String>,
    /// What was asked last, and whether it was answered.
    last: Option<(Call, bool)>,
    calls: u64,
    sequence: u64,
}

impl Party {
    /// A new account with a VPC. Parties of one seed make the same choices.
    pub fn new(daemon: &Daemon, seed: u64) -> Result<Self> {
        let account = daemon.operator()?.json(&["account", "create", &format!("party{seed}")])?;
        let key = Key {
            access: text_field(&account, "access_key")?,
            secret: text_field(&account, "secret_key")?,
            project: text_field(&account, "project_id")?,
        };
        let mut caller = Caller::connect(daemon.address())?;
        let mut make = |path: &str, wrapper: &str, body: Value| {
            let body = json!({ wrapper: body }).to_string();
            id(&caller.call(&key, "POST", path, "", &body)?[wrapper])
        };
        let vpc = make("/vpcs", "vpc", json!({"name": "net", "cidr": "10.0.0.0/24"}))?;
        let subnet = json!({"name": "net", "cidr": "10.0.0.0/24", "vpc_id": vpc});
        let subnet = make("/subnets", "subnet", subnet)?;
        let backend = json!({"name": "web", "vpc_id": vpc, "type": "VM", "address": "10.0.0.9"});
        let backend = make("/backends", "backend", backend)?;
        Ok(Self {
            key,
            token: text_field(&account, "token")?,
            place: Place { vpc, subnet, backend },
            journal: Journal::default(),
            addresses: BTreeMap::new(),
            changes: Vec::new(),
            last: None,
            calls: 0,
            sequence: seed,
        })
    }

    /// Request ids of the changes that were acknowledged.
    pub fn changes(&self) -> &[String] {
        &self.changes
    }

    /// Markers of its endpoints.
    pub fn markers(&self) -> impl Iterator<Item = u64> {
        self.journal.markers()
    }

    /// Makes a call that is answered.
    pub fn step(&mut self, caller: &mut Caller) -> Result<()> {
        ensure!(self.step_or_break(caller)?, "{self} is not answered");
        Ok(())
    }

    /// Makes a call; answers whether it was answered.
    pub fn step_or_break(&mut self, caller: &mut Caller) -> Result<bool> {
        let call = self.choose();
        self.calls += 1;
        self.last = Some((call.clone(), false));
        let (method, path, body) = call.request(&self.place);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let Ok(Answer { status, request, body }) = caller.ask(&self.key, method, &path, "", &body) else {
            return Ok(false);
        };
        ensure!(status < 500, "{self}: {status} {body}");
        ensure!(status >= 300 || !matches!(call, Call::TagBadly { .. }), "{self} is to be refused");
        if status < 300 {
            call.note(&mut self.journal, Some(&body))?;
            self.changes.push(request);
        }
        self.last = Some((call, true));
        Ok(true)
    }

    /// The next number of the sequence, below `limit` (SplitMix64).
    fn next(&mut self, limit: usize) -> usize {
        self.sequence = self.sequence.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.sequence;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("it is below a usize")
    }

    fn choose(&mut self) -> Call {
        let number = self.calls;
        let services: Vec<_> = self.journal.services.keys().cloned().collect();
        if services.is_empty() {
            return Call::Offer { number };
        }
        let service = services[self.next(services.len())].clone();
        let endpoints: Vec<_> = self.journal.endpoints.keys().cloned().collect();
        if endpoints.is_empty() {
            return Call::Connect { service, number };
        }
        let endpoint = endpoints[self.next(endpoints.len())].clone();
        match self.next(12) {
            0 | 1 if services.len() < MOST_SERVICES => Call::Offer { number },
            0 | 1 => Call::Withdraw { service },
            2..5 if endpoints.len() < MOST_ENDPOINTS => Call::Connect { service, number },
            2..5 => Call::Disconnect { endpoint },
            5 => Call::Tag { endpoint, number },
            6 => Call::TagBadly { endpoint, number },
            7 => Call::Restrict { endpoint, number },
            8 => Call::Permit { service, number },
            _ => self.decide(endpoint),
        }
    }

    /// Turns what the provider has decided; an endpoint whose service is gone can
    /// only be deleted.
    fn decide(&self, endpoint: String) -> Call {
        let row = &self.journal.endpoints[&endpoint];
        let service = row["endpoint_service_id"].as_str().unwrap_or_default().to_owned();
        match row["status"].as_str() {
            Some("failed") => Call::Disconnect { endpoint },
            Some("accepted") => Call::Reject { service, endpoint },
            _ => Call::Receive { service, endpoint },
        }
    }

    /// Compares what is there with the journal; a call that was not answered is done
    /// wholly or not at all. From then on the journal has what is there.
    pub fn compare(&mut self, daemon: &Daemon) -> Result<()> {
        let mut caller = Caller::connect(daemon.address())?;
        let mut seen = Journal::default();
        wait_until("nothing is in a transient state", AT_REST_WITHIN, || {
            seen = Journal::read(&mut caller, &self.key)?;
            Ok(seen.is_at_rest())
        })?;
        if seen != self.journal {
            let call = match &self.last {
                Some((call, false)) => Some(call),
                _ => None,
            };
            let mut done = self.journal.clone();
            if let Some(call) = call {
                done.adopt(&seen, call.made());
                call.note(&mut done, None)?;
            }
            ensure!(seen == done, "there is\n{seen:#?}\nshould be\n{:#?}\nor\n{done:#?}", self.journal);
        }
        self.journal = seen;
        self.check_sums(&mut caller)
    }

    /// What is counted and gathered is what there is; addresses stay, each with one.
    fn check_sums(&mut self, caller: &mut Caller) -> Result<()> {
        let tags = caller.call(&self.key, "GET", "/endpoint/tags", "", "")?;
        ensure!(tags == self.journal.tags_of_endpoints(), "tags without endpoints: {tags}");
        let quotas = caller.call(&self.key, "GET", "/quotas", "", "")?;
        let used = |number: usize| quotas["quotas"]["resources"][number]["used"].clone();
        let counts = [self.journal.services.len(), self.journal.endpoints.len()];
        ensure!([used(0), used(1)] == counts, "{counts:?} services and endpoints: {quotas}");
        let mut owners = BTreeMap::new();
        for row in journal::rows(caller, &self.key, ENDPOINTS, "endpoints")? {
            let Some(address) = row["ip"].as_str() else { continue };
            let known = self.addresses.entry(id(&row)?).or_insert_with(|| address.into());
            ensure!(known == address, "its address was {known}: {row}");
            let other = owners.insert(address.to_owned(), id(&row)?);
            ensure!(other.is_none(), "{address} belongs to {other:?} too: {row}");
        }
        Ok(())
    }

    /// That the token the account was given once is good.
    pub fn check_token(&self, daemon: &Daemon) -> Result<()> {
        let vpcs = daemon.operator()?.with_token(&self.token).json(&["vpc", "list"])?;
        ensure!(vpcs["total_count"] == 1, "the token does not lead to its account: {vpcs}");
        Ok(())
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of project {}, last call {:?}", self.calls, self.key.project, self.last)
    }
}

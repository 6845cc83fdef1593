//! Why a client does or does not reach an endpoint.
//!
//! Walks what the model says and what the data plane reads, in the order a packet
//! meets it, and names the first step that stops it. [`Facts::gather`] takes a
//! copy of the model, so that the walk holds no lock while it reads the kernel.
//! A consumer is not told the provider's addresses, only whether they answer; and
//! nobody but the operator is told of the host. What is read from the data plane
//! is judged in `plane.rs`.

#![forbid(unsafe_code)]

mod plane;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::controller::{Health, Passes, Scope, State, route_tables, servers};
use crate::datapath::{Datapath, DatapathError};
use crate::model::connection::{Failure, State as ConnectionState};
use crate::model::{
    Attachment, Backend, Endpoint, EndpointKind, Member, Port, Protocol, Service, Vpc, VpcId,
};
use crate::reconcile::desired::AttachmentState;
use crate::store::Revision;

/// Who wants to reach what.
#[derive(Clone, Debug)]
pub struct Question {
    /// The consumer's VPC.
    pub vpc: VpcId,
    /// The client's address.
    pub client: Ipv4Addr,
    /// The endpoint's address.
    pub address: Ipv4Addr,
    /// The port at the endpoint.
    pub port: Port,
    /// The protocol.
    pub protocol: Protocol,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// What they may ask about.
    pub scope: Scope,
    /// Whether they may hear of the host: interfaces, and what its kernel said.
    pub is_operator: bool,
}

/// What the model knows that matters to a question.
#[derive(Clone, Debug)]
pub struct Facts {
    question: Question,
    is_operator: bool,
    revision: Revision,
    passes: Passes,
    vpc: Option<Vpc>,
    attachment: Attached,
    endpoint: Option<Endpoint>,
    service: Option<Service>,
    provider: Option<Vpc>,
    provider_attachment: Attached,
    backend: Option<Backend>,
    health: Health,
    shows_provider: bool,
    connection_limit: u32,
}

/// An attachment and what the last pass said of it.
type Attached = Option<(Attachment, Option<AttachmentState>)>;

impl Facts {
    /// What `state` and the passes so far know that `asker` may ask about.
    #[must_use]
    pub fn gather(state: &State, passes: Passes, health: Health, asker: Asker, question: Question) -> Self {
        let Asker { scope, is_operator } = asker;
        let attached = |vpc: VpcId| {
            let attachment = state.attachments.iter().find(|attachment| attachment.vpc == vpc)?;
            Some((attachment.clone(), state.attachment_states.get(&attachment.id).cloned()))
        };
        let vpc = state.find::<Vpc>(scope, question.vpc).ok().cloned();
        let endpoint = vpc.as_ref().and_then(|vpc| addressed(state, vpc, &question)).cloned();
        let service = endpoint.as_ref().and_then(|endpoint| state.services.get(endpoint.service)).cloned();
        Self {
            attachment: vpc.as_ref().and_then(|vpc| attached(vpc.id)),
            vpc,
            provider: service.as_ref().and_then(|service| state.vpcs.get(service.vpc)).cloned(),
            provider_attachment: service.as_ref().and_then(|service| attached(service.vpc)),
            backend: service.as_ref().and_then(|s| state.backends.get(s.kind.backend()?)).cloned(),
            shows_provider: service.as_ref().is_some_and(|service| scope.sees(service.project)),
            connection_limit: state.quotas(endpoint.as_ref().map(|endpoint| endpoint.project)).connections,
            question,
            is_operator,
            revision: state.revision,
            passes,
            health,
            endpoint,
            service,
        }
    }
}

/// The endpoint that has an address, or else one to which the client's route table leads.
fn addressed<'a>(state: &'a State, vpc: &Vpc, question: &Question) -> Option<&'a Endpoint> {
    let address = question.address;
    let of_project = || state.listed::<Endpoint>(Scope::Project(vpc.project));
    let of_vpc = || of_project().filter(|endpoint| endpoint.vpc == vpc.id);
    let table = route_tables::of_client(state, vpc.id, question.client).map(|table| table.id);
    let leads_there = |endpoint: &&Endpoint| {
        let service = state.services.get(endpoint.service);
        table.is_some_and(|table| endpoint.route_tables().contains(&table))
            && service
                .is_some_and(|service| service.kind.prefixes().iter().any(|prefix| prefix.contains(address)))
    };
    of_vpc().find(|endpoint| endpoint.address() == Some(address)).or_else(|| of_vpc().find(leads_there))
}

impl Facts {
    /// Where connections go: the servers of the backend, or the destination itself.
    fn servers(&self) -> Vec<Ipv4Addr> {
        match (&self.endpoint, &self.backend) {
            (Some(endpoint), _) if endpoint.address().is_none() => vec![self.question.address],
            (_, Some(backend)) => {
                servers(backend, &self.health).iter().map(|server| server.address).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A reason that speaks of the host, for those who may hear it.
    fn of_host<'a>(&self, reason: &'a str) -> &'a str {
        if self.is_operator { reason } else { "ask the operator" }
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What becomes of the client's packets.
    pub verdict: Verdict,
    /// The first step that stops them.
    pub stopped_by: Option<&'static str>,
    /// The answer in a sentence.
    pub summary: String,
    /// Every step that could be looked at, in a packet's order.
    pub steps: Vec<Step>,
}

/// What becomes of the client's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are forwarded.
    Forwarded,
    /// A step stops them.
    Refused,
    /// No step stops them, but not every step could be looked at.
    Unknown,
}

impl Verdict {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was looked at.
    pub name: &'static str,
    /// What was found.
    pub status: Status,
    /// The finding, and what to do about it.
    pub detail: String,
}

/// What was found at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Packets pass.
    Ok,
    /// Packets stop here.
    Stop,
    /// Packets pass, but something is not as it should be.
    Warn,
    /// It cannot be told.
    Unknown,
}

impl Status {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Stop => "stop",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
        }
    }
}

type Finding = (Status, String);

/// Walks the steps.
///
/// # Errors
/// When the data plane cannot be read.
pub fn explain(facts: &Facts, datapath: &dyn Datapath) -> Result<Explanation, DatapathError> {
    let mut steps = Vec::new();
    let mut add = |name, (status, detail): Finding| steps.push(Step { name, status, detail });
    add("reconcile", reconcile(facts));
    add("vpc", vpc(facts));
    if facts.vpc.is_some() {
        add("attachment", attachment(facts, &facts.attachment, "this vpc"));
        add("endpoint", endpoint(facts));
    }
    if let Some(endpoint) = &facts.endpoint {
        add("state", connection_state(facts, endpoint));
        add("whitelist", whitelist(endpoint, facts.question.client));
    }
    if let Some(endpoint) = &facts.endpoint {
        let stats = datapath.endpoint_stats(endpoint.id)?;
        let drops = stats.as_ref().map(|stats| stats.drops.clone()).unwrap_or_default();
        add("limit", plane::limit(stats.map(|stats| stats.connections), facts.connection_limit));
        add("sessions", plane::sessions(&datapath.status()?, &drops, facts.is_operator));
        if let Some(provider) = &facts.provider {
            add("provider-attachment", attachment(facts, &facts.provider_attachment, "the service's vpc"));
            if let Some(backend) = facts.backend.as_ref().filter(|_| endpoint.address().is_some()) {
                add("members", members(facts, backend));
            }
            add("neighbour", plane::neighbours(facts, provider, datapath)?);
            let (sessions, _) =
                datapath.sessions(Some(&BTreeSet::from([endpoint.id])), plane::SESSIONS_LOOKED_AT)?;
            add("backend", plane::backend(facts, &sessions));
        }
        add("drops", plane::drops(&drops));
    }
    Ok(conclude(facts, steps))
}

fn conclude(facts: &Facts, steps: Vec<Step>) -> Explanation {
    let Question { client, address, port, protocol, .. } = &facts.question;
    let what = format!("{client} to {address} {protocol} {port}");
    let stop = steps.iter().find(|step| step.status == Status::Stop);
    let unknown = steps.iter().find(|step| step.status == Status::Unknown);
    let (verdict, stopped_by, summary) = match (stop, unknown) {
        (Some(stop), _) => (Verdict::Refused, Some(stop.name), format!("{what} is refused: {}", stop.detail)),
        (None, Some(step)) => {
            (Verdict::Unknown, None, format!("nothing is known to stop {what}, but: {}", step.detail))
        }
        (None, None) => (Verdict::Forwarded, None, format!("{what} is forwarded")),
    };
    Explanation { verdict, stopped_by, summary, steps }
}

/// Whether the data plane has what the other steps read in the model.
fn reconcile(facts: &Facts) -> Finding {
    let (covered, revision) = (facts.passes.covered, facts.revision);
    match &facts.passes.last_error {
        Some(error) if facts.is_operator => (
            Status::Unknown,
            format!("the data plane has version {covered} of {revision}, and the last pass failed: {error}"),
        ),
        Some(_) => (Status::Unknown, "the gateway host has trouble taking changes: ask the operator".into()),
        None if covered < revision => (
            Status::Unknown,
            format!("the data plane has version {covered} of {revision}: ask again in a moment"),
        ),
        None => (Status::Ok, format!("the data plane has the newest version, {revision}")),
    }
}

fn vpc(facts: &Facts) -> Finding {
    match &facts.vpc {
        Some(vpc) => (Status::Ok, format!("vpc {} ({})", vpc.name, vpc.cidr)),
        None => (Status::Stop, format!("vpc {} does not exist in this project", facts.question.vpc)),
    }
}

fn attachment(facts: &Facts, attached: &Attached, whose: &str) -> Finding {
    match attached {
        None => (Status::Stop, format!("{whose} is not attached to this gateway host: ask the operator")),
        Some((_, None)) => (Status::Unknown, format!("the attachment of {whose} has not been tried yet")),
        Some((attachment, Some(AttachmentState::Active { hook }))) => {
            let place = format!(" at {} ({hook})", attachment.interface.as_str());
            let place = if facts.is_operator { place.as_str() } else { "" };
            (Status::Ok, format!("{whose} is attached{place}"))
        }
        Some((_, Some(AttachmentState::Failed { reason }))) => {
            (Status::Stop, format!("the attachment of {whose} has failed: {}", facts.of_host(reason)))
        }
    }
}

fn endpoint(facts: &Facts) -> Finding {
    let Question { address, port, protocol, .. } = &facts.question;
    let Some(endpoint) = &facts.endpoint else {
        let problem = format!(
            "{address} is no endpoint's address in this vpc, and no route of {}'s subnet leads there",
            facts.question.client
        );
        return (Status::Stop, problem);
    };
    let Some(service) = &facts.service else {
        return (Status::Stop, format!("the service of endpoint {} has been deleted", endpoint.id));
    };
    if let EndpointKind::Gateway { .. } = endpoint.kind {
        return (Status::Ok, format!("endpoint {} leads there", endpoint.id));
    }
    let is_asked = |(mapped, client): (Protocol, Port)| mapped == *protocol && client == *port;
    let mut ports = service.kind.ports().iter().map(|mapping| (mapping.protocol, mapping.client_port));
    if ports.any(is_asked) {
        return (Status::Ok, format!("endpoint {} offers {protocol} {port}", endpoint.id));
    }
    let offered = service.kind.ports().iter().take(10);
    let offered: Vec<_> =
        offered.map(|mapping| format!("{} {}", mapping.protocol, mapping.client_port)).collect();
    (Status::Stop, format!("the service does not offer {protocol} {port}, but {}", offered.join(", ")))
}

fn connection_state(facts: &Facts, endpoint: &Endpoint) -> Finding {
    match &endpoint.connection.state {
        ConnectionState::Accepted => (Status::Ok, "the connection is accepted".into()),
        ConnectionState::PendingAcceptance => {
            (Status::Stop, "the connection waits for the service's owner to accept it".into())
        }
        ConnectionState::Rejected => (Status::Stop, "the service's owner has rejected the connection".into()),
        ConnectionState::Creating => {
            (Status::Unknown, "the connection is being put into the data plane".into())
        }
        ConnectionState::Deleting => (Status::Stop, "the endpoint is being deleted".into()),
        ConnectionState::Failed(Failure::DataPlane { reason }) => {
            (Status::Stop, format!("the data plane cannot take the endpoint: {}", facts.of_host(reason)))
        }
        ConnectionState::Failed(Failure::ServiceDeleted { service }) => {
            (Status::Stop, format!("endpoint service {service} has been deleted"))
        }
    }
}

fn whitelist(endpoint: &Endpoint, client: Ipv4Addr) -> Finding {
    if !endpoint.whitelist.is_enabled() {
        (Status::Ok, "the endpoint admits every client".into())
    } else if endpoint.whitelist.admits(client) {
        (Status::Ok, format!("the endpoint's whitelist admits {client}"))
    } else {
        (Status::Stop, format!("the endpoint's whitelist does not admit {client}"))
    }
}

/// Whether the load balancer has a member that new connections may go to.
fn members(facts: &Facts, backend: &Backend) -> Finding {
    if backend.members.is_empty() {
        return (Status::Ok, "the service has one server".into());
    }
    let state = |member: &Member| facts.health.state(backend, *member);
    let all = backend.members.len();
    let out: Vec<&Member> =
        backend.members.iter().filter(|member| !state(member).takes_connections()).collect();
    let told = out.iter().map(|member| {
        let name = if facts.shows_provider { format!("{} ", member.name()) } else { String::new() };
        let error = facts.health.of(backend, **member).and_then(|health| health.last_error.as_deref());
        match error.filter(|_| facts.shows_provider) {
            Some(error) => format!("{name}{}, last error: {error}", state(member).as_str()),
            None => format!("{name}{}", state(member).as_str()),
        }
    });
    let told: Vec<_> = told.collect();
    let told = told.join("; ");
    match all - out.len() {
        0 => (Status::Stop, format!("all {all} members are down or draining ({told})")),
        taking if taking == all => (Status::Ok, format!("all {all} members get new connections")),
        taking => (Status::Warn, format!("{taking} of {all} members get new connections ({told})")),
    }
}

#[cfg(test)]
mod tests;

//! What may happen: a step is a call of somebody, or something that befalls the
//! data plane. Written down, a list of steps reads like a story.
//!
//! Objects go by labels, which steps may use before anything has been made under
//! them, or after it is gone. So a story with a step taken out is a story too, and
//! what fails can be cut down to what matters.

use std::fmt;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// An account; both offer and both connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    A,
    B,
}

impl Account {
    pub const BOTH: [Self; 2] = [Self::A, Self::B];
}

/// Who calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Whoever has the service, the endpoint or the VPC the call is about.
    Owner,
    Account(Account),
    Operator,
}

/// What a service is called in the story.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ServiceLabel(pub u8);

/// What an endpoint is called in the story.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EndpointLabel(pub u8);

/// Whom a permission names, and how it is spelled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    Account(Account),
    /// The account, its id in capitals.
    Capitals(Account),
    /// `*`
    Everyone,
    /// `iam:domain::*`
    EveryDomain,
    /// An account nobody has.
    Stranger,
    /// No permission at all.
    Nonsense,
}

/// Which clients an endpoint admits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    All,
    Only(&'static [&'static str]),
    /// A list with an entry that cannot be one.
    Nonsense,
}

/// Something that has tags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    Service(ServiceLabel),
    Endpoint(EndpointLabel),
}

/// Tags to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagSet {
    One(&'static str, &'static str),
    /// As many as there may be, of other keys.
    Twenty,
    /// A key there cannot be.
    Nonsense,
}

/// What is asked for.
#[derive(Clone)]
pub enum Act {
    /// Offers a backend of an account, in the VPC of an account.
    Offer { label: ServiceLabel, vpc: Account, backend: (Account, u8), port: u16, approval: bool },
    /// Changes a service.
    Change { service: ServiceLabel, approval: Option<bool>, port: Option<u16> },
    /// Renames a service.
    Rename { service: ServiceLabel, name: &'static str },
    /// Deletes a service.
    Withdraw { service: ServiceLabel },
    /// Adds a permission.
    Permit { service: ServiceLabel, whom: Whom },
    /// Removes a permission.
    Forbid { service: ServiceLabel, whom: Whom },
    /// Looks a service up, as anybody may.
    LookUp { service: ServiceLabel },
    /// Makes an endpoint, with an address or without.
    Connect { label: EndpointLabel, service: ServiceLabel, vpc: Account, address: Option<u8> },
    /// Accepts a connection, of a certain service or of the one it belongs to.
    Receive { endpoint: EndpointLabel, at: Option<ServiceLabel> },
    /// Refuses a connection, likewise.
    Reject { endpoint: EndpointLabel, at: Option<ServiceLabel> },
    /// Changes which clients an endpoint admits.
    Restrict { endpoint: EndpointLabel, clients: Clients },
    /// Shows an endpoint.
    Show { endpoint: EndpointLabel },
    /// Deletes an endpoint.
    Disconnect { endpoint: EndpointLabel },
    /// Adds tags.
    Tag { thing: Thing, set: TagSet },
    /// Removes a tag by its key, or by both.
    Untag { thing: Thing, key: &'static str, value: Option<&'static str> },
    /// Searches services or endpoints by a tag.
    Search { services: bool, key: &'static str, value: &'static str },
    /// Lists the endpoints of an account's project.
    Browse { whose: Account },
    /// Sets an account's quotas.
    Limit { account: Account, services: Option<u32>, endpoints: Option<u32> },
}

/// See the module.
#[derive(Clone)]
pub enum Step {
    Call(Caller, Act),
    /// From now on the data plane cannot carry an endpoint.
    Break(EndpointLabel),
    /// It can again.
    Mend(EndpointLabel),
}

impl Act {
    /// Whether success is told by an empty answer.
    pub fn has_no_answer(&self) -> bool {
        matches!(
            self,
            Self::Withdraw { .. } | Self::Disconnect { .. } | Self::Tag { .. } | Self::Untag { .. }
        )
    }
}

impl Caller {
    /// Whether what `owner` has is the caller's to see and change.
    pub fn may(self, owner: Account) -> bool {
        self == Self::Operator || self == Self::Account(owner)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("the owner"),
            Self::Account(account) => account.fmt(f),
            Self::Operator => f.write_str("the operator"),
        }
    }
}

impl fmt::Debug for ServiceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Debug for EndpointLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

impl fmt::Debug for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(label) => label.fmt(f),
            Self::Endpoint(label) => label.fmt(f),
        }
    }
}

impl fmt::Debug for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => account.fmt(f),
            Self::Capitals(account) => write!(f, "{account:?} (in capitals)"),
            Self::Everyone => f.write_str("*"),
            Self::EveryDomain => f.write_str("iam:domain::*"),
            Self::Stranger => f.write_str("a stranger"),
            Self::Nonsense => f.write_str("nonsense"),
        }
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all clients"),
            Self::Only(clients) => write!(f, "only {clients:?}"),
            Self::Nonsense => f.write_str("nonsense"),
        }
    }
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offer { label, vpc, backend: (owner, number), port, approval } => {
                let approval = if *approval { "with" } else { "without" };
                write!(
                    f,
                    "offers {label:?} in {vpc:?}'s VPC: {owner:?}'s backend {number} at port {port}, "
                )?;
                write!(f, "{approval} approval")
            }
            Self::Change { service, approval, port } => {
                write!(f, "changes {service:?}: approval {approval:?}, port {port:?}")
            }
            Self::Rename { service, name } => write!(f, "renames {service:?} to {name:?}"),
            Self::Withdraw { service } => write!(f, "deletes {service:?}"),
            Self::Permit { service, whom } => write!(f, "lets {whom:?} connect to {service:?}"),
            Self::Forbid { service, whom } => write!(f, "lets {whom:?} no longer connect to {service:?}"),
            Self::LookUp { service } => write!(f, "looks {service:?} up"),
            Self::Connect { label, service, vpc, address } => {
                write!(f, "connects {label:?} in {vpc:?}'s VPC to {service:?}, address {address:?}")
            }
            Self::Receive { endpoint, at: None } => write!(f, "accepts {endpoint:?}"),
            Self::Receive { endpoint, at: Some(service) } => write!(f, "accepts {endpoint:?} at {service:?}"),
            Self::Reject { endpoint, at: None } => write!(f, "rejects {endpoint:?}"),
            Self::Reject { endpoint, at: Some(service) } => write!(f, "rejects {endpoint:?} at {service:?}"),
            Self::Restrict { endpoint, clients } => write!(f, "admits {clients:?} to {endpoint:?}"),
            Self::Show { endpoint } => write!(f, "looks at {endpoint:?}"),
            Self::Disconnect { endpoint } => write!(f, "deletes {endpoint:?}"),
            Self::Tag { thing, set } => write!(f, "tags {thing:?}: {set:?}"),
            Self::Untag { thing, key, value } => write!(f, "takes tag {key} {value:?} from {thing:?}"),
            Self::Search { services, key, value } => {
                let what = if *services { "services" } else { "endpoints" };
                write!(f, "searches {what} tagged {key}={value}")
            }
            Self::Browse { whose } => write!(f, "lists {whose:?}'s endpoints"),
            Self::Limit { account, services, endpoints } => {
                write!(f, "limits {account:?}: services {services:?}, endpoints {endpoints:?}")
            }
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(caller, act) => write!(f, "{caller:?} {act:?}"),
            Self::Break(endpoint) => write!(f, "the data plane cannot carry {endpoint:?}"),
            Self::Mend(endpoint) => write!(f, "the data plane can carry {endpoint:?} again"),
        }
    }
}

/// Stories of at most so many steps after their opening, which brings about that
/// there is something to tell of.
pub fn stories(longest: usize) -> impl Strategy<Value = Vec<Step>> {
    let everyone = service().prop_map(|service| Act::Permit { service, whom: Whom::Everyone });
    let opening = prop_oneof![3 => offer(), 2 => everyone, 4 => connect()];
    let opening = opening.prop_map(|act| Step::Call(Caller::Owner, act));
    (vec(opening, 0..=12), vec(step(), 0..=longest)).prop_map(|(opening, rest)| [opening, rest].concat())
}

fn account() -> impl Strategy<Value = Account> {
    prop_oneof![Just(Account::A), Just(Account::B)]
}

fn caller() -> impl Strategy<Value = Caller> {
    prop_oneof![
        6 => Just(Caller::Owner),
        2 => account().prop_map(Caller::Account),
        1 => Just(Caller::Operator),
    ]
}

fn service() -> impl Strategy<Value = ServiceLabel> {
    (0..2_u8).prop_map(ServiceLabel)
}

fn endpoint() -> impl Strategy<Value = EndpointLabel> {
    (0..3_u8).prop_map(EndpointLabel)
}

fn whom() -> impl Strategy<Value = Whom> {
    prop_oneof![
        4 => account().prop_map(Whom::Account),
        1 => account().prop_map(Whom::Capitals),
        2 => Just(Whom::Everyone),
        2 => Just(Whom::EveryDomain),
        1 => Just(Whom::Stranger),
        1 => Just(Whom::Nonsense),
    ]
}

fn port() -> impl Strategy<Value = u16> {
    8080..8083_u16
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (caller(), prop_oneof![1 => offer(), 4 => connect(), 10 => changing(), 2 => tagging()])
            .prop_map(|(caller, act)| Step::Call(caller, act)),
        1 => endpoint().prop_map(Step::Break),
        1 => endpoint().prop_map(Step::Mend),
    ]
}

fn offer() -> impl Strategy<Value = Act> {
    let foreign = prop_oneof![9 => Just(None), 1 => account().prop_map(Some)];
    (service(), account(), foreign, 0..2_u8, port(), any::<bool>()).prop_map(
        |(label, vpc, foreign, backend, port, approval)| {
            let backend = (foreign.unwrap_or(vpc), backend);
            Act::Offer { label, vpc, backend, port, approval }
        },
    )
}

fn connect() -> impl Strategy<Value = Act> {
    (endpoint(), service(), account(), option::weighted(0.3, 0..9_u8))
        .prop_map(|(label, service, vpc, address)| Act::Connect { label, service, vpc, address })
}

/// Mostly where it belongs.
fn somewhere() -> impl Strategy<Value = Option<ServiceLabel>> {
    option::weighted(0.2, service())
}

const KEYS: [&str; 2] = ["env", "team"];
const VALUES: [&str; 2] = ["prod", ""];

fn tagging() -> impl Strategy<Value = Act> {
    let thing = || prop_oneof![service().prop_map(Thing::Service), endpoint().prop_map(Thing::Endpoint)];
    let set = prop_oneof![
        6 => (select(&KEYS[..]), select(&VALUES[..])).prop_map(|(key, value)| TagSet::One(key, value)),
        1 => Just(TagSet::Twenty),
        1 => Just(TagSet::Nonsense),
    ];
    prop_oneof![
        2 => (thing(), set).prop_map(|(thing, set)| Act::Tag { thing, set }),
        1 => (thing(), select(&KEYS[..]), option::of(select(&VALUES[..])))
            .prop_map(|(thing, key, value)| Act::Untag { thing, key, value }),
        1 => (any::<bool>(), select(&KEYS[..]), select(&VALUES[..]))
            .prop_map(|(services, key, value)| Act::Search { services, key, value }),
    ]
}

fn changing() -> impl Strategy<Value = Act> {
    let names = prop_oneof![Just("web"), Just("DB_1"), Just("not a name")];
    let clients = prop_oneof![
        Just(Clients::All),
        Just(Clients::Only(&["10.0.0.0/25", "172.16.0.9"])),
        Just(Clients::Only(&[])),
        Just(Clients::Nonsense),
    ];
    let (limits, more_limits) = (option::of(0..5_u32), option::of(0..6_u32));
    prop_oneof![
        2 => (service(), option::of(any::<bool>()), option::of(port()))
            .prop_map(|(service, approval, port)| Act::Change { service, approval, port }),
        1 => (service(), names).prop_map(|(service, name)| Act::Rename { service, name }),
        1 => service().prop_map(|service| Act::Withdraw { service }),
        4 => (service(), whom()).prop_map(|(service, whom)| Act::Permit { service, whom }),
        1 => (service(), whom()).prop_map(|(service, whom)| Act::Forbid { service, whom }),
        1 => service().prop_map(|service| Act::LookUp { service }),
        6 => (endpoint(), somewhere()).prop_map(|(endpoint, at)| Act::Receive { endpoint, at }),
        4 => (endpoint(), somewhere()).prop_map(|(endpoint, at)| Act::Reject { endpoint, at }),
        1 => (endpoint(), clients).prop_map(|(endpoint, clients)| Act::Restrict { endpoint, clients }),
        1 => endpoint().prop_map(|endpoint| Act::Show { endpoint }),
        1 => endpoint().prop_map(|endpoint| Act::Disconnect { endpoint }),
        1 => account().prop_map(|whose| Act::Browse { whose }),
        1 => (account(), limits, more_limits)
            .prop_map(|(account, services, endpoints)| Act::Limit { account, services, endpoints }),
    ]
}

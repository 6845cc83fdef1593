//! Backend resources: what really serves.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

use super::{BackendId, HealthCheck, ModelError, Name, Port, ProjectId, Timestamp, VpcId};

/// A server, a virtual IP or a load balancer in the provider's VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Names it; on the wire also its `port_id`.
    pub id: BackendId,
    /// The VPC it is in.
    pub vpc: VpcId,
    /// Its owner.
    pub project: ProjectId,
    /// For people; not unique.
    pub name: Name,
    /// What it is.
    pub kind: BackendKind,
    /// Its own address.
    pub address: Ipv4Addr,
    /// The servers behind a load balancer. Without any, the load balancer
    /// serves by itself at `address`.
    pub members: Vec<Member>,
    /// How a load balancer spreads new connections over its members.
    pub algorithm: Algorithm,
    /// How a load balancer finds out which members serve; `None` takes all to.
    pub health_check: Option<HealthCheck>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Backend {
    /// Most members of one load balancer.
    pub const MAX_MEMBERS: usize = 64;

    /// Checks that members, algorithm and health check go with each other and the kind.
    ///
    /// # Errors
    /// When something other than a load balancer has any, there are too many members or
    /// one is listed twice, or there is none to check.
    pub fn check(&self) -> Result<(), ModelError> {
        Self::check_members(self.kind, &self.members)?;
        let bad = |field, problem| Err(ModelError::Balancing { field, problem });
        if self.kind != BackendKind::Lb && self.algorithm != Algorithm::default() {
            return bad("algorithm", format!("a {} has none, only an LB does", self.kind));
        }
        if self.health_check.is_some() && self.members.is_empty() {
            let problem = "there is no member to check, only an LB with members has one";
            return bad("health_check", problem.into());
        }
        Ok(())
    }

    fn check_members(kind: BackendKind, members: &[Member]) -> Result<(), ModelError> {
        let bad = |problem| Err(ModelError::Members { problem });
        if kind != BackendKind::Lb && !members.is_empty() {
            return bad(format!("a {kind} has none, only an LB does"));
        }
        if members.len() > Self::MAX_MEMBERS {
            return bad(format!("{} given, expected at most {}", members.len(), Self::MAX_MEMBERS));
        }
        for (index, member) in members.iter().enumerate() {
            if members[..index].iter().any(|m| m.name() == member.name()) {
                return bad(format!("{} is listed twice with the same port", member.address));
            }
        }
        Ok(())
    }

    /// Every address connections may go to.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        std::iter::once(self.address).chain(self.members.iter().map(|m| m.address))
    }
}

/// What a backend is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendKind {
    /// A cloud server.
    Vm,
    /// A bare-metal server.
    Bms,
    /// A virtual IP.
    Vip,
    /// A load balancer.
    Lb,
}

impl BackendKind {
    /// Reads one of the four words in any case; `field` names it in the error.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, ModelError> {
        match text.to_ascii_uppercase().as_str() {
            "VM" => Ok(Self::Vm),
            "BMS" => Ok(Self::Bms),
            "VIP" => Ok(Self::Vip),
            "LB" => Ok(Self::Lb),
            _ => Err(ModelError::BackendKind { field, value: text.into() }),
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vm => "VM",
            Self::Bms => "BMS",
            Self::Vip => "VIP",
            Self::Lb => "LB",
        })
    }
}

/// One server behind a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its address in the VPC.
    pub address: Ipv4Addr,
    /// Its own port; `None` keeps the mapping's server port.
    pub port: Option<Port>,
    /// Its share of new connections (1..=100) relative to the other members.
    weight: u8,
    /// Whether it keeps its connections and gets no new ones.
    pub is_draining: bool,
}

impl Member {
    /// Weight of a member that names none.
    pub const DEFAULT_WEIGHT: i64 = 1;

    /// A member of this weight.
    ///
    /// # Errors
    /// When the weight is not in 1..=100.
    pub fn new(address: Ipv4Addr, port: Option<Port>, weight: i64) -> Result<Self, ModelError> {
        match u8::try_from(weight) {
            Ok(weight @ 1..=100) => Ok(Self { address, port, weight, is_draining: false }),
            _ => Err(ModelError::Weight { value: weight }),
        }
    }

    /// It, getting no new connections or getting them.
    #[must_use]
    pub fn draining(self, is_draining: bool) -> Self {
        Self { is_draining, ..self }
    }

    /// Its share of new connections, 1..=100.
    #[must_use]
    pub fn weight(self) -> u8 {
        self.weight
    }

    /// What names it among the members.
    #[must_use]
    pub fn name(self) -> MemberName {
        MemberName { address: self.address, port: self.port }
    }
}

/// What names a member of a load balancer: `ADDRESS:PORT`, with port 0 for one
/// without a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberName {
    /// Its address in the VPC.
    pub address: Ipv4Addr,
    /// Its own port.
    pub port: Option<Port>,
}

impl FromStr for MemberName {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let socket: SocketAddrV4 = text.parse().map_err(|_| ModelError::MemberName { value: text.into() })?;
        Ok(Self { address: *socket.ip(), port: Port::new("port", socket.port().into()).ok() })
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.address, self.port.map_or(0, Port::get))
    }
}

/// How a load balancer spreads new connections over its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// One after the other, as often as their weights say.
    #[default]
    RoundRobin,
    /// By a hash of the client's address: a client stays with its member, and a change of
    /// members moves few clients.
    SourceHash,
}

impl Algorithm {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::SourceHash => "source_hash",
        }
    }
}

impl FromStr for Algorithm {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        match text {
            "round_robin" => Ok(Self::RoundRobin),
            "source_hash" => Ok(Self::SourceHash),
            _ => Err(ModelError::Algorithm { value: text.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(last: u8, port: i64) -> Member {
        Member::new(Ipv4Addr::new(10, 0, 0, last), Port::new("port", port).ok(), 1).unwrap()
    }

    #[test]
    fn only_load_balancers_have_members_each_once() {
        let check = Backend::check_members;
        assert!(check(BackendKind::Vm, &[]).is_ok());
        assert!(check(BackendKind::Vm, &[member(1, 80)]).is_err());
        assert!(check(BackendKind::Lb, &[member(1, 80), member(1, 81)]).is_ok());
        assert!(check(BackendKind::Lb, &[member(1, 80), member(1, 80)]).is_err());
        let many: Vec<_> = (1..=65).map(|last| member(last, 80)).collect();
        assert!(check(BackendKind::Lb, &many[..64]).is_ok());
        assert!(check(BackendKind::Lb, &many).is_err());
    }

    #[test]
    fn weights_are_1_to_100() {
        for (weight, ok) in [(0, false), (1, true), (100, true), (101, false), (-1, false), (300, false)] {
            assert_eq!(Member::new(Ipv4Addr::LOCALHOST, None, weight).is_ok(), ok, "{weight}");
        }
    }
}

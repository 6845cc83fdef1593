//! Backend resources: what really serves.

use std::fmt;
use std::net::Ipv4Addr;

use super::{BackendId, ModelError, Name, Port, ProjectId, Timestamp, VpcId};

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
    /// When it was made.
    pub created_at: Timestamp,
}

impl Backend {
    /// Most members of one load balancer.
    pub const MAX_MEMBERS: usize = 64;

    /// Checks that `members` go with `kind`.
    ///
    /// # Errors
    /// When something other than a load balancer has members, there are too
    /// many, or one is listed twice.
    pub fn check_members(kind: BackendKind, members: &[Member]) -> Result<(), ModelError> {
        let bad = |problem| Err(ModelError::Members { problem });
        if kind != BackendKind::Lb && !members.is_empty() {
            return bad(format!("a {kind} has none, only an LB does"));
        }
        if members.len() > Self::MAX_MEMBERS {
            return bad(format!("{} given, expected at most {}", members.len(), Self::MAX_MEMBERS));
        }
        for (index, member) in members.iter().enumerate() {
            if members[..index].iter().any(|m| (m.address, m.port) == (member.address, member.port)) {
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
            Ok(weight @ 1..=100) => Ok(Self { address, port, weight }),
            _ => Err(ModelError::Weight { value: weight }),
        }
    }

    /// Its share of new connections, 1..=100.
    #[must_use]
    pub fn weight(self) -> u8 {
        self.weight
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

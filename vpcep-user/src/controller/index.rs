//! What operations would otherwise count or search among all endpoints.
//!
//! Owns nothing of its own: everything here follows from the tables of
//! [`super::state`], which enter and take out each object as they change.

use std::net::Ipv4Addr;

use imbl::{OrdMap, OrdSet};

use super::identity::Identities;
use super::runs::AddressRuns;
use super::state::Scope;
use crate::model::{
    Attachment, Backend, Endpoint, EndpointId, ProjectId, RouteTable, RouteTableId, Service, ServiceId,
    Subnet, Timestamp, Vpc, VpcId,
};
use crate::store::record::{Home, Numbers, QuotaRecord, Stored};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    addresses: OrdMap<VpcId, AddressRuns>,
    markers: OrdSet<u32>,
    /// Endpoints by age.
    pub endpoints: ByAge<EndpointId>,
    endpoints_of_service: Groups<ServiceId, EndpointId>,
    by_route_table: OrdSet<(RouteTableId, EndpointId)>,
    /// Services by age.
    pub services: ByAge<ServiceId>,
    /// Ways to accounts, users and their proofs.
    pub identities: Identities,
}

/// Ids of objects, the oldest first. A clone costs nothing.
pub type Ages<I> = OrdSet<(Timestamp, I)>;

/// Objects of one kind by age: each project's, and all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByAge<I: Ord + Clone> {
    all: Ages<I>,
    of_project: Groups<ProjectId, I>,
}

impl<I: Ord + Clone> Default for ByAge<I> {
    fn default() -> Self {
        Self { all: Ages::new(), of_project: Groups::default() }
    }
}

impl<I: Ord + Clone> ByAge<I> {
    /// Those that `scope` may see.
    #[must_use]
    pub fn visible(&self, scope: Scope) -> Ages<I> {
        match scope {
            Scope::Every => self.all.clone(),
            Scope::Project(project) => self.of_project.get(project),
        }
    }

    fn enter(&mut self, project: ProjectId, age: Timestamp, id: I) {
        self.all.insert((age, id.clone()));
        self.of_project.enter(project, age, id);
    }

    fn leave(&mut self, project: ProjectId, age: Timestamp, id: I) {
        self.all.remove(&(age, id.clone()));
        self.of_project.leave(project, age, id);
    }
}

/// Objects by something they have in common; no group is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Groups<K: Ord + Clone, I: Ord + Clone>(OrdMap<K, Ages<I>>);

impl<K: Ord + Clone, I: Ord + Clone> Default for Groups<K, I> {
    fn default() -> Self {
        Self(OrdMap::new())
    }
}

impl<K: Ord + Clone, I: Ord + Clone> Groups<K, I> {
    fn get(&self, key: K) -> Ages<I> {
        self.0.get(&key).cloned().unwrap_or_default()
    }

    fn enter(&mut self, key: K, age: Timestamp, id: I) {
        self.0.entry(key).or_default().insert((age, id));
    }

    fn leave(&mut self, key: K, age: Timestamp, id: I) {
        if let Some(group) = self.0.get_mut(&key) {
            group.remove(&(age, id));
            if group.is_empty() {
                self.0.remove(&key);
            }
        }
    }
}

impl Index {
    /// The highest address up to `limit` that no endpoint has in a VPC.
    #[must_use]
    pub fn highest_without_endpoint(&self, vpc: VpcId, limit: Ipv4Addr) -> Option<Ipv4Addr> {
        self.addresses.get(&vpc).map_or(Some(limit), |taken| taken.highest_absent(limit))
    }

    /// Whether an endpoint has this address in a VPC.
    #[must_use]
    pub fn has_endpoint_address(&self, vpc: VpcId, address: Ipv4Addr) -> bool {
        self.addresses.get(&vpc).is_some_and(|taken| taken.contains(address))
    }

    /// Whether an endpoint has this marker.
    #[must_use]
    pub fn has_marker(&self, marker: u32) -> bool {
        self.markers.contains(&marker)
    }

    /// The endpoints a route table leads to, by id.
    pub fn endpoints_of_route_table(&self, table: RouteTableId) -> impl Iterator<Item = EndpointId> {
        let (first, last) = (EndpointId::from_u128(0), EndpointId::from_u128(u128::MAX));
        self.by_route_table.range((table, first)..=(table, last)).map(|(_, endpoint)| *endpoint)
    }

    /// The endpoints of a service.
    #[must_use]
    pub fn endpoints_of_service(&self, service: ServiceId) -> Ages<EndpointId> {
        self.endpoints_of_service.get(service)
    }
}

/// A kind of object that may be in the [`Index`].
pub trait Indexed: Stored {
    /// Enters this object.
    fn enter(&self, _index: &mut Index) {}
    /// Takes this object out.
    fn leave(&self, _index: &mut Index) {}
}

impl Indexed for Endpoint {
    fn enter(&self, index: &mut Index) {
        if let Some(address) = self.address() {
            index.addresses.entry(self.vpc).or_default().insert(address);
        }
        index.by_route_table.extend(self.route_tables().iter().map(|table| (*table, self.id)));
        index.markers.insert(self.marker);
        index.endpoints.enter(self.project, self.created_at, self.id);
        index.endpoints_of_service.enter(self.service, self.created_at, self.id);
    }

    fn leave(&self, index: &mut Index) {
        if let (Some(address), Some(taken)) = (self.address(), index.addresses.get_mut(&self.vpc)) {
            taken.remove(address);
            if taken.is_empty() {
                index.addresses.remove(&self.vpc);
            }
        }
        for table in self.route_tables() {
            index.by_route_table.remove(&(*table, self.id));
        }
        index.markers.remove(&self.marker);
        index.endpoints.leave(self.project, self.created_at, self.id);
        index.endpoints_of_service.leave(self.service, self.created_at, self.id);
    }
}

impl Indexed for Service {
    fn enter(&self, index: &mut Index) {
        index.services.enter(self.project, self.created_at, self.id);
    }

    fn leave(&self, index: &mut Index) {
        index.services.leave(self.project, self.created_at, self.id);
    }
}

macro_rules! not_indexed {
    ($($type:ident)*) => {
        $(impl Indexed for $type {})*
    };
}

not_indexed!(Vpc Subnet RouteTable Backend Attachment QuotaRecord Numbers Home);

//! What operations would otherwise count or search among all endpoints.
//!
//! Owns nothing of its own: everything here follows from the tables of
//! [`super::state`], which enter and take out each object as they change.

use std::net::Ipv4Addr;

use imbl::{OrdMap, OrdSet};

use super::identity::Identities;
use super::runs::AddressRuns;
use crate::model::{
    Attachment, Backend, Endpoint, EndpointId, ProjectId, RouteTable, RouteTableId, Service, ServiceId,
    Subnet, Vpc, VpcId,
};
use crate::store::record::{Home, Numbers, QuotaRecord, Stored};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    addresses: OrdMap<VpcId, AddressRuns>,
    markers: OrdSet<u32>,
    by_service: OrdSet<(ServiceId, EndpointId)>,
    by_route_table: OrdSet<(RouteTableId, EndpointId)>,
    by_project: OrdMap<ProjectId, usize>,
    /// Ways to accounts, users and their proofs.
    pub identities: Identities,
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

    /// The endpoints of a service, by id.
    pub fn endpoints_of_service(&self, service: ServiceId) -> impl Iterator<Item = EndpointId> {
        let (first, last) = (EndpointId::from_u128(0), EndpointId::from_u128(u128::MAX));
        self.by_service.range((service, first)..=(service, last)).map(|(_, endpoint)| *endpoint)
    }

    /// The endpoints a route table leads to, by id.
    pub fn endpoints_of_route_table(&self, table: RouteTableId) -> impl Iterator<Item = EndpointId> {
        let (first, last) = (EndpointId::from_u128(0), EndpointId::from_u128(u128::MAX));
        self.by_route_table.range((table, first)..=(table, last)).map(|(_, endpoint)| *endpoint)
    }

    /// How many endpoints a project has.
    #[must_use]
    pub fn endpoints_of_project(&self, project: ProjectId) -> usize {
        self.by_project.get(&project).copied().unwrap_or(0)
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
        index.by_service.insert((self.service, self.id));
        *index.by_project.entry(self.project).or_default() += 1;
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
        index.by_service.remove(&(self.service, self.id));
        if let Some(count) = index.by_project.get_mut(&self.project) {
            *count -= 1;
            if *count == 0 {
                index.by_project.remove(&self.project);
            }
        }
    }
}

macro_rules! not_indexed {
    ($($type:ident)*) => {
        $(impl Indexed for $type {})*
    };
}

not_indexed!(Vpc Subnet RouteTable Backend Attachment Service QuotaRecord Numbers Home);

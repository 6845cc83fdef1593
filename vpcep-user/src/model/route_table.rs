//! Route tables: which subnets of a VPC are led to a gateway endpoint.

use std::collections::BTreeSet;

use super::{Description, Name, ProjectId, RouteTableId, SubnetId, Timestamp, VpcId};

/// A route table. Every VPC has a default one, which is that of all subnets no
/// other table has been given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable {
    /// Names it.
    pub id: RouteTableId,
    /// The VPC whose routes it has.
    pub vpc: VpcId,
    /// Its owner.
    pub project: ProjectId,
    /// For people; not unique.
    pub name: Name,
    /// Whether it is the VPC's default one.
    pub is_default: bool,
    /// The subnets it was given; the default one is given none.
    pub subnets: BTreeSet<SubnetId>,
    /// The owner's note.
    pub description: Description,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl RouteTable {
    /// The default table of a VPC.
    #[must_use]
    pub fn default_of(vpc: VpcId, project: ProjectId, now: Timestamp) -> Self {
        Self {
            id: RouteTableId::random(),
            vpc,
            project,
            name: Name::new("name", "default").expect("the word is a name"),
            is_default: true,
            subnets: BTreeSet::new(),
            description: Description::default(),
            created_at: now,
            updated_at: now,
        }
    }
}

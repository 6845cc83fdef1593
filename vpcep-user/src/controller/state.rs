//! The whole model in memory, as it is durable. How it changes is in `tx.rs`.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use imbl::OrdMap;

use super::error::ControlError;
use super::index::{Ages, ByAge, Index, Indexed};
use crate::model::{
    AccessKey, Account, Attachment, AttachmentId, Backend, DnsDomain, Endpoint, EndpointId, FullName,
    ProjectId, Quotas, Region, RouteTable, Service, ServiceId, Subnet, Timestamp, Token, User, Vpc,
};
use crate::reconcile::desired::AttachmentState;
use crate::store::record::{self, Home, Numbers, NumbersId, QuotaId, QuotaRecord, RecordError, Stored};
use crate::store::{Record, Revision};

/// Whose objects an operation may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everyone's: the operator's view.
    Every,
    /// One project's.
    Project(ProjectId),
}

impl Scope {
    /// Whether objects of `project` may be seen.
    #[must_use]
    pub fn sees(self, project: ProjectId) -> bool {
        match self {
            Self::Every => true,
            Self::Project(own) => own == project,
        }
    }

    /// The project a new object belongs to when it names no VPC.
    #[must_use]
    pub fn own_project(self) -> ProjectId {
        match self {
            Self::Every => ProjectId::OPERATOR,
            Self::Project(own) => own,
        }
    }
}

/// An object and the revision that wrote it.
#[derive(Clone, Debug)]
pub struct Row<T> {
    /// The revision.
    pub version: Revision,
    /// The object.
    pub value: T,
}

/// All objects of one kind. A clone shares them.
#[derive(Debug)]
pub struct Table<T: Stored>(pub(super) OrdMap<T::Id, Arc<Row<T>>>);

impl<T: Stored> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Stored> Table<T> {
    /// The object of this id.
    #[must_use]
    pub fn get(&self, id: T::Id) -> Option<&T> {
        self.0.get(&id).map(|row| &row.value)
    }

    /// Every object, by id.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.values().map(|row| &row.value)
    }

    /// Every object with its revision, by id.
    pub fn rows(&self) -> impl Iterator<Item = &Row<T>> {
        self.0.values().map(Arc::as_ref)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn load(records: &[Record], index: &mut Index) -> Result<Self, RecordError>
    where
        T: Indexed,
    {
        let rows = records.iter().filter(|record| record.key.starts_with(T::PREFIX)).map(|record| {
            let value: T = record::decode(record)?;
            value.enter(index);
            Ok((value.id(), Arc::new(Row { version: record.version, value })))
        });
        rows.collect::<Result<_, _>>().map(Self)
    }
}

/// A kind of object that [`State`] holds.
pub trait Tabled: Indexed + Send + 'static
where
    Self::Id: Send,
{
    /// What people call one.
    const KIND: &'static str;
    /// Where they are.
    fn table(state: &State) -> &Table<Self>;
    /// Where they are, to change.
    fn table_mut(state: &mut State) -> &mut Table<Self>;
}

/// A kind of object that belongs to a project.
pub trait Owned: Tabled
where
    Self::Id: Send,
{
    /// Whose it is.
    fn project(&self) -> ProjectId;
    /// When it was made.
    fn created_at(&self) -> Timestamp;
}

/// A kind of object of which there may be very many.
pub trait Listed: Owned
where
    Self::Id: Send,
{
    /// When it last changed.
    fn updated_at(&self) -> Timestamp;
    /// All of them by age, and each project's.
    fn ages(index: &Index) -> &ByAge<Self::Id>;
}

/// A kind of object that knows when it last changed.
pub trait Dated: Tabled + Clone + PartialEq
where
    Self::Id: Send,
{
    /// It, changed at this time.
    #[must_use]
    fn changed_at(self, now: Timestamp) -> Self;
}

macro_rules! dated {
    ($($type:ident)*) => {
        $(impl Dated for $type {
            fn changed_at(self, now: Timestamp) -> Self {
                Self { updated_at: now, ..self }
            }
        })*
    };
}

dated!(Vpc Subnet RouteTable Backend Service Endpoint);

impl Listed for Service {
    fn updated_at(&self) -> Timestamp {
        self.updated_at
    }
    fn ages(index: &Index) -> &ByAge<ServiceId> {
        &index.services
    }
}

impl Listed for Endpoint {
    fn updated_at(&self) -> Timestamp {
        self.updated_at
    }
    fn ages(index: &Index) -> &ByAge<EndpointId> {
        &index.endpoints
    }
}

macro_rules! tables {
    ($($field:ident: $type:ident, $kind:literal;)*) => {
        /// Everything the controller knows. A clone shares it, and costs little.
        #[derive(Clone, Debug)]
        pub struct State {
            /// The region this controller serves.
            pub region: Region,
            /// What names of endpoints end in. A setting, not kept.
            pub dns_domain: DnsDomain,
            /// The revision all of it is of.
            pub revision: Revision,
            /// What the last pass said of each attachment. Not kept: the next
            /// start finds out anew.
            pub attachment_states: Arc<BTreeMap<AttachmentId, AttachmentState>>,
            /// What would otherwise be counted or searched at every operation.
            pub index: Index,
            $(
                #[doc = concat!("Every ", $kind, ".")]
                pub $field: Table<$type>,
            )*
        }

        impl State {
            /// The state a store holds.
            ///
            /// # Errors
            /// When a record cannot be read.
            pub fn load(region: Region, records: &[Record], revision: Revision) -> Result<Self, RecordError> {
                let mut index = Index::default();
                Ok(Self {
                    region,
                    dns_domain: DnsDomain::default(),
                    revision,
                    attachment_states: Arc::default(),
                    $($field: Table::load(records, &mut index)?,)*
                    index,
                })
            }
        }

        $(impl Tabled for $type {
            const KIND: &'static str = $kind;
            fn table(state: &State) -> &Table<Self> {
                &state.$field
            }
            fn table_mut(state: &mut State) -> &mut Table<Self> {
                &mut state.$field
            }
        })*
    };
}

tables! {
    accounts: Account, "account";
    users: User, "user";
    keys: AccessKey, "access key";
    tokens: Token, "token";
    vpcs: Vpc, "vpc";
    subnets: Subnet, "subnet";
    route_tables: RouteTable, "route table";
    backends: Backend, "backend";
    attachments: Attachment, "attachment";
    services: Service, "endpoint service";
    endpoints: Endpoint, "endpoint";
    quotas: QuotaRecord, "quota";
    numbers: Numbers, "number counter";
    home: Home, "home region";
}

macro_rules! owned {
    ($($type:ident)*) => {
        $(impl Owned for $type {
            fn project(&self) -> ProjectId {
                self.project
            }
            fn created_at(&self) -> Timestamp {
                self.created_at
            }
        })*
    };
}

owned!(Vpc Subnet RouteTable Backend Service Endpoint);

impl State {
    /// The object of this id, if `scope` may see it.
    ///
    /// # Errors
    /// When it is not there or somebody else's, which look the same.
    pub fn find<T: Owned>(&self, scope: Scope, id: T::Id) -> Result<&T, ControlError>
    where
        T::Id: Send,
    {
        T::table(self)
            .get(id)
            .filter(|object| scope.sees(object.project()))
            .ok_or_else(|| ControlError::NotFound { kind: T::KIND, id: id.to_string() })
    }

    /// Every object that `scope` may see, oldest first.
    pub fn visible<T: Owned>(&self, scope: Scope) -> Vec<&T>
    where
        T::Id: Send,
    {
        let mut objects: Vec<&T> =
            T::table(self).iter().filter(|object| scope.sees(object.project())).collect();
        objects.sort_by_key(|object| (object.created_at(), object.id()));
        objects
    }

    /// As [`State::visible`], for a kind of which there may be very many: those of
    /// others cost nothing.
    pub fn listed<T: Listed>(&self, scope: Scope) -> impl Iterator<Item = &T>
    where
        T::Id: Send,
    {
        T::ages(&self.index).visible(scope).into_iter().filter_map(|(_, id)| T::table(self).get(id))
    }

    /// What a list under `scope` has to look at: the object of this id, if any is
    /// named, otherwise all.
    #[must_use]
    pub fn candidates<T: Listed>(&self, scope: Scope, id: Option<&str>) -> Ages<T::Id>
    where
        T::Id: Send + FromStr,
    {
        let Some(id) = id else { return T::ages(&self.index).visible(scope) };
        let object = id.parse().ok().and_then(|id| self.find::<T>(scope, id).ok());
        object.map(|object| (object.created_at(), object.id())).into_iter().collect()
    }

    /// The endpoints of a service, oldest first.
    pub fn endpoints_of(&self, service: ServiceId) -> impl Iterator<Item = &Endpoint> {
        self.index.endpoints_of_service(service).into_iter().filter_map(|(_, id)| self.endpoints.get(id))
    }

    /// The limits in force for a project.
    #[must_use]
    pub fn quotas(&self, project: Option<ProjectId>) -> Quotas {
        let set = |id| self.quotas.get(QuotaId(id)).map(|record| record.change).unwrap_or_default();
        let default = set(None).over(Quotas::default());
        project.map_or(default, |project| set(Some(project)).over(default))
    }

    /// The full name of a service.
    #[must_use]
    pub fn full_name(&self, service: &Service) -> FullName {
        FullName::new(&self.region, service.name.as_ref(), service.id)
    }

    /// The name of an endpoint in its VPC, when it has one.
    #[must_use]
    pub fn dns_name(&self, endpoint: &Endpoint) -> Option<String> {
        let (region, domain) = (self.region.as_str(), self.dns_domain.as_str());
        endpoint.has_name().then(|| format!("vpcep-{}.{region}.{domain}", endpoint.id))
    }

    /// The next numbers to give out.
    #[must_use]
    pub fn next_numbers(&self) -> Numbers {
        self.numbers.get(NumbersId).copied().unwrap_or_default()
    }
}

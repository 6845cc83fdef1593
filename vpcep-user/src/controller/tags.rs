//! Tags of services and endpoints, and searching by them.

use std::collections::{BTreeMap, BTreeSet};

use super::error::ControlError;
use super::state::{Dated, Listed, Scope, State};
use super::tx::Tx;
use super::{endpoints, services};
use crate::model::{Endpoint, EndpointId, Service, ServiceId, TagQuery, TagRemoval, Tags};

/// A kind of object that has tags.
pub trait Tagged: Listed + Dated
where
    Self::Id: Send,
{
    /// Its tags.
    fn tags(&self) -> &Tags;
    /// It with other tags.
    #[must_use]
    fn tagged(self, tags: Tags) -> Self;
    /// What people call it; its id when it has no name.
    fn name(&self, state: &State) -> String;
    /// The object of this id, when it may be changed.
    ///
    /// # Errors
    /// When it is not there, not the caller's, or on its way out.
    fn changeable(state: &State, scope: Scope, id: Self::Id) -> Result<&Self, ControlError>;
}

impl Tagged for Service {
    fn tags(&self) -> &Tags {
        &self.tags
    }
    fn tagged(self, tags: Tags) -> Self {
        Self { tags, ..self }
    }
    fn name(&self, state: &State) -> String {
        state.full_name(self).to_string()
    }
    fn changeable(state: &State, scope: Scope, id: ServiceId) -> Result<&Self, ControlError> {
        services::changeable(state, scope, id)
    }
}

impl Tagged for Endpoint {
    fn tags(&self) -> &Tags {
        &self.tags
    }
    fn tagged(self, tags: Tags) -> Self {
        Self { tags, ..self }
    }
    fn name(&self, _: &State) -> String {
        self.id.to_string()
    }
    fn changeable(state: &State, scope: Scope, id: EndpointId) -> Result<&Self, ControlError> {
        endpoints::changeable(state, scope, id)
    }
}

/// Adds tags; a key that is there gets the new value.
///
/// # Errors
/// When the object is not there or is being deleted, or would have too many.
pub fn add<T: Tagged>(tx: &mut Tx<'_>, scope: Scope, id: T::Id, tags: Tags) -> Result<(), ControlError>
where
    T::Id: Send,
{
    let object = T::changeable(tx.state, scope, id)?;
    let tags = object.tags().clone().with(tags)?;
    tx.revise(object.clone().tagged(tags));
    Ok(())
}

/// Removes tags; those that are not there are no error.
///
/// # Errors
/// When the object is not there or is being deleted.
pub fn remove<T: Tagged>(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: T::Id,
    removals: &[TagRemoval],
) -> Result<(), ControlError>
where
    T::Id: Send,
{
    let object = T::changeable(tx.state, scope, id)?;
    let tags = object.tags().clone().without(removals);
    tx.revise(object.clone().tagged(tags));
    Ok(())
}

/// Every key that is in use, with its values.
#[must_use]
pub fn summary<T: Tagged>(state: &State, scope: Scope) -> BTreeMap<&str, BTreeSet<&str>>
where
    T::Id: Send,
{
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for tag in state.listed::<T>(scope).flat_map(|object| object.tags().as_slice()) {
        found.entry(tag.key()).or_default().insert(tag.value());
    }
    found
}

/// The objects a search means, oldest first; `name` is a part of the name, in
/// any case.
pub fn search<'a, T: Tagged>(
    state: &'a State,
    scope: Scope,
    query: &TagQuery,
    name: Option<&str>,
) -> Vec<&'a T>
where
    T::Id: Send,
{
    let name = name.map(str::to_lowercase);
    let is_named =
        |object: &T| name.as_ref().is_none_or(|part| object.name(state).to_lowercase().contains(part));
    state.listed::<T>(scope).filter(|object| query.admits(object.tags()) && is_named(object)).collect()
}

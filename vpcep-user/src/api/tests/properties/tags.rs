//! Tags in the model: at most twenty of a resource, each key once.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Model, Refusal, reasons};
use super::steps::{Account, Act, TagSet, Thing};

/// Values by their keys.
pub type Tags = BTreeMap<String, String>;

/// Most tags of a resource.
const MOST: usize = 20;

impl TagSet {
    /// Keys with their values.
    pub fn pairs(self) -> Tags {
        match self {
            Self::One(key, value) => [(key.to_owned(), value.to_owned())].into(),
            Self::Twenty => (1..=20).map(|number| (format!("t{number}"), String::new())).collect(),
            Self::Nonsense => [("a*b".to_owned(), String::new())].into(),
        }
    }
}

/// Changes the tags of a resource, unless there is a reason not to.
pub fn change(tags: &mut Tags, act: &Act) -> Vec<Refusal> {
    match *act {
        Act::Tag { set, .. } => {
            let mut more = tags.clone();
            more.extend(set.pairs());
            let why_not = reasons([
                (Refusal::BadTag, set == TagSet::Nonsense),
                (Refusal::TooManyTags, more.len() > MOST),
            ]);
            if why_not.is_empty() {
                *tags = more;
            }
            why_not
        }
        Act::Untag { key, value, .. } => {
            tags.retain(|known, has| known != key || value.is_some_and(|value| value != has));
            vec![]
        }
        _ => unreachable!("only tags are changed here"),
    }
}

impl Model {
    /// The tags of something the caller may change.
    pub fn tags_of(&mut self, thing: Thing, may: impl Fn(Account) -> bool) -> Option<&mut Tags> {
        let (owner, is_gone, tags) = match thing {
            Thing::Service(label) => {
                let number = self.service(label)?;
                let service = &mut self.services[number];
                (service.owner, service.is_gone, &mut service.tags)
            }
            Thing::Endpoint(label) => {
                let number = self.endpoint(label)?;
                let endpoint = &mut self.endpoints[number];
                (endpoint.owner, endpoint.is_gone, &mut endpoint.tags)
            }
        };
        (may(owner) && !is_gone).then_some(tags)
    }

    /// Names of an account's services or endpoints that have a tag.
    pub fn tagged(&self, owner: Account, services: bool, key: &str, value: &str) -> BTreeSet<String> {
        let has = |tags: &Tags| tags.get(key).is_some_and(|has| has == value);
        if services {
            let found = self.services_of(owner).filter(|(_, service)| has(&service.tags));
            found.map(|(_, service)| service.name.clone()).collect()
        } else {
            let found = self.endpoints_of(owner).filter(|endpoint| has(&endpoint.tags));
            found.map(|endpoint| endpoint.name.clone()).collect()
        }
    }
}

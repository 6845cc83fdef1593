//! Tags, and searching by them.
//!
//! Source: Huawei VPCEP API reference, "Tag Management"; the lengths are those
//! of the API, the characters what both clouds take.

use std::collections::BTreeSet;

use super::ModelError;

/// Most tags of one resource.
pub const MAX_TAGS: usize = 20;
/// Most keys of one list of a search, and most values of one key.
pub const MAX_TAG_MATCHES: usize = 20;

const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 255;
/// Keys that begin so are the cloud's own.
const SYSTEM_PREFIX: &str = "_sys_";

/// A key and a value; the value may be empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    key: String,
    value: String,
}

impl Tag {
    /// A tag: a key of 1 to 128 and a value of at most 255 characters, none of
    /// them `*<>\,|` or a control character, without spaces at the ends.
    ///
    /// # Errors
    /// When key or value is not so, or the key begins with `_sys_`.
    pub fn new(key: &str, value: &str) -> Result<Self, ModelError> {
        check_key(key)?;
        if key.starts_with(SYSTEM_PREFIX) {
            return Err(ModelError::TagCharacters {
                field: "key",
                value: key.into(),
                expected: "keys that begin with \"_sys_\" are the system's own",
            });
        }
        check_value(value)?;
        Ok(Self { key: key.into(), value: value.into() })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

fn check_key(key: &str) -> Result<(), ModelError> {
    if key.is_empty() {
        return Err(ModelError::TagKeyEmpty);
    }
    if key.chars().count() > MAX_KEY {
        return Err(ModelError::TagKeyLong { key: key.into(), limit: MAX_KEY });
    }
    check_characters("key", key)
}

fn check_value(value: &str) -> Result<(), ModelError> {
    if value.chars().count() > MAX_VALUE {
        return Err(ModelError::TagValueLong { value: value.into(), limit: MAX_VALUE });
    }
    check_characters("value", value)
}

fn check_characters(field: &'static str, text: &str) -> Result<(), ModelError> {
    let is_bad = |c: char| "*<>\\,|".contains(c) || c.is_control();
    if text.contains(is_bad) || text.trim() != text {
        let expected = "none of \"*<>\\,|\", no control characters and no spaces at the ends";
        return Err(ModelError::TagCharacters { field, value: text.into(), expected });
    }
    Ok(())
}

/// The tags of one resource: at most [`MAX_TAGS`], each key once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<Tag>);

impl Tags {
    /// Takes tags in the order given.
    ///
    /// # Errors
    /// When there are too many, or a key is there twice.
    pub fn new(tags: Vec<Tag>) -> Result<Self, ModelError> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = tags.iter().find(|tag| !seen.insert(&tag.key)) {
            return Err(ModelError::TagDuplicate { key: twice.key.clone() });
        }
        if tags.len() > MAX_TAGS {
            return Err(ModelError::TooManyTags { count: tags.len() });
        }
        Ok(Self(tags))
    }

    /// The tags, in the order they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[Tag] {
        &self.0
    }

    /// These tags with every one of `more`, which change the values of keys that
    /// are there.
    ///
    /// # Errors
    /// When there would be too many.
    pub fn with(mut self, more: Self) -> Result<Self, ModelError> {
        for tag in more.0 {
            match self.0.iter_mut().find(|known| known.key == tag.key) {
                Some(known) => known.value = tag.value,
                None => self.0.push(tag),
            }
        }
        Self::new(self.0)
    }

    /// These tags without those that `removals` name. What is not there is no
    /// error.
    #[must_use]
    pub fn without(mut self, removals: &[TagRemoval]) -> Self {
        self.0.retain(|tag| !removals.iter().any(|removal| removal.names(tag)));
        self
    }

    fn value_of(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|tag| tag.key == key).map(Tag::value)
    }
}

/// Which tag to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRemoval {
    key: String,
    value: Option<String>,
}

impl TagRemoval {
    /// The tag of this key, or only if it has this value.
    ///
    /// # Errors
    /// When no tag can have this key or value.
    pub fn new(key: &str, value: Option<&str>) -> Result<Self, ModelError> {
        check_key(key)?;
        value.map_or(Ok(()), check_value)?;
        Ok(Self { key: key.into(), value: value.map(str::to_owned) })
    }

    fn names(&self, tag: &Tag) -> bool {
        self.key == tag.key && self.value.as_ref().is_none_or(|value| *value == tag.value)
    }
}

/// A key and which values of it are meant; without values, all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagMatch {
    key: String,
    values: Vec<String>,
}

impl TagMatch {
    /// A match of one key.
    ///
    /// # Errors
    /// When no tag can have the key or a value, a value is there twice, or there
    /// are more than [`MAX_TAG_MATCHES`].
    pub fn new(key: &str, values: Vec<String>) -> Result<Self, ModelError> {
        check_key(key)?;
        values.iter().try_for_each(|value| check_value(value))?;
        if values.len() > MAX_TAG_MATCHES {
            return Err(ModelError::TooManyTagMatches { what: "values", count: values.len() });
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = values.iter().find(|value| !seen.insert(*value)) {
            return Err(ModelError::TagValueDuplicate { key: key.into(), value: twice.clone() });
        }
        Ok(Self { key: key.into(), values })
    }

    fn matches(&self, tags: &Tags) -> bool {
        let is_meant = |value: &str| self.values.is_empty() || self.values.iter().any(|v| v == value);
        tags.value_of(&self.key).is_some_and(is_meant)
    }
}

/// Several matches, each of another key: at most [`MAX_TAG_MATCHES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagMatches(Vec<TagMatch>);

impl TagMatches {
    /// Takes matches.
    ///
    /// # Errors
    /// When there are too many, or a key is there twice.
    pub fn new(matches: Vec<TagMatch>) -> Result<Self, ModelError> {
        if matches.len() > MAX_TAG_MATCHES {
            return Err(ModelError::TooManyTagMatches { what: "keys", count: matches.len() });
        }
        let mut seen = BTreeSet::new();
        match matches.iter().find(|one| !seen.insert(&one.key)) {
            Some(twice) => Err(ModelError::TagDuplicate { key: twice.key.clone() }),
            None => Ok(Self(matches)),
        }
    }

    fn all(&self, tags: &Tags) -> bool {
        self.0.iter().all(|one| one.matches(tags))
    }

    fn any(&self, tags: &Tags) -> bool {
        self.0.iter().any(|one| one.matches(tags))
    }
}

/// A search by tags; a condition without matches is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagQuery {
    /// Every one matches.
    pub all: TagMatches,
    /// At least one matches.
    pub any: TagMatches,
    /// Not every one matches.
    pub not_all: TagMatches,
    /// None matches.
    pub not_any: TagMatches,
    /// There are no tags. The other conditions do not count then.
    pub without_any: bool,
}

impl TagQuery {
    /// Whether a resource with these tags is meant.
    #[must_use]
    pub fn admits(&self, tags: &Tags) -> bool {
        if self.without_any {
            return tags.0.is_empty();
        }
        self.all.all(tags)
            && (self.any.0.is_empty() || self.any.any(tags))
            && (self.not_all.0.is_empty() || !self.not_all.all(tags))
            && !self.not_any.any(tags)
    }
}

#[cfg(test)]
mod tests;

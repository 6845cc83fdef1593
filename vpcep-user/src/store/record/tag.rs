//! Stored form of tags, part of those of services and endpoints.

use serde::{Deserialize, Serialize};

use crate::model::{ModelError, Tag, Tags};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagForm {
    key: String,
    value: String,
}

/// The forms of tags.
pub fn forms(tags: &Tags) -> Vec<TagForm> {
    let form = |tag: &Tag| TagForm { key: tag.key().into(), value: tag.value().into() };
    tags.as_slice().iter().map(form).collect()
}

/// The tags of forms.
pub fn parse(forms: &[TagForm]) -> Result<Tags, ModelError> {
    Tags::new(forms.iter().map(|form| Tag::new(&form.key, &form.value)).collect::<Result<_, _>>()?)
}

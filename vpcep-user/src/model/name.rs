//! Names people give: of services, of everything else, and the full name by
//! which a consumer finds a service.

use std::fmt;
use std::str::FromStr;

use super::{ModelError, ServiceId};

/// The name part of a service's full name: 1 to 16 of letters, digits, `_`, `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName(String);

impl ServiceName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let fits = (1..=16).contains(&text.len()) && text.bytes().all(is_name_byte);
        if fits { Ok(Self(text.into())) } else { Err(ModelError::ServiceName { value: text.into() }) }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// The name of an account, a VPC, a subnet or a backend: 1 to 64 of letters,
/// digits, `_`, `-` and `.`; not unique except for accounts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Parses `text`; `field` names it in the error.
    ///
    /// # Errors
    /// When it is empty, too long or has other characters.
    pub fn new(field: &'static str, text: &str) -> Result<Self, ModelError> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| is_name_byte(b) || b == b'.');
        if fits { Ok(Self(text.into())) } else { Err(ModelError::Name { field, value: text.into() }) }
    }

    /// The name of an object that was given none: a word and the beginning of its
    /// id.
    ///
    /// # Panics
    /// When `word` has characters that names have not.
    #[must_use]
    pub fn of(word: &'static str, id: u128) -> Self {
        Self::new("name", &format!("{word}-{:08x}", id >> 96)).expect("the word is made of letters")
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Free text of at most 512 characters without `<` and `>`; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Description {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        if text.chars().count() > 512 || text.contains(['<', '>']) {
            return Err(ModelError::Description { value: text.chars().take(64).collect() });
        }
        Ok(Self(text.into()))
    }
}

/// The region this controller serves: the first part of every full name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region(String);

impl Region {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(is_name_byte);
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(ModelError::Name { field: "region", value: text.into() })
        }
    }
}

/// The DNS domain that names of endpoints end in: labels of letters, digits and
/// `-`, joined by dots, at most 120 characters in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsDomain(String);

impl DnsDomain {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for DnsDomain {
    fn default() -> Self {
        Self("vpcep.internal".into())
    }
}

impl FromStr for DnsDomain {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        // RFC 1123 section 2.1. A name is a label of 42, the region of at most 64, and this: 253 at most.
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= 120 && text.split('.').all(is_label) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(ModelError::DnsDomain { value: text.into() })
        }
    }
}

/// By what a consumer finds a service: `region.name.id`, or `region.id` when
/// the service has no name.
///
/// Only the id decides which service is meant; it is unique, and neither the
/// region nor the name can contain a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullName(String);

impl FullName {
    /// The full name of a service.
    #[must_use]
    pub fn new(region: &Region, name: Option<&ServiceName>, id: ServiceId) -> Self {
        Self(match name {
            Some(name) => format!("{}.{}.{id}", region.0, name.0),
            None => format!("{}.{id}", region.0),
        })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FullName {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let (front, id) = text.rsplit_once('.').unwrap_or(("", text));
        let id: ServiceId = id.parse()?;
        Ok(match front.split_once('.') {
            Some((region, name)) => Self::new(&region.parse()?, Some(&name.parse()?), id),
            None => Self::new(&front.parse()?, None, id),
        })
    }
}

impl fmt::Display for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names_are_short_and_plain() {
        for good in ["a", "web_1-A", "0123456789abcdef"] {
            assert!(good.parse::<ServiceName>().is_ok(), "{good}");
        }
        for bad in ["", "0123456789abcdefg", "a.b", "ä", "a b"] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_has_no_name_is_called_by_its_id() {
        let id = ServiceId::from_u128(0x5d1c_6a0e << 96);
        assert_eq!(Name::of("vpc", id.as_u128()).as_str(), format!("vpc-{}", &id.to_string()[..8]));
    }

    #[test]
    fn full_name_leaves_out_a_name_that_was_not_given() {
        let region = "eu-de".parse().unwrap();
        let id = ServiceId::from_u128(1);
        let name = "web".parse().unwrap();
        assert_eq!(FullName::new(&region, Some(&name), id).as_str(), format!("eu-de.web.{id}"));
        assert_eq!(FullName::new(&region, None, id).as_str(), format!("eu-de.{id}"));
        for full in [FullName::new(&region, Some(&name), id), FullName::new(&region, None, id)] {
            assert_eq!(full.as_str().parse(), Ok(full));
        }
        assert!(id.to_string().parse::<FullName>().is_err());
    }

    #[test]
    fn dns_domains_are_host_names() {
        for (text, ok) in [
            ("vpcep.internal", true),
            ("a", true),
            ("a-b.c1", true),
            ("", false),
            ("a..b", false),
            (".a", false),
            ("a.", false),
            ("-a", false),
            ("a_b", false),
            (&"a.".repeat(60)[..119], true),
            (&"a.".repeat(61)[..121], false),
        ] {
            assert_eq!(text.parse::<DnsDomain>().is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn descriptions_hold_no_markup() {
        assert!("".parse::<Description>().is_ok());
        assert!("ä".repeat(512).parse::<Description>().is_ok());
        assert!("a".repeat(513).parse::<Description>().is_err());
        assert!("<b>".parse::<Description>().is_err());
    }
}

//! Who may connect to a service.

use std::fmt;
use std::str::FromStr;

use super::{Description, DomainId, ModelError, PermissionId, Timestamp};

/// Most permissions of one service.
pub const MAX_PERMISSIONS: usize = 500;

const DOMAIN: &str = "iam:domain::";
const ORG_PATH: &str = "organizations:orgPath::";

/// One permission, as the provider wrote it.
///
/// The clients that put `iam:domain::` in front of whatever they are given turn
/// `*` into `iam:domain::*`, and some write ids in capitals. The text is kept and
/// shown as it was given; what it says is compared with
/// [`Permission::says_the_same`], so that either spelling takes the other away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission(String);

/// What a permission names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionKind {
    /// An account, or everyone.
    Domain,
    /// A path in an organisation. Accounts here belong to no organisation, so
    /// such a permission is kept and listed, and admits nobody.
    OrgPath,
}

/// What a permission says, whatever its spelling.
enum Canonical<'a> {
    Everyone,
    /// In any case.
    Domain(&'a str),
    /// The whole text: paths are told apart by case.
    OrgPath(&'a str),
}

impl Permission {
    /// Whether an account may connect by this permission.
    #[must_use]
    pub fn admits(&self, domain: DomainId) -> bool {
        match self.canonical() {
            Canonical::Everyone => true,
            Canonical::Domain(named) => named.eq_ignore_ascii_case(&domain.to_string()),
            Canonical::OrgPath(_) => false,
        }
    }

    /// Whether this permission and another are spellings of one.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (self.canonical(), other.canonical()) {
            (Canonical::Everyone, Canonical::Everyone) => true,
            (Canonical::Domain(own), Canonical::Domain(other)) => own.eq_ignore_ascii_case(other),
            (Canonical::OrgPath(own), Canonical::OrgPath(other)) => own == other,
            _ => false,
        }
    }

    fn canonical(&self) -> Canonical<'_> {
        match self.0.strip_prefix(DOMAIN) {
            Some("*") => Canonical::Everyone,
            Some(domain) => Canonical::Domain(domain),
            None if self.0 == "*" => Canonical::Everyone,
            None => Canonical::OrgPath(&self.0),
        }
    }

    /// What it names.
    #[must_use]
    pub fn kind(&self) -> PermissionKind {
        if self.0.starts_with(ORG_PATH) { PermissionKind::OrgPath } else { PermissionKind::Domain }
    }

    /// The text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Permission {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let is_domain = |id: &str| {
            id == "*" || ((1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()))
        };
        let is_path = |path: &str| {
            (1..=1024).contains(&path.len())
                && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-*?".contains(&b))
        };
        let valid = text == "*"
            || text.strip_prefix(DOMAIN).is_some_and(is_domain)
            || text.strip_prefix(ORG_PATH).is_some_and(is_path);
        if valid { Ok(Self(text.into())) } else { Err(ModelError::Permission { value: text.into() }) }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A permission in a service's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionEntry {
    /// Names the line.
    pub id: PermissionId,
    /// Whom it admits.
    pub permission: Permission,
    /// The provider's note.
    pub description: Description,
    /// When it was added.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_admit_whom_they_name() {
        let me: DomainId = "5d1c6a0e3c2f4b7e9a550f6f5a1b2c3d".parse().unwrap();
        for (text, admits) in [
            ("*", true),
            ("iam:domain::*", true),
            ("iam:domain::5d1c6a0e3c2f4b7e9a550f6f5a1b2c3d", true),
            ("iam:domain::5D1C6A0E3C2F4B7E9A550F6F5A1B2C3D", true),
            ("iam:domain::00000000000000000000000000000001", false),
            ("organizations:orgPath::o-1/r-1/*", false),
        ] {
            assert_eq!(text.parse::<Permission>().unwrap().admits(me), admits, "{text}");
        }
    }

    #[test]
    fn spellings_of_one_permission_say_the_same() {
        for (one, other, same) in [
            ("*", "iam:domain::*", true),
            ("iam:domain::abc", "iam:domain::ABC", true),
            ("iam:domain::abc", "iam:domain::abd", false),
            ("iam:domain::abc", "*", false),
            ("organizations:orgPath::o/a", "organizations:orgPath::o/A", false),
            ("organizations:orgPath::o/a", "organizations:orgPath::o/a", true),
        ] {
            let parse = |text: &str| text.parse::<Permission>().unwrap();
            assert_eq!(parse(one).says_the_same(&parse(other)), same, "{one} {other}");
            assert_eq!(parse(other).says_the_same(&parse(one)), same, "{other} {one}");
        }
    }

    #[test]
    fn malformed_permissions_are_refused() {
        let long = format!("iam:domain::{}", "a".repeat(65));
        for bad in [
            "",
            "me",
            "iam:domain::",
            "iam:domain::a b",
            "iam:domain::a*",
            &long,
            "organizations:orgPath::",
            "iam:user::x",
        ] {
            assert!(bad.parse::<Permission>().is_err(), "{bad}");
        }
    }
}

//! Identifiers: one type per kind of object, so that none is taken for another.
//!
//! Objects are named by version-4 UUIDs, dashed and lower case. Domains, projects
//! and users are named by the 32 hexadecimal digits of one, as the clouds whose
//! API this serves write them.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::ModelError;

macro_rules! object_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id nobody else has.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The id with these 128 bits.
            #[must_use]
            pub const fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }

            /// The id as 128 bits.
            #[must_use]
            pub const fn as_u128(self) -> u128 {
                self.0.as_u128()
            }
        }

        impl FromStr for $name {
            type Err = ModelError;

            fn from_str(text: &str) -> Result<Self, ModelError> {
                let bad = || ModelError::Id {
                    kind: $kind,
                    value: text.into(),
                    expected: "a UUID such as 5d1c6a0e-3c2f-4b7e-9a55-0f6f5a1b2c3d",
                };
                // The parser also takes braces, URNs and undashed digits: only one spelling is an id.
                if text.len() != uuid::fmt::Hyphenated::LENGTH {
                    return Err(bad());
                }
                Uuid::try_parse(text).map(Self).map_err(|_| bad())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

macro_rules! owner_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id nobody else has.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The id with these 128 bits.
            #[must_use]
            pub const fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }
        }

        impl FromStr for $name {
            type Err = ModelError;

            fn from_str(text: &str) -> Result<Self, ModelError> {
                let bad = || ModelError::Id {
                    kind: $kind,
                    value: text.into(),
                    expected: "32 hexadecimal digits",
                };
                if text.len() != uuid::fmt::Simple::LENGTH {
                    return Err(bad());
                }
                Uuid::try_parse(text).map(Self).map_err(|_| bad())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.simple().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

object_id! {
    /// Names a VPC.
    VpcId, "vpc id"
}
object_id! {
    /// Names a subnet.
    SubnetId, "subnet id"
}
object_id! {
    /// Names a route table of a VPC.
    RouteTableId, "route table id"
}
object_id! {
    /// Names a backend resource; on the wire also its `port_id`.
    BackendId, "port_id"
}
object_id! {
    /// Names an attachment of a VPC to this host.
    AttachmentId, "attachment id"
}
object_id! {
    /// Names an endpoint service.
    ServiceId, "endpoint service id"
}
object_id! {
    /// Names an endpoint, and the connection it has.
    EndpointId, "endpoint id"
}
object_id! {
    /// Names one line of a service's list of permissions.
    PermissionId, "permission id"
}
owner_id! {
    /// Names an account.
    DomainId, "domain id"
}
owner_id! {
    /// Names an account's space for resources.
    ProjectId, "project id"
}
owner_id! {
    /// Names a user of an account.
    UserId, "user id"
}

impl DomainId {
    /// The operator's own.
    pub const OPERATOR: Self = Self(Uuid::nil());
}

impl ProjectId {
    /// The operator's own.
    pub const OPERATOR: Self = Self(Uuid::nil());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_ids_have_exactly_one_spelling() {
        let text = "5d1c6a0e-3c2f-4b7e-9a55-0f6f5a1b2c3d";
        assert_eq!(text.parse::<VpcId>().unwrap().to_string(), text);
        for bad in ["", "x", "5d1c6a0e3c2f4b7e9a550f6f5a1b2c3d", "{5d1c6a0e-3c2f-4b7e-9a55-0f6f5a1b2c3d}"] {
            let error = bad.parse::<VpcId>().unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("bad vpc id \"{bad}\": expected a UUID")),
                "{error}"
            );
        }
    }

    #[test]
    fn owner_ids_are_undashed() {
        let text = "5d1c6a0e3c2f4b7e9a550f6f5a1b2c3d";
        assert_eq!(text.parse::<ProjectId>().unwrap().to_string(), text);
        for bad in ["-", "5d1c6a0e-3c2f-4b7e-9a55-0f6f5a1b2c3d", "5d1c6a0e3c2f4b7e9a550f6f5a1b2c3g"] {
            assert!(bad.parse::<ProjectId>().is_err(), "{bad}");
        }
    }
}

//! Model values as the wire has them: their texts, and the schemas these follow.
//!
//! What a text may be is decided where it is parsed, in [`crate::model`]; here is
//! what the API's document says of it. Answers hold the values themselves.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use crate::model::{
    AccessKeyId, Algorithm, AttachmentId, BackendId, BackendKind, Cidr, Description, DomainId, EndpointId,
    FullName, InterfaceAddress, InterfaceName, Name, Permission, PermissionId, ProjectId, Protocol, Role,
    RouteTableId, ServiceId, ServiceName, SubnetId, Timestamp, UserId, VpcId, WhitelistEntry,
};

macro_rules! described {
    ($($type:ident: $schema:tt;)*) => {
        $(impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })*
    };
}

macro_rules! shown {
    ($($type:ident)*) => {
        $(impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        })*
    };
}

macro_rules! parsed {
    ($($type:ident)*) => {
        $(impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        })*
    };
}

described! {
    Algorithm: {"type": "string", "enum": ["round_robin", "source_hash"]};
    Role: {"type": "string", "enum": ["operator", "member", "reader"]};
    AccessKeyId: {"type": "string", "pattern": "^[A-Z0-9]{20}$"};
    UserId: {"type": "string", "pattern": "^[0-9A-Fa-f]{32}$"};
    AttachmentId: {"type": "string", "format": "uuid", "pattern": UUID};
    BackendId: {"type": "string", "format": "uuid", "pattern": UUID};
    EndpointId: {"type": "string", "format": "uuid", "pattern": UUID};
    PermissionId: {"type": "string", "format": "uuid", "pattern": UUID};
    RouteTableId: {"type": "string", "format": "uuid", "pattern": UUID};
    ServiceId: {"type": "string", "format": "uuid", "pattern": UUID};
    SubnetId: {"type": "string", "format": "uuid", "pattern": UUID};
    VpcId: {"type": "string", "format": "uuid", "pattern": UUID};
    DomainId: {"type": "string", "pattern": "^[0-9A-Fa-f]{32}$"};
    ProjectId: {"type": "string", "pattern": "^[0-9A-Fa-f]{32}$"};
    Timestamp: {"type": "string", "format": "date-time"};
    Name: {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"};
    ServiceName: {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,16}$"};
    Description: {"type": "string", "maxLength": 512, "pattern": "^[^<>]*$"};
    FullName: {"type": "string"};
    InterfaceName: {"type": "string", "minLength": 1, "maxLength": 15};
    Cidr: {"type": "string", "pattern": PREFIX};
    InterfaceAddress: {"type": "string", "pattern": PREFIX};
    WhitelistEntry: {"type": "string", "pattern": ADDRESS_OR_PREFIX};
    Permission: {
        "type": "string",
        "pattern": r"^(\*|iam:domain::(\*|[A-Za-z0-9]{1,64})|organizations:orgPath::[A-Za-z0-9/*?-]{1,1024})$"
    };
    Protocol: {"type": "string", "pattern": "^([Tt][Cc][Pp]|[Uu][Dd][Pp])$"};
    BackendKind: {"type": "string", "pattern": "^([Vv][Mm]|[Bb][Mm][Ss]|[Vv][Ii][Pp]|[Ll][Bb])$"};
}

shown! {
    Role AccessKeyId UserId AttachmentId BackendId EndpointId PermissionId RouteTableId ServiceId SubnetId VpcId DomainId ProjectId Timestamp Name
    FullName Cidr InterfaceAddress WhitelistEntry Permission Protocol BackendKind
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

parsed! { EndpointId ServiceId SubnetId Timestamp VpcId }

/// What an object is named by.
const UUID: &str = "^[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$";

/// An IPv4 network or interface address, `A.B.C.D/LEN`.
const PREFIX: &str = r"^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])/(3[0-2]|[12]?[0-9])$";

/// An IPv4 address, or a network.
const ADDRESS_OR_PREFIX: &str = r"^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(/(3[0-2]|[12]?[0-9]))?$";

/// An IPv4 address, or nothing.
pub const ADDRESS_OR_NONE: &str =
    r"^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9]))?$";

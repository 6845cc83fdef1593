//! The public form of an event: one JSON object, a line of the flow log and of the
//! API's stream.

use std::net::{Ipv4Addr, SocketAddrV4};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vpcep_common::counter::DropReason;
use vpcep_common::event::{End, Kind};
use vpcep_common::snat::in_range;

use crate::datapath::events::{Flow, Happening, What};
use crate::model::Timestamp;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum EventKind {
    /// A session was opened.
    Opened,
    /// A session is over.
    Closed,
    /// A packet was refused.
    Refused,
    /// Others there were, and they are not here.
    Unreported,
}

impl EventKind {
    /// Every kind that happens to sessions.
    pub const ALL: [Self; 3] = [Self::Opened, Self::Closed, Self::Refused];

    /// The kind as the data plane has it.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Opened => Self::Opened,
            Kind::Closed => Self::Closed,
            Kind::Refused => Self::Refused,
        }
    }

    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::Refused => "refused",
            Self::Unreported => "unreported",
        }
    }
}

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// There were more than the rate allows.
    Rate,
    /// The memory for events was full.
    RingFull,
    /// Whoever reads takes them too slowly.
    SlowReader,
    /// The flow log could not be written.
    NotWritten,
}

impl Gap {
    /// The reason in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::RingFull => "ring_full",
            Self::SlowReader => "slow_reader",
            Self::NotWritten => "not_written",
        }
    }
}

/// Whether an event can have this reason.
#[must_use]
pub fn is_reason(text: &str) -> bool {
    DropReason::ALL.iter().any(|reason| reason.name() == text)
        || End::ALL.iter().any(|end| end.name() == text)
}

/// What happened to a session, or to a packet that wanted to be of one. Fields that
/// an event does not have are absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Event")]
pub struct Record {
    /// When it was reported, in UTC with microseconds. A session that is over is
    /// reported when it is forgotten, or its ports are used again.
    #[schemars(extend("format" = "date-time"))]
    pub time: String,
    /// What happened.
    pub event: EventKind,
    /// The endpoint; absent where none was addressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<String>,
    /// The endpoint's service; absent when the endpoint is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_service_id: Option<String>,
    /// The client's VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<String>,
    /// The provider's VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_vpc_id: Option<String>,
    /// The protocol's name, or its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Ipv4Addr>,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_port: Option<u16>,
    /// Where the client connects to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_address: Option<Ipv4Addr>,
    /// The port there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_port: Option<u16>,
    /// The source the backend sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Ipv4Addr>,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// The backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Ipv4Addr>,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_port: Option<u16>,
    /// How the session ended, why the packet was refused, or why events are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the last packet came that kept the session alive, to 0.3 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub ended_at: Option<String>,
    /// Whole seconds from the session's first packet to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_secs: Option<u64>,
    /// IP bytes towards the backend; absent when not all of them were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
    /// IP bytes back to the client, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<u64>,
    /// Of which kind the missing events are; absent when of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<EventKind>,
    /// How many events are missing since this was last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// What the model knows of those an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The endpoint's service.
    pub service: Option<String>,
    /// The VPC of the client, or the one a refused packet came from.
    pub vpc: Option<String>,
    /// The provider's VPC.
    pub provider_vpc: Option<String>,
}

impl Record {
    fn new(time: Timestamp, event: EventKind) -> Self {
        Self {
            time: time.precise().to_string(),
            event,
            endpoint_id: None,
            endpoint_service_id: None,
            vpc_id: None,
            provider_vpc_id: None,
            protocol: None,
            client: None,
            client_port: None,
            endpoint_address: None,
            endpoint_port: None,
            source: None,
            source_port: None,
            backend: None,
            backend_port: None,
            reason: None,
            ended_at: None,
            duration_secs: None,
            bytes_out: None,
            bytes_in: None,
            kind: None,
            count: None,
        }
    }

    /// The record of something that happened.
    #[must_use]
    pub fn of(happening: &Happening, names: Names) -> Self {
        let Happening { time, endpoint, protocol, what } = happening;
        let of_kind = |kind| Self {
            endpoint_id: endpoint.map(|id| id.to_string()),
            endpoint_service_id: names.service.clone(),
            protocol: Some(protocol_name(*protocol)),
            ..Self::new(*time, kind)
        };
        match what {
            What::Opened(flow) => of_kind(EventKind::Opened).between(flow, names),
            What::Closed { flow, end, ended_at, duration_secs, bytes_out, bytes_in } => Self {
                reason: Some(end.name().into()),
                ended_at: Some(ended_at.precise().to_string()),
                duration_secs: Some(*duration_secs),
                bytes_out: *bytes_out,
                bytes_in: *bytes_in,
                ..of_kind(EventKind::Closed).between(flow, names)
            },
            What::Refused { from, to, reason, .. } => {
                let refused = Self { reason: Some(reason.name().into()), ..of_kind(EventKind::Refused) };
                refused.towards(*from, *to, names)
            }
        }
    }

    /// That events are missing.
    #[must_use]
    pub fn missing(time: Timestamp, kind: Option<EventKind>, gap: Gap, count: u64) -> Self {
        Self {
            reason: Some(gap.as_str().into()),
            kind,
            count: Some(count),
            ..Self::new(time, EventKind::Unreported)
        }
    }

    fn between(self, flow: &Flow, names: Names) -> Self {
        let Flow { client, destination, source, backend, vpc: _, provider_vpc: _ } = flow;
        Self {
            vpc_id: names.vpc,
            provider_vpc_id: names.provider_vpc,
            client: Some(*client.ip()),
            client_port: Some(client.port()),
            endpoint_address: Some(*destination.ip()),
            endpoint_port: Some(destination.port()),
            source: Some(*source.ip()),
            source_port: Some(source.port()),
            backend: Some(*backend.ip()),
            backend_port: Some(backend.port()),
            ..self
        }
    }

    /// A packet to a source that backends see comes from a backend's side, any other
    /// from a client's.
    fn towards(self, from: SocketAddrV4, to: SocketAddrV4, names: Names) -> Self {
        let port = |socket: SocketAddrV4| Some(socket.port()).filter(|port| *port != 0);
        if in_range(u32::from(*to.ip())) {
            return Self {
                provider_vpc_id: names.vpc,
                backend: Some(*from.ip()),
                backend_port: port(from),
                source: Some(*to.ip()),
                source_port: port(to),
                ..self
            };
        }
        Self {
            vpc_id: names.vpc,
            client: Some(*from.ip()),
            client_port: port(from),
            endpoint_address: Some(*to.ip()),
            endpoint_port: port(to),
            ..self
        }
    }

    /// The line of a log: JSON and a line feed.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("records are plain structs with text keys");
        line.push(b'\n');
        line
    }
}

/// The name of an IANA protocol number, or the number.
#[must_use]
pub fn protocol_name(number: u8) -> String {
    match number {
        6 => "TCP".into(),
        17 => "UDP".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::datapath::events::tests::flow;
    use crate::model::EndpointId;

    fn happening(what: What) -> Happening {
        Happening {
            time: "2026-03-01T12:00:00.25Z".parse().unwrap(),
            endpoint: Some(EndpointId::from_u128(7)),
            protocol: 6,
            what,
        }
    }

    fn names() -> Names {
        Names { service: Some("s".into()), vpc: Some("v".into()), provider_vpc: Some("p".into()) }
    }

    fn shown(what: What) -> serde_json::Value {
        serde_json::to_value(Record::of(&happening(what), names())).unwrap()
    }

    /// Names of fields are part of the API.
    #[test]
    fn a_closing_has_every_field_of_a_session() {
        let closed = What::Closed {
            flow: flow(),
            end: End::ResetByClient,
            ended_at: "2026-03-01T11:59:50Z".parse().unwrap(),
            duration_secs: 12,
            bytes_out: Some(345),
            bytes_in: None,
        };
        let expected = json!({
            "time": "2026-03-01T12:00:00.250000Z",
            "event": "closed",
            "endpoint_id": EndpointId::from_u128(7).to_string(),
            "endpoint_service_id": "s",
            "vpc_id": "v",
            "provider_vpc_id": "p",
            "protocol": "TCP",
            "client": "10.0.0.182",
            "client_port": 50_000,
            "endpoint_address": "10.0.0.100",
            "endpoint_port": 80,
            "source": "198.19.128.0",
            "source_port": 40_000,
            "backend": "192.168.24.10",
            "backend_port": 8080,
            "reason": "reset_by_client",
            "ended_at": "2026-03-01T11:59:50.000000Z",
            "duration_secs": 12,
            "bytes_out": 345,
        });
        assert_eq!(shown(closed), expected);
    }

    #[test]
    fn a_refusal_names_the_side_it_came_from() {
        let refused = |from: &str, to: &str| {
            shown(What::Refused {
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
                vpc: 1,
                reason: DropReason::Unsolicited,
            })
        };
        let client = refused("10.0.0.182:50000", "10.0.0.100:81");
        assert_eq!((&client["client"], &client["endpoint_port"]), (&json!("10.0.0.182"), &json!(81)));
        assert_eq!((&client["vpc_id"], &client["backend"]), (&json!("v"), &json!(null)));
        let backend = refused("192.168.24.10:8080", "198.19.128.0:40000");
        assert_eq!((&backend["backend"], &backend["source_port"]), (&json!("192.168.24.10"), &json!(40_000)));
        assert_eq!((&backend["provider_vpc_id"], &backend["client"]), (&json!("v"), &json!(null)));
        let fragment = refused("10.0.0.182:0", "10.0.0.100:0");
        assert_eq!(fragment["client_port"], json!(null), "a fragment has no ports");
    }

    #[test]
    fn kinds_and_reasons_have_the_names_of_the_data_plane() {
        for kind in Kind::ALL {
            assert_eq!(EventKind::of(kind).as_str(), kind.name());
            assert_eq!(serde_json::to_value(EventKind::of(kind)).unwrap(), kind.name());
        }
        assert!(is_reason("not_whitelisted") && is_reason("idle") && !is_reason("Idle"));
    }
}

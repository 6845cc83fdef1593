//! What the data plane tells of sessions, and reading it from the kernel.
//!
//! The ring has one reader, which looks at it by the clock ([`crate::events`]); it
//! survives this process, and is read on from where the last one stopped.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use nix::time::{ClockId, clock_gettime};
use vpcep_common::be::{Be16, Be32};
use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::NO_ENDPOINT;
use vpcep_common::event::{Budget, End, Event, Kind};
use vpcep_common::maps as names;
use vpcep_common::session::{TICK_SHIFT, seconds};
use vpcep_common::settings::settings_flags;
use vpcep_common::snat::Shard;

use super::bpf::Shared;
use super::{DatapathError, sweep};
use crate::model::{EndpointId, Timestamp};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When it was reported.
    pub time: Timestamp,
    /// Whose it is; `None` where no endpoint was addressed.
    pub endpoint: Option<EndpointId>,
    /// IANA protocol number.
    pub protocol: u8,
    /// What it was.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A session was opened.
    Opened(Flow),
    /// A session is over.
    Closed {
        /// Between whom.
        flow: Flow,
        /// How it ended.
        end: End,
        /// When the last packet came that kept it alive, to 0.3 seconds.
        ended_at: Timestamp,
        /// Seconds from its first packet to that.
        duration_secs: u64,
        /// IP bytes towards the backend; `None` when not all of them were counted.
        bytes_out: Option<u64>,
        /// IP bytes back to the client, likewise.
        bytes_in: Option<u64>,
    },
    /// A packet was refused.
    Refused {
        /// Its source.
        from: SocketAddrV4,
        /// Its destination.
        to: SocketAddrV4,
        /// Number of the VPC it came from.
        vpc: u16,
        /// Why.
        reason: DropReason,
    },
}

/// Between whom a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The client.
    pub client: SocketAddrV4,
    /// The endpoint address and port the client uses.
    pub destination: SocketAddrV4,
    /// The source the backend sees.
    pub source: SocketAddrV4,
    /// The backend.
    pub backend: SocketAddrV4,
    /// Number of the consumer's VPC.
    pub vpc: u16,
    /// Number of the provider's VPC.
    pub provider_vpc: u16,
}

/// Events of one kind that were not reported, since the data plane was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unreported {
    /// Beyond the rate.
    pub held_back: u64,
    /// For want of room between the data plane and its reader.
    pub lost: u64,
}

/// Where the programs put events.
pub struct EventMaps {
    pub(super) ring: RingBuf<MapData>,
    pub(super) budgets: PerCpuArray<MapData, Budget>,
}

impl Shared {
    /// See [`super::Datapath::report_events`].
    pub(super) fn report_events(&self, wanted: bool) -> Result<(), DatapathError> {
        let wanted = wanted && self.settings.events.rate > 0;
        let mut state = self.lock();
        let known = state.maps.settings()?;
        if (known.flags & settings_flags::EVENTS != 0) == wanted {
            return Ok(());
        }
        let flags = known.flags & !settings_flags::EVENTS;
        let mut settings = vpcep_common::settings::Settings { flags, ..known };
        if wanted {
            settings.flags |= settings_flags::EVENTS;
            // A session of this very tick may have had packets before.
            settings.events_since = sweep::now_ticks().wrapping_add(1);
        }
        state.maps.set_settings(settings)
    }

    /// See [`super::Datapath::take_events`].
    pub(super) fn take_events(&self, most: usize) -> Vec<Happening> {
        let mut maps = self.lock_events();
        let reader = Reader { clock: Clock::now(), shard: self.programs.shard() };
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(bytes) = maps.ring.next()
        {
            // Another version of the programs may have reported what this one does not know.
            let event = Event::from_bytes(&bytes);
            taken.extend(event.and_then(|event| reader.read(&event, |number| self.endpoint_id(number))));
        }
        taken
    }

    /// See [`super::Datapath::unreported_events`].
    pub(super) fn unreported_events(&self) -> Result<[Unreported; Kind::ALL.len()], DatapathError> {
        let maps = self.lock_events();
        let mut unreported = [Unreported::default(); Kind::ALL.len()];
        for (kind, sum) in Kind::ALL.into_iter().zip(&mut unreported) {
            let per_cpu = maps.budgets.get(&(kind as u32), 0).map_err(|source| DatapathError::Map {
                action: "read",
                map: names::EVENT_BUDGETS,
                source,
            })?;
            for cpu in per_cpu.iter() {
                sum.held_back += cpu.held_back;
                sum.lost += cpu.lost;
            }
        }
        Ok(unreported)
    }

    /// Whose an endpoint number is, or was: it stays with its owner while sessions name it.
    fn endpoint_id(&self, number: u32) -> Option<EndpointId> {
        if number == NO_ENDPOINT || number >= self.mapped.policies.len() {
            return None;
        }
        let id = self.mapped.policies.get(number).id;
        (id != [0; 16]).then(|| EndpointId::from_u128(u128::from_be_bytes(id)))
    }

    fn lock_events(&self) -> MutexGuard<'_, EventMaps> {
        // Whatever panicked with it has at most taken an event.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Apart from the other maps, which a pass keeps to itself for as long as it takes: the ring
/// would be full by then.
pub(super) type Events = Mutex<EventMaps>;

/// One moment on both clocks.
#[derive(Clone, Copy)]
struct Clock {
    wall: Timestamp,
    monotonic: Duration,
}

impl Clock {
    fn now() -> Self {
        let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
        Self { wall: Timestamp::now(), monotonic }
    }

    /// The wall clock's time at a time of the monotonic clock that is not in the future.
    fn time(self, monotonic: Duration) -> Timestamp {
        let ago = self.monotonic.saturating_sub(monotonic).as_micros();
        Timestamp::from_micros(self.wall.as_micros().saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX)))
    }
}

/// Makes sense of what is in the ring.
struct Reader {
    clock: Clock,
    shard: Shard,
}

impl Reader {
    /// `None` for an event of a kind, or with a reason, that is not known.
    fn read(&self, event: &Event, owner: impl FnOnce(u32) -> Option<EndpointId>) -> Option<Happening> {
        let what = match Kind::from_number(event.kind)? {
            Kind::Opened => What::Opened(self.flow(event)),
            Kind::Closed => {
                // The tick is one of 32 bits; the time of the report has all of them.
                let reported_in = (event.time_ns >> TICK_SHIFT) as u32;
                let silence = reported_in.wrapping_sub(event.last_seen);
                let silence = if silence > u32::MAX / 2 { 0 } else { u64::from(silence) };
                let last_seen = Duration::from_nanos(event.time_ns.saturating_sub(silence << TICK_SHIFT));
                What::Closed {
                    flow: self.flow(event),
                    end: End::from_number(event.reason)?,
                    ended_at: self.clock.time(last_seen),
                    duration_secs: seconds(event.last_seen.wrapping_sub(event.created)),
                    bytes_out: event.bytes_out.bytes(),
                    bytes_in: event.bytes_in.bytes(),
                }
            }
            Kind::Refused => What::Refused {
                from: socket(event.client, event.client_port),
                to: socket(event.address, event.port),
                vpc: event.vpc,
                reason: DropReason::from_number(event.reason)?,
            },
        };
        Some(Happening {
            time: self.clock.time(Duration::from_nanos(event.time_ns)),
            endpoint: owner(event.endpoint),
            protocol: event.protocol,
            what,
        })
    }

    fn flow(&self, event: &Event) -> Flow {
        let (source, port) = self.shard.source(event.slot);
        Flow {
            client: socket(event.client, event.client_port),
            destination: socket(event.address, event.port),
            source: SocketAddrV4::new(source.into(), port),
            backend: socket(event.backend, event.backend_port),
            vpc: event.vpc,
            provider_vpc: event.provider_vpc,
        }
    }
}

fn socket(address: Be32, port: Be16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(address), port.get())
}

#[cfg(test)]
pub(crate) mod tests {
    use vpcep_common::snat::RANGE;
    use vpcep_common::volume::Volume;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// An event of ten seconds before the clocks below.
    fn event(kind: u8, reason: u8) -> Event {
        let time_ns = 1_000_000 * SECOND;
        Event {
            time_ns,
            endpoint: 7,
            slot: 40_000,
            created: ((time_ns - 35 * SECOND) >> TICK_SHIFT) as u32,
            last_seen: ((time_ns - 5 * SECOND) >> TICK_SHIFT) as u32,
            bytes_out: Volume(1_000),
            bytes_in: Volume::UNKNOWN,
            client: Ipv4Addr::new(10, 0, 0, 182).into(),
            address: Ipv4Addr::new(10, 0, 0, 100).into(),
            backend: Ipv4Addr::new(192, 168, 24, 10).into(),
            client_port: Be16::new(50_000),
            port: Be16::new(80),
            backend_port: Be16::new(8080),
            vpc: 1,
            provider_vpc: 2,
            protocol: 6,
            kind,
            reason,
            pad: [0; 7],
        }
    }

    fn read(event: &Event) -> Option<Happening> {
        let clock = Clock {
            wall: "2026-03-01T12:00:10Z".parse().unwrap(),
            monotonic: Duration::from_secs(1_000_010),
        };
        let shard = Shard { base: RANGE, mask: 0 };
        Reader { clock, shard }.read(event, |number| Some(EndpointId::from_u128(number.into())))
    }

    pub fn flow() -> Flow {
        Flow {
            client: "10.0.0.182:50000".parse().unwrap(),
            destination: "10.0.0.100:80".parse().unwrap(),
            source: "198.19.128.0:40000".parse().unwrap(),
            backend: "192.168.24.10:8080".parse().unwrap(),
            vpc: 1,
            provider_vpc: 2,
        }
    }

    #[test]
    fn each_kind_says_what_it_has() {
        let happening = |what| Happening {
            time: "2026-03-01T12:00:00Z".parse().unwrap(),
            endpoint: Some(EndpointId::from_u128(7)),
            protocol: 6,
            what,
        };
        assert_eq!(read(&event(Kind::Opened as u8, 0)), Some(happening(What::Opened(flow()))));
        let refused = What::Refused {
            from: flow().client,
            to: flow().destination,
            vpc: 1,
            reason: DropReason::NotAccepted,
        };
        let reason = DropReason::NotAccepted as u8;
        assert_eq!(read(&event(Kind::Refused as u8, reason)), Some(happening(refused)));
        let closed = read(&event(Kind::Closed as u8, End::Idle as u8)).unwrap();
        let What::Closed { flow: between, end, ended_at, duration_secs, bytes_out, bytes_in } = closed.what
        else {
            panic!("{closed:?}")
        };
        assert_eq!((between, end, bytes_out, bytes_in), (flow(), End::Idle, Some(1_000), None));
        assert!((29..=30).contains(&duration_secs), "{duration_secs} seconds");
        let ended_at = ended_at.to_string();
        assert!(["2026-03-01T11:59:54Z", "2026-03-01T11:59:55Z"].contains(&ended_at.as_str()), "{ended_at}");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        for (kind, reason) in [(3, 0), (Kind::Closed as u8, 200), (Kind::Refused as u8, 200)] {
            assert_eq!(read(&event(kind, reason)), None, "kind {kind}, reason {reason}");
        }
    }

    #[test]
    fn a_time_stamp_from_a_clock_ahead_is_no_long_silence() {
        let mut event = event(Kind::Closed as u8, 0);
        event.last_seen = (event.time_ns >> TICK_SHIFT) as u32 + 1;
        let What::Closed { ended_at, .. } = read(&event).unwrap().what else { panic!("{event:?}") };
        assert_eq!(ended_at.to_string(), "2026-03-01T12:00:00Z");
    }
}

//! What is counted per endpoint, and why packets are dropped.

/// Connections of one endpoint. `current` is raised by compare-and-swap below
/// the limit before a slot is claimed, and lowered by whoever clears the
/// session's `COUNTED` bit: it equals the number of slots with that bit.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Open now.
    pub current: u64,
    /// Most at once.
    pub peak: u64,
    /// Opened since the endpoint was made.
    pub opened: u64,
    /// Open, and the handshake not finished: equals the number of slots with the bit
    /// `HALF_OPEN`, which those have that were opened while there was a limit of them.
    pub half_open: u64,
    /// See [`crate::meter`]: of new connections.
    pub opened_until: u64,
    /// Of bytes towards the backend, and back.
    pub out_until: u64,
    /// Likewise.
    pub in_until: u64,
    /// Of ICMP errors that the gateway makes.
    pub errors_until: u64,
}
const _: () = assert!(size_of::<Connections>() == 64);

impl Connections {
    /// Whether so many of them are open that unfinished handshakes have to make room soon: three
    /// quarters of the limit.
    #[inline(always)]
    pub const fn is_crowded(current: u64, limit: u32) -> bool {
        current * 4 >= limit as u64 * 3
    }
}

/// Packets of one endpoint on one CPU. Bytes are IP bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets towards the backend.
    pub packets_out: u64,
    /// Bytes towards the backend.
    pub bytes_out: u64,
    /// Packets back to the client.
    pub packets_in: u64,
    /// Bytes back to the client.
    pub bytes_in: u64,
    /// Dropped or refused packets by [`DropReason`].
    pub drops: [u64; DropReason::SLOTS],
}

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $value:literal, $name:literal;)+) => {
        /// Why a packet was dropped or refused. The number is the index into
        /// [`Traffic::drops`].
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum DropReason { $($(#[doc = $doc])+ $variant = $value,)+ }

        impl DropReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name shown to users; stable.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

drop_reasons! {
    /// Truncated, or lengths that contradict each other.
    Malformed = 0, "malformed";
    /// An IP fragment.
    Fragment = 1, "fragment";
    /// To an address that is neither an endpoint's nor the host's own: the
    /// gateway does not route between networks.
    NotForwarded = 2, "not_forwarded";
    /// To an endpoint address on a port that is not mapped.
    PortNotMapped = 3, "port_not_mapped";
    /// A protocol that no port can be mapped for.
    Protocol = 4, "protocol";
    /// The provider has not accepted the endpoint, or has rejected it.
    NotAccepted = 5, "not_accepted";
    /// The client is not in the endpoint's whitelist.
    NotWhitelisted = 6, "not_whitelisted";
    /// The endpoint has as many connections as it may.
    ConnectionLimit = 7, "connection_limit";
    /// No free source port was found in as many probes as are made.
    NoSourcePort = 8, "no_source_port";
    /// The forward index is full.
    IndexFull = 9, "index_full";
    /// The service has no backend.
    NoBackend = 10, "no_backend";
    /// The backend's MAC is not known yet.
    NeighbourUnresolved = 11, "neighbour_unresolved";
    /// The VPC a packet must leave to is not attached.
    NoAttachment = 12, "no_attachment";
    /// A packet in the middle of a connection that is not known (any more).
    NoSession = 13, "no_session";
    /// A packet from a provider's VPC to a source port that no session has: the
    /// provider's side may answer, never open.
    Unsolicited = 14, "unsolicited";
    /// A return packet that came in from a VPC other than the session's.
    WrongVpc = 15, "wrong_vpc";
    /// A return packet that is not from the session's backend.
    WrongBackend = 16, "wrong_backend";
    /// The hop limit ran out here.
    TtlExceeded = 17, "ttl_exceeded";
    /// A client source inside the range that is ours for translation.
    ReservedSource = 18, "reserved_source";
    /// Two CPUs changed one session at once; the sender's retransmission settles it.
    Contended = 19, "contended";
    /// The endpoint has as many unfinished handshakes as it may.
    HalfOpenLimit = 20, "half_open_limit";
    /// The endpoint opens more connections a second than it may.
    ConnectionRate = 21, "connection_rate";
    /// The endpoint carries more than it may.
    Bandwidth = 22, "bandwidth";
    /// Larger than the interface that it would leave by takes.
    TooBig = 23, "too_big";
    /// The client's address found no room in a packet that has to carry it.
    NoRoom = 24, "no_room";
}

impl DropReason {
    /// Room for reasons in [`Traffic::drops`]; a power of two, so that an index
    /// can be masked.
    pub const SLOTS: usize = 32;

    /// The reason of this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| *reason as u32 == u32::from(number))
    }
}

const _: () = assert!(DropReason::ALL.len() <= DropReason::SLOTS);

//! Capacities: defaults that fit a million sessions, and hard bounds.

/// Default capacity of the endpoint tables (settable).
pub const DEFAULT_ENDPOINTS: u32 = 16_384;
/// Most endpoints a gateway host can be set to: endpoint numbers have 24 bits
/// in a session's state word, and 0 stands for "no endpoint".
pub const MAX_ENDPOINTS: u32 = 1 << 20;
/// Default capacity of the forward index (settable).
pub const DEFAULT_SESSIONS: u32 = 1 << 21;
/// Largest capacity of the forward index: as many as the largest shard has slots.
pub const MAX_SESSIONS: u32 = 1 << 22;
/// Port mappings of one service (API contract).
pub const MAX_PORTS_PER_ENDPOINT: usize = 200;
/// Attachments of one gateway host.
pub const MAX_ATTACHMENTS: u32 = 4_096;
/// Distinct backends of one gateway host.
pub const MAX_BACKENDS: u32 = 32_768;
/// Distinct neighbours (backends, and routers towards them).
pub const MAX_NEXT_HOPS: u32 = 32_768;
/// Client whitelist entries of one gateway host, all endpoints together.
pub const MAX_ACL_ENTRIES: u32 = 262_144;
/// Routes of gateway-type endpoints of one gateway host.
pub const MAX_ROUTES: u32 = 65_536;
/// Subnets with a route table other than the default one.
pub const MAX_SUBNETS: u32 = 65_536;
/// Neighbours that packets may wait to be asked for.
pub const MAX_WANTED: u32 = 1_024;
/// Datagrams whose fragments may be under way at once.
pub const MAX_FRAGMENTED: u32 = 8_192;
/// Members of one load balancer.
pub const MAX_MEMBERS: usize = 64;
/// Load balancers of one gateway host with more than one member to choose from:
/// 8 MiB of rings.
pub const MAX_RINGS: u32 = 2_000;
/// First of the gateway's own ports that health checks use in the VPCs; they go up
/// to 65535. Linux keeps below it on its own (`net.ipv4.ip_local_port_range`).
pub const FIRST_PROBE_PORT: u16 = 61_000;
/// Default size of the ring buffer of events, bytes (settable; a power of two).
pub const DEFAULT_EVENT_RING: u32 = 1 << 20;

/// What the reaper leaves in `REAP_LIST`, above the slot number it took.
pub mod reaped {
    /// The entry of a slot, with what became of it.
    #[inline(always)]
    pub const fn entry(slot: u32, result: u64) -> u64 {
        slot as u64 | result << 32
    }

    /// What became of the slot of an entry.
    pub const fn of(entry: u64) -> u64 {
        entry >> 32
    }

    /// Not idle, or not a session any more.
    pub const KEPT: u64 = 0;
    /// Freed.
    pub const FREED: u64 = 1;
    /// Freed, but the forward index did not lead to it: a defect somewhere.
    pub const FREED_UNINDEXED: u64 = 2;
}

/// Sessions the reaper frees in one run.
pub const REAP_BATCH: u32 = 64;

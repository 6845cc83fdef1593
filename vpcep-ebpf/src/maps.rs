//! The maps; what each holds is said in `vpcep_common::maps`. Capacities here are
//! placeholders: the loader sets them.

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_RDONLY_PROG};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, Queue, RingBuf};
use vpcep_common::acl::AclKey;
use vpcep_common::attachment::{Attachment, InterfaceKey, NeighbourKey, NextHop};
use vpcep_common::be::Be32;
use vpcep_common::client_address::Tlvs;
use vpcep_common::counter::{Connections, Traffic};
use vpcep_common::endpoint::{Backend, EndpointKey, EndpointValue, Policy};
use vpcep_common::event::{Budget, Kind};
use vpcep_common::fragment::{FragmentKey, Ports};
use vpcep_common::index::{self, Bucket};
use vpcep_common::limits;
use vpcep_common::ring::Ring;
use vpcep_common::route::{Route, RouteKey, SubnetKey, Wanted};
use vpcep_common::scratch::Scratch;
use vpcep_common::session::Slot;
use vpcep_common::settings::Settings;
use vpcep_common::snat::Shard;

#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static SLOTS: Array<Slot> = Array::with_max_entries(Shard::slots(32), BPF_F_MMAPABLE);
#[map]
pub static INDEX: Array<Bucket> = Array::with_max_entries(index::buckets(limits::DEFAULT_SESSIONS), 0);
#[map]
pub static ENDPOINTS: HashMap<EndpointKey, EndpointValue> =
    HashMap::with_max_entries(limits::DEFAULT_ENDPOINTS, 0);
#[map]
pub static POLICIES: Array<Policy> = Array::with_max_entries(limits::DEFAULT_ENDPOINTS, BPF_F_MMAPABLE);
#[map]
pub static TLVS: Array<Tlvs> = Array::with_max_entries(limits::DEFAULT_ENDPOINTS, BPF_F_MMAPABLE);
#[map]
pub static RINGS: Array<Ring> = Array::with_max_entries(limits::MAX_RINGS, BPF_F_RDONLY_PROG);
#[map]
pub static TURNS: Array<u64> = Array::with_max_entries(limits::MAX_RINGS, 0);
#[map]
pub static BACKENDS: Array<Backend> = Array::with_max_entries(limits::MAX_BACKENDS, BPF_F_RDONLY_PROG);
#[map]
pub static ACL: LpmTrie<AclKey, u32> = LpmTrie::with_max_entries(limits::MAX_ACL_ENTRIES, 0);
#[map]
pub static SUBNETS: LpmTrie<SubnetKey, Be32> = LpmTrie::with_max_entries(limits::MAX_SUBNETS, 0);
#[map]
pub static ROUTES: LpmTrie<RouteKey, Route> = LpmTrie::with_max_entries(limits::MAX_ROUTES, 0);
#[map]
pub static WANTED: Queue<Wanted> = Queue::with_max_entries(limits::MAX_WANTED, 0);
#[map]
pub static FRAGMENTS: LruHashMap<FragmentKey, Ports> =
    LruHashMap::with_max_entries(limits::MAX_FRAGMENTED, 0);
#[map]
pub static INTERFACES: HashMap<InterfaceKey, u32> = HashMap::with_max_entries(limits::MAX_ATTACHMENTS, 0);
#[map]
pub static ATTACHMENTS: Array<Attachment> =
    Array::with_max_entries(limits::MAX_ATTACHMENTS, BPF_F_RDONLY_PROG);
#[map]
pub static NEIGHBOURS: HashMap<NeighbourKey, u32> = HashMap::with_max_entries(limits::MAX_NEXT_HOPS, 0);
#[map]
pub static NEXT_HOPS: Array<NextHop> = Array::with_max_entries(limits::MAX_NEXT_HOPS, BPF_F_MMAPABLE);
#[map]
pub static CONNECTIONS: Array<Connections> =
    Array::with_max_entries(limits::DEFAULT_ENDPOINTS, BPF_F_MMAPABLE);
#[map]
pub static TRAFFIC: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(limits::DEFAULT_ENDPOINTS, 0);
#[map]
pub static SETTINGS: Array<Settings> = Array::with_max_entries(1, BPF_F_RDONLY_PROG);
#[map]
pub static REAP_LIST: Array<u64> = Array::with_max_entries(limits::REAP_BATCH, BPF_F_MMAPABLE);
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(limits::DEFAULT_EVENT_RING, 0);
#[map]
pub static EVENT_BUDGETS: PerCpuArray<Budget> = PerCpuArray::with_max_entries(Kind::COUNT, 0);

//! The maps of a loaded object: read as [`Tables`], changed by [`Action`]s.

use std::borrow::Borrow;
use std::mem::offset_of;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::{Arc, Mutex};

use aya::Ebpf;
use aya::Pod;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, PerCpuValues, Queue};
use vpcep_common::acl::{AclKey, ENDPOINT_BITS};
use vpcep_common::attachment::{Attachment, InterfaceKey, NeighbourKey, NextHop};
use vpcep_common::be::Be32;
use vpcep_common::client_address::Tlvs;
use vpcep_common::counter::{Connections, Traffic};
use vpcep_common::endpoint::{Backend, EndpointKey, EndpointValue, Policy};
use vpcep_common::maps as names;
use vpcep_common::ring::Ring;
use vpcep_common::route::{Route, RouteKey, SubnetKey, Wanted};
use vpcep_common::session::Slot;
use vpcep_common::settings::Settings;

use super::DatapathError;
use super::events::{EventMaps, Events};
use super::mmap::{self, MappedArray};
use crate::reconcile::tables::{Action, Hop, Tables};

/// Maps that are read and changed without system calls.
pub struct Mapped {
    /// All sessions.
    pub slots: MappedArray<Slot>,
    /// By endpoint number.
    pub policies: MappedArray<Policy>,
    /// What names endpoints in PROXY headers.
    pub tlvs: MappedArray<Tlvs>,
    /// By next-hop number.
    pub next_hops: MappedArray<NextHop>,
    /// By endpoint number.
    pub connections: MappedArray<Connections>,
    /// Slots for the reaper.
    pub reap_list: MappedArray<u64>,
}

/// Typed handles of all maps.
pub struct Maps {
    pub(super) mapped: Arc<Mapped>,
    pub(super) events: Arc<Events>,
    pub(super) traffic: PerCpuArray<MapData, Traffic>,
    settings: Array<MapData, Settings>,
    ports: HashMap<MapData, EndpointKey, EndpointValue>,
    rings: Array<MapData, Ring>,
    backends: Array<MapData, Backend>,
    acl: LpmTrie<MapData, AclKey, u32>,
    subnets: LpmTrie<MapData, SubnetKey, Be32>,
    routes: LpmTrie<MapData, RouteKey, Route>,
    wanted: Queue<MapData, Wanted>,
    interfaces: HashMap<MapData, InterfaceKey, u32>,
    attachments: Array<MapData, Attachment>,
    neighbours: HashMap<MapData, NeighbourKey, u32>,
    /// Name, capacity and kernel memory of every map.
    pub(super) sizes: Vec<(&'static str, u64, u64)>,
}

impl Maps {
    /// Takes the maps out of a loaded object.
    ///
    /// # Errors
    /// When a map is missing or cannot be mapped.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, DatapathError> {
        let mut sizes = Vec::with_capacity(names::ALL.len());
        for name in names::ALL {
            let (Map::Array(data)
            | Map::HashMap(data)
            | Map::LruHashMap(data)
            | Map::LpmTrie(data)
            | Map::PerCpuArray(data)
            | Map::Queue(data)
            | Map::RingBuf(data)) = ebpf.map(name).ok_or_else(|| missing(name))?
            else {
                return Err(missing(name));
            };
            let info = data.info().map_err(failed("inspect", name))?;
            sizes.push((name, u64::from(info.max_entries()), memory(data)?));
        }
        Ok(Self {
            mapped: Arc::new(Mapped {
                slots: mapped(ebpf, names::SLOTS)?,
                policies: mapped(ebpf, names::POLICIES)?,
                tlvs: mapped(ebpf, names::TLVS)?,
                next_hops: mapped(ebpf, names::NEXT_HOPS)?,
                connections: mapped(ebpf, names::CONNECTIONS)?,
                reap_list: mapped(ebpf, names::REAP_LIST)?,
            }),
            events: Arc::new(Mutex::new(EventMaps {
                ring: typed(ebpf, names::EVENTS)?,
                budgets: typed(ebpf, names::EVENT_BUDGETS)?,
            })),
            traffic: typed(ebpf, names::TRAFFIC)?,
            settings: typed(ebpf, names::SETTINGS)?,
            ports: typed(ebpf, names::ENDPOINTS)?,
            rings: typed(ebpf, names::RINGS)?,
            backends: typed(ebpf, names::BACKENDS)?,
            acl: typed(ebpf, names::ACL)?,
            subnets: typed(ebpf, names::SUBNETS)?,
            routes: typed(ebpf, names::ROUTES)?,
            wanted: typed(ebpf, names::WANTED)?,
            interfaces: typed(ebpf, names::INTERFACES)?,
            attachments: typed(ebpf, names::ATTACHMENTS)?,
            neighbours: typed(ebpf, names::NEIGHBOURS)?,
            sizes,
        })
    }

    /// The settings the programs run with; all zero in a fresh map.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn settings(&self) -> Result<Settings, DatapathError> {
        self.settings.get(&0, 0).map_err(failed("read", names::SETTINGS))
    }

    /// Changes them.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn set_settings(&mut self, settings: Settings) -> Result<(), DatapathError> {
        self.settings.set(0, settings, 0).map_err(failed("write", names::SETTINGS))
    }

    /// What is in the kernel now.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn read(&self) -> Result<Tables, DatapathError> {
        let mut tables = Tables::default();
        for number in 1..self.mapped.policies.len() {
            let policy = self.mapped.policies.get(number);
            if policy.id == [0; 16] {
                continue;
            }
            tables.policies.insert(number, policy);
        }
        for number in 1..self.mapped.tlvs.len() {
            let tlvs = self.mapped.tlvs.get(number);
            if tlvs != Tlvs::default() {
                tables.tlvs.insert(number, tlvs);
            }
        }
        for (number, ring) in elements(&self.rings, names::RINGS)? {
            if ring != Ring::default() {
                tables.rings.insert(number as u16, Box::new(ring));
            }
        }
        for number in 1..self.mapped.next_hops.len() {
            let hop = self.mapped.next_hops.get(number);
            if hop.attachment != 0 {
                let hop = Hop { vpc: hop.vpc, address: hop.address.into(), attachment: hop.attachment };
                tables.next_hops.insert(number as u16, hop);
            }
        }
        for (number, backend) in elements(&self.backends, names::BACKENDS)? {
            if backend != Backend::default() {
                tables.backends.insert(number as u16, backend);
            }
        }
        for (number, attachment) in elements(&self.attachments, names::ATTACHMENTS)? {
            if attachment != Attachment::default() {
                tables.attachments.insert(number, attachment);
            }
        }
        for entry in self.ports.iter() {
            let (key, value) = entry.map_err(failed("read", names::ENDPOINTS))?;
            tables.ports.insert(key, value);
        }
        for entry in self.interfaces.iter() {
            let (key, value) = entry.map_err(failed("read", names::INTERFACES))?;
            tables.interfaces.insert(key, value);
        }
        for entry in self.neighbours.iter() {
            let (key, value) = entry.map_err(failed("read", names::NEIGHBOURS))?;
            tables.neighbours.insert(key, value);
        }
        for key in self.acl.keys() {
            let key = key.map_err(failed("read", names::ACL))?;
            tables.acl.insert((key.data(), (key.prefix_len() - ENDPOINT_BITS) as u8));
        }
        for key in self.subnets.keys() {
            let key = key.map_err(failed("read", names::SUBNETS))?;
            tables.subnets.insert((key.data(), (key.prefix_len() - SubnetKey::FIXED_BITS) as u8));
        }
        for entry in self.routes.iter() {
            let (key, route) = entry.map_err(failed("read", names::ROUTES))?;
            tables.routes.insert((key.data(), (key.prefix_len() - RouteKey::FIXED_BITS) as u8), route);
        }
        Ok(tables)
    }

    /// Carries out one action. Doing it again does no harm.
    ///
    /// # Errors
    /// When the kernel refuses, such as for a full table.
    pub fn apply(&mut self, action: &Action) -> Result<(), DatapathError> {
        match action {
            Action::SetAttachment(number, value) => {
                self.attachments.set(*number, value, 0).map_err(failed("write", names::ATTACHMENTS))
            }
            Action::SetInterface(key, number) => {
                self.interfaces.insert(key, number, 0).map_err(failed("write", names::INTERFACES))
            }
            Action::RemoveInterface(key) => {
                gone(self.interfaces.remove(key)).map_err(failed("write", names::INTERFACES))
            }
            Action::SetNextHop(number, hop) => {
                self.set_next_hop(u32::from(*number), hop.as_ref());
                Ok(())
            }
            Action::SetNeighbour(key, number) => {
                self.neighbours.insert(key, number, 0).map_err(failed("write", names::NEIGHBOURS))
            }
            Action::RemoveNeighbour(key) => {
                gone(self.neighbours.remove(key)).map_err(failed("write", names::NEIGHBOURS))
            }
            Action::SetBackend(number, value) => {
                self.backends.set(u32::from(*number), value, 0).map_err(failed("write", names::BACKENDS))
            }
            Action::ResetCounters(number) => self.reset_counters(*number),
            Action::SetPolicy(number, policy) => {
                self.set_policy(*number, policy);
                Ok(())
            }
            Action::SetTlvs(number, tlvs) => {
                self.mapped.tlvs.set(*number, *tlvs);
                Ok(())
            }
            Action::SetRing(number, ring) => {
                let ring = ring.as_deref().copied().unwrap_or_default();
                self.rings.set(u32::from(*number), ring, 0).map_err(failed("write", names::RINGS))
            }
            Action::SetPort(key, value) => {
                self.ports.insert(key, value, 0).map_err(failed("write", names::ENDPOINTS))
            }
            Action::RemovePort(key) => {
                gone(self.ports.remove(key)).map_err(failed("write", names::ENDPOINTS))
            }
            Action::AddAcl((key, len)) => {
                let key = Key::new(ENDPOINT_BITS + u32::from(*len), *key);
                self.acl.insert(&key, 1, 0).map_err(failed("write", names::ACL))
            }
            Action::RemoveAcl((key, len)) => {
                let key = Key::new(ENDPOINT_BITS + u32::from(*len), *key);
                gone(self.acl.remove(&key)).map_err(failed("write", names::ACL))
            }
            Action::AddSubnet((key, len)) => {
                let at = Key::new(SubnetKey::FIXED_BITS + u32::from(*len), *key);
                self.subnets.insert(&at, key.source, 0).map_err(failed("write", names::SUBNETS))
            }
            Action::RemoveSubnet((key, len)) => {
                let at = Key::new(SubnetKey::FIXED_BITS + u32::from(*len), *key);
                gone(self.subnets.remove(&at)).map_err(failed("write", names::SUBNETS))
            }
            Action::SetRoute((key, len), route) => {
                let at = Key::new(RouteKey::FIXED_BITS + u32::from(*len), *key);
                self.routes.insert(&at, *route, 0).map_err(failed("write", names::ROUTES))
            }
            Action::RemoveRoute((key, len)) => {
                let at = Key::new(RouteKey::FIXED_BITS + u32::from(*len), *key);
                gone(self.routes.remove(&at)).map_err(failed("write", names::ROUTES))
            }
        }
    }

    /// A neighbour that packets are for and nobody asks for; each is handed out once.
    pub(super) fn next_wanted(&mut self) -> Option<Wanted> {
        self.wanted.pop(0).ok()
    }

    /// The word last and whole: a packet sees the old policy or the new one.
    fn set_policy(&self, number: u32, policy: &Policy) {
        let known = self.mapped.policies.get(number);
        self.mapped.policies.set(number, Policy { word: known.word, ..*policy });
        mmap::store(self.mapped.policies.word(number, offset_of!(Policy, word)), policy.word);
    }

    /// Leaves the MAC alone, which is the programs', unless the neighbour is another.
    fn set_next_hop(&self, number: u32, hop: Option<&Hop>) {
        let mac = self.mapped.next_hops.word(number, offset_of!(NextHop, mac));
        let known = self.mapped.next_hops.get(number);
        let Some(hop) = hop else {
            self.mapped.next_hops.set(number, NextHop::default());
            return;
        };
        let is_same = known.vpc == hop.vpc && std::net::Ipv4Addr::from(known.address) == hop.address;
        let next = NextHop { address: hop.address.into(), vpc: hop.vpc, attachment: hop.attachment, ..known };
        if is_same {
            // Only the word that is ours: the MAC may be changing.
            let mut ours = [0; 8];
            ours[..4].copy_from_slice(&next.address.0.to_ne_bytes());
            ours[4..6].copy_from_slice(&next.vpc.to_ne_bytes());
            ours[6..].copy_from_slice(&next.attachment.to_ne_bytes());
            let word = self.mapped.next_hops.word(number, offset_of!(NextHop, address));
            mmap::store(word, u64::from_ne_bytes(ours));
            return;
        }
        mmap::store(mac, 0);
        self.mapped.next_hops.set(number, NextHop { mac: 0, ..next });
    }

    fn reset_counters(&mut self, number: u32) -> Result<(), DatapathError> {
        self.mapped.connections.set(number, Connections::default());
        let cpus = aya::util::nr_cpus()
            .map_err(|(action, source)| DatapathError::System { action: format!("read {action}"), source })?;
        let zero = PerCpuValues::try_from(vec![Traffic::default(); cpus])
            .map_err(|source| DatapathError::System { action: "make per-CPU counters".into(), source })?;
        self.traffic.set(number, zero, 0).map_err(failed("write", names::TRAFFIC))
    }
}

fn missing(name: &'static str) -> DatapathError {
    DatapathError::Map { action: "find", map: name, source: MapError::InvalidName { name: name.into() } }
}

fn failed(action: &'static str, map: &'static str) -> impl Fn(MapError) -> DatapathError {
    move |source| DatapathError::Map { action, map, source }
}

/// Removing what is not there is fine.
fn gone(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn typed<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, DatapathError> {
    let map = ebpf.take_map(name).ok_or_else(|| missing(name))?;
    T::try_from(map).map_err(failed("use", name))
}

fn mapped<T: Pod>(ebpf: &mut Ebpf, name: &'static str) -> Result<MappedArray<T>, DatapathError> {
    let Some(Map::Array(data)) = ebpf.take_map(name) else { return Err(missing(name)) };
    let info = data.info().map_err(failed("inspect", name))?;
    if info.value_size() as usize != size_of::<T>() {
        let source =
            MapError::InvalidValueSize { size: size_of::<T>(), expected: info.value_size() as usize };
        return Err(failed("use", name)(source));
    }
    MappedArray::new(data.fd().as_fd(), info.max_entries())
        .map_err(|source| DatapathError::System { action: format!("map {name} into memory"), source })
}

/// Kernel memory of a map, as its file descriptor tells (kernel/bpf/syscall.c,
/// `bpf_map_show_fdinfo`).
fn memory(map: &MapData) -> Result<u64, DatapathError> {
    let path = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
    let text = std::fs::read_to_string(&path)
        .map_err(|source| DatapathError::System { action: format!("read {path}"), source })?;
    let memlock = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    Ok(memlock.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0))
}

fn elements<V: Pod, T: Borrow<MapData>>(
    array: &Array<T, V>,
    name: &'static str,
) -> Result<Vec<(u32, V)>, DatapathError> {
    let mut elements = Vec::new();
    for (number, value) in (0..).zip(array.iter()).skip(1) {
        elements.push((number, value.map_err(failed("read", name))?));
    }
    Ok(elements)
}

//! Runs the data plane on single packets, without a network.
//!
//! [`Gateway`] is the eBPF object of vpcepd loaded with small maps, in a network
//! namespace that belongs to the calling thread. `BPF_PROG_TEST_RUN` feeds a
//! program one frame as if it had come in on one of the namespace's interfaces
//! and hands back the verdict and the frame. A redirect is not carried out and
//! its target not told; whatever the maps hold afterwards can be read.
//!
//! What is in the maps is up to [`crate::stage`] and the tests.
//!
//! Source: net/bpf/test_run.c of Linux 6.12 (`bpf_prog_test_run_xdp`,
//! `bpf_prog_test_run_skb`, `bpf_prog_test_run_raw_tp`).

use std::cell::Cell;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData, PerCpuArray, Queue, RingBuf};
use aya::programs::{
    Program, RawTracePoint, RawTracePointRunOptions, SchedClassifier, TestRun as _, TestRunOptions, Xdp,
};
use aya::{Ebpf, EbpfLoader, Pod};
use vpcep::datapath::object::{OBJECT, programs};
use vpcep_common::acl::{AclKey, ENDPOINT_BITS};
use vpcep_common::be::Be32;
use vpcep_common::counter::{Connections, DropReason, Traffic};
use vpcep_common::event::{Budget, Event, Kind};
use vpcep_common::index::{self, Bucket, Place};
use vpcep_common::limits::{REAP_BATCH, reaped};
use vpcep_common::maps;
use vpcep_common::session::{FlowKey, Slot};
use vpcep_common::settings::Settings;
use vpcep_common::snat::Shard;

/// Where a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// XDP.
    Xdp,
    /// TC ingress.
    Tc,
}

impl Hook {
    /// Both hooks; what the tables run through.
    pub const BOTH: [Self; 2] = [Self::Xdp, Self::Tc];

    const fn program(self) -> &'static str {
        match self {
            Self::Xdp => programs::XDP,
            Self::Tc => programs::TC,
        }
    }

    /// Reads a return code: `enum xdp_action`, or `TC_ACT_*`, of
    /// include/uapi/linux.
    pub fn verdict(self, code: u32) -> Option<Verdict> {
        match (self, code) {
            (Self::Xdp, 1) | (Self::Tc, 2) => Some(Verdict::Drop),
            // At TC "unspecified", which lets the next program of the chain see it.
            (Self::Xdp, 2) | (Self::Tc, u32::MAX) => Some(Verdict::Pass),
            (Self::Xdp, 4) | (Self::Tc, 7) => Some(Verdict::Redirect),
            _ => None,
        }
    }

    /// The context that says where a frame came in: `struct xdp_md`, of which
    /// `data_end` must be the frame's length, or `struct __sk_buff`.
    pub fn context(self, ifindex: u32, frame_len: usize) -> Vec<u8> {
        let (len, fields): (usize, &[(usize, u32)]) = match self {
            Self::Xdp => (24, &[(4, frame_len as u32), (12, ifindex)]),
            Self::Tc => (192, &[(40, ifindex)]),
        };
        let mut context = vec![0; len];
        for (offset, value) in fields {
            context[*offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        }
        context
    }
}

/// What a program decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To the network stack.
    Pass,
    /// Dropped.
    Drop,
    /// Sent out of an interface.
    Redirect,
}

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
}

/// Map sizes. The defaults are the smallest that hold [`crate::stage`].
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Prefix length of the source range: 26 to 32.
    pub shard_prefix_len: u8,
    /// Sessions that the forward index is made for.
    pub flows: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { shard_prefix_len: 32, flows: 4_096 }
    }
}

/// Bytes of the ring of events: the least there can be.
const EVENT_RING: u32 = 4_096;
/// Entries of every other table.
const ENTRIES: u32 = 16;

/// The data plane, loaded.
pub struct Gateway {
    /// The object, its maps and programs.
    pub ebpf: Ebpf,
}

impl Gateway {
    /// Loads the programs of `hooks` with empty maps, and moves
    /// the thread into a network namespace with the interfaces of
    /// [`crate::stage`] if it is not in one yet.
    ///
    /// # Errors
    /// When the kernel refuses the namespace, the maps or a program; the
    /// verifier's log is in the error.
    pub fn load(hooks: &[Hook], capacity: Capacity) -> Result<Self> {
        enter_namespace()?;
        let mut loader = EbpfLoader::new();
        for name in maps::ALL {
            let entries = match name {
                maps::SLOTS => Shard::slots(capacity.shard_prefix_len),
                maps::INDEX => index::buckets(capacity.flows),
                maps::SETTINGS => 1,
                maps::REAP_LIST => REAP_BATCH,
                maps::EVENTS => EVENT_RING,
                maps::EVENT_BUDGETS => Kind::COUNT,
                _ => ENTRIES,
            };
            loader.map_max_entries(name, entries);
        }
        let mut ebpf = loader.load(OBJECT).context("cannot create the maps")?;
        // The verifier is what takes time, so what is not run is left out.
        for hook in hooks {
            load_program(&mut ebpf, hook.program())?;
        }
        Ok(Self { ebpf })
    }

    /// Loads the reaper, unless it is.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn load_reaper(&mut self) -> Result<()> {
        let is_loaded = self.ebpf.program(programs::REAP).is_some_and(|program| program.fd().is_ok());
        if is_loaded { Ok(()) } else { load_program(&mut self.ebpf, programs::REAP) }
    }

    /// Runs a frame that came in on an interface through one hook.
    ///
    /// # Panics
    /// When the kernel refuses the run (frames below 14 bytes), or the program
    /// ends with a code that it should never return.
    pub fn run(&self, hook: Hook, ifindex: u32, frame: &[u8]) -> Outcome {
        let mut out = vec![0; frame.len() + 256];
        let result = self.test_run(
            hook,
            TestRunOptions {
                data_in: Some(frame),
                data_out: Some(&mut out),
                ctx_in: Some(&hook.context(ifindex, frame.len())),
                ..TestRunOptions::new()
            },
        );
        let (code, len, _) =
            result.unwrap_or_else(|e| panic!("run {hook:?} on {} bytes: {e:#}", frame.len()));
        out.truncate(len);
        let verdict = hook.verdict(code).unwrap_or_else(|| panic!("{hook:?} returned {code}"));
        Outcome { verdict, frame: out }
    }

    /// Runs a program with these options; its return code, the length of the
    /// frame that came out, and the mean duration of the runs. The kernel does
    /// not restore the frame between repeated runs.
    ///
    /// # Errors
    /// When the kernel refuses the run, or the hook was not loaded.
    pub fn test_run(&self, hook: Hook, options: TestRunOptions<'_>) -> Result<(u32, usize, Duration)> {
        let program = self.ebpf.program(hook.program()).context("the object lacks the program")?;
        let result = match hook {
            Hook::Xdp => <&Xdp>::try_from(program)?.test_run(options)?,
            Hook::Tc => <&SchedClassifier>::try_from(program)?.test_run(options)?,
        };
        Ok((result.return_value, result.data_size_out as usize, result.duration))
    }

    /// Lists slots for the reaper, runs it, and returns how many it freed.
    ///
    /// # Panics
    /// When more slots are listed than one run takes, or the kernel refuses.
    pub fn reap(&mut self, slots: &[u32]) -> u32 {
        self.list_for_reaper(slots);
        self.run_reaper(slots.len())
    }

    /// Lists slots for the reaper.
    ///
    /// # Panics
    /// When they are more than one run takes, or the kernel refuses the reaper.
    pub fn list_for_reaper(&mut self, slots: &[u32]) {
        self.load_reaper().expect("the kernel takes the reaper");
        let mut list = self.array::<u64>(maps::REAP_LIST);
        for (i, slot) in slots.iter().enumerate() {
            list.set(i as u32, u64::from(*slot), 0).expect("one run takes REAP_BATCH slots");
        }
    }

    /// Runs the reaper over the first `count` slots of its list; how many it freed.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn run_reaper(&self, count: usize) -> u32 {
        let program = self.ebpf.program(programs::REAP).expect("the object has the reaper");
        let program = <&RawTracePoint>::try_from(program).expect("the reaper is a raw tracepoint program");
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = count as u64;
        program.test_run(options).expect("the reaper runs");
        let list = self.ebpf.map(maps::REAP_LIST).expect("the object has the list");
        let list: Array<_, u64> = Array::try_from(list).expect("the list is an array of u64");
        let is_freed = |i: &u32| reaped::of(list.get(i, 0).expect("the list is read")) != reaped::KEPT;
        (0..count as u32).filter(is_freed).count() as u32
    }

    /// An array map, for writing and reading.
    ///
    /// # Panics
    /// When there is no such map or its values are not `T`.
    pub fn array<T: Pod>(&mut self, name: &str) -> Array<&mut MapData, T> {
        let map = self.ebpf.map_mut(name).unwrap_or_else(|| panic!("no map {name}"));
        Array::try_from(map).unwrap_or_else(|e| panic!("map {name}: {e}"))
    }

    /// A hash map, for writing and reading.
    ///
    /// # Panics
    /// When there is no such map or its entries are not `K` and `V`.
    pub fn hash<K: Pod, V: Pod>(&mut self, name: &str) -> HashMap<&mut MapData, K, V> {
        let map = self.ebpf.map_mut(name).unwrap_or_else(|| panic!("no map {name}"));
        HashMap::try_from(map).unwrap_or_else(|e| panic!("map {name}: {e}"))
    }

    /// Puts a client prefix into an endpoint's whitelist, or takes it out.
    ///
    /// # Panics
    /// When the map is full, or lacks what is taken out.
    pub fn whitelist(&mut self, endpoint: u32, source: Be32, prefix_len: u32, is_listed: bool) {
        let map = self.ebpf.map_mut(maps::ACL).expect("the object has the whitelist");
        let mut trie = LpmTrie::<_, AclKey, u32>::try_from(map).expect("the whitelist is an LPM trie");
        let key = Key::new(ENDPOINT_BITS + prefix_len, AclKey { endpoint: Be32::new(endpoint), source });
        let done = if is_listed { trie.insert(&key, 1, 0) } else { trie.remove(&key) };
        done.expect("the whitelist takes the change");
    }

    /// Adds an entry to an LPM trie.
    ///
    /// # Panics
    /// When there is no such map, its entries are not `K` and `V`, or it is full.
    pub fn insert_prefix<K: Pod, V: Pod>(&mut self, name: &str, prefix_len: u32, key: K, value: V) {
        let map = self.ebpf.map_mut(name).unwrap_or_else(|| panic!("no map {name}"));
        let mut trie = LpmTrie::<_, K, V>::try_from(map).unwrap_or_else(|e| panic!("map {name}: {e}"));
        trie.insert(&Key::new(prefix_len, key), value, 0).unwrap_or_else(|e| panic!("map {name}: {e}"));
    }

    /// Takes everything out of a queue, oldest first.
    ///
    /// # Panics
    /// When there is no such map or its values are not `T`.
    pub fn drain<T: Pod>(&mut self, name: &str) -> Vec<T> {
        let map = self.ebpf.map_mut(name).unwrap_or_else(|| panic!("no map {name}"));
        let mut queue = Queue::<_, T>::try_from(map).unwrap_or_else(|e| panic!("map {name}: {e}"));
        std::iter::from_fn(|| queue.pop(0).ok()).collect()
    }

    /// One entry of an array map.
    ///
    /// # Panics
    /// When there is no such map or entry, or its values are not `T`.
    pub fn entry<T: Pod>(&self, name: &str, index: u32) -> T {
        let map = self.ebpf.map(name).unwrap_or_else(|| panic!("no map {name}"));
        let array: Array<_, T> = Array::try_from(map).unwrap_or_else(|e| panic!("map {name}: {e}"));
        array.get(&index, 0).unwrap_or_else(|e| panic!("map {name}, entry {index}: {e}"))
    }

    /// A session slot.
    pub fn slot(&self, number: u32) -> Slot {
        self.entry(maps::SLOTS, number)
    }

    /// Slot number of a flow, if the forward index has it.
    ///
    /// # Panics
    /// When the index cannot be read.
    pub fn slot_of(&self, flow: &FlowKey) -> Option<u32> {
        let place = self.place(flow);
        let buckets = [place.first(), place.second()].map(|number| self.entry::<Bucket>(maps::INDEX, number));
        buckets.iter().flat_map(|bucket| bucket.entries).find(|entry| place.fits(*entry)).map(Place::slot)
    }

    /// Leads a flow to a slot, in either of its buckets.
    ///
    /// # Panics
    /// When there is no room, or the index cannot be changed.
    pub fn enter_index(&mut self, flow: &FlowKey, slot: u32) {
        let entry = self.place(flow).entry(slot);
        assert!(self.replace_entry(flow, |known| known == 0, entry), "the index has no room for {flow:?}");
    }

    /// Takes a flow out of the index.
    ///
    /// # Panics
    /// When it is not there, or the index cannot be changed.
    pub fn leave_index(&mut self, flow: &FlowKey) {
        let place = self.place(flow);
        assert!(self.replace_entry(flow, |known| place.fits(known), 0), "the index does not have {flow:?}");
    }

    /// Replaces the first entry of a flow's buckets that is meant, if there is one.
    fn replace_entry(&mut self, flow: &FlowKey, is_meant: impl Fn(u64) -> bool, new: u64) -> bool {
        let place = self.place(flow);
        for number in [place.first(), place.second()] {
            let mut bucket: Bucket = self.entry(maps::INDEX, number);
            if let Some(entry) = bucket.entries.iter_mut().find(|entry| is_meant(**entry)) {
                *entry = new;
                self.array(maps::INDEX).set(number, bucket, 0).expect("the index can be changed");
                return true;
            }
        }
        false
    }

    /// Entries of the forward index.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn indexed(&mut self) -> usize {
        let index = self.array::<Bucket>(maps::INDEX);
        let used = |bucket: Bucket| bucket.entries.into_iter().filter(|entry| *entry != 0).count();
        index.iter().map(|bucket| used(bucket.expect("the index can be read"))).sum()
    }

    fn place(&self, flow: &FlowKey) -> Place {
        let settings: Settings = self.entry(maps::SETTINGS, 0);
        Place::new(settings.hash_key, flow, settings.index_mask)
    }

    /// Connections of an endpoint.
    pub fn connections(&self, endpoint: u32) -> Connections {
        self.entry(maps::CONNECTIONS, endpoint)
    }

    /// Takes the events that were reported, oldest first.
    ///
    /// # Panics
    /// When the ring cannot be read.
    pub fn events(&mut self) -> Vec<Event> {
        let map = self.ebpf.map_mut(maps::EVENTS).expect("the object has the ring");
        let mut ring = RingBuf::try_from(map).expect("events are in a ring buffer");
        let mut events = Vec::new();
        while let Some(bytes) = ring.next() {
            events.push(Event::from_bytes(&bytes).expect("the ring has whole events"));
        }
        events
    }

    /// Events of a kind that were not reported, all CPUs together; the window is left out.
    ///
    /// # Panics
    /// When the counters cannot be read.
    pub fn budget(&self, kind: Kind) -> Budget {
        let map = self.ebpf.map(maps::EVENT_BUDGETS).expect("the object has the budgets");
        let budgets: PerCpuArray<_, Budget> = PerCpuArray::try_from(map).expect("budgets are per CPU");
        let per_cpu = budgets.get(&(kind as u32), 0).expect("each kind has a budget");
        per_cpu.iter().fold(Budget::default(), |sum, cpu| Budget {
            used: sum.used + cpu.used,
            held_back: sum.held_back + cpu.held_back,
            lost: sum.lost + cpu.lost,
            ..sum
        })
    }

    /// Packets and bytes of an endpoint, summed over CPUs.
    ///
    /// # Panics
    /// When the counters cannot be read.
    pub fn traffic(&self, endpoint: u32) -> Traffic {
        let map = self.ebpf.map(maps::TRAFFIC).expect("the object has the counters");
        let traffic: PerCpuArray<_, Traffic> = PerCpuArray::try_from(map).expect("the counters are per CPU");
        let per_cpu = traffic.get(&endpoint, 0).expect("the endpoint has counters");
        per_cpu.iter().fold(Traffic::default(), |mut sum, cpu| {
            sum.packets_out += cpu.packets_out;
            sum.bytes_out += cpu.bytes_out;
            sum.packets_in += cpu.packets_in;
            sum.bytes_in += cpu.bytes_in;
            for (sum, drops) in sum.drops.iter_mut().zip(cpu.drops) {
                *sum += drops;
            }
            sum
        })
    }

    /// Every drop counted so far: endpoint number, reason name, count.
    pub fn drops(&self) -> Vec<(u32, &'static str, u64)> {
        let mut drops = Vec::new();
        for endpoint in 0..ENTRIES {
            let counted = self.traffic(endpoint).drops;
            for reason in DropReason::ALL {
                match counted[*reason as usize] {
                    0 => {}
                    count => drops.push((endpoint, reason.name(), count)),
                }
            }
        }
        drops
    }
}

fn load_program(ebpf: &mut Ebpf, name: &str) -> Result<()> {
    let program = ebpf.program_mut(name).with_context(|| format!("the object lacks program {name}"))?;
    match program {
        Program::Xdp(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        Program::RawTracePoint(program) => program.load(),
        other => bail!("program {name} is of type {:?}: XDP, TC or raw tracepoint", other.prog_type()),
    }
    .with_context(|| format!("cannot load program {name}"))
}

/// What keeps this process from loading programs, if anything does.
pub fn missing_privilege() -> Option<&'static str> {
    // SAFETY: takes nothing and cannot fail.
    let user = unsafe { libc::geteuid() };
    (user != 0).then_some("root (CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN)")
}

thread_local! {
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Gives the thread a network namespace with the interfaces of the stage. It
/// goes away with the thread, and threads started from it share it.
fn enter_namespace() -> Result<()> {
    if IS_INSIDE.get() {
        return Ok(());
    }
    // SAFETY: no memory is involved; the namespace is this thread's alone.
    let status = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    ensure!(status == 0, "cannot make a network namespace (root may): {}", std::io::Error::last_os_error());
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run ip (of iproute2)")?;
    let mut batch = ip.stdin.take().context("ip has no standard input")?;
    for ifindex in crate::stage::INTERFACES {
        let peer = ifindex + 1;
        writeln!(
            batch,
            "link add name if{ifindex} index {ifindex} type veth peer name if{peer} index {peer}"
        )?;
    }
    std::mem::drop(batch);
    ensure!(ip.wait()?.success(), "ip cannot make veth interfaces: the kernel needs CONFIG_VETH");
    IS_INSIDE.set(true);
    Ok(())
}

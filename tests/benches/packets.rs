//! Nanoseconds per packet of an established session, by `BPF_PROG_TEST_RUN`.
//!
//! The kernel does not restore the frame between repeated runs, so a program
//! that translates sees its own output from the second run on. Instead of
//! putting the headers back (which would have to be measured and subtracted),
//! the sessions here are made so that every output is the next valid input:
//!
//! ```text
//!   forward   source s(0) → X   becomes   s(1) → X   becomes   s(2) → X …
//!   return    X → s(0)          becomes   X → s(1)   becomes   X → s(2) …
//! ```
//!
//! One address X is endpoint and backend, clients are sources of the shard
//! themselves, and each session's client is another session's source. The
//! sessions form one random cycle, so that each packet belongs to another
//! session than the one before, anywhere in memory. Every step of an ordinary
//! packet is taken: attachment, flow index, slot, policy, neighbour, TCP
//! tracking, rewriting, checksums, counters, redirect. The hop limit ends a
//! chain after 254 packets; the next starts elsewhere in the cycle.
//!
//! Not in the number: carrying out the redirect, the driver, and at TC the
//! buffer's allocation. In the number: about 20 ns of the kernel's own loop.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result};
use aya::programs::{TestRunOptions, Xdp, XdpMode};
use vpcep::datapath::object::programs;
use vpcep_common::attachment::{NextHop, mac_word};
use vpcep_common::be::Be16;
use vpcep_common::maps;
use vpcep_common::session::{Slot, Word};
use vpcep_common::snat::{FIRST_PORT, RANGE, Shard};
use vpcep_common::tcp::State;
use vpcep_common::tcp::flags::ACK;
use vpcep_tests::packet::Segment;

use crate::report::{Table, median};
use crate::runner::{Capacity, Gateway, Hook};
use crate::stage::{self, BACKEND_MAC, CONSUMER, ENDPOINT, ENDPOINT_ADDRESS, NEXT_HOP, UNATTACHED};

/// Longest chain: the hop limit starts at 255 and a packet with 1 is refused.
const CHAIN: u32 = 254;
/// Chains per measurement.
const CHAINS: u32 = 80;
/// Measurements of each kind, interleaved.
const ROUNDS: usize = 5;
const SHARD_PREFIX_LEN: u8 = 26;

/// Measures and fills a table.
pub fn run() -> Result<Table> {
    let mut table = Table::new(
        "ns per packet of an established session",
        &["sessions", "XDP forward", "XDP return", "TC forward", "TC return"],
    );
    for sessions in [1_u32, 1_000_000] {
        let (gateway, sources) = cycle(sessions)?;
        let mut samples = [const { Vec::new() }; 4];
        for round in 0..ROUNDS {
            for (kind, (samples, (hook, is_return))) in samples.iter_mut().zip(KINDS).enumerate() {
                let sample = round * KINDS.len() + kind;
                samples.push(ns_per_packet(&gateway, hook, is_return, &sources, sample)?);
            }
        }
        let cells = samples.map(|samples| format!("{:.0}", median(samples)));
        table.row([vec![sessions.to_string()], cells.to_vec()].concat());
    }
    Ok(table)
}

const KINDS: [(Hook, bool); 4] = [(Hook::Xdp, false), (Hook::Xdp, true), (Hook::Tc, false), (Hook::Tc, true)];

/// Mean of many chains that start all over the cycle. No two of the `sample`s
/// touch the same sessions while there are a million: what one has brought into
/// the cache is of no use to the next.
fn ns_per_packet(
    gateway: &Gateway,
    hook: Hook,
    is_return: bool,
    sources: &[SocketAddrV4],
    sample: usize,
) -> Result<f64> {
    let mut total_ns = 0.0;
    for chain in 0..CHAINS as usize {
        // Chains go forward or backward from their start.
        let apart = 2 * CHAIN as usize;
        let start = (chain * sources.len() / CHAINS as usize + sample * apart) % sources.len();
        let (from, to) =
            if is_return { (ENDPOINT_ADDRESS, sources[start]) } else { (sources[start], ENDPOINT_ADDRESS) };
        let frame =
            Segment { ttl: 255, to: CONSUMER.mac, from: BACKEND_MAC, ..Segment::new(from, to, ACK) }.build();
        let context = hook.context(CONSUMER.ifindex, frame.len());
        let options = TestRunOptions {
            data_in: Some(&frame),
            ctx_in: Some(&context),
            repeat: CHAIN,
            ..TestRunOptions::new()
        };
        let (code, _, mean) = gateway.test_run(hook, options)?;
        anyhow::ensure!(
            hook.verdict(code) == Some(crate::runner::Verdict::Redirect),
            "the chain from {from} to {to} broke at {hook:?}: drops {:?}",
            gateway.drops()
        );
        total_ns += mean.as_nanos() as f64;
    }
    Ok(total_ns / f64::from(CHAINS))
}

/// A gateway with `sessions` sessions in one cycle, and their sources in its order.
fn cycle(sessions: u32) -> Result<(Gateway, Vec<SocketAddrV4>)> {
    let capacity = Capacity { shard_prefix_len: SHARD_PREFIX_LEN, flows: 1 << 21 };
    let mut gateway = stage::gateway(&Hook::BOTH, capacity)?;
    keep_dispatched(&mut gateway)?;
    // The backend is where the endpoint is: what goes out must come in again.
    let next_hop = NextHop {
        mac: mac_word(BACKEND_MAC),
        address: (*ENDPOINT_ADDRESS.ip()).into(),
        vpc: CONSUMER.vpc,
        attachment: CONSUMER.attachment,
        ..NextHop::default()
    };
    gateway.array(maps::NEXT_HOPS).set(u32::from(NEXT_HOP), next_hop, 0)?;
    let numbers = shuffled_slots(sessions);
    let shard = Shard { base: RANGE, mask: (1 << (32 - SHARD_PREFIX_LEN)) - 1 };
    let sources: Vec<SocketAddrV4> = numbers
        .iter()
        .map(|number| {
            let (address, port) = shard.source(*number);
            SocketAddrV4::new(Ipv4Addr::from(address), port)
        })
        .collect();
    let mut slots = gateway.array::<Slot>(maps::SLOTS);
    for (i, number) in numbers.iter().enumerate() {
        slots.set(*number, session(sources[(i + 1) % sources.len()]), 0)?;
    }
    for (i, number) in numbers.iter().enumerate() {
        gateway.enter_index(&session(sources[(i + 1) % sources.len()]).key(), *number);
    }
    Ok((gateway, sources))
}

/// Attaches the XDP program somewhere. The kernel patches its XDP dispatcher
/// around a repeated run of a program that is attached nowhere, and sleeps for
/// that: long enough for others to take the caches.
fn keep_dispatched(gateway: &mut Gateway) -> Result<()> {
    let program = gateway.ebpf.program_mut(programs::XDP).context("the object lacks the XDP program")?;
    <&mut Xdp>::try_from(program)?.attach_to_if_index(UNATTACHED.ifindex, XdpMode::default())?;
    Ok(())
}

/// An established session of this client.
fn session(client: SocketAddrV4) -> Slot {
    Slot {
        word: Word(0).claimed(ENDPOINT).live(State::Established, Word::COUNTED).0,
        last_seen: stage::now(),
        generation: 1,
        created: stage::now(),
        backend: (*ENDPOINT_ADDRESS.ip()).into(),
        backend_port: Be16::new(ENDPOINT_ADDRESS.port()),
        provider_vpc: CONSUMER.vpc,
        next_hop: NEXT_HOP,
        attachment: CONSUMER.attachment,
        client_mac: CONSUMER.mac,
        client: (*client.ip()).into(),
        client_port: Be16::new(client.port()),
        endpoint: (*ENDPOINT_ADDRESS.ip()).into(),
        endpoint_port: Be16::new(ENDPOINT_ADDRESS.port()),
        consumer_vpc: CONSUMER.vpc,
        protocol: vpcep_tests::packet::TCP,
        ..Slot::default()
    }
}

/// That many distinct slots in random order (the same in every run).
fn shuffled_slots(count: u32) -> Vec<u32> {
    let mut slots: Vec<u32> =
        (0..Shard::slots(SHARD_PREFIX_LEN)).filter(|slot| slot & 0xffff >= u32::from(FIRST_PORT)).collect();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for i in (1..slots.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        slots.swap(i, (seed % (i as u64 + 1)) as usize);
    }
    slots.truncate(count as usize);
    slots
}

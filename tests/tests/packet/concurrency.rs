//! Several CPUs at once: limits hold exactly, and counts match the slots.
//! `vpcep_common::counter` states the invariant: `current` equals the number of
//! slots with the `COUNTED` bit.

use std::net::SocketAddrV4;
use std::thread;

use vpcep_common::endpoint::policy::ACCEPTED;
use vpcep_common::limits::REAP_BATCH;
use vpcep_common::maps;
use vpcep_common::session::{Slot, Word};
use vpcep_common::settings::Settings;
use vpcep_common::tcp::State;
use vpcep_common::tcp::flags::{ACK, FIN, RST, SYN};
use vpcep_tests::packet::Segment;

use crate::runner::{Gateway, Hook, Verdict};
use crate::snat::probes;
use crate::stage::{self, CLIENT, CONSUMER, ENDPOINT, PROVIDER};
use crate::table::on_each_hook;

const THREADS: u16 = 4;

/// Live slots and how many of them are counted.
fn live_slots(gateway: &mut Gateway) -> (Vec<u32>, u64) {
    let slots = gateway.array::<Slot>(maps::SLOTS);
    let words: Vec<(u32, Word)> = slots
        .iter()
        .enumerate()
        .map(|(number, slot)| (number as u32, Word(slot.unwrap().word)))
        .filter(|(_, word)| !word.is_free())
        .collect();
    assert!(
        words.iter().all(|(_, word)| word.is_live()),
        "a slot was left claimed or half reaped: {words:?}"
    );
    let counted = words.iter().filter(|(_, word)| word.is_counted()).count() as u64;
    (words.into_iter().map(|(number, _)| number).collect(), counted)
}

/// Ends every session; afterwards nothing may be left.
fn reap_all(gateway: &mut Gateway) {
    let (slots, _) = live_slots(gateway);
    for slot in &slots {
        gateway.age(*slot, 100_000);
    }
    let freed: u32 = slots.chunks(REAP_BATCH as usize).map(|batch| gateway.reap(batch)).sum();
    assert_eq!(freed as usize, slots.len());
    assert_eq!(gateway.connections(ENDPOINT).current, 0);
    assert_eq!(live_slots(gateway), (vec![], 0));
    assert_eq!(gateway.indexed(), 0);
}

fn client(thread: u16, i: u16) -> SocketAddrV4 {
    SocketAddrV4::new(*CLIENT.ip(), 1 + thread * 10_000 + i)
}

/// Whether a frame was forwarded rather than dropped or answered by a reset.
fn is_forwarded(gateway: &Gateway, hook: Hook, ifindex: u32, segment: &Segment) -> bool {
    let outcome = gateway.run(hook, ifindex, &segment.build());
    outcome.verdict == Verdict::Redirect && outcome.frame[..6] != segment.from
}

#[test]
fn a_limit_is_reached_exactly() {
    const LIMIT: u64 = 100;
    const SYNS: u16 = 400;
    on_each_hook(|gateway, hook| {
        gateway.set_policy(ACCEPTED, 1, LIMIT as u32);
        let opened: u64 = thread::scope(|scope| {
            let shared = &*gateway;
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    scope.spawn(move || {
                        let syns = (0..SYNS).map(|i| stage::from_client(client(thread, i), SYN));
                        syns.filter(|syn| is_forwarded(shared, hook, CONSUMER.ifindex, syn)).count() as u64
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let connections = gateway.connections(ENDPOINT);
        assert_eq!((connections.current, connections.opened, opened), (LIMIT, LIMIT, LIMIT));
        let (slots, counted) = live_slots(gateway);
        assert_eq!((slots.len() as u64, counted), (LIMIT, LIMIT));
        let refused: u64 = gateway.drops().iter().map(|(_, _, count)| count).sum();
        assert_eq!(refused, u64::from(THREADS * SYNS) - LIMIT);
        reap_all(gateway);
    });
}

#[test]
fn one_flow_opened_by_all_at_once_is_one_session() {
    on_each_hook(|gateway, hook| {
        for i in 0..200 {
            let syn = stage::from_client(client(0, i), SYN);
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    let (shared, syn) = (&*gateway, &syn);
                    scope.spawn(move || shared.run(hook, CONSUMER.ifindex, &syn.build()));
                }
            });
        }
        let connections = gateway.connections(ENDPOINT);
        assert!(connections.current <= u64::from(stage::LIMIT));
        let (slots, counted) = live_slots(gateway);
        assert_eq!((slots.len() as u64, counted), (connections.current, connections.current));
        reap_all(gateway);
    });
}

/// Both sides of the same few flows open, close, reset and start over, from all
/// threads: whatever the interleaving, the count matches the slots.
#[test]
fn the_count_survives_any_interleaving() {
    on_each_hook(|gateway, hook| {
        gateway.set_policy(ACCEPTED, 1, MOST);
        thread::scope(|scope| {
            disturb_from_all_threads(scope, gateway, hook);
        });
        is_consistent(gateway, hook);
    });
}

/// The same with a reaper that takes every session it can get hold of.
#[test]
fn the_count_survives_the_reaper() {
    on_each_hook(|gateway, hook| {
        gateway.set_policy(ACCEPTED, 1, MOST);
        let mut settings: Settings = gateway.entry(maps::SETTINGS, 0);
        settings.idle = [0; State::COUNT];
        gateway.array(maps::SETTINGS).set(0, settings, 0).unwrap();
        let slots: Vec<u32> = (0..FLOWS).flat_map(|flow| probes(client(0, flow), 32)).collect();
        assert_eq!(slots.len(), REAP_BATCH as usize);
        gateway.list_for_reaper(&slots);
        let freed: u32 = thread::scope(|scope| {
            let shared = &*gateway;
            let packets = disturb_from_all_threads(scope, shared, hook);
            let mut freed = 0;
            while packets.iter().any(|thread| !thread.is_finished()) {
                freed += shared.run_reaper(slots.len());
            }
            freed
        });
        assert!(freed > 0, "the reaper took part");
        is_consistent(gateway, hook);
    });
}

const FLOWS: u16 = 4;
const MOST: u32 = 3;

/// Starts threads that send random packets of the same few flows.
fn disturb_from_all_threads<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    gateway: &'scope Gateway,
    hook: Hook,
) -> Vec<thread::ScopedJoinHandle<'scope, ()>> {
    const ROUNDS: u32 = 20_000;
    (0..u32::from(THREADS))
        .map(|thread| {
            scope.spawn(move || {
                let mut seed = 0x9e37_79b9_u32.wrapping_mul(thread + 1);
                for _ in 0..ROUNDS {
                    seed ^= seed << 13;
                    seed ^= seed >> 17;
                    seed ^= seed << 5;
                    disturb(gateway, hook, client(0, seed as u16 % FLOWS), seed >> 16);
                }
            })
        })
        .collect()
}

fn is_consistent(gateway: &mut Gateway, hook: Hook) {
    let (_, counted) = live_slots(gateway);
    let connections = gateway.connections(ENDPOINT);
    assert_eq!(connections.current, counted, "{hook:?}");
    assert!(connections.peak <= u64::from(MOST), "{hook:?}: the limit held throughout");
    reap_all(gateway);
}

/// Sends one packet of a random kind, from either side.
fn disturb(gateway: &Gateway, hook: Hook, client: SocketAddrV4, choice: u32) {
    const KINDS: [u8; 8] = [SYN, SYN, ACK, ACK, FIN | ACK, FIN | ACK, RST, SYN | ACK];
    let flags = KINDS[(choice >> 1) as usize % KINDS.len()];
    if choice & 1 == 0 {
        gateway.run(hook, CONSUMER.ifindex, &stage::from_client(client, flags).build());
    } else if let Some(source_port) = gateway.source_port(client) {
        gateway.run(hook, PROVIDER.ifindex, &stage::from_backend(source_port, flags).build());
    }
}

//! What the compiler made: how much of it the verifier can follow, and the atomic
//! instructions it chose. A compare-and-swap or an
//! addition that does not return the old value would pass every other test on
//! one CPU and miscount on two; below `target-cpu=v3`, and with relaxed
//! ordering, that is what compilers have made of them.
//!
//! Source: RFC 9669 section 5.3 (atomic operations).

use std::collections::BTreeMap;

use object::{Object as _, ObjectSection as _, SectionKind};
use vpcep::datapath::object::{OBJECT, programs};

use crate::runner::{Capacity, Gateway, Hook};
use crate::table::is_skipped;

/// STX | ATOMIC with 64-bit operands.
const ATOMIC_64: u8 = 0xdb;
/// STX | ATOMIC with 32-bit operands.
const ATOMIC_32: u8 = 0xc3;
/// The one instruction that takes two places: a 64-bit immediate.
const LOAD_IMMEDIATE_64: u8 = 0x18;
/// Set in the immediate when the old value is returned.
const FETCH: i32 = 0x01;
const EXCHANGE: i32 = 0xe1;
const COMPARE_AND_EXCHANGE: i32 = 0xf1;

/// Atomic instructions of a program section: opcode and operation.
fn atomics(text: &[u8]) -> Vec<(u8, i32)> {
    let (instructions, rest) = text.as_chunks::<8>();
    assert!(rest.is_empty(), "instructions have eight bytes");
    let mut found = Vec::new();
    let mut places = instructions.iter();
    while let Some(instruction) = places.next() {
        let [opcode, _, _, _, immediate @ ..] = *instruction;
        match opcode {
            LOAD_IMMEDIATE_64 => _ = places.next(),
            ATOMIC_64 | ATOMIC_32 => found.push((opcode, i32::from_ne_bytes(immediate))),
            _ => {}
        }
    }
    found
}

/// Atomic instructions by section, of the sections that hold code.
fn by_section() -> BTreeMap<String, Vec<(u8, i32)>> {
    let object = object::File::parse(OBJECT).unwrap();
    object
        .sections()
        .filter(|section| section.kind() == SectionKind::Text && section.size() > 0)
        .map(|section| (section.name().unwrap().to_owned(), atomics(section.data().unwrap())))
        .collect()
}

#[test]
fn every_atomic_instruction_returns_the_old_value() {
    for (section, atomics) in by_section() {
        for (opcode, operation) in atomics {
            assert_eq!(opcode, ATOMIC_64, "{section}: words and counters have 64 bits");
            assert_ne!(operation & FETCH, 0, "{section}: operation {operation:#x} does not fetch");
        }
    }
}

#[test]
fn programs_claim_publish_and_count_atomically() {
    let by_section = by_section();
    let of = |name: &str| {
        let (_, atomics) = by_section.iter().find(|(section, _)| section.starts_with(name)).unwrap();
        |operation: i32| atomics.iter().filter(|(_, found)| *found == operation).count()
    };
    for section in ["xdp", "classifier", "raw_tp"] {
        let count = of(section);
        assert!(count(COMPARE_AND_EXCHANGE) > 0, "{section} claims or frees slots by compare-and-swap");
        assert!(count(EXCHANGE) > 0, "{section} publishes a word by an exchange");
        assert!(count(FETCH) > 0, "{section} counts by fetch-and-add");
    }
}

/// The verifier gives up at a million instructions, each counted once for every path to it. Where
/// that is near, the next change does not load, and an older kernel may see more paths.
#[test]
fn programs_leave_the_verifier_room() {
    if is_skipped() {
        return;
    }
    let mut gateway = Gateway::load(&Hook::BOTH, Capacity::default()).unwrap();
    gateway.load_reaper().unwrap();
    for name in [programs::XDP, programs::TC, programs::REAP] {
        let info = gateway.ebpf.program(name).unwrap().info().unwrap();
        let Some(verified) = info.verified_instruction_count() else { continue };
        eprintln!("{name}: {} instructions, {verified} verified", info.size_translated().unwrap_or(0) / 8);
        assert!(verified < 750_000, "{name}: {verified} verified instructions of a million");
    }
}

//! Atomic operations on map values.
//!
//! `core::sync::atomic` offers no read-modify-write on BPF, so these are the
//! intrinsics behind it, always with an ordering that makes the instruction
//! return the old value: with `Relaxed`, `atomic_xadd` compiled to the form
//! without fetch and handed back the addend (rustc 1.97, bpf-linker 0.13). A
//! test looks at the disassembly.

use core::intrinsics::{self, AtomicOrdering::AcqRel, AtomicOrdering::Acquire};

/// Replaces `*target` by `new` if it is `old`.
///
/// # Safety
/// `target` points into a map value.
#[inline(always)]
pub unsafe fn compare_and_swap(target: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: the caller guarantees a valid, aligned target.
    unsafe { intrinsics::atomic_cxchg::<u64, { AcqRel }, { Acquire }>(target, old, new).1 }
}

/// Adds to `*target` and returns what was there before.
///
/// # Safety
/// `target` points into a map value.
#[inline(always)]
pub unsafe fn fetch_add(target: *mut u64, addend: u64) -> u64 {
    // SAFETY: the caller guarantees a valid, aligned target.
    unsafe { intrinsics::atomic_xadd::<u64, u64, { AcqRel }>(target, addend) }
}

/// Reads a word that other CPUs change.
///
/// # Safety
/// `target` points into a map value.
#[inline(always)]
pub unsafe fn load(target: *const u64) -> u64 {
    // SAFETY: the caller guarantees a valid, aligned target.
    unsafe { target.read_volatile() }
}

/// Writes a word that this program owns and other CPUs read.
///
/// # Safety
/// `target` points into a map value.
#[inline(always)]
pub unsafe fn store(target: *mut u64, value: u64) {
    // An exchange is a full barrier, so that the fields written before it are
    // seen with it on every architecture; a plain store is not.
    // SAFETY: the caller guarantees a valid, aligned target.
    unsafe { intrinsics::atomic_xchg::<u64, { AcqRel }>(target, value) };
}

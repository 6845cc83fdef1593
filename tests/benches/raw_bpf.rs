//! The few programs of a dozen instructions that the packet benchmark needs around the gateways: a
//! generator, a sink, and bare redirects. Assembled here, since they have nothing to do with vpcep's
//! own object, and loaded by the system call.
//!
//! Sources: RFC 9669 (instructions), include/uapi/linux/bpf.h (`union bpf_attr`).

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};

const MAP_CREATE: i32 = 0;
const MAP_LOOKUP: i32 = 1;
const PROG_LOAD: i32 = 5;
const PROG_TEST_RUN: i32 = 10;
const LINK_CREATE: i32 = 28;

const PROG_TYPE_SCHED_CLS: u32 = 3;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
const ATTACH_TCX_INGRESS: u32 = 46;
const MAP_TYPE_ARRAY: u32 = 2;
/// `BPF_F_TEST_XDP_LIVE_FRAMES`
const LIVE_FRAMES: u32 = 1 << 1;
/// Frames that are made and sent at a time.
const BATCH: u32 = 64;
/// `XDP_FLAGS_DRV_MODE`
const DRIVER_MODE: u32 = 1 << 2;

/// Helper numbers.
const REDIRECT: i32 = 23;

/// The system call; `attr` is as much of `union bpf_attr` as the command needs.
fn bpf(command: i32, attr: &mut [u64]) -> Result<i64> {
    // SAFETY: the attributes live through the call, and so does what they point to, by all callers.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    if result < 0 {
        return Err(io::Error::last_os_error()).with_context(|| format!("bpf command {command}"));
    }
    Ok(result)
}

fn descriptor(command: i32, attr: &mut [u64]) -> Result<OwnedFd> {
    let fd = i32::try_from(bpf(command, attr)?)?;
    // SAFETY: a descriptor that was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// One counter that programs and user space share.
#[derive(Debug)]
pub struct Counter(OwnedFd);

impl Counter {
    pub fn new() -> Result<Self> {
        descriptor(MAP_CREATE, &mut [pair(MAP_TYPE_ARRAY, 4), pair(8, 1), 0, 0, 0, 0, 0, 0, 0]).map(Self)
    }

    pub fn get(&self) -> Result<u64> {
        let (key, mut value) = (0u32, 0u64);
        let (key, value_at) = (&raw const key as u64, &raw mut value as u64);
        bpf(MAP_LOOKUP, &mut [self.0.as_raw_fd() as u64, key, value_at, 0])?;
        Ok(value)
    }
}

/// Instructions.
#[derive(Default)]
struct Assembly(Vec<u64>);

impl Assembly {
    fn op(mut self, opcode: u8, target: u8, source: u8, offset: i16, immediate: i32) -> Self {
        let registers = u64::from(target | source << 4);
        let offset = u64::from(offset as u16);
        self.0.push(u64::from(opcode) | registers << 8 | offset << 16 | u64::from(immediate as u32) << 32);
        self
    }

    fn mov(self, target: u8, immediate: i32) -> Self {
        self.op(0xb7, target, 0, 0, immediate)
    }

    fn copy(self, target: u8, source: u8) -> Self {
        self.op(0xbf, target, source, 0, 0)
    }

    fn call(self, helper: i32) -> Self {
        self.op(0x85, 0, 0, 0, helper)
    }

    fn exit(self) -> Self {
        self.op(0x95, 0, 0, 0, 0)
    }

    /// Raises the counter by one; what it was is in `target`. Uses `target + 1` and `target + 2`.
    fn count(self, counter: &Counter, target: u8) -> Self {
        let (address, next) = (target + 1, target + 2);
        self.op(0x18, address, 2, 0, counter.0.as_raw_fd())
            .op(0, 0, 0, 0, 0)
            .op(0x79, target, address, 0, 0)
            .copy(next, target)
            .op(0x07, next, 0, 0, 1)
            .op(0x7b, address, next, 0, 0)
    }

    fn load(self, kind: u32, attach: u32) -> Result<OwnedFd> {
        let license = c"Dual MIT/GPL";
        let mut log = vec![0u8; 65_536];
        let mut attr = [
            pair(kind, self.0.len() as u32),
            self.0.as_ptr() as u64,
            license.as_ptr() as u64,
            pair(1, log.len() as u32),
            log.as_mut_ptr() as u64,
            0,
            0,
            0,
            pair(0, attach),
        ];
        descriptor(PROG_LOAD, &mut attr).with_context(|| {
            let end = log.iter().position(|byte| *byte == 0).unwrap_or(0);
            String::from_utf8_lossy(&log[..end]).into_owned()
        })
    }
}

/// Drops and counts whatever comes in by XDP.
pub fn sink(counter: &Counter) -> Result<OwnedFd> {
    Assembly::default().count(counter, 1).mov(0, 1).exit().load(PROG_TYPE_XDP, ATTACH_XDP)
}

/// Sends whatever comes in out of another interface, by XDP.
pub fn xdp_redirect(ifindex: u32) -> Result<OwnedFd> {
    redirect(ifindex).load(PROG_TYPE_XDP, ATTACH_XDP)
}

/// The same by TC.
pub fn tc_redirect(ifindex: u32) -> Result<OwnedFd> {
    redirect(ifindex).load(PROG_TYPE_SCHED_CLS, ATTACH_TCX_INGRESS)
}

fn redirect(ifindex: u32) -> Assembly {
    Assembly::default().mov(1, ifindex as i32).mov(2, 0).call(REDIRECT).exit()
}

/// Where a frame of UDP over IPv4 holds what tells flows apart.
const SOURCE_LOW: i16 = 14 + 14;
const IDENTIFICATION: i16 = 14 + 4;
const SOURCE_PORT: i16 = 14 + 20;
/// Source ports per source address, as a power of two.
const PORT_BITS: i32 = 14;

/// Bytes of the headers.
const HEADERS: usize = 14 + 20 + 8;

/// Sends frames of `flows` flows (a power of two) out of an interface, one after another in an order
/// that jumps about: source ports from 1024, and from `base` on the low half of the source address.
/// The identification keeps the sum of the IP header as it was, if it is the complement of that half.
/// Frames come back to be used again with whatever was written into them, so all headers are written.
pub fn generator(ifindex: u32, flows: u32, base: u16, frame: &[u8], counter: &Counter) -> Result<OwnedFd> {
    let (words, rest) = frame[..HEADERS].as_chunks::<4>();
    let written = words.len() as i16 + 1;
    let mut assembly = Assembly::default()
        .op(0x61, 2, 1, 0, 0)
        .op(0x61, 3, 1, 4, 0)
        .copy(4, 2)
        .op(0x07, 4, 0, 0, HEADERS as i32)
        // Beyond the end: to the exit, with r0 dropping.
        .mov(0, 1)
        .op(0x2d, 4, 3, written + 22, 0);
    for (word, offset) in words.iter().zip((0..).step_by(4)) {
        assembly = assembly.op(0x62, 2, 0, offset, i32::from_ne_bytes(*word));
    }
    let last = i16::from_ne_bytes([rest[0], rest[1]]);
    assembly
        .op(0x6a, 2, 0, (HEADERS - 2) as i16, i32::from(last))
        .count(counter, 6)
        .op(0x27, 6, 0, 0, 0x5bd1_e995)
        .op(0x57, 6, 0, 0, flows as i32 - 1)
        .copy(8, 6)
        .op(0x57, 8, 0, 0, (1 << PORT_BITS) - 1)
        .op(0x07, 8, 0, 0, 1024)
        .op(0xdc, 8, 0, 0, 16)
        .op(0x6b, 2, 8, SOURCE_PORT, 0)
        .op(0x77, 6, 0, 0, PORT_BITS)
        .op(0x07, 6, 0, 0, i32::from(base))
        .op(0xdc, 6, 0, 0, 16)
        .op(0x6b, 2, 6, SOURCE_LOW, 0)
        .op(0xa7, 6, 0, 0, 0xffff)
        .op(0x6b, 2, 6, IDENTIFICATION, 0)
        .mov(1, ifindex as i32)
        .mov(2, 0)
        .call(REDIRECT)
        .exit()
        .load(PROG_TYPE_XDP, ATTACH_XDP)
}

/// Attaches a program until the link is dropped; by XDP in the driver.
pub fn attach_xdp(program: &OwnedFd, ifindex: u32) -> Result<OwnedFd> {
    descriptor(
        LINK_CREATE,
        &mut [pair(program.as_raw_fd() as u32, ifindex), pair(ATTACH_XDP, DRIVER_MODE), 0, 0],
    )
}

/// The same at TC ingress.
pub fn attach_tc(program: &OwnedFd, ifindex: u32) -> Result<OwnedFd> {
    descriptor(
        LINK_CREATE,
        &mut [pair(program.as_raw_fd() as u32, ifindex), pair(ATTACH_TCX_INGRESS, 0), 0, 0],
    )
}

/// Runs a program on `count` live frames made from `frame`; mean nanoseconds of each, with
/// everything that the kernel does for them on this processor meanwhile.
pub fn run_live(program: &OwnedFd, frame: &[u8], count: u32) -> Result<f64> {
    let mut attr = [
        pair(program.as_raw_fd() as u32, 0),
        pair(frame.len() as u32, 0),
        frame.as_ptr() as u64,
        0,
        pair(count, 0),
        0,
        0,
        0,
        pair(LIVE_FRAMES, 0),
        pair(BATCH, 0),
    ];
    bpf(PROG_TEST_RUN, &mut attr)?;
    // `duration`, behind `repeat`.
    Ok((attr[4] >> 32) as f64)
}

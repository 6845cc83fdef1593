//! The data plane, packet by packet: one table per step of its pipeline.
//!
//! Every row starts from [`stage`], runs at both hooks with the same
//! expectation, and compares the whole frame that comes out, the drop counters
//! and, where it matters, the maps. Needs root.
//!
//! Out of reach of `BPF_PROG_TEST_RUN`, and left to the namespace tests: where a
//! redirect goes, VLAN tags outside of the frame, checksums still to be
//! completed at TC, and GSO.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod arp;
mod balancing;
mod client_address;
mod concurrency;
mod conformance;
mod cut_off;
mod differential;
mod disassembly;
mod events;
mod forward_known;
mod forward_new;
mod fragments;
mod fuzz;
mod icmp;
mod icmp_errors;
mod limits;
mod malformed;
mod not_ours;
mod random;
mod reaper;
mod return_path;
mod routes;
mod runner;
mod snat;
mod stage;
mod table;
mod tcp_states;
mod udp;
mod whitelist;
mod xdp;

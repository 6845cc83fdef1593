//! Test harness.

pub mod packet;
pub mod runner;
pub mod world;

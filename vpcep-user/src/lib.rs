//! The vpcep controller and command line as a library.
//!
//! Three questions, three places: what should be true ([`model`], [`store`],
//! [`controller`]), what must change ([`reconcile`]), how packets are treated
//! ([`datapath`]). [`api`] is the only way in from outside.

pub mod api;
pub mod audit;
pub mod cli;
pub mod client;
pub mod config;
pub mod controller;
pub mod datapath;
pub mod events;
pub mod explain;
pub mod health;
pub mod model;
pub mod net;
pub mod reconcile;
pub mod rotation;
pub mod store;
pub mod telemetry;

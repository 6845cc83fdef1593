//! The vpcep controller and command line as a library.
pub mod api;
pub mod cli;
pub mod client;
pub mod controller;
pub mod datapath;
pub mod explain;
pub mod model;
pub mod reconcile;
pub mod store;
pub mod telemetry;

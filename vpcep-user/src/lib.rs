//! The vpcep controller and command line as a library.
pub mod controller;
pub mod datapath;
pub mod model;
pub mod reconcile;
pub mod store;
pub mod telemetry;

//! The vpcep controller and command line as a library.
pub mod datapath;
pub mod model;
pub mod reconcile;

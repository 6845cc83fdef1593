//! The vpcep controller and command line as a library.

//! Harness of the tests that need a network: worlds made of network
//! namespaces, a real `vpcepd` in the middle, real programs at the ends.
//!
//! ```text
//!   namespace of a VPC            gateway namespace            namespace of a VPC
//!  ┌──────────────────┐   veth  ┌───────────────────┐  veth   ┌──────────────────┐
//!  │ curl   10.0.0.182├─────────┤vpc1  vpcepd   vpc2├─────────┤192.168.24.10 nginx│
//!  └──────────────────┘  eth0   └───────────────────┘  eth0   └──────────────────┘
//! ```
//!
//! - [`world`]: the gateway and everything that must be removed at the end;
//! - [`tenant`]: accounts, their VPCs, services and endpoints, made through the
//!   command line `vpcep` like any user would;
//! - [`netns`], [`process`], [`daemon`], [`cli`], [`server`]: the pieces;
//! - [`packet`]: frames, for the tests that run the data plane without a network.
//!
//! A world cleans up when it is dropped, also while a test panics; and a
//! watchdog process does when the test process is killed. `cargo xtask demo`
//! plays in the same world, so this library may not depend on the controller.

pub mod cli;
pub mod daemon;
pub mod netns;
pub mod packet;
pub mod process;
pub mod server;
pub mod tenant;
pub mod wait;
pub mod wire;
pub mod world;

pub use cli::Cli;
pub use daemon::Daemon;
pub use netns::Netns;
pub use process::Process;
pub use server::{Dnsmasq, Haproxy, Nginx};
pub use tenant::{Endpoint, Offer, Service, Tenant, Vpc};
pub use wait::wait_until;
pub use wire::Wire;
pub use world::{Mode, World};

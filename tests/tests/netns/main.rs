//! The whole daemon between real programs, in network namespaces: one scenario
//! per file, each run with the gateway attached by TC and by XDP.
//!
//! `cargo xtask test netns` runs them; `--filter NAME::xdp` picks some. They
//! need root, and say so loudly.

use anyhow::Result;
use vpcep_tests::{Mode, World};

mod bulk;
mod client_address;
mod client_whitelist;
mod connection_limit;
mod equal_ranges;
mod events;
mod fragments;
mod half_close;
mod hooks;
mod icmp;
mod icmp_errors;
mod idle;
mod isolation;
mod load_balancer;
mod on_premises;
mod path_mtu;
mod quotas;
mod restart;
mod same_account;
mod short_connections;
mod syn_flood;
mod two_accounts;
mod vlan;

/// Declares each scenario of a file as two tests, `NAME::tc` and `NAME::xdp`.
macro_rules! scenarios {
    ($($scenario:ident),+ $(,)?) => {$(
        mod $scenario {
            #[test]
            fn tc() {
                crate::play(super::$scenario, vpcep_tests::Mode::Tc);
            }

            #[test]
            fn xdp() {
                crate::play(super::$scenario, vpcep_tests::Mode::Xdp);
            }
        }
    )+};
}
use scenarios;

/// Plays a scenario in a world of its own; panics with the state of the daemon
/// when it fails.
fn play(scenario: impl FnOnce(&mut World) -> Result<()>, mode: Mode) {
    let mut world = World::start(mode).expect("the world is made");
    if let Err(error) = scenario(&mut world) {
        panic!("{error:?}\n{}", world.diagnosis());
    }
}

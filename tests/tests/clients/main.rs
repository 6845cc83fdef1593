//! Other people's clients, unmodified, against a real `vpcepd`: the SDK of
//! Huawei Cloud, the SDK and the command line of Open Telekom Cloud with the
//! functional tests they bring along, and a tool that compares the API with its
//! own document.
//!
//! The tests are Python, in `tests/clients`: one directory for each client, run
//! by one pytest in the namespace of a daemon of its own. Here is the stage:
//! the daemon, and hosts for what goes through to the kernel.
//!
//! `cargo xtask test clients` brings the clients and runs all of it; `--filter`
//! picks by the names below, `cargo xtask test clients --filter huawei`.

mod kernel;
mod pytest;

use anyhow::Result;
use serde_json::json;
use vpcep_tests::World;

/// Declares a test for each directory that needs no data plane.
macro_rules! api_only {
    ($($directory:ident),+ $(,)?) => {$(
        #[test]
        fn $directory() -> Result<()> {
            let world = World::start_without_data_plane()?;
            pytest::run(&world, stringify!($directory), json!({}))
        }
    )+};
}

api_only!(huawei, otc_sdk, otc_commands, otc_shipped, document);

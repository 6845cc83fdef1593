//! The hosts of the test that goes from a client through the API to the kernel.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use vpcep_tests::tenant::SNAT_RANGE;
use vpcep_tests::world::{Host, Network};
use vpcep_tests::{Mode, Nginx, World};

use crate::pytest;

#[test]
fn tc() {
    play(Mode::Tc);
}

#[test]
fn xdp() {
    play(Mode::Xdp);
}

fn play(mode: Mode) {
    let mut world = World::start(mode).expect("the world is made");
    if let Err(error) = set_and_run(&mut world) {
        panic!("{error:?}\n{}", world.diagnosis());
    }
}

fn set_and_run(world: &mut World) -> Result<()> {
    let servers = world.add_host(&Network::around(&["192.168.24.10"])?)?;
    servers.netns.add_route(SNAT_RANGE, &servers.network.gateway)?;
    let clients = world.add_host(&Network::around(&["10.0.0.182"])?)?;
    let _nginx = Nginx::start("web", &servers, &[8080], world.directory()).context("no nginx")?;
    let hosts = json!({
        "mode": world.mode().as_str(),
        "servers": described(&servers),
        "clients": described(&clients),
    });
    pytest::run(world, &["kernel"], hosts)
}

fn described(host: &Host) -> Value {
    let network = &host.network;
    json!({
        "netns": host.netns.name(),
        "interface": host.gateway_interface,
        "cidr": network.cidr,
        "gateway": format!("{}/{}", network.gateway, network.prefix_len),
        "address": host.address(),
    })
}

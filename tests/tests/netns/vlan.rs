//! Two VPCs with equal ranges on one interface, told apart by their 802.1Q ids. The kernel need
//! not know VLANs for that, so the clients are packet sockets.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::packet::{Arp, Mac, Segment};
use vpcep_tests::wire::{tagged, untagged};
use vpcep_tests::world::{HOST_INTERFACE, Network};
use vpcep_tests::{Endpoint, Nginx, Offer, Tenant, Wire, World};

crate::scenarios!(vlans_of_one_interface_are_networks_apart);

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const RST_ACK: u8 = 0x14;
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 182);
const CLIENT_MAC: Mac = [2, 0xc, 0, 0, 0, 1];
const TIMEOUT: Duration = Duration::from_secs(5);

fn vlans_of_one_interface_are_networks_apart(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    // A packet socket sees what leaves before a device would complete its checksums.
    servers.host.netns.set_offloads(HOST_INTERFACE, &[("tx", "off")])?;
    let _nginx = Nginx::start("web", &servers.host, &[80], world.directory())?;
    let service = account.offer(&servers, Offer { name: "web", ports: &["80:80"], approval: false })?;
    let trunk = world.add_host(&Network::around(&["10.0.0.182"])?)?;
    let wire = Wire::open(&trunk.netns, HOST_INTERFACE)?;

    let first = vpc_on(world, &account, &trunk.gateway_interface, 100, &service.full_name)?;
    let second = vpc_on(world, &account, &trunk.gateway_interface, 200, &service.full_name)?;
    let addresses = [account.await_address(&first)?, account.await_address(&second)?];
    ensure!(addresses[0] == addresses[1], "two networks have equal addresses: {addresses:?}");
    let address: Ipv4Addr = addresses[0].parse()?;

    let gateway_mac = ask_for(&wire, 100, address).context("VLAN 100")?;
    ask_for(&wire, 200, address).context("VLAN 200")?;
    ensure!(ask_for(&wire, 300, address).is_err(), "a VLAN that is nobody's is answered");
    // The same five-tuple in both at once: two connections.
    for vlan in [100, 200] {
        let answer = open(&wire, vlan, gateway_mac, address, 80).with_context(|| format!("VLAN {vlan}"))?;
        ensure!(answer == SYN_ACK, "VLAN {vlan}: flags {answer:#x}");
    }
    for endpoint in [&first, &second] {
        account.await_connections(endpoint, 1, TIMEOUT)?;
    }
    // Refused in one and not in the other.
    account.reject(&service, &first)?;
    let refused = open(&wire, 100, gateway_mac, address, 80)?;
    ensure!(refused == RST_ACK, "VLAN 100, rejected: flags {refused:#x}");
    ensure!(open(&wire, 300, gateway_mac, address, 80).is_err(), "a VLAN that is nobody's is served");
    ensure!(open(&wire, 0, gateway_mac, address, 80).is_err(), "untagged frames are served");
    account.await_connections(&second, 1, TIMEOUT)
}

/// A VPC on a VLAN, and an endpoint in it.
fn vpc_on(world: &World, account: &Tenant, interface: &str, vlan: u16, service: &str) -> Result<Endpoint> {
    let name = format!("vlan{vlan}");
    let cidr = "10.0.0.0/24";
    let vpc = account.cli.text(&["vpc", "create", &name, "--cidr", cidr], "id")?;
    let subnet = account.cli.text(&["subnet", "create", &name, "--vpc", &vpc, "--cidr", cidr], "id")?;
    let vlan = vlan.to_string();
    let place =
        ["--vpc", &vpc, "--interface", interface, "--vlan", &vlan, "--address", "10.0.0.1/24", "--wait"];
    world.operator()?.json(&[&["attachment", "create"], &place[..]].concat())?;
    let create = ["endpoint", "create", "--service", service, "--vpc", &vpc, "--subnet", &subnet];
    Ok(Endpoint { id: account.cli.text(&create, "id")? })
}

/// Who has this address?
fn ask_for(wire: &Wire, vlan: u16, address: Ipv4Addr) -> Result<Mac> {
    wire.send(&tagged(vlan, &Arp::request(CLIENT_MAC, CLIENT, address).build()))?;
    let timeout = if vlan == 300 { Duration::from_millis(300) } else { TIMEOUT };
    wire.receive("ARP reply", timeout, |frame| {
        let frame = untagged(vlan, frame)?;
        let mac: Mac = frame.get(22..28)?.try_into().ok()?;
        let expected = Arp::reply(mac, address, CLIENT_MAC, CLIENT).build();
        frame.starts_with(&expected).then_some(mac)
    })
}

/// Sends a SYN and returns the flags of the answer, which has to come back in the same VLAN.
fn open(wire: &Wire, vlan: u16, gateway: Mac, address: Ipv4Addr, port: u16) -> Result<u8> {
    let source = SocketAddrV4::new(CLIENT, 40_000);
    let mut syn = Segment::new(source, SocketAddrV4::new(address, port), SYN);
    (syn.to, syn.from) = (gateway, CLIENT_MAC);
    let frame = syn.build();
    wire.send(&if vlan == 0 { frame } else { tagged(vlan, &frame) })?;
    let is_known = [100, 200].contains(&vlan);
    wire.receive("answer to a SYN", if is_known { TIMEOUT } else { Duration::from_millis(300) }, |frame| {
        let frame = if vlan == 0 { frame.to_vec() } else { untagged(vlan, frame)? };
        let answer = Segment::parse(&frame)?;
        (answer.source == syn.destination && answer.destination == source).then_some(answer.flags)
    })
}

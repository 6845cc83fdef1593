//! How long the kernel's tables take to match ten thousand endpoints, from an
//! empty kernel, from the right one, and after a change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use vpcep::datapath::bpf::BpfDatapath;
use vpcep::datapath::{Datapath as _, DatapathKind, DatapathSettings, EventSettings, Timeouts};
use vpcep::model::{Algorithm, AttachmentId, BackendId, ClientAddress, EndpointId, Idle};
use vpcep::reconcile::desired::{
    AttachMode, Desired, DesiredAttachment, DesiredBackend, DesiredEndpoint, DesiredLimits, DesiredPort,
    Refusal, Servers,
};
use vpcep_tests::world::Network;
use vpcep_tests::{Mode, World};

use crate::report::{Table, median};

const ENDPOINTS: u32 = 10_000;
const ROUNDS: usize = 5;

/// Measures and fills a table.
pub fn run() -> Result<Table> {
    let mut world = World::start(Mode::Tc)?;
    let host = world.add_host(&Network::around(&["10.0.0.10"])?)?;
    let mut desired = desired(&host.gateway_interface);
    let bpffs = world.directory().join("bpffs").join("bench");
    let samples = world.gateway().inside(|| {
        let mut samples = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            let settings = settings(&bpffs)?;
            let datapath = BpfDatapath::open(&settings)?;
            samples[0].push(pass(&datapath, &desired)?);
            samples[1].push(pass(&datapath, &desired)?);
            desired.endpoints.values_mut().for_each(|endpoint| endpoint.accepted ^= true);
            samples[2].push(pass(&datapath, &desired)?);
            drop(datapath);
            vpcep::datapath::detach(&settings)?;
        }
        Ok(samples)
    })?;
    let mut table = Table::new(
        "ms until the kernel matches 10 000 endpoints",
        &["from an empty kernel", "nothing to do", "every policy changed"],
    );
    table.row(samples.into_iter().map(|samples| format!("{:.0}", median(samples))).collect());
    Ok(table)
}

fn pass(datapath: &BpfDatapath, desired: &Desired) -> Result<f64> {
    let started = Instant::now();
    let report = datapath.reconcile(desired)?;
    let took = started.elapsed();
    ensure!(report.failed_endpoints.is_empty(), "{} endpoints failed", report.failed_endpoints.len());
    Ok(took.as_secs_f64() * 1e3)
}

fn settings(bpffs: &std::path::Path) -> Result<DatapathSettings> {
    Ok(DatapathSettings {
        owner: 0,
        kind: DatapathKind::Bpf,
        snat_range: "198.19.128.0/28".parse()?,
        max_endpoints: 16_384,
        max_sessions: 1 << 18,
        bpffs: bpffs.to_owned(),
        no_echo: false,
        icmp_errors: 1_000,
        events: EventSettings::default(),
        timeouts: Timeouts::default(),
    })
}

/// One VPC, whose endpoints share a hundred backends.
fn desired(interface: &str) -> Desired {
    let attachment = DesiredAttachment {
        vpc: 1,
        interface: interface.into(),
        vlan: None,
        address: Ipv4Addr::new(10, 0, 0, 1),
        prefix_len: 16,
        next_hop: None,
        mode: AttachMode::Auto,
    };
    let backend = |n: u32| {
        let address = Ipv4Addr::from(0x0a00_000a + n);
        let members = vec![DesiredBackend { address, port: None, weight: 1, takes_connections: true }];
        let (id, algorithm) = (BackendId::from_u128(u128::from(n) + 1), Algorithm::RoundRobin);
        Arc::new(Servers { id, algorithm, members })
    };
    let servers: Vec<_> = (0..100).map(backend).collect();
    let endpoint = |n: u32| DesiredEndpoint {
        vpc: 1,
        address: Some(Ipv4Addr::from(0x0a00_4000 + n)),
        routes: vec![],
        accepted: true,
        ports: vec![DesiredPort { protocol: 6, client_port: 80, server_port: 8080 }],
        provider_vpc: 1,
        servers: Some(Arc::clone(&servers[(n % 100) as usize])),
        whitelist: None,
        limits: DesiredLimits { connections: 3000, half_open: 0, connection_rate: 0, bandwidth: 0 },
        refusal: Refusal::Reset,
        idle: Idle::default(),
        client_address: ClientAddress::default(),
        marker: n,
    };
    Desired {
        version: 1,
        attachments: BTreeMap::from([(AttachmentId::from_u128(1), attachment)]),
        endpoints: (0..ENDPOINTS).map(|n| (EndpointId::from_u128(u128::from(n) + 1), endpoint(n))).collect(),
        routed_subnets: BTreeSet::new(),
    }
}

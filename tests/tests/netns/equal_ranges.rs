//! Four VPCs with one and the same range: nothing may ever mix them up.

use std::thread;

use anyhow::{Result, ensure};
use vpcep_tests::world::Host;
use vpcep_tests::{Nginx, Offer, World};

crate::scenarios!(answers_are_never_mixed);

/// Requests of each consumer.
const ROUNDS: u16 = 50;

/// Local port of the first request; both clients use the same at once.
const FIRST_LOCAL_PORT: u16 = 40_000;

fn answers_are_never_mixed(world: &mut World) -> Result<()> {
    let mut sides = Vec::new();
    for name in ["alpha", "beta"] {
        let provider = world.tenant(&format!("{name}-provider"))?;
        let consumer = world.tenant(&format!("{name}-consumer"))?;
        let servers = world.provider_vpc(&provider, "servers", &["10.0.0.10"])?;
        let clients = world.vpc(&consumer, "clients", &["10.0.0.182"])?;
        let nginx = Nginx::start(name, &servers.host, &[80], world.directory())?;
        let service = provider.offer(&servers, Offer { name, ports: &["80:80"], approval: false })?;
        provider.allow(&service, &consumer)?;
        let endpoint = consumer.connect(&clients, &service, &["--ip", "10.0.0.100"])?;
        consumer.await_address(&endpoint)?;
        sides.push((name, clients, nginx));
    }

    thread::scope(|scope| {
        let requests: Vec<_> = sides
            .iter()
            .map(|(name, clients, _)| scope.spawn(move || ask_again_and_again(&clients.host, name)))
            .collect();
        requests.into_iter().try_for_each(|request| request.join().expect("the thread does not panic"))
    })?;

    for (name, _, nginx) in &sides {
        let served = nginx.sources(usize::from(ROUNDS))?.len();
        ensure!(served == usize::from(ROUNDS), "{name} served {served} requests of {ROUNDS}");
    }
    Ok(())
}

fn ask_again_and_again(client: &Host, server: &str) -> Result<()> {
    for round in 0..ROUNDS {
        let local_port = (FIRST_LOCAL_PORT + round).to_string();
        let fetched = client.curl(&["--local-port", &local_port, "http://10.0.0.100/"])?;
        ensure!(
            fetched.body == format!("{server} at 10.0.0.10\n"),
            "client of {server}, port {local_port}: {fetched:?}"
        );
    }
    Ok(())
}

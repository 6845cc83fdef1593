//! `cargo xtask demo`: two accounts on this machine, without touching its
//! network. A consumer wants the web server of a provider whose VPC has the
//! same addresses as its own: it is refused, whitelisted, has to wait, is
//! accepted, is cut off in the middle of a download, and comes back.
//!
//! Client and server are curl and nginx in network namespaces, and the commands
//! shown are the ones that run. The world is removed at the end, also after a
//! failure or Ctrl-C; `--keep` leaves it for playing.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use serde_json::Value;
use vpcep_tests::cli::{shown, text_field};
use vpcep_tests::world::{is_standing, program, require_root, sweep};
use vpcep_tests::{Cli, Mode, Nginx, Tenant, Vpc, World, wait_until};

use crate::run::Step;
use crate::setup;

/// Name of the world; there is one at a time.
const WORLD: &str = "vpcep-demo";

/// The address the consumer asks for.
const ENDPOINT: &str = "10.0.0.100";

/// How long the download runs before it is cut.
const BEFORE_THE_CUT: Duration = Duration::from_secs(2);

/// The most the cut may take.
const CUT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Leaves everything running and says how to play with it
    #[arg(long)]
    keep: bool,
    /// Removes what --keep left
    #[arg(long, conflicts_with = "keep")]
    clean: bool,
    /// How the gateway's programs are attached
    #[arg(long, value_enum, default_value_t = ModeArgument::Tc)]
    mode: ModeArgument,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeArgument {
    Tc,
    Xdp,
}

/// Plays, or removes what an earlier play left.
pub fn demo(arguments: &Arguments) -> Result<()> {
    require_root()?;
    if arguments.clean {
        sweep(WORLD)?;
        println!("the demo is removed");
        return Ok(());
    }
    if is_standing(WORLD) {
        bail!("an earlier demo is still standing: remove it with cargo xtask demo --clean");
    }
    setup::setup()?;
    Step::cargo("build", &["build"]).run()?;

    let mode = match arguments.mode {
        ModeArgument::Tc => Mode::Tc,
        ModeArgument::Xdp => Mode::Xdp,
    };
    let mut world = World::start_named(WORLD.to_owned(), mode)?;
    let played = Stage::set(&mut world).and_then(|mut stage| {
        stage.play(&world)?;
        if arguments.keep {
            stage.nginx.leave_running();
        }
        Ok(stage)
    });
    let stage = played.with_context(|| world.diagnosis())?;
    if !arguments.keep {
        drop(stage);
        drop(world);
        println!("\nEverything is removed. To look around yourself: cargo xtask demo --keep");
        return Ok(());
    }
    say_how_to_play(&world, &stage)?;
    world.leave_standing()
}

/// Who and what is on the stage.
struct Stage {
    provider: Tenant,
    consumer: Tenant,
    servers: Vpc,
    clients: Vpc,
    nginx: Nginx,
}

impl Stage {
    fn set(world: &mut World) -> Result<Self> {
        println!("\nTwo accounts, each with a VPC 10.0.0.0/24 of its own, meet at a gateway:\n");
        let provider = world.tenant("provider")?;
        let consumer = world.tenant("consumer")?;
        let servers = world.provider_vpc(&provider, "servers", &["10.0.0.10"])?;
        let clients = world.vpc(&consumer, "clients", &["10.0.0.182"])?;
        let nginx = Nginx::start("provider", &servers.host, &[8080], world.directory())?;
        println!("  consumer   curl  10.0.0.182  in namespace {}", clients.host.netns.name());
        println!("  gateway    vpcepd            in namespace {}", world.gateway().name());
        println!("  provider   nginx 10.0.0.10   in namespace {}", servers.host.netns.name());
        Ok(Self { provider, consumer, servers, clients, nginx })
    }

    fn play(&self, world: &World) -> Result<()> {
        say("The provider offers its server; who connects has to be approved.");
        let service = self.offer()?;
        let (id, full_name) = (text_field(&service, "id")?, text_field(&service, "service_name")?);

        say("The consumer is not on the whitelist: refused.");
        let create = ["endpoint", "create", "--service", &full_name, "--vpc", "clients"];
        let create = [&create[..], &["--subnet", "clients", "--ip", ENDPOINT]].concat();
        typed("consumer", &create);
        answered(&self.consumer.cli.refused(&create, "EndPoint.2012")?);

        say("The provider lets the account in.");
        let permission = format!("iam:domain::{}", self.consumer.domain_id);
        run("provider", &self.provider.cli, &["service", "allow", &id, &permission])?;

        say("Now the consumer has an endpoint, which waits: no traffic yet.");
        let endpoint = run("consumer", &self.consumer.cli, &create)?;
        let endpoint = text_field(&endpoint, "id")?;
        self.await_status(&endpoint, "pendingAcceptance")?;
        self.curl(false)?;

        say("The provider accepts: the connection works.");
        run("provider", &self.provider.cli, &["service", "accept", &id, &endpoint])?;
        self.await_status(&endpoint, "accepted")?;
        self.curl(true)?;
        let sources = self.nginx.sources(1)?;
        let source = sources.last().context("nginx logged no request")?;
        println!("    nginx saw the client as {source}, a source of the gateway's");

        say("The provider rejects in the middle of a download: cut at once.");
        self.cut_a_download(world, &id, &endpoint)?;
        self.await_status(&endpoint, "rejected")?;
        self.curl(false)?;

        say("Accepted again, the same address works again.");
        run("provider", &self.provider.cli, &["service", "accept", &id, &endpoint])?;
        self.await_status(&endpoint, "accepted")?;
        self.curl(true)
    }

    fn offer(&self) -> Result<Value> {
        let cli = &self.provider.cli;
        let address = self.servers.host.address();
        let what = ["--vpc", "servers", "--type", "vm", "--address", address];
        run("provider", cli, &[&["backend", "create", "web"], &what[..]].concat())?;
        let what = ["--vpc", "servers", "--backend", "web", "--port", "80:8080", "--name", "web", "--wait"];
        run("provider", cli, &[&["service", "create"], &what[..]].concat())
    }

    fn cut_a_download(&self, world: &World, service: &str, endpoint: &str) -> Result<()> {
        let file = world.directory().join("download");
        let url = format!("http://{ENDPOINT}/slow/file");
        println!("  client$ curl -O {url} &");
        let mut download = self.clients.host.download(&url, &file)?;
        thread::sleep(BEFORE_THE_CUT);
        ensure!(download.exit_status()?.is_none(), "the download ended early: {}", download.log_tail());
        let started = Instant::now();
        run("provider", &self.provider.cli, &["service", "reject", service, endpoint])?;
        let status = download.wait(CUT_TIMEOUT)?;
        ensure!(!status.success(), "the download ended well in spite of the reject");
        let received = file.metadata().map_or(0, |metadata| metadata.len()) >> 20;
        println!("    curl after {received} MiB, {:.1} s later:", started.elapsed().as_secs_f32());
        answered(&download.log_tail());
        Ok(())
    }

    /// Fetches the page, which must come or not come.
    fn curl(&self, expected: bool) -> Result<()> {
        let url = format!("http://{ENDPOINT}/");
        println!("  client$ curl {url}");
        let fetched = self.clients.host.curl(&[&url])?;
        answered(if fetched.is_ok() { &fetched.body } else { &fetched.error });
        ensure!(fetched.is_ok() == expected, "that should {}have worked", if expected { "" } else { "not " });
        Ok(())
    }

    fn await_status(&self, endpoint: &str, status: &str) -> Result<()> {
        let cli = &self.consumer.cli;
        wait_until(&format!("the endpoint is {status}"), Duration::from_secs(5), || {
            Ok(cli.json(&["endpoint", "show", endpoint])?["status"] == status)
        })?;
        println!("    the endpoint is {status}");
        Ok(())
    }
}

fn say(text: &str) {
    println!("\n{text}");
}

fn typed(who: &str, arguments: &[&str]) {
    println!("  {who}$ {}", shown(arguments));
}

fn answered(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}

fn run(who: &str, cli: &Cli, arguments: &[&str]) -> Result<Value> {
    typed(who, arguments);
    cli.json(arguments)
}

fn say_how_to_play(world: &World, stage: &Stage) -> Result<()> {
    let vpcep = program("vpcep")?;
    let (client, server) = (stage.clients.host.netns.name(), stage.servers.host.netns.name());
    println!(
        "
Everything is left running. As the operator, or for either account:

  export VPCEP_SOCKET={socket}
  alias vpcep={vpcep}
  vpcep status
  vpcep endpoint list
  vpcep --account provider service list
  vpcep --account consumer stats

As the client and as the server:

  ip netns exec {client} curl http://{ENDPOINT}/
  ip netns exec {server} tail -f {directory}/nginx-*/access.log

And to remove it all:

  cargo xtask demo --clean",
        socket = world.daemon.socket().display(),
        vpcep = vpcep.display(),
        directory = world.directory().display(),
    );
    Ok(())
}

//! The controller: reads the configuration, builds the parts, runs until it is
//! told to stop.

use std::convert::Infallible;
use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};
use vpcep::api::serve::{Limits, serve};
use vpcep::api::tls::Tls;
use vpcep::api::{self, Access, AccessSettings, App, Door};
use vpcep::audit::AuditLog;
use vpcep::config::{Flags, Settings};
use vpcep::controller::Controller;
use vpcep::controller::identity::migrate::migrate;
use vpcep::events::{Events, FlowLog};
use vpcep::model::Timestamp;
use vpcep::store::vault::forget_access_keys;
use vpcep::store::{EmbeddedStore, Vault};
use vpcep::telemetry::Chain;
use vpcep::{datapath, events, health, reconcile, store, telemetry};

fn main() -> ExitCode {
    match start(Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vpcepd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes all threads allocate from two arenas. The C library gives each thread one up to eight
/// per processor, and what a request leaves free in one is of no use to the next in another: with
/// 50 000 endpoints that was 130 of 290 MB.
fn share_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a setting of the allocator, made while there is one thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

fn start(flags: Flags) -> anyhow::Result<()> {
    let (detach, forget) = (flags.detach, flags.forget_access_keys);
    let settings = flags.settings()?;
    telemetry::init(&settings.log).with_context(|| format!("bad setting log \"{}\"", settings.log))?;
    if detach {
        return Ok(datapath::detach(&settings.datapath)?);
    }
    if forget {
        let deleted = forget_access_keys(&EmbeddedStore::open(&settings.state_dir)?)?;
        info!(deleted, "access keys are deleted: their users need new ones");
        return Ok(());
    }
    raise_file_limit();
    share_arenas();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
    runtime.block_on(run(settings))
}

/// Lets this process open as many files as it is allowed to: the customary soft
/// limit of 1024 is below what connections, maps and links may need together.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        warn!(%error, "cannot raise the limit of open files");
    }
}

async fn run(mut settings: Settings) -> anyhow::Result<()> {
    // First of all: without somebody who waits for it, SIGHUP ends a process.
    let hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let store = EmbeddedStore::open(&settings.state_dir)?;
    settings.datapath.owner = store::identity(&settings.state_dir)
        .with_context(|| format!("cannot tell which store {} holds", settings.state_dir.display()))?;
    let vault = Vault::open(&settings.key_file, &store)?;
    migrate(&store, &vault, Timestamp::now(), settings.token_lifetime)?;
    let tls = settings.tls.map(Tls::load).transpose()?.map(Arc::new);
    let access = AccessSettings {
        token_lifetime: settings.token_lifetime,
        public_url: settings.public_url,
        tls: tls.is_some(),
    };
    let access = Arc::new(Access::new(vault, access));
    let audit = AuditLog::open(&settings.state_dir, settings.audit)
        .with_context(|| format!("cannot open the audit log in {}", settings.state_dir.display()))?;
    let controller = Controller::load(Arc::new(store), settings.region.clone(), Some(audit))?
        .with_dns_domain(settings.dns_domain.clone());
    let controller = Arc::new(controller);
    let datapath = datapath::open(&settings.datapath)?;
    let flow_log = match &settings.flow_log {
        None => None,
        Some((path, retention)) => Some(
            FlowLog::open(path, *retention)
                .with_context(|| format!("cannot open the flow log {}", path.display()))?,
        ),
    };
    let is_on = settings.datapath.events.rate > 0;
    let events = Arc::new(Events::new(Arc::clone(&controller), Arc::clone(&datapath), is_on, flow_log)?);
    let socket_path = settings.run_dir.join("vpcepd.sock");
    let socket = listen_on_socket(&settings.run_dir, &socket_path)?;
    let tcp = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = tcp.local_addr().context("cannot read the bound address")?;

    let (stop, stopped) = watch::channel(false);
    let passes =
        tokio::spawn(reconcile::run(Arc::clone(&controller), Arc::clone(&datapath), stopped.clone()));
    let checks = tokio::spawn(health::run(Arc::clone(&controller), Arc::clone(&datapath), stopped.clone()));
    let happenings = tokio::spawn(events::run(Arc::clone(&events), stopped.clone()));
    let app = |door| {
        let (controller, datapath) = (Arc::clone(&controller), Arc::clone(&datapath));
        api::router(App::new(controller, datapath, Arc::clone(&events), Arc::clone(&access), door))
    };
    let on_socket = serve(socket, app(Door::Socket), Limits::SOCKET, None, stopped.clone());
    let limits = Limits { per_address: settings.max_connections_per_address as usize, ..Limits::TCP };
    let on_tcp = serve(tcp, app(Door::Tcp), limits, tls.clone(), stopped);
    info!(address = %address, tls = tls.is_some(), socket = %socket_path.display(), region = settings.region.as_str(), "listening");

    let serving = async { tokio::join!(on_socket, on_tcp) };
    tokio::pin!(serving);
    tokio::select! {
        _ = &mut serving => bail!("the API has ended without being told to"),
        signal = stop_signal() => info!(signal = signal?, "stopping"),
        failed = reload_on_signal(hangup, tls.as_deref()) => return failed.map(|never| match never {}),
    }
    // Receivers are gone only when what they stopped has ended already.
    let _ = stop.send(true);
    // A client that keeps its connection open does not keep vpcepd: what it was told is durable.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), serving).await;
    passes.await.context("the reconcile loop panicked")?;
    checks.await.context("the health checks panicked")?;
    happenings.await.context("the reader of events panicked")?;
    std::fs::remove_file(&socket_path).or_else(|error| match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error).with_context(|| format!("cannot remove {}", socket_path.display())),
    })
}

async fn stop_signal() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// Reads the certificate again at every SIGHUP. One that cannot be used changes
/// nothing.
async fn reload_on_signal(mut hangup: Signal, tls: Option<&Tls>) -> anyhow::Result<Infallible> {
    while hangup.recv().await.is_some() {
        match tls.map(Tls::reload) {
            None => info!("SIGHUP: nothing to read again, the API has no TLS"),
            Some(Ok(())) => info!("SIGHUP: new connections get the certificate read now"),
            Some(Err(error)) => {
                error!(error = %Chain(&error), "SIGHUP: the certificate in use stays");
            }
        }
    }
    bail!("no more signals can be received")
}

/// Listens on the operator's socket, for its owner alone. A socket a crash has
/// left behind is replaced; one that answers is another vpcepd's.
fn listen_on_socket(dir: &Path, path: &Path) -> anyhow::Result<UnixListener> {
    if !dir.exists() {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(dir);
        made.with_context(|| format!("cannot create {}", dir.display()))?;
    }
    if BlockingUnixStream::connect(path).is_ok() {
        bail!("cannot listen on {}: another vpcepd answers there", path.display());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", path.display()));
        }
        _ => {}
    }
    // Bound under a name nobody knows until its mode is right: bind(2) makes it for everyone.
    let private = dir.join(format!(".vpcepd.{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&private);
    let listener =
        UnixListener::bind(&private).with_context(|| format!("cannot listen in {}", dir.display()))?;
    std::fs::set_permissions(&private, Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(&private, path))
        .with_context(|| format!("cannot put the socket at {}", path.display()))?;
    Ok(listener)
}

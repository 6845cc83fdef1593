//! The controller: reads the configuration, builds the parts, runs until it is
//! told to stop.

use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Parser;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;
use vpcep::api::{self, App, Door};
use vpcep::config::{Flags, Settings};
use vpcep::controller::Controller;
use vpcep::store::EmbeddedStore;
use vpcep::{datapath, reconcile, store, telemetry};

fn main() -> ExitCode {
    match start(Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vpcepd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(flags: Flags) -> anyhow::Result<()> {
    let detach = flags.detach;
    let settings = flags.settings()?;
    telemetry::init(&settings.log).with_context(|| format!("bad setting log \"{}\"", settings.log))?;
    if detach {
        return Ok(datapath::detach(&settings.datapath)?);
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
    runtime.block_on(run(settings))
}

async fn run(mut settings: Settings) -> anyhow::Result<()> {
    let store = EmbeddedStore::open(&settings.state_dir)?;
    settings.datapath.owner = store::identity(&settings.state_dir)
        .with_context(|| format!("cannot tell which store {} holds", settings.state_dir.display()))?;
    let controller = Arc::new(Controller::load(Arc::new(store), settings.region.clone())?);
    let datapath = datapath::open(&settings.datapath)?;
    let socket_path = settings.run_dir.join("vpcepd.sock");
    let socket = listen_on_socket(&settings.run_dir, &socket_path)?;
    let tcp = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = tcp.local_addr().context("cannot read the bound address")?;

    let (stop, stopped) = watch::channel(false);
    let passes =
        tokio::spawn(reconcile::run(Arc::clone(&controller), Arc::clone(&datapath), stopped.clone()));
    let app = |door| api::router(App::new(Arc::clone(&controller), Arc::clone(&datapath), door));
    let on_socket =
        axum::serve(socket, app(Door::Socket)).with_graceful_shutdown(turns_true(stopped.clone()));
    let on_tcp = axum::serve(tcp, app(Door::Tcp)).with_graceful_shutdown(turns_true(stopped));
    info!(address = %address, socket = %socket_path.display(), region = settings.region.as_str(), "listening");

    let serve = async { tokio::try_join!(on_socket.into_future(), on_tcp.into_future()) };
    tokio::pin!(serve);
    tokio::select! {
        served = &mut serve => drop(served.context("cannot serve the API")?),
        signal = stop_signal() => info!(signal = signal?, "stopping"),
    }
    // Receivers are gone only when what they stopped has ended already.
    let _ = stop.send(true);
    // A client that keeps its connection open does not keep vpcepd: what it was told is durable.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), serve).await;
    passes.await.context("the reconcile loop panicked")?;
    std::fs::remove_file(&socket_path).or_else(|error| match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error).with_context(|| format!("cannot remove {}", socket_path.display())),
    })
}

async fn turns_true(mut stopped: watch::Receiver<bool>) {
    // An error means the sender is gone, which is the end as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn stop_signal() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
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

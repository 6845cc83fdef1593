//! A gibibyte each way, unchanged.

use std::fs::File;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use vpcep_tests::process::output_of;
use vpcep_tests::{Offer, World};

crate::scenarios!(a_gibibyte_arrives_unchanged_in_both_directions);

/// Random bytes, sent this many times over.
const CHUNK_MIB: u32 = 64;
const REPEATS: u32 = 16;

fn a_gibibyte_arrives_unchanged_in_both_directions(world: &mut World) -> Result<()> {
    let account = world.tenant("acme")?;
    let clients = world.vpc(&account, "clients", &["10.0.0.182"])?;
    let servers = world.provider_vpc(&account, "servers", &["192.168.24.10"])?;
    let service = account.offer(&servers, Offer { name: "bulk", ports: &["70:7000"], approval: false })?;
    let endpoint = account.connect(&clients, &service, &[])?;
    let address = format!("{}:70", account.await_address(&endpoint)?);
    let payload = Payload::random(world.directory())?;

    let listener = servers.host.netns.inside(|| Ok(TcpListener::bind("0.0.0.0:7000")?))?;
    let client = clients.host.netns.inside(|| Ok(TcpStream::connect(&address)?)).context("connecting")?;
    let (server, _) = listener.accept().context("accepting")?;

    // Both directions of one connection at once.
    thread::scope(|scope| {
        let directions = [("to the server", &client, &server), ("to the client", &server, &client)];
        let transfers: Vec<_> = directions
            .into_iter()
            .map(|(name, from, to)| {
                let sent = scope.spawn(|| payload.send(from));
                let received = scope.spawn(|| checksum_of_stream(to));
                (name, sent, received)
            })
            .collect();
        for (name, sent, received) in transfers {
            sent.join().expect("no sender panics").with_context(|| format!("sending {name}"))?;
            let checksum = received.join().expect("no receiver panics").context(name)?;
            ensure!(checksum == payload.checksum, "{name}: the bytes changed or were lost on the way");
        }
        Ok(())
    })
}

/// What is sent.
struct Payload {
    chunk: PathBuf,
    checksum: String,
}

impl Payload {
    fn random(directory: &Path) -> Result<Self> {
        let chunk = directory.join("chunk");
        let mut head = Command::new("head");
        head.args(["--bytes", &format!("{CHUNK_MIB}M"), "/dev/urandom"]);
        head.stdout(File::create(&chunk).context("cannot make the payload")?);
        ensure!(head.status().context("cannot run head")?.success(), "head cannot write the payload");
        let copies = vec![chunk.display().to_string(); REPEATS as usize].join(" ");
        let checksum = output_of(Command::new("sh").args(["-c", &format!("cat {copies} | sha256sum")]))?;
        Ok(Self { chunk, checksum })
    }

    fn send(&self, mut stream: &TcpStream) -> Result<()> {
        for _ in 0..REPEATS {
            let mut chunk = File::open(&self.chunk)?;
            io::copy(&mut chunk, &mut stream)?;
        }
        stream.shutdown(Shutdown::Write)?;
        Ok(())
    }
}

/// Checksum of everything until the end of the stream.
fn checksum_of_stream(mut stream: &TcpStream) -> Result<String> {
    let mut sha256sum = Command::new("sha256sum");
    let mut child = sha256sum.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("sha256sum has no input")?;
    io::copy(&mut stream, &mut input).context("receiving")?;
    drop(input);
    let output = child.wait_with_output()?;
    String::from_utf8(output.stdout).context("sha256sum printed something other than UTF-8")
}

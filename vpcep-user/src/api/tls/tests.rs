//! What a client sees of the certificate, before and after it changes.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use super::*;
use crate::api::serve::{Limits, serve};

const LIMITS: Limits = Limits { connections: 8, headers_within: Duration::from_millis(200), ..Limits::TCP };

struct Bench {
    dir: tempfile::TempDir,
    tls: Arc<Tls>,
    address: SocketAddr,
    _stop: watch::Sender<bool>,
}

/// A certificate of its own, as files and for clients to trust.
fn certificate() -> (CertifiedKey<rcgen::KeyPair>, CertificateDer<'static>) {
    let made = generate_simple_self_signed(["localhost".into()]).unwrap();
    let der = made.cert.der().clone();
    (made, der)
}

impl Bench {
    async fn new() -> (Self, CertificateDer<'static>) {
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
        let (made, der) = certificate();
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        let tls = Arc::new(Tls::load(files).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let router = Router::new().route("/", get(async || "hello"));
        tokio::spawn(serve(listener, router, LIMITS, Some(Arc::clone(&tls)), stopped));
        (Self { dir, tls, address, _stop: stop }, der)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), text).unwrap();
    }

    /// The answer a client that trusts `root` gets, and the protocol agreed on.
    async fn call(
        &self,
        root: &CertificateDer<'static>,
        version: &'static SupportedProtocolVersion,
    ) -> std::io::Result<(String, Option<Vec<u8>>)> {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok((answer, protocol))
    }

    async fn is_trusted(&self, root: &CertificateDer<'static>) -> bool {
        self.call(root, &rustls::version::TLS13).await.is_ok()
    }
}

#[tokio::test]
async fn both_versions_speak_http_1_1() {
    let (bench, root) = Bench::new().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (answer, protocol) = bench.call(&root, version).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
        assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
    }
}

#[tokio::test]
async fn another_certificate_is_used_once_it_is_read_and_only_if_it_can_be() {
    let (bench, first) = Bench::new().await;
    let (next, second) = certificate();
    bench.write("cert.pem", &next.cert.pem());
    let error = crate::telemetry::Chain(&bench.tls.reload().unwrap_err()).to_string();
    assert!(error.starts_with("cannot use certificate ") && error.contains("cert.pem with key "), "{error}");
    assert!(bench.is_trusted(&first).await, "the old pair stays while the new one is incomplete");
    bench.write("key.pem", &next.signing_key.serialize_pem());
    bench.tls.reload().unwrap();
    assert!(!bench.is_trusted(&first).await && bench.is_trusted(&second).await);
    for (file, text, expected) in [
        ("cert.pem", "", "no certificate in "),
        ("key.pem", "nonsense", "cannot read a private key from "),
        ("cert.pem", "-----BEGIN CERTIFICATE-----\nAA", "cannot read a certificate from "),
    ] {
        let kept = std::fs::read_to_string(bench.dir.path().join(file)).unwrap();
        bench.write(file, text);
        let error = bench.tls.reload().unwrap_err().to_string();
        assert!(error.starts_with(expected) && error.contains(file), "{error}");
        bench.write(file, &kept);
    }
    assert!(bench.is_trusted(&second).await);
}

#[tokio::test]
async fn who_does_not_shake_hands_is_sent_away() {
    let (bench, root) = Bench::new().await;
    // One says nothing, one speaks HTTP in clear; both are more than there is room for.
    let mut silent = Vec::new();
    for _ in 0..LIMITS.connections {
        silent.push(TcpStream::connect(bench.address).await.unwrap());
    }
    let mut clear = TcpStream::connect(bench.address).await.unwrap();
    clear.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    for stream in &mut silent {
        let mut answer = Vec::new();
        // Closed, or reset over what it has not read.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{answer:?}");
    }
    let mut answer = Vec::new();
    let _ = clear.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    assert!(bench.is_trusted(&root).await, "their places are free again");
}

//! Which certificates a controller is believed by.
//!
//! TLS 1.2 and 1.3 with rustls. There is no way to believe just anybody: a
//! certificate of one's own is made known by a file of authorities.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ServerUrl;

/// Authorities whose certificates are believed.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

/// Why there is nobody to believe.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or is not PEM.
    #[error("cannot read the authorities in {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("there is no certificate in {}: expected PEM with -----BEGIN CERTIFICATE-----", .0.display())]
    Empty(PathBuf),
    /// A certificate of the file is none.
    #[error("cannot use a certificate in {}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// The system has no authorities.
    #[error("this system has no certificate authorities: install ca-certificates, or give --ca-file")]
    NoneOnSystem,
}

impl Trust {
    /// Trust in the authorities of a PEM file and no others.
    ///
    /// # Errors
    /// When it holds none.
    pub fn in_file(path: &Path) -> Result<Self, TrustError> {
        let file = |source| TrustError::File { path: path.into(), source };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(file)? {
            let added = roots.add(certificate.map_err(file)?);
            added.map_err(|source| TrustError::Certificate { path: path.into(), source })?;
        }
        if roots.is_empty() {
            return Err(TrustError::Empty(path.into()));
        }
        Ok(Self::of(roots))
    }

    /// Trust in the authorities of this system.
    ///
    /// # Errors
    /// When it has none.
    pub fn of_system() -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        // What a system has beside usable certificates is none of a caller's business.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(TrustError::NoneOnSystem);
        }
        Ok(Self::of(roots))
    }

    fn of(roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }

    /// Opens TLS with the controller of `url` and checks who it is.
    pub(super) async fn greet(&self, url: &ServerUrl, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsConnector::from(Arc::clone(&self.0)).connect(url.certified_name(), stream).await
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust(..)")
    }
}

//! TLS between a process and the rendezvous: the server's certificate, and whom clients trust.

use std::{fmt, io, net::IpAddr, path::Path, sync::Arc};

use fmi_actors::{Error, Result};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// The certificate of a rendezvous and its key.
#[derive(Clone)]
pub struct Certificate {
    acceptor: TlsAcceptor,
}

impl Certificate {
    /// Reads two PEM files: the certificate, followed by those between it and a trusted one, and
    /// its private key.
    ///
    /// # Errors
    /// [`Error::Config`] that names the file and what is wrong with it.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self> {
        let chain = certificates(certificate)?;
        let wrong = |path: &Path, message: String| Error::Config {
            origin: path.display().to_string(),
            message,
        };
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| wrong(key, format!("is no private key in PEM: {error}")))?;
        Self::new(chain, private).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let message =
                    format!("is the key of another certificate than {}'s", certificate.display());
                wrong(key, message)
            }
            error => wrong(certificate, format!("cannot be used: {error}")),
        })
    }

    /// A certificate, those between it and a trusted one, and its key.
    ///
    /// # Errors
    /// When they do not fit together.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self { acceptor: Arc::new(config).into() })
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await.map(TlsStream::from)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate(…)")
    }
}

/// What opens TLS to one rendezvous.
pub(super) struct Opener {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// Why TLS did not come about.
#[derive(Debug)]
pub(super) enum Setback {
    /// It may be otherwise next time.
    Again(String),
    /// It will not.
    Final(String),
}

impl Opener {
    /// For the server at `host`, whose certificate must be signed by somebody whom this machine
    /// trusts or whose certificate is in the file `ca`.
    pub(super) fn new(host: &str, ca: Option<&Path>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        // A machine without trusted certificates, such as a small container, has the file.
        let (_, _) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(ca) = ca {
            for certificate in certificates(ca)? {
                roots.add(certificate).map_err(|error| Error::Config {
                    origin: ca.display().to_string(),
                    message: format!("holds a certificate that cannot sign others: {error}"),
                })?;
            }
        }
        let failed =
            |message: String| Error::Config { origin: "FMI_RENDEZVOUS".to_owned(), message };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = match host.parse::<IpAddr>() {
            Ok(ip) => ServerName::from(ip),
            Err(_) => ServerName::try_from(host.to_owned())
                .map_err(|_| failed(format!("{host:?} is no name that a certificate can have")))?,
        };
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: Arc::new(config).into(), name })
    }

    pub(super) async fn open(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, Setback> {
        let opened = self.connector.connect(self.name.clone(), stream).await;
        opened.map(TlsStream::from).map_err(|error| self.explain(error))
    }

    /// What to do about it.
    fn explain(&self, error: io::Error) -> Setback {
        let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        Setback::Final(match reason {
            Some(rustls::Error::InvalidCertificate(why)) => self.distrust(why),
            Some(rustls::Error::InvalidMessage(_)) => {
                "it does not speak TLS: write tcp://, or start it with --certificate".to_owned()
            }
            Some(rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)) => {
                "it was started without a certificate: write tcp://, or start it with \
                 --certificate"
                    .to_owned()
            }
            Some(error) => format!("no TLS: {error}"),
            None => return Setback::Again(format!("no TLS: {error}")),
        })
    }

    fn distrust(&self, why: &CertificateError) -> String {
        let name = self.name.to_str();
        match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired: renew it and start the rendezvous anew (or set this \
                 machine's clock)"
                    .to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet: set this machine's clock".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!(
                    "its certificate is not for {name}: write the name that it is for in \
                     FMI_RENDEZVOUS, or make one with {name} among its subject alternative names"
                )
            }
            // The latter: by another one of the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is signed by nobody whom this \
                                                machine trusts: set FMI_RENDEZVOUS_CA to a file \
                                                with the certificate of who signed it"
                    .to_owned()
            }
            other => format!("its certificate cannot be trusted: {other}"),
        }
    }
}

/// How a TLS connection begins.
pub(super) const RECORD: u8 = 22;

/// What TLS clients understand as a refusal: a fatal alert about the version of the protocol.
pub(super) const REFUSAL: [u8; 7] = [21, 3, 3, 0, 2, 2, 70];

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |message: String| Error::Config { origin: path.display().to_string(), message };
    let read = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(format!("holds no certificates in PEM: {error}")))?;
    if read.is_empty() {
        return Err(wrong("holds no certificate in PEM".to_owned()));
    }
    Ok(read)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

//! Who a process is on encrypted links: a key pair and a certificate of its own, made when it
//! joins. Nobody signs it: peers know its SHA-256 through the rendezvous and pin it.

use std::{fmt, sync::Arc};

use fmi_actors::{Error, Result};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    version::TLS13,
};
use sha2::{Digest, Sha256};

/// SHA-256 of a certificate.
pub type Fingerprint = [u8; 32];

/// The certificate and key of a process.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    fingerprint: Fingerprint,
}

impl Identity {
    /// A new one.
    ///
    /// # Errors
    /// [`Error::System`] when the system has no random numbers.
    pub fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])
            .map_err(|error| failed(&error))?;
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let fingerprint = fingerprint(&certificate);
        Ok(Self { certificate, key, fingerprint })
    }

    /// What peers pin.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// TLS 1.3 for the side that opens: shows this certificate, takes none but the peer's.
    ///
    /// # Errors
    /// [`Error::System`] when the configuration cannot be made.
    pub fn opener(&self, peer: Fingerprint) -> Result<ClientConfig> {
        let pin = Arc::new(Pin { expected: Some(peer), algorithms: algorithms() });
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| failed(&error))?
            .dangerous()
            .with_custom_certificate_verifier(pin)
            .with_client_auth_cert(vec![self.certificate.clone()], self.private())
            .map_err(|error| failed(&error))
    }

    /// TLS 1.3 for the side that accepts: shows this certificate and wants one. Whose it is turns
    /// out later: compare [`fingerprint`] of what the peer showed.
    ///
    /// # Errors
    /// [`Error::System`] when the configuration cannot be made.
    pub fn acceptor(&self) -> Result<ServerConfig> {
        let any = Arc::new(Pin { expected: None, algorithms: algorithms() });
        ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| failed(&error))?
            .with_client_cert_verifier(any)
            .with_single_cert(vec![self.certificate.clone()], self.private())
            .map_err(|error| failed(&error))
    }

    fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from(self.key.clone_key())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

/// SHA-256 of a certificate.
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    Sha256::digest(certificate).into()
}

/// The name in every certificate. It says nothing; the fingerprint does.
pub const NAME: &str = "fmi";

/// Takes the one certificate with this fingerprint, or any.
#[derive(Debug)]
struct Pin {
    expected: Option<Fingerprint>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pin {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        match self.expected {
            Some(expected) if expected != fingerprint(certificate) => Err(rustls::Error::General(
                "another certificate than the peer's: somebody sits in the middle".to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(certificate).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Pin {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(certificate).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    rustls::crypto::ring::default_provider().signature_verification_algorithms
}

fn failed(error: &dyn fmt::Display) -> Error {
    Error::System { what: "a certificate", reason: error.to_string() }
}

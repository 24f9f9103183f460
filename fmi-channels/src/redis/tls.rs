//! TLS to a server: whom it must be signed by.

use super::{
    trouble::Trouble,
    url::{Address, Target},
    wire::WireIo,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{net::IpAddr, sync::Arc};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What connections of one URL are opened with.
pub(super) fn config(target: &Target) -> Result<Arc<ClientConfig>, Trouble> {
    let mut roots = RootCertStore::empty();
    // A machine without trusted certificates, such as a small container, has the file.
    let native = rustls_native_certs::load_native_certs().certs;
    let (_, _) = roots.add_parsable_certificates(native);
    if let Some(ca) = &target.ca {
        let wrong =
            |error: &dyn std::fmt::Display| Trouble::lasting(format!("{}: {error}", ca.display()));
        let certificates = CertificateDer::pem_file_iter(ca).map_err(|error| wrong(&error))?;
        let before = roots.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
        if roots.len() == before {
            return Err(wrong(&"holds no certificate in PEM"));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Trouble::lasting)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Opens TLS on a connection.
pub(super) async fn open(
    wire: WireIo,
    to: &Address,
    config: &Arc<ClientConfig>,
) -> Result<TlsStream<WireIo>, Trouble> {
    let name = match to.host.parse::<IpAddr>() {
        Ok(ip) => ServerName::from(ip),
        Err(_) => ServerName::try_from(to.host.clone()).map_err(Trouble::lasting)?,
    };
    TlsConnector::from(Arc::clone(config)).connect(name, wire).await.map_err(|error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::InvalidCertificate(why)) => Trouble::lasting(format!(
                "its certificate is not trusted ({why:?}): name the one that signs it with \
                 ?ca=FILE"
            )),
            Some(rustls::Error::InvalidMessage(_)) => {
                Trouble::lasting("it does not speak TLS: use redis:// instead of rediss://")
            }
            Some(why) => Trouble::lasting(format!("TLS failed: {why}")),
            None => Trouble::cut(error),
        }
    })
}

//! A rendezvous with a certificate.

use std::{fs, path::PathBuf, time::Duration};

use fmi_actors::{Error, Result};
use fmi_channels::{
    handshake::Token,
    rendezvous::{Certificate, Client, Event, Options, Reach, Registration, relay},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Bed, JOIN, SECRET, bounded, event, given};

/// A file that is gone after the test.
struct File(PathBuf);

impl File {
    fn new(kind: &str, der: &[u8]) -> Self {
        let name = format!("fmi-{}.pem", &Token::random().unwrap().reveal()[..16]);
        let path = std::env::temp_dir().join(name);
        let text = format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", base64(der));
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= three.len() { digit.into() } else { '=' });
        }
        // As PEM has it.
        if text.len() % 65 == 64 {
            text.push('\n');
        }
    }
    text
}

/// Somebody who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: File,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let file = File::new("CERTIFICATE", params.self_signed(&key).unwrap().der());
        Self { issuer: Issuer::new(params, key), file }
    }

    /// The DER of a certificate and of its key.
    fn sign(&self, name: &str, until: i32) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().to_vec(), key.serialize_der())
    }

    async fn bed(&self, name: &str, until: i32) -> Bed {
        let (certificate, key) = self.sign(name, until);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
        let certificate = Certificate::new(vec![certificate.into()], key).unwrap();
        Bed::with(Options { certificate: Some(certificate), ..Options::default() }).await
    }

    async fn join(&self, bed: &Bed, registration: Registration) -> Result<Client> {
        join(bed, registration, Some(self.file.0.clone())).await
    }
}

async fn join(bed: &Bed, registration: Registration, ca: Option<PathBuf>) -> Result<Client> {
    let address = bed.address.replace("tcp://", "tls://");
    let reach = Reach { address, port: None, ca };
    Client::connect_with(&reach, &Token::new(SECRET), |_| registration.clone(), JOIN).await
}

fn reason(result: Result<Client>) -> String {
    match result {
        Err(Error::Rendezvous { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn processes_meet_talk_and_are_relayed() {
    bounded(async {
        let authority = Authority::new();
        let bed = authority.bed("127.0.0.1", 3000).await;
        // A list of members that is more than one TLS record.
        let mut long = given("app", 2, &[0]);
        long.addresses = vec![("tcp".to_owned(), "a".repeat(1000)); 60];
        let one = authority.join(&bed, long).await.unwrap();
        let two = authority.join(&bed, given("app", 2, &[1])).await.unwrap();
        assert_eq!(one.complete().await.unwrap(), two.complete().await.unwrap());
        let (a, b) = (one.registered().process, two.registered().process);
        for n in 0..100u8 {
            one.tell(b, "tcp", vec![n; 2000]);
        }
        for n in 0..100u8 {
            let told = Event::Told { from: a, channel: "tcp".to_owned(), note: vec![n; 2000] };
            assert_eq!(event(&two).await, Some(told));
        }
        let (epoch, ticket) = (one.registered().epoch, relay::ticket().unwrap());
        let (near, far) = tokio::join!(
            relay::join(one.outside(), epoch, a, b, ticket),
            relay::join(two.outside(), epoch, b, a, ticket)
        );
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        near.write_all(b"x").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'x');
        two.leave().await;
        assert!(matches!(event(&one).await, Some(Event::Left { .. })));
    })
    .await;
}

#[tokio::test]
async fn who_cannot_be_trusted_is_not_and_the_error_says_what_to_do() {
    bounded(async {
        let authority = Authority::new();
        let me = || given("app", 1, &[0]);

        let bed = authority.bed("127.0.0.1", 2001).await;
        let expired = reason(authority.join(&bed, me()).await);
        assert!(expired.starts_with("its certificate has expired: renew it"), "{expired}");

        let bed = authority.bed("meet.example.org", 3000).await;
        let other = reason(authority.join(&bed, me()).await);
        assert!(other.starts_with("its certificate is not for 127.0.0.1"), "{other}");

        let bed = authority.bed("127.0.0.1", 3000).await;
        let unknown = reason(join(&bed, me(), None).await);
        assert!(unknown.contains("set FMI_RENDEZVOUS_CA"), "{unknown}");
        let stranger = Authority::new();
        let unknown = reason(stranger.join(&bed, me()).await);
        assert!(unknown.contains("set FMI_RENDEZVOUS_CA"), "{unknown}");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_scheme_is_named() {
    bounded(async {
        let authority = Authority::new();
        let encrypted = authority.bed("127.0.0.1", 3000).await;
        let error = reason(encrypted.join(given("app", 1, &[0])).await);
        assert!(error.contains("write tls:// instead of tcp://"), "{error}");

        let plain = Bed::new().await;
        let error = reason(authority.join(&plain, given("app", 1, &[0])).await);
        assert!(error.contains("started without a certificate: write tcp://"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn another_token_is_refused_inside_of_tls_too() {
    bounded(async {
        let authority = Authority::new();
        let bed = authority.bed("127.0.0.1", 3000).await;
        let address = bed.address.replace("tcp://", "tls://");
        let reach = Reach { address, port: None, ca: Some(authority.file.0.clone()) };
        let wrong = Token::new("another");
        let patience = Duration::from_secs(20);
        let error = Client::connect_with(&reach, &wrong, |_| given("app", 1, &[0]), patience).await;
        assert!(matches!(error, Err(Error::WrongToken { .. })), "{error:?}");
    })
    .await;
}

#[test]
fn files_are_checked() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign("localhost", 3000);
    let (_, other) = authority.sign("localhost", 3000);
    let [certificate, key, other] = [
        File::new("CERTIFICATE", &certificate),
        File::new("PRIVATE KEY", &key),
        File::new("PRIVATE KEY", &other),
    ];
    Certificate::load(&certificate.0, &key.0).unwrap();
    let wrong = |certificate: &File, key: &File| {
        Certificate::load(&certificate.0, &key.0).unwrap_err().to_string()
    };
    assert!(wrong(&certificate, &other).contains("is the key of another certificate"));
    assert!(wrong(&key, &key).contains("holds no certificate"));
    assert!(wrong(&certificate, &certificate).contains("is no private key"));
    let missing = File(PathBuf::from("/nonexistent/fmi.pem"));
    assert!(wrong(&missing, &key).contains("/nonexistent/fmi.pem"));
}

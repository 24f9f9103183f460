//! Mutual authentication under the job's token, for the rendezvous and for every link.
//!
//! Both sides prove with HMAC-SHA256 over two fresh nonces that they hold the same token; the
//! token itself never crosses the wire. Both sides' *hello* (opaque bytes: who am I, whom do I
//! want) is under the proofs, so nobody can alter it on the way. A hello that names the acceptor
//! it is meant for also stops a relay to another one.
//!
//! ```text
//! opener                                            acceptor
//!   "FMI1"  purpose  nonce(32)               ->
//!                                            <-     "FMI1"  purpose  nonce(32)
//!   length(4)  hello  mac(32)                ->     verifies, looks at the hello
//!                                            <-     verdict(1)  [length(4)  hello or text  mac(32)]
//! ```
//!
//! The acceptor shows nothing but a nonce before the opener has proved itself. The proofs of the
//! two directions have different prefixes, so one cannot be reflected as the other. Afterwards the
//! stream is as it was: plain TCP stays plain, this authenticates only.
//!
//! A connection that was punched may have been opened by both sides ([`meet`]). So with the purpose
//! each says whether it has opened or accepted the connection; who has opened it says so at once.
//! If both have, the one with the greater nonce goes on as the opener. The proofs cover what the
//! acceptor said of that. Equal nonces are one's own, sent back.
//!
//! On an encrypted connection the first round trip is saved ([`Met::bound`]): a secret of that
//! connection takes the place of both nonces.

use std::{cmp::Ordering, fmt, io, sync::Arc, time::Duration};

use fmi_actors::{Error, Result};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long a peer may take for its handshake. The caller of [`open`] and [`accept`] applies it.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// Bytes that a hello may have.
pub const MAX_HELLO: usize = 64 * 1024;
/// What an error says when the other side closed the connection in the middle: it has another link by now, or
/// has ended.
pub(crate) const BROKE_OFF: &str = "the handshake broke off";

/// The secret that all processes of a job share (`FMI_TOKEN`).
///
/// `Debug` does not show it, and it has no `Display` and no comparison.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// A token from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// A new token: 256 random bits in hexadecimal.
    ///
    /// # Errors
    /// [`Error::System`] when the system has no random numbers.
    pub fn random() -> Result<Self> {
        let bytes = nonce().map_err(|failure| Error::System {
            what: "random numbers",
            reason: failure.to_string(),
        })?;
        Ok(Self::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    }

    /// The text, to hand to a child process. Never log it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What a connection is for, so that one to the wrong port ends with a clear error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// A process talks to the rendezvous.
    Rendezvous = 1,
    /// Two processes talk to each other.
    Link = 2,
}

/// Opens a connection: proves itself, sends `hello` and returns the acceptor's hello.
///
/// `at` names the peer in errors.
///
/// # Errors
/// [`Error::WrongToken`] when the two tokens differ; [`Error::System`] when the peer is something
/// else, refuses (with its text) or breaks off.
pub async fn open<S>(
    stream: &mut S,
    purpose: Purpose,
    token: &Token,
    hello: &[u8],
    at: &str,
) -> Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    opening(stream, purpose, token, hello).await.map_err(|failure| failure.at(at))
}

/// Accepts a connection: verifies the opener, lets `reply` judge its hello, proves itself.
///
/// `reply` gives this side's hello, or the text with which the opener is refused. Returns the
/// opener's hello.
///
/// # Errors
/// [`Error::WrongToken`] when the two tokens differ; [`Error::System`] when the peer is something
/// else, was refused or breaks off.
pub async fn accept<S>(
    stream: &mut S,
    purpose: Purpose,
    token: &Token,
    reply: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
    at: &str,
) -> Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    accepting(stream, purpose, token, reply).await.map_err(|failure| failure.at(at))
}

/// Begins the handshake of a connection that this side has opened, and perhaps the other, too.
///
/// # Errors
/// [`Error::System`] when the peer is something else, this side itself, or breaks off.
pub async fn meet<S>(stream: &mut S, purpose: Purpose, at: &str) -> Result<Met>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    meeting(stream, purpose).await.map_err(|failure| failure.at(at))
}

/// A handshake in which both sides have said a nonce: it is settled who goes on how.
#[derive(Debug, Clone)]
pub struct Met {
    role: Role,
    purpose: Purpose,
    opener: [u8; NONCE],
    acceptor: [u8; NONCE],
    /// What the acceptor has said of itself.
    opened: Opened,
    /// There were no greetings: see [`Met::bound`].
    bound: bool,
}

/// Bytes of the secret that [`Met::bound`] takes.
pub const BINDING: usize = 2 * NONCE;

/// A side's part in a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It proves itself first.
    Opener,
    /// It judges the opener.
    Acceptor,
}

impl Met {
    /// On an encrypted connection there is no need to greet first: `secret`, which its two ends
    /// have derived from what both contributed to its keys (TLS' exporter), is as fresh as two
    /// nonces, and serves as such. Besides, who sits in the middle has two connections, so two
    /// secrets, and cannot use on one what it was told on the other. Both sides know which part is
    /// theirs; proofs given here are good for nothing on connections that were greeted.
    #[must_use]
    pub fn bound(role: Role, purpose: Purpose, secret: &[u8; BINDING]) -> Self {
        let mut halves = [[0; NONCE]; 2];
        halves.as_flattened_mut().copy_from_slice(secret);
        let [opener, acceptor] = halves;
        Self { role, purpose, opener, acceptor, opened: Opened::Elsewhere, bound: true }
    }

    /// This side's part.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Goes on as [`open`] does.
    ///
    /// # Errors
    /// As [`open`].
    ///
    /// # Panics
    /// When this side is not the opener.
    pub async fn open<S>(
        self,
        stream: &mut S,
        token: &Token,
        hello: &[u8],
        at: &str,
    ) -> Result<Vec<u8>>
    where
        S: AsyncRead + AsyncWrite + Unpin + ?Sized,
    {
        assert_eq!(self.role, Role::Opener);
        prove(stream, &self, token, hello).await.map_err(|failure| failure.at(at))
    }

    /// Goes on as [`accept`] does.
    ///
    /// # Errors
    /// As [`accept`].
    ///
    /// # Panics
    /// When this side is not the acceptor.
    pub async fn accept<S>(
        self,
        stream: &mut S,
        token: &Token,
        reply: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
        at: &str,
    ) -> Result<Vec<u8>>
    where
        S: AsyncRead + AsyncWrite + Unpin + ?Sized,
    {
        assert_eq!(self.role, Role::Acceptor);
        verify(stream, &self, token, reply).await.map_err(|failure| failure.at(at))
    }
}

/// Who has opened a connection, as a side says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Opened {
    /// The side that says so.
    Here = 0,
    /// The other one.
    Elsewhere = 0x80,
}

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("it holds another token")]
    WrongToken,
    #[error("it does not speak fmi's protocol")]
    NotFmi,
    #[error("it speaks another version of fmi's protocol")]
    Version,
    #[error("it is for a {theirs:?}, not for a {ours:?}")]
    Purpose { ours: Purpose, theirs: Purpose },
    #[error("it takes a part in this connection that is not its own")]
    Role,
    #[error("it is this process itself")]
    Itself,
    #[error("a hello of {0} bytes, at most {MAX_HELLO} are allowed")]
    TooLong(usize),
    #[error("refused: {0}")]
    Refused(String),
    #[error("{BROKE_OFF}: {why}")]
    Broken { why: String },
}

impl Failure {
    fn at(self, at: &str) -> Error {
        match self {
            Self::WrongToken => Error::WrongToken { at: at.to_owned() },
            other => Error::System { what: "handshake", reason: format!("{at}: {other}") },
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken {
            why: match error.kind() {
                io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
                _ => error.to_string(),
            },
        }
    }
}

/// [`open`] with the private error.
pub(crate) async fn opening<S>(
    stream: &mut S,
    purpose: Purpose,
    token: &Token,
    hello: &[u8],
) -> Result<Vec<u8>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let met = meeting(stream, purpose).await?;
    match met.role {
        Role::Opener => prove(stream, &met, token, hello).await,
        // Nobody but a `meet` opens a connection from the port of one that was opened from here.
        Role::Acceptor => Err(Failure::Role),
    }
}

/// [`meet`] with the private error.
async fn meeting<S>(stream: &mut S, purpose: Purpose) -> Result<Met, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let ours = nonce()?;
    greet(stream, purpose, Opened::Here, &ours).await?;
    let (their_purpose, theirs, nonce) = greeting(stream).await?;
    if their_purpose != purpose {
        return Err(Failure::Purpose { ours: purpose, theirs: their_purpose });
    }
    let opener = Met {
        role: Role::Opener,
        purpose,
        opener: ours,
        acceptor: nonce,
        opened: theirs,
        bound: false,
    };
    match (theirs, ours.cmp(&nonce)) {
        (Opened::Elsewhere, _) | (Opened::Here, Ordering::Greater) => Ok(opener),
        (Opened::Here, Ordering::Equal) => Err(Failure::Itself),
        (Opened::Here, Ordering::Less) => {
            Ok(Met { role: Role::Acceptor, opener: nonce, acceptor: ours, ..opener })
        }
    }
}

/// The opener's part after the greetings.
async fn prove<S>(
    stream: &mut S,
    met: &Met,
    token: &Token,
    hello: &[u8],
) -> Result<Vec<u8>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let proof = Proof { token, met, hello };
    send(stream, &[], hello, proof.opener()).await?;

    let verdict = stream.read_u8().await?;
    match verdict {
        ACCEPTED | REFUSED => {
            let answer = block(stream).await?;
            check(stream, proof.acceptor(verdict, &answer)).await?;
            match verdict {
                ACCEPTED => Ok(answer),
                _ => Err(Failure::Refused(String::from_utf8_lossy(&answer).into_owned())),
            }
        }
        WRONG_TOKEN => Err(Failure::WrongToken),
        _ => Err(Failure::NotFmi),
    }
}

/// [`accept`] with the private error.
pub(crate) async fn accepting<S>(
    stream: &mut S,
    purpose: Purpose,
    token: &Token,
    reply: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let (their_purpose, theirs, opener) = greeting(stream).await?;
    let acceptor = nonce()?;
    // Also to a peer with another purpose: so it learns where it is.
    greet(stream, purpose, Opened::Elsewhere, &acceptor).await?;
    if their_purpose != purpose {
        return Err(Failure::Purpose { ours: purpose, theirs: their_purpose });
    }
    if theirs == Opened::Elsewhere {
        return Err(Failure::Role);
    }
    let opened = Opened::Elsewhere;
    let met = Met { role: Role::Acceptor, purpose, opener, acceptor, opened, bound: false };
    verify(stream, &met, token, reply).await
}

/// The acceptor's part after the greetings.
async fn verify<S>(
    stream: &mut S,
    met: &Met,
    token: &Token,
    reply: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let hello = block(stream).await?;
    let proof = Proof { token, met, hello: &hello };
    if let Err(failure) = check(stream, proof.opener()).await {
        if failure == Failure::WrongToken {
            stream.write_all(&[WRONG_TOKEN]).await?;
            stream.flush().await?;
        }
        return Err(failure);
    }
    match reply(&hello) {
        Ok(answer) => {
            send(stream, &[ACCEPTED], &answer, proof.acceptor(ACCEPTED, &answer)).await?;
            Ok(hello)
        }
        Err(text) => {
            let sent = &text.as_bytes()[..text.floor_char_boundary(MAX_TEXT)];
            send(stream, &[REFUSED], sent, proof.acceptor(REFUSED, sent)).await?;
            Err(Failure::Refused(text))
        }
    }
}

const MAGIC: [u8; 4] = *b"FMI1";
const NONCE: usize = 32;
/// Besides the purpose, under the proofs of [`Met::bound`].
const BOUND: u8 = 0x40;
const ACCEPTED: u8 = 1;
const REFUSED: u8 = 2;
const WRONG_TOKEN: u8 = 3;
/// Bytes of a refusal's text.
const MAX_TEXT: usize = 1024;

type HmacSha256 = Hmac<Sha256>;

/// What both proofs cover.
struct Proof<'a> {
    token: &'a Token,
    met: &'a Met,
    hello: &'a [u8],
}

impl Proof<'_> {
    fn opener(&self) -> HmacSha256 {
        self.mac(b"fmi1 opener  ")
    }

    fn acceptor(&self, verdict: u8, answer: &[u8]) -> HmacSha256 {
        let mut mac = self.mac(b"fmi1 acceptor");
        mac.update(&[verdict]);
        absorb(&mut mac, answer);
        mac
    }

    fn mac(&self, direction: &[u8; 13]) -> HmacSha256 {
        let mut mac = HmacSha256::new_from_slice(self.token.0.as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(direction);
        let bound = if self.met.bound { BOUND } else { 0 };
        mac.update(&[self.met.purpose as u8 | self.met.opened as u8 | bound]);
        mac.update(&self.met.opener);
        mac.update(&self.met.acceptor);
        absorb(&mut mac, self.hello);
        mac
    }
}

/// Length first, so that no two lists of fields give the same bytes.
fn absorb(mac: &mut HmacSha256, bytes: &[u8]) {
    mac.update(&(bytes.len() as u64).to_le_bytes());
    mac.update(bytes);
}

fn nonce() -> Result<[u8; NONCE], Failure> {
    let mut bytes = [0; NONCE];
    getrandom::fill(&mut bytes).map_err(|error| Failure::Broken { why: error.to_string() })?;
    Ok(bytes)
}

async fn greet<S>(
    stream: &mut S,
    purpose: Purpose,
    opened: Opened,
    nonce: &[u8; NONCE],
) -> Result<(), Failure>
where
    S: AsyncWrite + Unpin + ?Sized,
{
    let mut bytes = MAGIC.to_vec();
    bytes.push(purpose as u8 | opened as u8);
    bytes.extend_from_slice(nonce);
    stream.write_all(&bytes).await?;
    Ok(stream.flush().await?)
}

async fn greeting<S>(stream: &mut S) -> Result<(Purpose, Opened, [u8; NONCE]), Failure>
where
    S: AsyncRead + Unpin + ?Sized,
{
    // The magic alone first: whoever speaks something else may never send as much as a greeting.
    let mut magic = [0; 4];
    stream.read_exact(&mut magic).await?;
    if magic != MAGIC {
        return Err(if magic[..3] == MAGIC[..3] { Failure::Version } else { Failure::NotFmi });
    }
    let said = stream.read_u8().await?;
    let elsewhere = Opened::Elsewhere as u8;
    let opened = if said & elsewhere == 0 { Opened::Here } else { Opened::Elsewhere };
    let purpose = match said & !elsewhere {
        1 => Purpose::Rendezvous,
        2 => Purpose::Link,
        _ => return Err(Failure::NotFmi),
    };
    let mut nonce = [0; NONCE];
    stream.read_exact(&mut nonce).await?;
    Ok((purpose, opened, nonce))
}

async fn send<S>(stream: &mut S, head: &[u8], body: &[u8], mac: HmacSha256) -> Result<(), Failure>
where
    S: AsyncWrite + Unpin + ?Sized,
{
    let length = u32::try_from(body.len())
        .ok()
        .filter(|length| *length as usize <= MAX_HELLO)
        .ok_or(Failure::TooLong(body.len()))?;
    let mut bytes = Vec::with_capacity(head.len() + 4 + body.len() + 32);
    bytes.extend_from_slice(head);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(&mac.finalize().into_bytes());
    stream.write_all(&bytes).await?;
    Ok(stream.flush().await?)
}

/// Reads a length and that many bytes. Memory grows with what arrives, not with what is announced.
async fn block<S>(stream: &mut S) -> Result<Vec<u8>, Failure>
where
    S: AsyncRead + Unpin + ?Sized,
{
    let length = stream.read_u32_le().await?;
    if length as usize > MAX_HELLO {
        return Err(Failure::TooLong(length as usize));
    }
    let mut bytes = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut bytes).await?;
    if bytes.len() < length as usize {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(bytes)
}

async fn check<S>(stream: &mut S, expected: HmacSha256) -> Result<(), Failure>
where
    S: AsyncRead + Unpin + ?Sized,
{
    let mut mac = [0; 32];
    stream.read_exact(&mut mac).await?;
    expected.verify_slice(&mac).map_err(|_| Failure::WrongToken)
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;

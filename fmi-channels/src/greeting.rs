//! How a link between two processes begins, on any kind of stream: the [handshake] under the job's
//! token, in which each side says which process of which job and epoch it is, and whom it means.

use std::{future::Future, sync::Arc, time::Duration};

use fmi_actors::{Error, LinkRank, Node, Result, channel::DialError, codec};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    handshake::{self, BINDING, HANDSHAKE_DEADLINE, Met, Purpose, Role, Token},
    tcp::disagreement,
};

/// Said to a process that dials while its peer's own call succeeds.
pub const SUPERSEDED: &str = "there is a better link already";

/// What a dialling process says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    epoch: u32,
    /// Number of the dialling process, and of the one that it means to reach.
    from: u32,
    to: u32,
    generation: u32,
    quality: u16,
    /// On TCP, where this comes first, the name of the protection that the link is to have. Empty
    /// on plain links, and where the connection is encrypted already.
    binding: Vec<u8>,
}

/// Begins a link to a process over a connection that this side has opened. Returns the rank to
/// attach it with. `at` names the peer in errors.
///
/// # Errors
/// [`DialError`]: the link has not come about. It is fatal if the peer holds another token.
pub async fn open<S>(
    stream: &mut S,
    node: &Arc<Node>,
    process: u32,
    token: &Token,
    (quality, binding): (u16, &[u8]),
    at: &str,
) -> Result<LinkRank, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let rank = next_rank(node, process, quality)?;
    let hello = hello(node, process, rank, binding)?;
    let opened = handshake::open(stream, Purpose::Link, token, &hello, at);
    within(HANDSHAKE_DEADLINE, opened).await?;
    Ok(rank)
}

/// As [`open`], inside of an encrypted connection ([`Met::bound`] to its `secret`): what the other
/// side says is awaited only once.
///
/// # Errors
/// As [`open`].
pub async fn open_bound<S>(
    stream: &mut S,
    node: &Arc<Node>,
    process: u32,
    token: &Token,
    (quality, secret): (u16, &[u8; BINDING]),
    at: &str,
) -> Result<LinkRank, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let rank = next_rank(node, process, quality)?;
    let hello = hello(node, process, rank, b"")?;
    let opened = Met::bound(Role::Opener, Purpose::Link, secret);
    within(HANDSHAKE_DEADLINE, opened.open(stream, token, &hello, at)).await?;
    Ok(rank)
}

mod turns;

pub use turns::{Turn, Turns};

/// A connection that both sides have opened, and that has been greeted.
#[derive(Debug)]
pub struct Meeting<'t> {
    /// This side's part from now on.
    pub role: Role,
    /// Who the other side is.
    pub process: u32,
    /// To attach the link with.
    pub rank: LinkRank,
    /// The opener's turn, in which it attaches the link: [`Turn::end`].
    pub turn: Option<Turn<'t>>,
}

/// How long the other side's first word may take where both have opened the connection: nobody waits
/// for it, but a connection that is half-way open will never say it.
const FIRST_WORD: Duration = Duration::from_secs(2);

/// Begins a link over a connection that this side has opened, and perhaps the other, too
/// ([`handshake::meet`]), to a process that is meant by both. Where this side is the opener it waits
/// for its turn; `turns` belongs to that process.
///
/// # Errors
/// As [`open`] and [`accept`].
pub async fn meet<'t, S>(
    stream: &mut S,
    node: &Arc<Node>,
    process: u32,
    token: &Token,
    (quality, binding): (u16, &[u8]),
    turns: &'t Turns,
    at: &str,
) -> Result<Meeting<'t>, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let met = within(FIRST_WORD, handshake::meet(stream, Purpose::Link, at)).await?;
    let role = met.role();
    if role == Role::Acceptor {
        let judge = |bytes: &[u8]| judge(node, binding, bytes);
        let hello = within(HANDSHAKE_DEADLINE, met.accept(stream, token, judge, at)).await?;
        let hello: Hello = codec::decode(&hello).map_err(DialError::soft)?;
        return Ok(Meeting { role, process: hello.from, rank: rank(node, &hello), turn: None });
    }
    let mut turn = turns.take().await;
    // Only now: the one before may have brought the link.
    let peer = node.peer(process).ok_or_else(|| DialError::soft("no such process"))?;
    let mut rank = peer.next_rank(node.process(), quality);
    if !peer.would_keep(rank) {
        return Err(DialError::soft(SUPERSEDED));
    }
    rank.generation = turn.begin(rank.generation);
    let hello = hello(node, process, rank, binding)?;
    turn.greet(met.open(stream, token, &hello, at)).await?;
    Ok(Meeting { role, process, rank, turn: Some(turn) })
}

/// The rank that a link has which is dialled now.
fn next_rank(node: &Arc<Node>, process: u32, quality: u16) -> Result<LinkRank, DialError> {
    let peer = node.peer(process).ok_or_else(|| DialError::soft("no such process"))?;
    Ok(peer.next_rank(node.process(), quality))
}

/// What this side says when it opens a link of this rank.
fn hello(
    node: &Arc<Node>,
    process: u32,
    rank: LinkRank,
    binding: &[u8],
) -> Result<Vec<u8>, DialError> {
    let hello = Hello {
        epoch: node.epoch(),
        from: node.process(),
        to: process,
        generation: rank.generation,
        quality: rank.quality,
        binding: binding.to_vec(),
    };
    codec::encode(&hello).map_err(DialError::soft)
}

async fn within<T>(span: Duration, step: impl Future<Output = Result<T>>) -> Result<T, DialError> {
    match tokio::time::timeout(span, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let fatal = matches!(error, Error::WrongToken { .. });
            Err(DialError { reason: error.to_string(), fatal })
        }
        Err(_) => Err(DialError::soft("it accepts connections but does not answer")),
    }
}

/// Begins a link over a connection that the other side has opened. Returns who it is, and the
/// rank to attach it with.
///
/// # Errors
/// As [`handshake::accept`]; a link that is not wanted is refused with [`SUPERSEDED`].
pub async fn accept<S>(
    stream: &mut S,
    node: &Arc<Node>,
    token: &Token,
    binding: &[u8],
    at: &str,
) -> Result<(u32, LinkRank)>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let judge = |bytes: &[u8]| judge(node, binding, bytes);
    let hello = handshake::accept(stream, Purpose::Link, token, judge, at).await?;
    let hello: Hello = codec::decode(&hello)?;
    Ok((hello.from, rank(node, &hello)))
}

/// As [`accept`], inside of an encrypted connection.
///
/// # Errors
/// As [`accept`].
pub async fn accept_bound<S>(
    stream: &mut S,
    node: &Arc<Node>,
    token: &Token,
    secret: &[u8; BINDING],
    at: &str,
) -> Result<(u32, LinkRank)>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let judge = |bytes: &[u8]| judge(node, b"", bytes);
    let accepted = Met::bound(Role::Acceptor, Purpose::Link, secret);
    let hello: Hello = codec::decode(&accepted.accept(stream, token, judge, at).await?)?;
    Ok((hello.from, rank(node, &hello)))
}

fn rank(node: &Node, hello: &Hello) -> LinkRank {
    LinkRank {
        generation: hello.generation,
        quality: hello.quality,
        preferred: hello.from < node.process(),
    }
}

fn judge(node: &Arc<Node>, binding: &[u8], bytes: &[u8]) -> Result<Vec<u8>, String> {
    let hello: Hello = codec::decode(bytes).map_err(|error| error.to_string())?;
    if hello.epoch != node.epoch() {
        return Err("another job or epoch".to_owned());
    }
    if hello.to != node.process() || hello.from == hello.to {
        return Err(format!("this is process {}, not {}", node.process(), hello.to));
    }
    if hello.binding != binding {
        return Err(disagreement(&hello.binding, binding));
    }
    let peer = node.peer(hello.from).ok_or("no such process in this job")?;
    if !peer.would_keep(rank(node, &hello)) {
        return Err(SUPERSEDED.to_owned());
    }
    Ok(Vec::new())
}

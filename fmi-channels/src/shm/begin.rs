//! How a connection between two processes of one machine becomes a link: the [greeting], in which both
//! prove that they hold the token; then the opener makes the segment and hands it over.

use super::{
    failed,
    link::ShmLink,
    ring::{self, ends},
    segment::{self, Segment},
    traffic::{Reach, Traffic, together},
};
use crate::{greeting, handshake::Token};
use fmi_actors::{LinkRank, Node, Result, channel::DialError};
use socket2::Socket;
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// What the greeting is bound to: it is of no use on another channel.
const BINDING: &[u8] = b"shm";
/// Said when the segment has been mapped.
const TAKEN: u8 = 1;
/// The largest ring: more than most cores' own cache has. What the reader's still holds is dearer to write over than
/// what it has given up.
const LARGEST: usize = 2 << 20;

/// What all links of a process begin with.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) token: Token,
    pub(super) traffic: Traffic,
}

/// Makes a connection that this side has opened a link.
pub(super) async fn open(
    mut stream: UnixStream,
    node: &Arc<Node>,
    process: u32,
    start: &Start,
    quality: u16,
) -> Result<(), DialError> {
    let bound = (quality, BINDING);
    let rank = greeting::open(&mut stream, node, process, &start.token, bound, super::NAME).await?;
    let near = near(node);
    let segment = offer(&mut stream, size(near)).await.map_err(DialError::soft)?;
    let reach = start.traffic.reach(together(near));
    attach(stream, segment, true, reach, node, (process, rank)).map_err(DialError::soft)
}

/// Makes a connection that the other side has opened a link. The caller limits the time.
pub(super) async fn accept(mut stream: UnixStream, node: &Arc<Node>, start: &Start) -> Result<()> {
    let (process, rank) =
        greeting::accept(&mut stream, node, &start.token, BINDING, super::NAME).await?;
    let taken = take(&mut stream).await;
    let segment = taken.map_err(|reason| failed("share memory", &reason))?;
    let reach = start.traffic.reach(together(near(node)));
    attach(stream, segment, false, reach, node, (process, rank))
        .map_err(|reason| failed("share memory", &reason))
}

async fn offer(stream: &mut UnixStream, ring: usize) -> io::Result<Segment> {
    let (segment, file) = Segment::create(ring)?;
    segment::give(stream, &file, ring).await?;
    match stream.read_u8().await? {
        TAKEN => Ok(segment),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it does not take the memory")),
    }
}

async fn take(stream: &mut UnixStream) -> io::Result<Segment> {
    let segment = segment::take(stream).await?;
    stream.write_u8(TAKEN).await?;
    Ok(segment)
}

fn attach(
    stream: UnixStream,
    segment: Segment,
    maker: bool,
    reach: Reach,
    node: &Arc<Node>,
    (process, rank): (u32, LinkRank),
) -> io::Result<()> {
    let Some(peer) = node.peer(process) else { return Ok(()) };
    let bell = Socket::from(stream.into_std()?);
    let ends = ends(&Arc::new(segment), maker, reach);
    let link = ShmLink::new(bell, ends, node, process);
    peer.attach(link, rank);
    Ok(())
}

/// Processes on this machine, with this one.
fn near(node: &Node) -> usize {
    let here = &node.roster().member(node.process()).map(|own| own.machine.clone());
    let members = node.roster().members().iter();
    members.filter(|member| here.as_ref() == Some(&member.machine)).count()
}

/// Bytes of a ring, among so many processes: what one may use for all its rings, rounded down to a power of two.
fn size(near: usize) -> usize {
    (1 << together(near).max(1).ilog2()).clamp(ring::LEAST, LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_of_many_are_smaller() {
        let sizes = [0, 1, 2, 4, 8, 9, 128, 1000].map(|near| size(near) >> 10);
        assert_eq!(sizes, [2048, 2048, 2048, 2048, 1024, 512, 64, 64]);
    }
}

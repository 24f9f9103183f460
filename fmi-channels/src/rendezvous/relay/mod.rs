//! The relay: two connections to the rendezvous, made for one ticket, become one stream.
//!
//! A process opens the rendezvous' ordinary [handshake] with a hello that says who it is, whom it
//! wants and under which ticket; registrations have an empty one. Which ticket, both have agreed
//! upon by a note. When both have come, each is sent one byte, and from then on whatever the other
//! says. The stream carries a link that is encrypted from end to end; the server sees ciphertext.
//!
//! These connections are plain TCP also where the rendezvous itself is encrypted: nothing but
//! process numbers and the ticket shows, and without the job's token nobody can use that.

mod pace;
mod splice;
mod table;

use std::{io, time::Duration};

use fmi_actors::codec;
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

pub(super) use splice::{Relayed, Way, enter, serve};
pub(super) use table::{Entry, Table};

use crate::{
    handshake::{self, HANDSHAKE_DEADLINE, Purpose},
    outside::Outside,
};

/// What two connections that belong together have in common.
pub type Ticket = [u8; 16];

/// A new ticket: 128 random bits.
///
/// # Errors
/// When the system has no random numbers.
pub fn ticket() -> io::Result<Ticket> {
    let mut ticket = Ticket::default();
    getrandom::fill(&mut ticket).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(ticket)
}

/// Connects process `own` to `peer` of the same `epoch` through the rendezvous, when the peer does
/// the same with the same ticket. Nothing has been said on the stream yet. The process that asks
/// first waits for the other one for up to [`PATIENCE`].
///
/// # Errors
/// When the rendezvous cannot be reached or refuses, and when the peer does not come.
pub async fn join(
    outside: &Outside,
    epoch: u32,
    own: u32,
    peer: u32,
    ticket: Ticket,
) -> io::Result<TcpStream> {
    let hello = codec::encode(&Hello { epoch, process: own, peer, ticket })
        .map_err(|error| io::Error::other(error.to_string()))?;
    let opened = async {
        let mut stream = TcpStream::connect(outside.server).await?;
        stream.set_nodelay(true)?;
        handshake::opening(&mut stream, Purpose::Rendezvous, &outside.token, &hello)
            .await
            .map_err(|failure| io::Error::other(failure.to_string()))?;
        Ok::<_, io::Error>(stream)
    };
    let late = |what| move |_| io::Error::new(io::ErrorKind::TimedOut, what);
    let mut stream = timeout(HANDSHAKE_DEADLINE, opened)
        .await
        .map_err(late("the rendezvous does not answer"))??;
    let joined = timeout(PATIENCE + HANDSHAKE_DEADLINE, stream.read_u8()).await;
    match joined.map_err(late("the peer did not come to the relay"))? {
        Ok(JOINED) => Ok(stream),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no relay")),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(io::Error::new(error.kind(), "the peer did not come to the relay"))
        }
        Err(error) => Err(error),
    }
}

/// How long the first of two waits for the second.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Said to both when they are joined.
const JOINED: u8 = 1;

/// What opens a connection that is to be relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) epoch: u32,
    pub(super) process: u32,
    pub(super) peer: u32,
    pub(super) ticket: Ticket,
}

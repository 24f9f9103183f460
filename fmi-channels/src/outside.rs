//! What a process knows of the way out: where the rendezvous is, and how it is seen from there.

use crate::handshake::Token;
use std::net::SocketAddr;

/// The rendezvous as the channels need it, to learn how address translations show this process
/// and to be relayed.
#[derive(Debug, Clone)]
pub struct Outside {
    /// The rendezvous, as this process is connected to it.
    pub server: SocketAddr,
    /// This side's address of that connection. Its port is the tcp channel's, if it could be had.
    pub local: SocketAddr,
    /// `local` as the rendezvous sees it.
    pub observed: SocketAddr,
    /// Where a TCP connection is told its address as seen there, and closed. Not `server`, so
    /// that two addresses of one socket can be compared.
    pub tcp_mirror: Option<SocketAddr>,
    /// Where datagrams are told theirs: two places, or none.
    pub udp_mirrors: Vec<SocketAddr>,
    /// Round trip to the rendezvous.
    pub round_trip: std::time::Duration,
    /// Proves that this process belongs to the job.
    pub token: Token,
}

//! The first look at the mirrors: how the socket is seen from outside.
//!
//! It is begun before the endpoint runs, while the process still looks for the others of its job,
//! so that who calls at once does not wait for it. Nobody reads the socket then: the answers lie
//! in it until somebody does.

use super::socket;
use crate::rendezvous::mirror;
use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// How old an answer may become before anybody reads it. With the time that it counts then, no
/// address translation should have forgotten what was asked.
const LASTS: Duration = Duration::from_secs(4);
/// Mirrors that are asked.
const MAX_ASKED: usize = 8;

/// Questions that have been asked.
#[derive(Debug, Default)]
pub(super) struct Look {
    asked: Vec<(SocketAddr, u64, Instant)>,
}

impl Look {
    /// Asks each of the mirrors that have not been asked, once. Who gets no answer asks again.
    pub(super) fn ask(&mut self, io: &UdpSocket, mirrors: &[SocketAddr]) {
        for mirror in mirrors {
            if self.asked.len() == MAX_ASKED || self.asked.iter().any(|(to, ..)| to == mirror) {
                continue;
            }
            let Ok(nonce) = getrandom::u64() else { return };
            let to = socket::destination(io, *mirror);
            if io.send_to(&mirror::request(nonce), to).is_ok() {
                self.asked.push((*mirror, nonce, Instant::now()));
            }
        }
    }

    /// Which of the mirrors have been asked, and the nonces of questions whose answers count.
    pub(super) fn asked(&self, mirrors: &[SocketAddr]) -> impl Iterator<Item = (SocketAddr, u64)> {
        self.asked
            .iter()
            .filter(|(mirror, _, at)| mirrors.contains(mirror) && at.elapsed() < LASTS)
            .map(|(mirror, nonce, _)| (*mirror, *nonce))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_each_mirror_once() {
        let mirrors = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let places = mirrors.each_ref().map(|mirror| mirror.local_addr().unwrap());
        // For both families, as a process has it, where the machine has both.
        let io = socket::bind("[::]:0".parse().unwrap())
            .or_else(|_| socket::bind("0.0.0.0:0".parse().unwrap()))
            .unwrap();
        let mut look = Look::default();
        look.ask(&io, &places[..1]);
        look.ask(&io, &places);
        let asked: Vec<_> = look.asked(&places).collect();
        assert_eq!(asked.iter().map(|(mirror, _)| *mirror).collect::<Vec<_>>(), places);
        assert_eq!(look.asked(&places[1..]).collect::<Vec<_>>(), asked[1..]);
        for (mirror, (_, nonce)) in mirrors.iter().zip(asked) {
            let mut bytes = [0; mirror::REQUEST + 1];
            let (length, from) = mirror.recv_from(&mut bytes).unwrap();
            assert_eq!(bytes[..length], mirror::request(nonce));
            assert_eq!(from.port(), io.local_addr().unwrap().port());
            mirror.set_nonblocking(true).unwrap();
            assert!(mirror.recv_from(&mut bytes).is_err());
        }
    }
}

//! Signs of life on encrypted links.
//!
//! On others the kernel finds out whether the peer's machine lives ([`tune`](super::begin::tune)),
//! and that is enough: what arrives can be read. Here it is not. Through the relay the kernel would
//! only find out about the relay. And the length of a TLS record is proved by its end alone: if it
//! is damaged on its way, the record takes in all that follows, and nobody would ever say so. So
//! both sides say something at regular times, and who hears nothing for as long as a peer may be
//! silent gives the link up.

use super::link::TcpLink;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

/// Beats within the time that a peer may be silent. One less without a word ends the link, so that
/// this comes about within it.
const BEATS: u32 = 5;

/// Says and listens for signs of life until the link is dead.
pub(super) async fn watch_over(link: Weak<TcpLink>, silent: Duration) {
    let (mut last, mut missed) = (None, 0);
    loop {
        tokio::time::sleep(silent / BEATS).await;
        let Some(link) = link.upgrade() else { return };
        let Some(heard) = link.heard() else { return };
        if last.replace(heard) == Some(heard) {
            missed += 1;
        } else {
            missed = 0;
        }
        if !link.beat(missed + 1 >= BEATS) {
            return;
        }
    }
}

/// Begins to watch over a link.
pub(super) fn start(link: &Arc<TcpLink>, silent: Duration) {
    actix_rt::spawn(watch_over(Arc::downgrade(link), silent));
}

//! What a link goes through without a loss, and what it does not.

use super::{Kind, Process, Rank, SECRET, bounded, letter, pair};
use crate::proxy::Proxy;
use futures::future::join;
use std::time::Duration;

const PATIENT: Duration = Duration::from_secs(20);

/// Trouble on the way.
#[derive(Clone, Copy)]
enum Trouble {
    Reset,
    /// Nothing goes through for a while, then a reset.
    Hole,
    Flip,
}

impl Trouble {
    async fn make(self, proxies: &[Proxy; 2]) {
        match self {
            Self::Reset => cut(proxies),
            Self::Hole => {
                proxies.iter().for_each(|proxy| proxy.hold(true));
                // What is in flight piles up; how much of it does not matter.
                tokio::time::sleep(Duration::from_millis(200)).await;
                cut(proxies);
                proxies.iter().for_each(|proxy| proxy.hold(false));
            }
            Self::Flip => {
                proxies.iter().for_each(|proxy| proxy.flip(100_000));
            }
        }
    }
}

/// Sends messages from 0 to 1, with trouble again and again; none is lost, doubled or out of order.
async fn stream(kind: Kind, trouble: Trouble, count: u64, len: usize) {
    let ([sender, receiver], proxies) = pair(kind, PATIENT);
    let send = async {
        for number in 0..count {
            sender.put(1, letter(number, len)).await.unwrap();
        }
        sender.flushed().await;
    };
    let receive = async {
        for number in 0..count {
            // By whoever receives: the sender cannot get further ahead than its credit goes, so
            // there is always something that the trouble meets.
            if (1..=5).any(|at| number == count * at / 6) {
                trouble.make(&proxies).await;
            }
            let message = receiver.take(0).await.unwrap();
            assert!(message == letter(number, len), "message {number} is another");
        }
    };
    bounded(join(send, receive)).await;
    if matches!(trouble, Trouble::Flip) {
        assert!(proxies.iter().any(|proxy| proxy.flips() > 0), "nothing was flipped");
    }
}

/// A record that is longer than it is, for all that its receiver can know: it waits for the rest,
/// which never comes, and TCP has nothing to complain of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_the_length_of_a_record_breaks_an_encrypted_link() {
    let ([sender, receiver], proxies) = pair(Kind::Encrypted, Duration::from_secs(2));
    for number in 0..2 {
        sender.put(1, letter(number, 100)).await.unwrap();
        assert!(receiver.take(0).await.unwrap() == letter(number, 100));
        sender.flushed().await;
        // A record begins with its type (1 byte), a version (2) and its length (2). Nothing is on
        // its way, so the next to come begins with the beginning of one.
        proxies.iter().filter(|proxy| proxy.flips() == 0).for_each(|proxy| proxy.flip(3));
    }
    sender.put(1, letter(2, 100)).await.unwrap();
    assert!(receiver.take(0).await.unwrap() == letter(2, 100));
    sender.flushed().await;
    assert!(proxies.iter().any(|proxy| proxy.flips() > 0), "nothing was flipped");
}

/// The proof of the token is false if a bit of it is. That is no reason to give up for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_the_greeting_is_no_wrong_token() {
    // From the first byte of the greeting to behind its last.
    for after in (0..400).step_by(40) {
        let ([sender, receiver], proxies) = pair(Kind::Checked, PATIENT);
        proxies.iter().for_each(|proxy| proxy.flip(after));
        let put = async {
            sender.put(1, letter(1, 1000)).await.unwrap();
            sender.flushed().await;
        };
        let (message, ()) = bounded(join(receiver.take(0), put)).await;
        assert!(message.unwrap() == letter(1, 1000), "flipped after {after}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_messages_survive_resets() {
    stream(Kind::Plain, Trouble::Reset, 100_000, 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_messages_survive_a_hole() {
    stream(Kind::Plain, Trouble::Hole, 100_000, 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_encrypted_messages_survive_a_hole() {
    stream(Kind::Encrypted, Trouble::Hole, 100_000, 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transfer_survives_a_hole() {
    stream(Kind::Plain, Trouble::Hole, 24, 8 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_encrypted_transfer_survives_resets() {
    stream(Kind::Encrypted, Trouble::Reset, 24, 8 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_breaks_a_checked_link_and_nothing_else() {
    stream(Kind::Checked, Trouble::Flip, 300, 50_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_breaks_a_checked_link_of_small_messages() {
    stream(Kind::Checked, Trouble::Flip, 60_000, 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_breaks_an_encrypted_link_and_nothing_else() {
    stream(Kind::Encrypted, Trouble::Flip, 300, 50_000).await;
}

/// A cut that outlasts patience: both sides end with an error that names the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_cut_is_an_error_on_both_sides() {
    for kind in [Kind::Plain, Kind::Encrypted] {
        let ([one, other], proxies) = pair(kind, Duration::from_secs(2));
        one.put(1, letter(1, 100)).await.unwrap();
        other.take(0).await.unwrap();
        one.flushed().await;
        proxies.iter().for_each(|proxy| proxy.hold(true));
        cut(&proxies);
        let (of_other, of_one) = bounded(join(one.loss(1), other.loss(0))).await;
        for (reason, proxy) in [(of_other, &proxies[1]), (of_one, &proxies[0])] {
            assert!(reason.contains(&proxy.address().to_string()), "{kind:?}: {reason}");
        }
    }
}

/// A rank that was started again has another incarnation. What was meant for the old one, and is
/// sent again to whoever listens there now, does not reach it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_rank_gets_nothing_of_the_old_ones() {
    let mut sender = Process::new(0, Kind::Plain, SECRET);
    // The new one may dial, too.
    let back = Proxy::to(sender.channel.local_addr());
    sender.reached_at(back.address());
    let old = Process::new(1, Kind::Plain, SECRET);
    let mut heir = Process::new(1, Kind::Plain, SECRET);
    let way = Proxy::to(heir.channel.local_addr());
    // The sender believes that the old one lives where the new one does.
    let mut believed = old.member.clone();
    believed.addresses = vec![("tcp".to_owned(), way.address().to_string())];
    heir.member.incarnation = 4;
    let known = [sender.member.clone(), heir.member.clone()];
    let members = [sender.member.clone(), believed];
    let sender: Rank = sender.start(&members, PATIENT);
    let heir = heir.start(&known, PATIENT);
    let stale = letter(1, 1000);
    sender.put(1, stale.clone()).await.unwrap();
    // Sent over one link after another.
    let gone_by = async {
        for copies in 1..=3 {
            let heard = || count(&way.heard()[0], &stale) + count(&back.heard()[1], &stale);
            while heard() < copies {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            way.cut();
            back.cut();
        }
    };
    bounded(gone_by).await;
    // Its own, from itself: the first thing that it gets.
    heir.put(1, letter(2, 10)).await.unwrap();
    let filter = fmi_actors::mailbox::Filter { source: None, tag: None };
    let space = fmi_actors::frame::Space::messages(super::SCOPE);
    let first = bounded(heir.endpoint.recv(space, filter)).await.unwrap();
    assert_eq!(first.source, 1);
}

fn cut(proxies: &[Proxy; 2]) {
    for proxy in proxies {
        proxy.cut();
    }
}

fn count(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).filter(|window| *window == part).count()
}

//! Links through the relay: what the server sees, and how they end.

use super::{Rank, bounded, contains, letter, met, proxy::Proxy};
use fmi_actors::{Settings, channel::Rung};
use futures::future::join;
use std::{sync::Arc, time::Duration};

fn pair(silent: Duration) -> (Proxy, [Rank; 2]) {
    let settings = Settings { silent, ..Settings::default() };
    let (proxy, nodes) = met::nodes(&[1, 1], &settings);
    let mut ranks = (0..).zip(nodes).map(|(rank, node)| Rank::of(node, rank, 2));
    (proxy, [ranks.next().unwrap(), ranks.next().unwrap()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_sees_ciphertext() {
    let (proxy, [one, other]) = pair(Duration::from_secs(10));
    one.put(1, letter(1, 2 << 20)).await.unwrap();
    assert!(other.take(0).await.unwrap() == letter(1, 2 << 20));
    let peer = one.node.route(1).unwrap();
    assert_eq!(peer.link().unwrap().rung(), Rung::Relay);
    let heard = proxy.heard().concat();
    assert!(heard.len() > 2 << 20);
    assert!(!contains(&heard, b"a letter that nobody else may read"));
}

/// Nobody says anything; both sides give signs of life, and the link stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_link_lives() {
    let (proxy, [one, other]) = pair(Duration::from_secs(1));
    one.put(1, letter(1, 10)).await.unwrap();
    other.take(0).await.unwrap();
    one.flushed().await;
    let link = one.node.route(1).unwrap().link().unwrap();
    let heard = || proxy.heard().map(|bytes| bytes.len());
    let before = heard();
    let beats = async {
        // Many more signs than may be missed; each has a header's length at least.
        while heard().iter().zip(&before).any(|(now, before)| now - before < 12 * 64) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    bounded(beats).await;
    assert!(Arc::ptr_eq(&link, &one.node.route(1).unwrap().link().unwrap()));
}

/// The way goes dead without a word, which no kernel notices: its own half of it lives. Both
/// sides find out by themselves, though neither sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_that_goes_dead_is_noticed_on_both_sides() {
    let (proxy, [one, other]) = pair(Duration::from_secs(1));
    one.put(1, letter(1, 10)).await.unwrap();
    other.take(0).await.unwrap();
    one.flushed().await;
    proxy.hold(true);
    let (of_other, of_one) = bounded(join(one.loss(1), other.loss(0))).await;
    assert!(of_other.contains("relay") && of_one.contains("relay"), "{of_other}; {of_one}");
}

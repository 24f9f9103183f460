//! Two processes that reach each other through the rendezvous alone.

use std::time::Duration;

use fmi_channels::{
    handshake::Token,
    rendezvous::{Client, Options, relay},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Bed, bounded, closed, given};

async fn pair(bed: &Bed, job: &str) -> (Client, Client) {
    let one = bed.join(given(job, 2, &[0])).await.unwrap();
    let two = bed.join(given(job, 2, &[1])).await.unwrap();
    one.complete().await.unwrap();
    two.complete().await.unwrap();
    (one, two)
}

async fn half(from: &Client, to: &Client, ticket: relay::Ticket) -> std::io::Result<TcpStream> {
    let (own, peer) = (from.registered(), to.registered());
    relay::join(from.outside(), own.epoch, own.process, peer.process, ticket).await
}

async fn joined(one: &Client, two: &Client) -> (TcpStream, TcpStream) {
    let ticket = relay::ticket().unwrap();
    let (one, two) = tokio::join!(half(one, two, ticket), half(two, one, ticket));
    (one.unwrap(), two.unwrap())
}

#[tokio::test]
async fn bytes_and_ends_pass_both_ways() {
    bounded(async {
        let bed = Bed::new().await;
        let (one, two) = pair(&bed, "app").await;
        let (mut near, mut far) = joined(&one, &two).await;
        // More than all buffers on the way.
        let large: Vec<u8> = (0..20_000_000u32).map(|n| (n % 251) as u8).collect();
        let mut got = Vec::new();
        let write = async {
            near.write_all(&large).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let read = async { far.read_to_end(&mut got).await.unwrap() };
        tokio::join!(write, read);
        assert!(got == large);
        // One way has ended; the other has not.
        far.write_all(b"goodbye").await.unwrap();
        far.shutdown().await.unwrap();
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"goodbye");
    })
    .await;
}

#[tokio::test]
async fn relays_of_one_pair_are_kept_apart() {
    bounded(async {
        let bed = Bed::new().await;
        let (one, two) = pair(&bed, "app").await;
        let (mut a, mut b) = joined(&one, &two).await;
        let (mut c, mut d) = joined(&one, &two).await;
        a.write_all(b"a").await.unwrap();
        c.write_all(b"c").await.unwrap();
        assert_eq!((b.read_u8().await.unwrap(), d.read_u8().await.unwrap()), (b'a', b'c'));
        drop(a);
        closed(&mut b).await;
        c.write_all(b"still").await.unwrap();
        let mut five = [0; 5];
        d.read_exact(&mut five).await.unwrap();
        assert_eq!(&five, b"still");
    })
    .await;
}

#[tokio::test]
async fn strangers_are_refused() {
    bounded(async {
        let bed = Bed::new().await;
        let (one, two) = pair(&bed, "app").await;
        let ticket = relay::ticket().unwrap();
        let (epoch, own, peer) =
            (one.registered().epoch, one.registered().process, two.registered().process);
        for (epoch, own, peer) in
            [(epoch + 1, own, peer), (epoch, own, 77), (epoch, 77, peer), (epoch, own, own)]
        {
            let error = relay::join(one.outside(), epoch, own, peer, ticket).await.unwrap_err();
            assert!(error.to_string().contains("is not registered here"), "{error}");
        }
        let mut outside = one.outside().clone();
        outside.token = Token::new("another");
        let error = relay::join(&outside, epoch, own, peer, ticket).await.unwrap_err();
        assert!(error.to_string().contains("another token"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn no_more_relays_than_allowed() {
    bounded(async {
        let bed = Bed::with(Options { relays_per_job: 1, ..Options::default() }).await;
        let (one, two) = pair(&bed, "app").await;
        let (three, four) = pair(&bed, "other").await;
        let (near, mut far) = joined(&one, &two).await;
        let error = half(&one, &two, relay::ticket().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("too many relayed links"), "{error}");
        drop(joined(&three, &four).await);
        drop(near);
        closed(&mut far).await;
        drop(far);
        // Its place is free again as soon as the server has noticed.
        loop {
            let ticket = relay::ticket().unwrap();
            match tokio::join!(half(&one, &two, ticket), half(&two, &one, ticket)) {
                (Ok(_), Ok(_)) => break,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_silent_relay_ends() {
    bounded(async {
        let relay_idle = Duration::from_millis(50);
        let bed = Bed::with(Options { relay_idle, ..Options::default() }).await;
        let (one, two) = pair(&bed, "app").await;
        let (mut near, mut far) = joined(&one, &two).await;
        closed(&mut near).await;
        closed(&mut far).await;
    })
    .await;
}

#[tokio::test]
async fn who_waits_is_let_go_when_the_rendezvous_ends() {
    bounded(async {
        let bed = Bed::new().await;
        let (one, two) = pair(&bed, "app").await;
        let waits = half(&one, &two, relay::ticket().unwrap());
        let (waited, ()) = tokio::join!(waits, async {
            // Only when it is there is there somebody to be let go.
            while bed.relays() == 0 {
                tokio::task::yield_now().await;
            }
            bed.stop().await;
        });
        assert!(waited.is_err());
    })
    .await;
}

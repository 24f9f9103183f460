//! Who hears of whose end.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use fmi_actors::{Error, Reason, codec};
use fmi_channels::{
    handshake::{self, Purpose, Token},
    rendezvous::{Client, Event, MirrorPorts, Options, Registered},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use super::{Bed, JOIN, SECRET, bounded, closed, event, frame, given, register};

#[tokio::test]
async fn ranks_that_never_come_are_named() {
    bounded(async {
        let bed = Bed::new().await;
        let token = Token::new(SECRET);
        let after = Duration::from_millis(800);
        let one = Client::connect(&bed.address, &token, given("app", 40, &[0, 2]), after);
        let error = one.await.unwrap().complete().await.unwrap_err();
        let missing = [1].into_iter().chain(3..18).collect();
        assert_eq!(error, Error::Missing { job: "app".to_owned(), missing, size: 40, after });
    })
    .await;
}

#[tokio::test]
async fn process_that_dies_while_joining_can_come_again() {
    bounded(async {
        let bed = Bed::new().await;
        let one = bed.join(given("app", 3, &[0])).await.unwrap();
        drop(bed.join(given("app", 3, &[1])).await.unwrap());
        // Its end is noticed within a moment; until then its rank is taken.
        let again = loop {
            match bed.join(given("app", 3, &[1, 2])).await {
                Err(Error::RankTaken { rank: 1, .. }) => tokio::task::yield_now().await,
                other => break other.unwrap(),
            }
        };
        assert_eq!(again.registered().incarnation, 1);
        let members = one.complete().await.unwrap();
        assert_eq!((members.len(), members[1].incarnation), (2, 1));
    })
    .await;
}

#[tokio::test]
async fn dead_process_is_reported_at_once() {
    bounded(async {
        let bed = Bed::new().await;
        let one = bed.join(given("app", 3, &[0])).await.unwrap();
        let two = bed.join(given("app", 3, &[1, 2])).await.unwrap();
        one.complete().await.unwrap();
        let process = two.registered().process;
        drop(two);
        let start = Instant::now();
        let gone = Event::Gone { process, ranks: vec![1, 2], reason: Reason::Died };
        assert_eq!(event(&one).await, Some(gone));
        // Long before the term of silence.
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    })
    .await;
}

#[tokio::test]
async fn silent_process_is_gone_and_beating_ones_are_not() {
    bounded(async {
        let silent = Duration::from_millis(800);
        let bed = Bed::with(Options { silent, ..Options::default() }).await;
        let one = bed.join(given("app", 3, &[0])).await.unwrap();
        let two = bed.join(given("app", 3, &[1])).await.unwrap();
        let mut mute = bed.raw().await;
        mute.write_all(&register(&given("app", 3, &[2]))).await.unwrap();
        let members = one.complete().await.unwrap();
        let process = members[2].process;
        let gone = Event::Gone { process, ranks: vec![2], reason: Reason::Died };
        assert_eq!(event(&one).await, Some(gone.clone()));
        assert_eq!(event(&two).await, Some(gone));
        closed(&mut mute).await;
        // The others have beaten for longer than the term and hear nothing of each other.
        assert!(timeout(silent * 3 / 2, one.event()).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn process_that_does_not_read_is_dropped() {
    bounded(async {
        let silent = Duration::from_millis(500);
        let bed = Bed::with(Options { silent, ..Options::default() }).await;
        let one = bed.join(given("app", 2, &[0])).await.unwrap();
        let mut deaf = bed.raw().await;
        deaf.write_all(&register(&given("app", 2, &[1]))).await.unwrap();
        one.complete().await.unwrap();
        // Ever new questions, no answer read: the server stops reading, then gives up.
        let questions = frame(&[1]).repeat(10_000);
        while deaf.write_all(&questions).await.is_ok() {}
        assert!(matches!(event(&one).await, Some(Event::Gone { .. })));
    })
    .await;
}

#[tokio::test]
async fn leaving_is_not_dying() {
    bounded(async {
        let bed = Bed::new().await;
        let one = bed.join(given("app", 2, &[0])).await.unwrap();
        let two = bed.join(given("app", 2, &[1])).await.unwrap();
        two.complete().await.unwrap();
        two.leave().await;
        two.leave().await;
        assert_eq!(two.event().await, None);
        let process = two.registered().process;
        assert_eq!(event(&one).await, Some(Event::Left { process, ranks: vec![1] }));
    })
    .await;
}

#[tokio::test]
async fn first_abort_reaches_all_others_and_survives_a_quick_end() {
    bounded(async {
        let bed = Bed::new().await;
        let one = bed.join(given("app", 3, &[0])).await.unwrap();
        let two = bed.join(given("app", 3, &[1])).await.unwrap();
        let three = bed.join(given("app", 3, &[2])).await.unwrap();
        one.complete().await.unwrap();
        let reason = Reason::Panicked("index out of bounds".to_owned());
        three.abort(2, reason.clone());
        drop(three);
        let abort = Some(Event::Abort { rank: 2, reason });
        assert_eq!(event(&one).await, abort);
        assert_eq!(event(&two).await, abort);
        assert!(matches!(event(&one).await, Some(Event::Gone { .. })));
        // A second cause is not relayed.
        two.abort(1, Reason::Failed("consequence".to_owned()));
        two.leave().await;
        assert!(matches!(event(&one).await, Some(Event::Left { .. })));
    })
    .await;
}

#[tokio::test]
async fn abort_while_joining_ends_the_wait() {
    bounded(async {
        let bed = Bed::new().await;
        let one = bed.join(given("app", 3, &[0])).await.unwrap();
        let two = bed.join(given("app", 3, &[1])).await.unwrap();
        let reason = Reason::Failed("no such file".to_owned());
        two.abort(1, reason.clone());
        let lost = Error::RankLost { rank: 1, reason: reason.clone() };
        assert_eq!(one.complete().await.unwrap_err(), lost);
        assert_eq!(event(&one).await, Some(Event::Abort { rank: 1, reason }));
        // Who comes later learns it too.
        let three = bed.join(given("app", 3, &[2])).await.unwrap();
        assert_eq!(three.complete().await.unwrap_err(), lost);
    })
    .await;
}

#[tokio::test]
async fn job_goes_on_without_the_rendezvous() {
    bounded(async {
        let bed = Bed::new().await;
        let one = bed.join(given("app", 2, &[0])).await.unwrap();
        let two = bed.join(given("app", 2, &[1])).await.unwrap();
        let members = one.complete().await.unwrap();
        let early = bed.join(given("other", 2, &[0])).await.unwrap();
        two.abort(1, Reason::Dropped);
        let abort = Event::Abort { rank: 1, reason: Reason::Dropped };
        assert_eq!(event(&one).await, Some(abort));
        let address = bed.address.clone();
        bed.stop().await;
        // Once, and nobody is reported gone.
        assert_eq!(event(&one).await, Some(Event::RendezvousLost));
        assert_eq!(one.event().await, None);
        assert_eq!(one.complete().await.unwrap(), members);
        one.abort(0, Reason::Dropped);
        one.leave().await;
        // Who was still joining cannot go on.
        let error = early.complete().await.unwrap_err();
        let reason = "it closed the connection".to_owned();
        assert_eq!(error, Error::Rendezvous { address, reason });
    })
    .await;
}

#[tokio::test]
async fn rendezvous_that_hangs_is_lost_after_its_term() {
    bounded(async {
        // Answers the registration, then nothing: like a machine without power.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hanging = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let token = Token::new(SECRET);
            let reply = |_: &[u8]| Ok(Vec::new());
            handshake::accept(&mut stream, Purpose::Rendezvous, &token, reply, "").await.unwrap();
            let length = stream.read_u32_le().await.unwrap();
            stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
            let registered = Registered {
                process: 0,
                epoch: 1,
                incarnation: 0,
                ranks: vec![0],
                size: 2,
                observed: (Ipv4Addr::LOCALHOST, 1).into(),
                mirrors: MirrorPorts::default(),
                silent: Duration::from_millis(200),
            };
            let answer = frame(&codec::encode(&(0u8, registered)).unwrap());
            stream.write_all(&answer).await.unwrap();
            stream
        });
        let token = Token::new(SECRET);
        let client = Client::connect(&address, &token, given("app", 2, &[0]), JOIN).await.unwrap();
        assert_eq!(event(&client).await, Some(Event::RendezvousLost));
        let reason = "it said nothing for 200ms".to_owned();
        assert_eq!(client.complete().await.unwrap_err(), Error::Rendezvous { address, reason });
        drop(hanging);
    })
    .await;
}

//! Who is refused, and what harms nobody.

use std::{cell::RefCell, fmt::Write as _, sync::Once, time::Duration};

use fmi_actors::{Error, Reason};
use fmi_channels::{
    handshake::{self, Purpose, Token},
    rendezvous::{Client, Event, Options, Server},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use super::{Bed, JOIN, SECRET, any, bounded, closed, event, frame, given, register};

#[tokio::test]
async fn rank_beyond_the_size() {
    bounded(async {
        let bed = Bed::new().await;
        let error = bed.join(given("app", 4, &[4])).await.unwrap_err();
        assert_eq!(error, Error::RankOutOfRange { operation: "join", rank: 4, size: 4 });
    })
    .await;
}

#[tokio::test]
async fn two_processes_with_one_rank() {
    bounded(async {
        let bed = Bed::new().await;
        let taken = Error::RankTaken { rank: 1, job: "app".to_owned() };
        let one = bed.join(given("app", 3, &[1])).await.unwrap();
        assert_eq!(bed.join(given("app", 3, &[0, 1])).await.unwrap_err(), taken);
        // Also when the job is complete.
        let two = bed.join(given("app", 3, &[0, 2])).await.unwrap();
        one.complete().await.unwrap();
        assert_eq!(bed.join(given("app", 3, &[1])).await.unwrap_err(), taken);
        // When its process is gone from the complete job, the rank is free in the next epoch,
        // and only that one.
        drop(one);
        assert!(matches!(event(&two).await, Some(Event::Gone { .. })));
        let other = Error::RankTaken { rank: 2, job: "app".to_owned() };
        assert_eq!(bed.join(given("app", 3, &[2])).await.unwrap_err(), other);
        let next = bed.join(given("app", 3, &[1])).await.unwrap();
        assert_ne!(next.registered().epoch, two.registered().epoch);
        assert_eq!(bed.join(given("app", 3, &[1])).await.unwrap_err(), taken);
    })
    .await;
}

#[tokio::test]
async fn sizes_that_differ() {
    bounded(async {
        let bed = Bed::new().await;
        let _one = bed.join(given("app", 3, &[1])).await.unwrap();
        let error = bed.join(given("app", 4, &[0])).await.unwrap_err();
        assert_eq!(error, Error::SizeMismatch { job: "app".to_owned(), ours: 4, theirs: 3 });
    })
    .await;
}

#[tokio::test]
async fn size_that_nobody_says() {
    bounded(async {
        let bed = Bed::new().await;
        let token = Token::new(SECRET);
        let deadline = Duration::from_millis(800);
        let error = Client::connect(&bed.address, &token, any("app", None, 1), deadline).await;
        assert_eq!(
            error.unwrap_err(),
            Error::Rendezvous {
                address: bed.address.clone(),
                reason: "job \"app\": no process has said how many ranks the job has: \
                         set FMI_SIZE (tried for 800ms)"
                    .to_owned()
            }
        );
        // Said later, it is taken over.
        let late = async {
            tokio::task::yield_now().await;
            bed.join(given("app", 2, &[0])).await.unwrap()
        };
        let (early, late) = tokio::join!(bed.join(any("app", None, 1)), late);
        assert_eq!(early.unwrap().complete().await.unwrap(), late.complete().await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn wrong_token_is_named_and_harms_nobody() {
    bounded(async {
        let bed = Bed::new().await;
        let one = bed.join(given("app", 2, &[0])).await.unwrap();
        let wrong = Token::new("guess");
        let error = Client::connect(&bed.address, &wrong, given("app", 2, &[1]), JOIN).await;
        let at = format!("rendezvous {}", bed.address);
        assert_eq!(error.unwrap_err(), Error::WrongToken { at });
        let _two = bed.join(given("app", 2, &[1])).await.unwrap();
        one.complete().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn limits_are_refusals() {
    bounded(async {
        let bed = Bed::with(Options { ranks: 100, jobs: 1, ..Options::default() }).await;
        let reason = |error| match error {
            Err(Error::Rendezvous { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            reason(bed.join(given("app", 101, &[0])).await),
            "job \"app\": too many ranks in a job: this rendezvous takes at most 100"
        );
        let _one = bed.join(given("app", 2, &[0])).await.unwrap();
        assert_eq!(
            reason(bed.join(given("other", 2, &[0])).await),
            "job \"other\": too many jobs: this rendezvous takes at most 1"
        );
        assert_eq!(
            reason(bed.join(any("app", Some(2), 2)).await),
            "job \"app\": the job is full: 1 of 2 ranks are free, 2 are wanted"
        );
        // Larger than any message may be: the client says so itself.
        let ranks = (0..400_000).map(|rank| rank + 100_000).collect::<Vec<_>>();
        assert!(reason(bed.join(given("app", 2, &ranks)).await).contains("at most 1048576"));
    })
    .await;
}

/// Every kind of nonsense at once, while a job joins and lives on.
#[tokio::test]
async fn garbage_is_dropped_and_others_are_unharmed() {
    record_log();
    bounded(async {
        let bed =
            Bed::with(Options { handshake: Duration::from_millis(1000), ..Options::default() })
                .await;
        let address = bed.address.strip_prefix("tcp://").unwrap();
        let one = bed.join(given("app", 2, &[0])).await.unwrap();

        let mut dropped = Vec::new();
        let greeting = [&b"FMI1\x01"[..], &[7; 32]].concat();
        for input in [
            b"GET / HTTP/1.1\r\nHost: here\r\n\r\n".to_vec(),
            vec![0xff; 100_000],
            u64::MAX.to_le_bytes().to_vec(),
            b"FMI9".to_vec(),
            b"FM".to_vec(),
            greeting[..20].to_vec(),
            [&greeting[..], &u64::MAX.to_le_bytes()].concat(),
            [&greeting[..], &[200, 0, 0, 0, 1, 2, 3]].concat(),
            // A hello with a forged proof.
            [&greeting[..], &[0; 4], &[9; 32]].concat(),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(&input).await;
            dropped.push(stream);
        }
        let huge = [&[3, 0, 2, 0xfd][..], &[0xff; 8]].concat();
        let registered = register(&given("app", 2, &[1]));
        for input in [
            u64::MAX.to_le_bytes().to_vec(),
            vec![0xff; 64],
            frame(&[]),
            frame(&[99, 1, 2, 3]),
            frame(&[2]),
            // Truncated, then nothing more.
            registered[..registered.len() / 2].to_vec(),
            // A string of u64::MAX bytes instead of a job's name; two registrations; and a
            // forged length in a later request.
            frame(&[&[0, 0xfd][..], &[0xff; 8], b"x"].concat()),
            [register(&given("a", 2, &[0])), register(&given("a", 2, &[1]))].concat(),
            [register(&given("b", 2, &[0])), frame(&huge)].concat(),
            [register(&given("c", 2, &[0])), vec![0xff; 9]].concat(),
        ] {
            let mut stream = bed.raw().await;
            let _ = stream.write_all(&input).await;
            dropped.push(stream);
        }

        let two = bed.join(given("app", 2, &[1])).await.unwrap();
        assert_eq!(one.complete().await.unwrap(), two.complete().await.unwrap());
        let count = dropped.len();
        for mut stream in dropped {
            closed(&mut stream).await;
        }
        let text = LOG.take();
        let warned = |line: &&str| line.starts_with("WARN") && line.contains("peer=");
        assert_eq!(text.lines().filter(warned).count(), count, "{text}");
        two.abort(1, Reason::Dropped);
        assert_eq!(
            event(&one).await,
            Some(Event::Abort { rank: 1, reason: Reason::Dropped }),
            "the job lives on"
        );
    })
    .await;
}

#[tokio::test]
async fn those_who_say_nothing_cannot_keep_others_out() {
    bounded(async {
        let bed = Bed::with(Options {
            handshake: Duration::from_millis(100),
            unauthenticated: 2,
            ..Options::default()
        })
        .await;
        let address = bed.address.strip_prefix("tcp://").unwrap();
        let mut slow = Vec::new();
        for _ in 0..6 {
            slow.push(TcpStream::connect(address).await.unwrap());
        }
        // They are before this one in the queue, two at a time.
        let client = bed.join(given("app", 1, &[0])).await.unwrap();
        client.complete().await.unwrap();
        for stream in &mut slow {
            closed(stream).await;
        }
    })
    .await;
}

#[tokio::test]
async fn something_else_on_the_port_is_told_apart() {
    bounded(async {
        let token = Token::new(SECRET);
        for (speaks_fmi, expected) in [
            (false, "it does not speak fmi's protocol"),
            (true, "it is for a Link, not for a Rendezvous"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let other = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let token = Token::new(SECRET);
                if speaks_fmi {
                    let reply = |_: &[u8]| Ok(Vec::new());
                    let _ = handshake::accept(&mut stream, Purpose::Link, &token, reply, "").await;
                } else {
                    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
                    closed(&mut stream).await;
                }
            });
            let error = Client::connect(&address, &token, given("app", 1, &[0]), JOIN).await;
            let reason = expected.to_owned();
            assert_eq!(error.unwrap_err(), Error::Rendezvous { address, reason });
            other.await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn port_in_use() {
    bounded(async {
        let bed = Bed::new().await;
        let error = Server::bind(&bed.address, Token::new(SECRET), Options::default()).await;
        let Err(Error::Listen { address, reason }) = error else { panic!("{error:?}") };
        assert_eq!(address, bed.address);
        assert!(reason.contains("in use"), "{reason}");
        let error = Server::bind("nonsense", Token::new(SECRET), Options::default()).await;
        assert!(matches!(error, Err(Error::Listen { .. })));
    })
    .await;
}

#[tokio::test]
async fn token_is_in_no_log() {
    record_log();
    bounded(async {
        let bed = Bed::new().await;
        let client = bed.join(given("app", 1, &[0])).await.unwrap();
        client.complete().await.unwrap();
        tracing::info!(?client, "the client");
        let wrong = Token::new("a wrong guess");
        let error = Client::connect(&bed.address, &wrong, given("app", 1, &[0]), JOIN).await;
        tracing::error!(?error, "{}", error.as_ref().unwrap_err());
        client.leave().await;
        bed.stop().await;
    })
    .await;
    let text = LOG.take();
    for expected in ["rendezvous listens", "job is complete", "job has ended", "another token"] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
    assert!(!text.contains(SECRET) && !text.contains("a wrong guess"), "{text}");
}

thread_local! {
    /// What this test's thread has logged: server and client run on it.
    static LOG: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Starts a new log for this thread.
fn record_log() {
    // For all threads, because a subscriber of one thread alone is not asked about a line that
    // another thread reaches first.
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
    LOG.take();
}

struct Log;

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Visitor<'a>(&'a mut String);

        impl tracing::field::Visit for Visitor<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                let _ = write!(self.0, "{field}={value:?} ");
            }
        }

        let mut text = format!("{} ", event.metadata().level());
        event.record(&mut Visitor(&mut text));
        LOG.with_borrow_mut(|log| log.push_str(&(text + "\n")));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

//! The model that one process brings and all take.

use std::time::Duration;

use fmi_actors::Error;
use fmi_channels::{
    directory::Membership,
    rendezvous::{Client, Event, MAX_MODEL, Registration},
};
use tokio::io::AsyncWriteExt;

use super::{Bed, bounded, closed, event, given, register, rejoining::again};

fn with(model: &str, registration: Registration) -> Registration {
    Registration { model: model.to_owned(), ..registration }
}

/// What this process is told of it.
async fn told(client: &Client) -> String {
    let formed = Membership::complete(client).await.unwrap();
    assert_eq!(formed.model, client.model());
    formed.model.as_ref().to_owned()
}

#[tokio::test]
async fn all_take_that_of_the_first_who_has_one() {
    bounded(async {
        let bed = Bed::new().await;
        let mut clients = Vec::new();
        for (rank, model) in ["", "first", "second", "first", ""].into_iter().enumerate() {
            let registration = given("app", 5, &[rank as u32]);
            clients.push(bed.join(with(model, registration)).await.unwrap());
        }
        for client in &clients {
            assert_eq!(told(client).await, "first");
        }
        let alone = bed.join(given("other", 1, &[0])).await.unwrap();
        assert_eq!(told(&alone).await, "");
    })
    .await;
}

#[tokio::test]
async fn who_leaves_before_all_are_there_has_none() {
    bounded(async {
        let bed = Bed::new().await;
        let join = |rank, model| bed.join(with(model, given("app", 3, &[rank])));
        let left = join(0, "left").await.unwrap();
        let one = join(1, "stays").await.unwrap();
        assert_eq!(*one.model(), *"", "not yet");
        left.leave().await;
        let (two, three) = (join(2, "late").await.unwrap(), join(0, "left").await.unwrap());
        for client in [one, two, three] {
            assert_eq!(told(&client).await, "stays");
        }
    })
    .await;
}

#[tokio::test]
async fn one_that_is_too_long_is_refused_and_disturbs_nobody() {
    bounded(async {
        let bed = Bed::new().await;
        let longest = "m".repeat(MAX_MODEL);
        let one = bed.join(with(&longest, given("app", 2, &[0]))).await.unwrap();
        let long = with(&"x".repeat(MAX_MODEL + 1), given("app", 2, &[1]));
        let error = bed.join(long.clone()).await.unwrap_err();
        let reason = "the model of this process has 65537 bytes, at most 65536 are allowed: \
                      shorten the profile";
        let address = bed.address.clone();
        assert_eq!(error, Error::Rendezvous { address, reason: reason.to_owned() });
        // Of a process that does not look itself.
        let mut raw = bed.raw().await;
        raw.write_all(&register(&long)).await.unwrap();
        closed(&mut raw).await;

        let two = bed.join(given("app", 2, &[1])).await.unwrap();
        assert_eq!((told(&one).await, told(&two).await), (longest.clone(), longest));
    })
    .await;
}

#[tokio::test]
async fn the_next_epoch_has_that_of_its_own_first() {
    bounded(async {
        let bed = Bed::new().await;
        let mut old = Vec::new();
        for (rank, model) in ["zero", "one", "two"].into_iter().enumerate() {
            let registration = given("app", 3, &[rank as u32]);
            old.push(bed.join(with(model, registration)).await.unwrap());
        }
        assert_eq!(told(&old[2]).await, "zero");
        drop(old.remove(0));
        for client in &old {
            assert!(matches!(event(client).await, Some(Event::Gone { .. })));
        }
        // Who comes first has the lowest number, whatever it was before.
        let grace = Duration::from_secs(3600);
        let next = [
            bed.join(with("two", again(3, &old[1], grace))).await.unwrap(),
            bed.join(with("one", again(3, &old[0], grace))).await.unwrap(),
            bed.join(with("new", given("app", 3, &[0]))).await.unwrap(),
        ];
        for client in &next {
            assert_eq!(told(client).await, "two");
        }
    })
    .await;
}

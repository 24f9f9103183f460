//! The next epoch of a job that lost a process.

use std::time::Duration;

use fmi_actors::{Error, NoRejoin, Reason};
use fmi_channels::rendezvous::{After, Client, Event, Registration, Terms};

use super::{Bed, any, bounded, event, given};

const NEVER: Duration = Duration::from_secs(3600);

/// The registration of a process that comes from this place.
pub(super) fn again(size: u32, from: &Client, grace: Duration) -> Registration {
    let place = from.registered();
    Registration {
        after: Some(After::new(place.epoch, place.process, None)),
        terms: Terms { grace, patience: NEVER, min_size: 1 },
        ..any("app", Some(size), 1)
    }
}

/// A complete job of so many processes.
async fn start(bed: &Bed, size: u32) -> Vec<Client> {
    let mut clients = Vec::new();
    for rank in 0..size {
        clients.push(bed.join(given("app", size, &[rank])).await.unwrap());
    }
    for client in &clients {
        client.complete().await.unwrap();
    }
    clients
}

/// The ranks of a process, as all are told.
async fn ranks(client: &Client) -> Vec<u32> {
    let members = client.complete().await.unwrap();
    let own = members.iter().find(|member| member.process == client.registered().process);
    own.unwrap().ranks.clone()
}

fn refused(reason: NoRejoin) -> Error {
    Error::Rejoin { job: "app".to_owned(), reason }
}

#[tokio::test]
async fn survivors_wait_for_the_grace_and_no_longer() {
    bounded(async {
        let bed = Bed::new().await;
        let mut old = start(&bed, 3).await;
        drop(old.remove(0));
        assert!(matches!(event(&old[0]).await, Some(Event::Gone { .. })));
        let grace = Duration::from_millis(100);
        let start = std::time::Instant::now();
        let one = bed.join(again(3, &old[0], grace)).await.unwrap();
        // The other hears that nobody is left, and comes, too.
        assert!(matches!(event(&old[1]).await, Some(Event::Gone { .. })));
        let moved = Event::Moved { process: old[0].registered().process, ranks: vec![1] };
        assert_eq!(event(&old[1]).await, Some(moved));
        let two = bed.join(again(3, &old[1], grace)).await.unwrap();
        assert_eq!((ranks(&one).await, ranks(&two).await), (vec![0], vec![1]));
        assert!(start.elapsed() >= grace);
        assert_eq!(one.registered().epoch, two.registered().epoch);
        // The old place is given up without a word; the new one is a place like any other.
        for client in &old {
            client.leave().await;
        }
        two.leave().await;
        let left = Event::Left { process: two.registered().process, ranks: vec![1] };
        assert_eq!(event(&one).await, Some(left));
    })
    .await;
}

#[tokio::test]
async fn member_that_lives_is_waited_for() {
    bounded(async {
        let bed = Bed::new().await;
        let mut old = start(&bed, 3).await;
        drop(old.remove(1));
        assert!(matches!(event(&old[0]).await, Some(Event::Gone { .. })));
        let one = bed.join(again(3, &old[0], Duration::ZERO)).await.unwrap();
        // It computes, and takes no notice; the grace is long over.
        let early = tokio::time::timeout(Duration::from_millis(100), one.complete()).await;
        assert!(early.is_err(), "{early:?}");
        let two = bed.join(again(3, &old[1], Duration::ZERO)).await.unwrap();
        assert_eq!((ranks(&one).await, ranks(&two).await), (vec![0], vec![1]));
    })
    .await;
}

#[tokio::test]
async fn refusals_cross_the_wire() {
    bounded(async {
        let bed = Bed::new().await;
        let mut old = start(&bed, 3).await;
        let whole = bed.join(again(3, &old[0], NEVER)).await.unwrap_err();
        assert_eq!(whole, refused(NoRejoin::NotBroken));
        // Unless it knows better.
        let place = old[0].registered();
        let far = Reason::Unreachable("no route".to_owned());
        let after = After::new(place.epoch, place.process, Some((1, far.clone())));
        let knows = Registration { after: Some(after), ..again(3, &old[0], NEVER) };
        let next = bed.join(knows).await.unwrap();
        assert_eq!(event(&old[2]).await, Some(Event::Abort { rank: 1, reason: far }));
        let twice = bed.join(again(3, &old[0], NEVER)).await.unwrap_err();
        assert_eq!(twice, refused(NoRejoin::Twice));
        drop((old.remove(2), old.remove(1), next));

        // A rendezvous that was started anew has never heard of it.
        let other = Bed::new().await;
        let epoch = old[0].registered().epoch;
        let forgotten = other.join(again(3, &old[0], NEVER)).await.unwrap_err();
        assert_eq!(forgotten, refused(NoRejoin::Forgotten { epoch }));
    })
    .await;
}

//! Notes that the rendezvous carries between processes.

use std::time::Duration;

use fmi_actors::channel::MAX_NOTE;
use fmi_channels::rendezvous::{Client, Event};

use super::{Bed, bounded, event, given};

fn told(from: &Client, channel: &str, note: &[u8]) -> Event {
    Event::Told {
        from: from.registered().process,
        channel: channel.to_owned(),
        note: note.to_vec(),
    }
}

async fn pair(bed: &Bed, job: &str) -> (Client, Client) {
    let one = bed.join(given(job, 2, &[0])).await.unwrap();
    let two = bed.join(given(job, 2, &[1])).await.unwrap();
    one.complete().await.unwrap();
    two.complete().await.unwrap();
    (one, two)
}

#[tokio::test]
async fn notes_go_both_ways_and_to_nobody_else() {
    bounded(async {
        let bed = Bed::new().await;
        let (one, two) = pair(&bed, "app").await;
        // Has the same process numbers.
        let (_companion, other) = pair(&bed, "other").await;
        let to = two.registered().process;
        for n in 0..50u8 {
            one.tell(to, "tcp", vec![n; MAX_NOTE]);
        }
        for n in 0..50u8 {
            assert_eq!(event(&two).await, Some(told(&one, "tcp", &[n; MAX_NOTE])));
        }
        two.tell(one.registered().process, "quic", vec![7]);
        assert_eq!(event(&one).await, Some(told(&two, "quic", &[7])));
        // Were there a note, it would have come before this.
        bed.stop().await;
        assert_eq!(event(&other).await, Some(Event::RendezvousLost));
    })
    .await;
}

#[tokio::test]
async fn a_note_that_is_too_long_or_for_nobody_is_lost_and_harms_nothing() {
    bounded(async {
        let bed = Bed::new().await;
        let (one, two) = pair(&bed, "app").await;
        let to = two.registered().process;
        one.tell(to, "tcp", vec![0; MAX_NOTE + 1]);
        one.tell(4711, "tcp", vec![1]);
        one.tell(to, &"c".repeat(1000), vec![2]);
        one.tell(to, "tcp", vec![3]);
        assert_eq!(event(&two).await, Some(told(&one, "tcp", &[3])));
    })
    .await;
}

#[tokio::test]
async fn notes_that_nobody_reads_stay_few() {
    bounded(async {
        let bed = Bed::new().await;
        let (one, two) = pair(&bed, "app").await;
        // More than may wait anywhere, and more than may be sent at once.
        for n in 0..20_000u32 {
            one.tell(two.registered().process, "tcp", n.to_le_bytes().to_vec());
            if n % 500 == 0 {
                tokio::task::yield_now().await;
            }
        }
        // News are not held up by them.
        one.leave().await;
        let mut notes = 0;
        let left = loop {
            match tokio::time::timeout(Duration::from_secs(10), two.event()).await.unwrap() {
                Some(Event::Told { .. }) => notes += 1,
                other => break other,
            }
        };
        assert!(matches!(left, Some(Event::Left { .. })), "{left:?}");
        assert!(notes < 20_000);
    })
    .await;
}

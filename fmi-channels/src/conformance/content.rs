//! What arrives is what was sent: every length, every alignment, values too.

use super::{Bed, Wire, check, letter};
use fmi_actors::{Payload, frame::Datatype};

/// Around everything that changes a message's way: what fits in a payload without allocation,
/// headers, read buffers, eager limit, chunks and frames, windows and outboxes.
fn boundaries() -> Vec<usize> {
    const AROUND: [usize; 11] = [
        Payload::INLINE,
        64,
        4 << 10,
        (8 << 10) - 64,
        8 << 10,
        64 << 10,
        256 << 10,
        512 << 10,
        1 << 20,
        (1 << 20) + (256 << 10),
        4 << 20,
    ];
    let mut lengths: Vec<usize> = AROUND.iter().flat_map(|at| at - 1..=at + 1).collect();
    lengths.extend([0, 1, 2, 3, (3 << 20) + 17, (9 << 20) + 5]);
    lengths
}

/// Every length arrives whole, with the receive posted before or after.
pub async fn lengths_around_every_boundary(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    bed.each(|rank| async move {
        for (number, len) in boundaries().into_iter().enumerate() {
            let seed = number as u64;
            if rank.rank() == 0 {
                // Only then is the receive there before the message.
                rank.get(1, 9).await;
                rank.put(1, 1, letter(seed, len)).await;
                rank.put(1, 2, letter(seed + 1000, len)).await;
            } else {
                let posted = rank.take(Some(0), Some(1));
                rank.put(0, 9, Vec::new()).await;
                check(&super::opened(posted.await.unwrap()).payload, seed, len);
                check(&rank.get(0, 2).await.payload, seed + 1000, len);
            }
        }
        rank.flushed().await;
    })
    .await;
}

/// Messages without content are messages.
pub async fn empty_messages(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    bed.each(|rank| async move {
        for number in 0..100 {
            if rank.rank() == 0 {
                rank.put(1, number, Vec::new()).await;
                rank.post_sync(1, number, Vec::new()).await.unwrap();
            } else {
                for _ in 0..2 {
                    let got = rank.get(None, number).await;
                    assert_eq!((got.source, got.payload.bytes()), (0, Some(&[][..])));
                }
            }
        }
        rank.flushed().await;
    })
    .await;
}

/// Elements of 1 to 16 bytes lie where they can be read as what they are, without another copy.
pub async fn elements_are_aligned(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    bed.each(|rank| async move {
        for shift in 0..=4u32 {
            let of = Datatype(shift << 28);
            assert_eq!(of.align(), 1 << shift);
            for count in [1usize, 4, 39, 513, 33_000, 70_001] {
                let len = count << shift;
                if rank.rank() == 0 {
                    let payload = match shift {
                        4 => Payload::from_vec(vec![count as u128; count]),
                        3 => Payload::from_vec(vec![count as u64; count]),
                        _ => Payload::copy_from(&letter(9, len), of.align()).unwrap(),
                    };
                    rank.post_as(1, shift, payload, of, false).await.unwrap();
                    continue;
                }
                let payload = rank.get(0, shift).await.payload;
                assert_eq!(payload.size_hint(), len);
                let place = payload.bytes().unwrap().as_ptr();
                if len > Payload::INLINE {
                    assert!(
                        (place as usize).is_multiple_of(of.align()),
                        "{len} bytes at {place:p}"
                    );
                    let (shared, range) = payload.into_shared(of.align()).unwrap();
                    assert_eq!(shared.as_slice()[range].as_ptr(), place, "copied");
                }
            }
        }
        rank.flushed().await;
    })
    .await;
}

/// Values that are encoded only on their way out of a process arrive, and so do bundles.
pub async fn values_arrive(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    bed.each(|rank| async move {
        for count in [0usize, 1, 1000, 200_000] {
            let value: Vec<(u32, String)> = (0..count as u32).map(|i| (i, i.to_string())).collect();
            let parts = [0, 1, 40, count].map(|len| letter(count as u64, len));
            if rank.rank() == 0 {
                let payload = Payload::value(value);
                rank.post_as(1, 0, payload, Datatype(5), false).await.unwrap();
                let parts = parts.into_iter().map(Payload::from_vec).collect();
                rank.post_as(1, 1, Payload::bundle(parts), Datatype(6), true).await.unwrap();
                continue;
            }
            let got = rank.get(0, 0).await.payload.into_value::<Vec<(u32, String)>>().unwrap();
            assert!(got == value, "{count} values");
            let got = rank.get(0, 1).await.payload.into_bundle().unwrap();
            assert_eq!(got.len(), parts.len());
            for (got, sent) in got.iter().zip(parts) {
                check(got, count as u64, sent.len());
            }
        }
        rank.flushed().await;
    })
    .await;
}

/// The envelope tells the length before the message is received, also of one that waits at its
/// sender.
pub async fn lengths_are_told_before(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    bed.each(|rank| async move {
        for len in boundaries() {
            if rank.rank() == 0 {
                rank.put(1, 3, letter(0, len)).await;
                rank.get(1, 4).await;
            } else {
                let filter = fmi_actors::mailbox::Filter { source: Some(0), tag: None };
                let space = fmi_actors::frame::Space::messages(super::SCOPE);
                let shown = rank.probe(space, filter).await.unwrap();
                assert_eq!((shown.tag, shown.total), (3, len as u64));
                check(&rank.get(0, 3).await.payload, 0, len);
                rank.put(0, 4, Vec::new()).await;
            }
        }
        rank.flushed().await;
    })
    .await;
}

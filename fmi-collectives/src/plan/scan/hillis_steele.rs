//! Hillis–Steele scan, for associative operations. ⌈log₂ n⌉ rounds; rank 0 sends most,
//! S·⌈log₂ n⌉ bytes, and all ranks together n·⌈log₂ n⌉ − 2^⌈log₂ n⌉ + 1 messages of S.
//! Hillis & Steele 1986.

use crate::plan::{Side, Step, log2_ceil};

/// Before round k a rank has the combination of the 2ᵏ ranks that end with it, and gets the one
/// that ends 2ᵏ below.
pub fn plan(rank: usize, size: usize) -> impl Iterator<Item = Step> + Send + 'static {
    (0..rounds(size)).map(|round| 1 << round).flat_map(move |distance| {
        // First the send: the rank above wants the value of before this round.
        let send =
            (rank + distance < size).then(|| Step::Send { to: rank + distance, blocks: 0..1 });
        let combine = (rank >= distance).then(|| Step::Combine {
            from: rank - distance,
            block: 0,
            side: Side::Left,
        });
        send.into_iter().chain(combine)
    })
}

/// ⌈log₂ n⌉
pub fn rounds(size: usize) -> usize {
    log2_ceil(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Algorithm;

    #[test]
    fn messages_and_bytes_are_as_claimed() {
        for size in 1..=65 {
            let report = Algorithm::ScanHillisSteele.check(size, 0).unwrap();
            let levels = rounds(size);
            assert_eq!(report.messages, size * levels + 1 - (1 << levels));
            assert_eq!(report.most_sent, levels);
            assert_eq!(plan(0, size).count(), levels);
        }
    }
}

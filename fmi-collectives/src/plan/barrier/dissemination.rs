//! Dissemination barrier. ⌈log₂ n⌉ rounds, each with one empty message from every rank.
//! Hensgen, Finkel & Manber 1988.

use crate::plan::{Step, log2_ceil};

/// In round k each rank tells the one 2ᵏ above it, wrapping around, and so twice as many ranks as
/// before know that it has entered.
pub fn plan(rank: usize, size: usize) -> impl Iterator<Item = Step> + Send + 'static {
    (0..rounds(size)).map(|round| 1 << round).flat_map(move |distance| {
        let above = (rank + distance) % size;
        let below = (rank + size - distance) % size;
        [Step::Send { to: above, blocks: 0..0 }, Step::Recv { from: below, blocks: 0..0 }]
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
    fn every_rank_sends_once_a_round() {
        for size in 1..=33 {
            let report = Algorithm::BarrierDissemination.check(size, 0).unwrap();
            assert_eq!(report.messages, size * rounds(size));
            assert_eq!(report.blocks, 0);
        }
    }
}

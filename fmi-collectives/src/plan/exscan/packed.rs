//! Exscan among packs that are contiguous, for associative operations: one round to move the values, p−1 of
//! them from one of p packs to the next, then a [scan](scan::packed) by the ranks from 1 on.

use super::{shifted, without_first};
use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, scan};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Exscan,
    name: "packed",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Packs {
        remote: |shape| match shape.size {
            1 => 0,
            size => {
                let packs = shape.packs.len(size);
                packs - 1 + scan_claims(&without_first(shape.clone()))
            }
        },
        scratch: |_| 1,
    },
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| 2 + (scan::packed::ALGORITHM.rounds)(shape),
    sent: |shape| 1 + (scan::packed::ALGORITHM.sent)(shape),
};

fn scan_claims(shape: &Shape) -> usize {
    match scan::packed::ALGORITHM.medium {
        Medium::Packs { remote, .. } => remote(shape),
        Medium::Links | Medium::Relay { .. } | Medium::Shared => 0,
    }
}

/// The first rank only moves its value.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    shifted(rank, shape, 1, scan::packed::plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Packs;

    #[test]
    fn values_move_from_pack_to_pack_once() {
        let shape = Shape::of(6).packed(&Packs::of([0, 0, 1, 1, 2, 2]));
        let report = ALGORITHM.check(shape).unwrap();
        // Two to move values, three to scan, two into packs that have several ranks.
        assert_eq!(report.remote, 7);
    }
}

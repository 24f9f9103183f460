//! Up-down scan, for associative operations. ⌊log₂ n⌋ + ⌊log₂ ⅔n⌋ rounds, but fewer than 2n messages
//! of S; the busiest rank sends ⌊log₂ n⌋.
//! Brent & Kung 1982; Ladner & Fischer 1980.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step, log2_ceil};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Scan,
    name: "up_down",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let (up, down) = (shape.size, 1.max(2 * shape.size / 3));
        (up.ilog2() + down.ilog2()) as usize
    },
    sent: |shape| shape.size.ilog2() as usize,
};

/// Up: at distances 1, 2, 4… the last rank of each group combines its two halves. Down: the last
/// rank of each group, which has the whole prefix by then, gives it to the middle of the next.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let up = (0..log2_ceil(size)).map(|level| 1 << level).flat_map(move |distance| {
        match (rank + 1) % (2 * distance) {
            0 => Some(Step::combine(rank - distance, 0, Side::Left)),
            place if place == distance && rank + distance < size => {
                Some(Step::send(rank + distance, 0))
            }
            _ => None,
        }
    });
    let down = (0..log2_ceil(size)).rev().map(|level| 1 << level).flat_map(move |distance| {
        match (rank + 1) % (2 * distance) {
            0 if rank + distance < size => Some(Step::send(rank + distance, 0)),
            place if place == distance && rank >= 2 * distance => {
                Some(Step::combine(rank - distance, 0, Side::Left))
            }
            _ => None,
        }
    });
    up.chain(down)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_claimed() {
        for size in 1..=130 {
            let report = ALGORITHM.check(Shape::of(size)).unwrap();
            assert!(report.messages < 2 * size);
        }
    }
}

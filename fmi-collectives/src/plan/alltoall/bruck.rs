//! Bruck alltoall, for short values. ⌈log₂ n⌉ rounds; each rank sends about S·n/2 bytes in each, because
//! values travel through others.
//! Bruck, Ho, Kipnis, Upfal & Weathersby 1997; the variant without a final rotation is by Träff,
//! Rougier & Hunold 2014.

use crate::plan::{Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, log2_ceil};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Alltoall,
    name: "bruck",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| log2_ceil(shape.size),
    sent: |shape| {
        let levels = 0..log2_ceil(shape.size);
        levels.map(|level| far(0, 1 << level, shape.size).len()).sum()
    },
};

/// The value for the rank `d` below goes 2ᵏ ranks down in round k if bit k of `d` is set. At rank
/// `r` it lies in block `n + r + d`, wrapping around: when it has arrived, that is the block of the
/// rank where it began.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let own_last = Blocks::wrapping((rank + 1) % size, size, 0..size);
    let turned =
        Step::copy(own_last.reversed(), Blocks::wrapping(size + rank, size, size..2 * size));
    let rounds = (0..log2_ceil(size)).map(|level| 1 << level).flat_map(move |distance| {
        let above = (rank + distance) % size;
        let below = (rank + size - distance) % size;
        [Step::send(below, far(rank, distance, size)), Step::recv(above, far(rank, distance, size))]
    });
    std::iter::once(turned).chain(rounds)
}

/// Where values lie at `rank` that have a way with this bit set before them.
fn far(rank: usize, bit: usize, size: usize) -> Blocks {
    Blocks::strided(bit, bit, 2 * bit, size).from_start(size + rank, size..2 * size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ranks_take_two_rounds() {
        let steps: Vec<Step> = plan(1, Shape::of(3)).collect();
        assert_eq!(
            steps,
            [
                Step::copy(Blocks::wrapping(2, 3, 0..3).reversed(), Blocks::wrapping(4, 3, 3..6)),
                Step::send(0, far(1, 1, 3)),
                Step::recv(2, far(1, 1, 3)),
                Step::send(2, far(1, 2, 3)),
                Step::recv(0, far(1, 2, 3)),
            ]
        );
        assert!(far(1, 1, 3).iter().eq([5]));
        assert!(far(1, 2, 3).iter().eq([3]));
    }
}

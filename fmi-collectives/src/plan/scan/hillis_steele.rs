//! Hillis–Steele scan, for associative operations. ⌈log₂ n⌉ rounds; rank 0 sends most,
//! S·⌈log₂ n⌉ bytes, and all ranks together n·⌈log₂ n⌉ − 2^⌈log₂ n⌉ + 1 messages of S.
//! Hillis & Steele 1986.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step, log2_ceil};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Scan,
    name: "hillis_steele",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| log2_ceil(shape.size),
    sent: |shape| log2_ceil(shape.size),
};

/// Before round k a rank has the combination of the 2ᵏ ranks that end with it, and gets the one
/// that ends 2ᵏ below.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    (0..log2_ceil(size)).map(|round| 1 << round).flat_map(move |distance| {
        // First the send: the rank above wants the value of before this round.
        let send = (rank + distance < size).then(|| Step::send(rank + distance, 0));
        let combine = (rank >= distance).then(|| Step::combine(rank - distance, 0, Side::Left));
        send.into_iter().chain(combine)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_claimed() {
        for size in 1..=65 {
            let report = ALGORITHM.check(Shape::of(size)).unwrap();
            let levels = log2_ceil(size);
            assert_eq!(report.messages, size * levels + 1 - (1 << levels));
        }
    }
}

//! Pairwise reduce-scatter, for associative operations. ⌊3(n−1)/2⌋ rounds, (n−1)S bytes a rank for
//! blocks of S, each straight to its rank.
//! Thakur, Rabenseifner & Gropp 2005; here outwards from each rank, so that operands stay in order.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::ReduceScatter,
    name: "pairwise",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Linear,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| 3 * (shape.size - 1) / 2,
    sent: |shape| shape.size - 1,
};

/// At distance k each rank exchanges blocks with the ranks k below and k above, where there are
/// such: so it has combined a range of ranks around it at any time.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    (1..size).flat_map(move |distance| {
        let below = rank.checked_sub(distance);
        let above = Some(rank + distance).filter(|above| *above < size);
        let sends = above.into_iter().chain(below).map(|to| Step::send(to, to));
        let left = below.map(|from| Step::combine(from, rank, Side::Left));
        let right = above.map(|from| Step::combine(from, rank, Side::Right));
        sends.chain(left).chain(right)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_come_from_inside_out() {
        let steps: Vec<Step> = plan(1, Shape::of(4)).collect();
        assert_eq!(
            steps,
            [
                Step::send(2, 2),
                Step::send(0, 0),
                Step::combine(0, 1, Side::Left),
                Step::combine(2, 1, Side::Right),
                Step::send(3, 3),
                Step::combine(3, 1, Side::Right),
            ]
        );
    }
}

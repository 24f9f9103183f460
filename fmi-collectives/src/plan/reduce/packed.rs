//! Reduce among packs, for associative operations; of packs that are not contiguous, for commutative ones. The
//! leader of a pack combines what its ranks publish, the leaders [reduce](super::contiguous_tree) that to the
//! root, which leads its own. p−1 messages of S bytes between p packs of at most m ranks; at most
//! m + ⌈log₂ p⌉ rounds.

use super::contiguous_tree;
use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, Tier, log2_ceil, seat::Seat,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Reduce,
    name: "packed",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Packs { remote: |shape| shape.packs.len(shape.size) - 1, scratch: |_| 0 },
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let Shape { size, packs, .. } = shape;
        packs.largest(size) + log2_ceil(packs.len(size))
    },
    sent: |_| 1,
};

/// One reader each.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let seat = Seat::of(rank, &shape);
    let publish = (!seat.leads()).then(|| Step::publish(0, 1).on(Tier::Pack));
    let combine = seat.leads().then(|| seat.combine(0..1));
    let steps = publish.into_iter().chain(combine.into_iter().flatten());
    let steps = steps.chain(seat.lead(contiguous_tree::plan));
    seat.named(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Packs, Side};

    #[test]
    fn the_root_combines_on_both_sides() {
        let shape = Shape::of(6).rooted(3).packed(&Packs::of([0, 0, 1, 1, 1, 2]));
        let steps: Vec<Step> = plan(3, shape).collect();
        let near = |from, side| Step::combine_shared(from, 0, side).on(Tier::Pack);
        let expected = [
            near(2, Side::Left),
            near(4, Side::Right),
            Step::combine(0, 0, Side::Left),
            Step::combine(5, 0, Side::Right),
        ];
        assert_eq!(steps, expected);
    }
}

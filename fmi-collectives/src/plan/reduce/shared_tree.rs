//! Reduce through a store for very many ranks, or in one process for long values, in groups, for
//! associative operations: leaders read and combine the values of their groups, rank 0 hands the root the result. n−1 publications of S
//! bytes and as many fetches, and one of each more where the root is not rank 0; no rank reads more
//! than 15 values a level of ⌈log₁₆ n⌉, side by side.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step, Tier, groups};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Reduce,
    name: "shared_tree",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| groups::members(0, shape.size).count() + usize::from(shape.root != 0),
    sent: |shape| 1.min(shape.size - 1),
};

/// Groups do not depend on the root, so neither does the bracketing.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, root, .. } = shape;
    let combine = |from| Step::combine_shared(from, 0, Side::Right);
    let publish = (rank != 0 || root != 0).then(|| Step::publish(0, 1));
    let result = (rank == root && root != 0).then(|| Step::fetch(0, 0));
    let steps = groups::members(rank, size).map(combine).chain(publish).chain(result);
    steps.map(|step| step.on(Tier::Remote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaders_combine_their_groups() {
        let steps: Vec<Step> = plan(16, Shape::of(19)).collect();
        let combine = |from| Step::combine_shared(from, 0, Side::Right);
        let right = [combine(17), combine(18), Step::publish(0, 1)];
        assert_eq!(steps, right.map(|step| step.on(Tier::Remote)));
        let report = ALGORITHM.check(Shape::of(256).rooted(3)).unwrap();
        assert_eq!((report.puts, report.gets, report.most_received), (256, 256, 30));
    }
}

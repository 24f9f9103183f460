//! Allreduce among packs, for associative operations; of packs that are not contiguous, for commutative ones.
//! The leader of a pack combines what its ranks publish, the leaders combine that by
//! [recursive doubling](super::recursive_doubling), and publish the result. At most m + ⌊log₂ p⌋ + 3 rounds; in each of
//! log₂ p one message of S bytes between each two of p packs of at most m ranks.

use super::recursive_doubling;
use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, Tier, fold::Fold, seat::Seat,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allreduce,
    name: "packed",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Packs {
        remote: |shape| {
            let packs = shape.packs.len(shape.size);
            let fold = Fold::of(packs);
            fold.actors * fold.levels() + 2 * (packs - fold.actors)
        },
        scratch: |_| 0,
    },
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let Shape { size, packs, .. } = shape;
        packs.largest(size) + Fold::of(packs.len(size)).levels() + 3
    },
    sent: |shape| Fold::of(shape.packs.len(shape.size)).levels() + 2,
};

/// One reader each, and the result once for the whole pack.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let seat = Seat::of(rank, &shape.rooted(0));
    let (leads, leader, company) = (seat.leads(), seat.leader(seat.pack), seat.company());
    let follow = (!leads).then(|| [Step::publish(0, 1), Step::fetch(leader, 0)]);
    let follow = follow.into_iter().flatten().map(|step| step.on(Tier::Pack));
    let combine = leads.then(|| seat.combine(0..1)).into_iter().flatten();
    let result = (leads && company > 0).then(|| Step::publish(0, company).on(Tier::Pack));
    let lead = combine.chain(seat.lead(recursive_doubling::plan)).chain(result);
    seat.named(follow.chain(lead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Packs;

    #[test]
    fn two_packs_exchange_two_messages() {
        let shape = Shape::of(8).packed(&Packs::of([0, 0, 0, 0, 1, 1, 1, 1]));
        let report = ALGORITHM.check(shape).unwrap();
        assert_eq!((report.messages, report.remote), (2, 2));
    }
}

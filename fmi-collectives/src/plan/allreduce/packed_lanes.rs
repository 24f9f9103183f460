//! Allreduce among packs in lanes, for long values and associative operations; of packs that are not
//! contiguous, for commutative ones. The value is cut into l·a pieces, for as many ranks l as the smallest pack
//! has and a, the largest power of two that is not above the number of packs, p. Of each pack l ranks combine a
//! pieces each of what all of it have published, exchange them with those on their lane as
//! [Rabenseifner](super::rabenseifner) does, and publish them. 2S(a−1)/a bytes leave a pack where p is a power
//! of two, in 2l·log₂ p messages.

use super::rabenseifner;
use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, Tier,
    fold::Fold,
    lanes::{self, Lanes},
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allreduce,
    name: "packed_lanes",
    demand: Demand::Associative,
    cut: Some(|shape| lanes::count(&shape) * width(&shape)),
    medium: Medium::Packs {
        remote: |shape| {
            let packs = shape.packs.len(shape.size);
            let fold = Fold::of(packs);
            let lane = 2 * fold.actors * fold.levels() + 2 * (packs - fold.actors);
            lanes::count(shape) * lane
        },
        scratch: |_| 0,
    },
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let lanes = lanes::count(&shape);
        let Shape { size, packs, .. } = shape;
        packs.largest(size) + 2 * Fold::of(packs.len(size)).levels() + lanes + 5
    },
    sent: |shape| (lanes::count(&shape) + 4) * width(&shape),
};

/// Blocks of a lane.
fn width(shape: &Shape) -> usize {
    Fold::of(shape.packs.len(shape.size)).actors
}

/// Each rank reads first what those behind it have, so that not all read the same.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let shape = shape.rooted(0);
    let lanes = Lanes::of(rank, &shape, width(&shape));
    let seat = lanes.seat.clone();
    let (own, company, count) = (lanes.own(), seat.company(), lanes.count);
    let publish =
        own.filter(|_| company > 0).map(|lane| Step::publish(lanes.blocks(lane), company));
    let from = own.unwrap_or(seat.place % count);
    let read = (0..count).map(move |distance| (from + distance) % count);
    let lane = lanes.clone();
    let read = read
        .filter(move |lane| Some(*lane) != own)
        .map(move |other| Step::fetch(lane.on(other), lane.blocks(other)));
    let all = publish.into_iter().chain(read).map(|step| step.on(Tier::Pack));
    let steps = lanes.combine().chain(lanes.run(rabenseifner::plan)).chain(all);
    seat.named(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Packs;

    #[test]
    fn every_rank_of_even_packs_has_a_lane() {
        let shape = Shape::of(8).packed(&Packs::of([0, 0, 0, 0, 1, 1, 1, 1]));
        let report = ALGORITHM.check(shape.clone()).unwrap();
        assert_eq!((ALGORITHM.pieces(&shape), report.remote, report.messages), (8, 16, 16));
    }
}

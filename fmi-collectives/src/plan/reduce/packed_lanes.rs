//! Reduce among packs in lanes, for long values and associative operations; of packs that are not contiguous,
//! for commutative ones. The value is cut into as many pieces as the smallest pack has ranks, l; of each pack
//! as many ranks combine one piece each of what all of it have published, and [reduce](super::contiguous_tree)
//! it to the root's pack, where the root reads them all. l(p−1) messages of S/l bytes between p packs.

use super::contiguous_tree;
use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, Tier,
    lanes::{self, Lanes},
    log2_ceil,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Reduce,
    name: "packed_lanes",
    demand: Demand::Associative,
    cut: Some(|shape| lanes::count(&shape)),
    medium: Medium::Packs {
        remote: |shape| lanes::count(shape) * (shape.packs.len(shape.size) - 1),
        scratch: |_| 0,
    },
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let lanes = lanes::count(&shape);
        let Shape { size, packs, .. } = shape;
        packs.largest(size) + log2_ceil(packs.len(size)) + lanes + 3
    },
    sent: |shape| lanes::count(&shape) + 1,
};

/// The root need not be on a lane.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let lanes = Lanes::of(rank, &shape, 1);
    let seat = lanes.seat.clone();
    let (own, count) = (lanes.own(), lanes.count);
    let root = seat.leader(seat.root_pack());
    let at_root = seat.place == root;
    let near = seat.pack == seat.root_pack();
    let publish = own.filter(|_| near && !at_root).map(|lane| Step::publish(lane, 1));
    let first = lanes.on(0);
    let read = (0..if at_root { count } else { 0 }).filter(move |lane| Some(*lane) != own);
    let read = read.map(move |lane| Step::fetch(first + lane, lane));
    let hand_over = publish.into_iter().chain(read).map(|step| step.on(Tier::Pack));
    let steps = lanes.combine().chain(lanes.run(contiguous_tree::plan)).chain(hand_over);
    seat.named(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Packs;

    #[test]
    fn there_are_as_many_lanes_as_the_smallest_pack_has_ranks() {
        let shape = Shape::of(7).rooted(6).packed(&Packs::of([0, 0, 0, 0, 1, 1, 1]));
        let report = ALGORITHM.check(shape.clone()).unwrap();
        assert_eq!((ALGORITHM.pieces(&shape), report.remote), (3, 3));
        assert_eq!(ALGORITHM.check(shape.rooted(3)).unwrap().remote, 3);
    }
}

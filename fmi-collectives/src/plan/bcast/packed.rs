//! Bcast among packs. The value goes down a [binomial tree](super::binomial) of packs, whose leaders publish
//! it once for the ranks of their pack, and tell them that it is there. p−1 messages of S bytes between p
//! packs of at most m ranks, and m−1 empty ones in each; at most ⌈log₂ p⌉ + m + 1 rounds.

use super::binomial;
use crate::plan::{
    Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, Tier, log2_ceil, seat::Seat,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Bcast,
    name: "packed",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Packs { remote: |shape| shape.packs.len(shape.size) - 1, scratch: |_| 0 },
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let Shape { size, packs, .. } = shape;
        log2_ceil(packs.len(size)) + packs.largest(size) + 1
    },
    sent: |shape| log2_ceil(shape.packs.len(shape.size)) + 1,
};

/// The other packs first, which have the longer way. The word is a message because it brings what only
/// the root knows: how long the value is.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let seat = Seat::of(rank, &shape);
    let (leads, leader, company) = (seat.leads(), seat.leader(seat.pack), seat.company());
    let publish = (leads && company > 0).then(|| Step::publish(0, company));
    let tell = seat.others().filter(move |_| leads).map(|to| Step::send(to, Blocks::NONE));
    let read = (!leads).then(|| [Step::recv(leader, Blocks::NONE), Step::fetch(leader, 0)]);
    let inside = publish.into_iter().chain(tell).chain(read.into_iter().flatten());
    let steps = seat.lead(binomial::plan).chain(inside.map(|step| step.on(Tier::Pack)));
    seat.named(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Packs;

    #[test]
    fn the_root_leads_its_pack() {
        let shape = Shape::of(5).rooted(3).packed(&Packs::of([0, 1, 0, 1, 0]));
        let steps: Vec<Step> = plan(3, shape.clone()).collect();
        let inside = |step: Step| step.on(Tier::Pack);
        let expected =
            [Step::send(0, 0), inside(Step::publish(0, 1)), inside(Step::send(1, Blocks::NONE))];
        assert_eq!(steps, expected);
        let report = ALGORITHM.check(shape).unwrap();
        assert_eq!((report.remote, report.puts, report.gets), (1, 2, 3));
    }
}

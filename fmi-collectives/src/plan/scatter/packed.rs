//! Scatter among packs. The root [sends](super::binomial) the values of whole packs to their leaders, which
//! publish them for their ranks. p−1 messages between p packs; at most ⌈log₂ p⌉ + 1 rounds.

use super::binomial;
use crate::plan::{
    Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, Tier, log2_ceil, seat::Seat,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Scatter,
    name: "packed",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Packs { remote: |shape| shape.packs.len(shape.size) - 1, scratch: |_| 0 },
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| log2_ceil(shape.packs.len(shape.size)) + 1,
    sent: |shape| shape.size - 1,
};

/// The other packs first, which have the longer way.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let seat = Seat::of(rank, &shape);
    let (place, company, span) = (seat.place, seat.company(), seat.span.clone());
    let step = if !seat.leads() {
        Some(Step::fetch(seat.leader(seat.pack), place))
    } else if company > 0 {
        let next = if place + 1 < span.end { place + 1 } else { span.start };
        Some(Step::publish(Blocks::wrapping(next, company, span), 1))
    } else {
        None
    };
    let inside = step.into_iter().map(|step| step.on(Tier::Pack));
    let steps = seat.lead_blocks(binomial::plan).chain(inside);
    seat.named_by_rank(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Packs;

    #[test]
    fn values_of_a_pack_travel_together() {
        let shape = Shape::of(6).rooted(1).packed(&Packs::of([0, 0, 1, 1, 2, 2]));
        let report = ALGORITHM.check(shape).unwrap();
        assert_eq!((report.messages, report.gets, report.most_sent), (2, 3, 5));
    }
}

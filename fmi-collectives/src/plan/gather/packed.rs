//! Gather among packs. The ranks of a pack publish their values for its leader, the leaders
//! [send](super::binomial) those of whole packs to the root, which leads its own. p−1 messages between p packs
//! of at most m ranks; at most m + ⌈log₂ p⌉ rounds.

use super::binomial;
use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, Tier, log2_ceil, seat::Seat,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Gather,
    name: "packed",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Packs { remote: |shape| shape.packs.len(shape.size) - 1, scratch: |_| 0 },
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let Shape { size, packs, .. } = shape;
        packs.largest(size) + log2_ceil(packs.len(size))
    },
    sent: |shape| shape.size - 1,
};

/// One reader each.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let seat = Seat::of(rank, &shape);
    let (leads, place) = (seat.leads(), seat.place);
    let publish = (!leads).then(|| Step::publish(place, 1));
    let fetches = seat.others().filter(move |_| leads).map(|from| Step::fetch(from, from));
    let inside = publish.into_iter().chain(fetches).map(|step| step.on(Tier::Pack));
    let steps = inside.chain(seat.lead_blocks(binomial::plan));
    seat.named_by_rank(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Packs};

    #[test]
    fn a_pack_sends_once_wherever_its_ranks_are() {
        let shape = Shape::of(5).packed(&Packs::of([0, 1, 1, 0, 1]));
        let sent = |rank| plan(rank, shape.clone()).last().unwrap();
        let (to, blocks) = match sent(1).action {
            Action::Send { to, blocks } => (to, blocks),
            other => panic!("{other:?}"),
        };
        assert_eq!((to, blocks.iter().collect::<Vec<_>>()), (0, vec![1, 2, 4]));
        assert_eq!(ALGORITHM.check(shape).unwrap().messages, 1);
    }
}

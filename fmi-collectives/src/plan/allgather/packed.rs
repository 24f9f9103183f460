//! Allgather among packs. The ranks of a pack publish their values for each other; its leader
//! [exchanges](super::bruck) them for those of the other packs, and publishes these. p·⌈log₂ p⌉ messages between p
//! packs of at most m ranks, at most m + ⌈log₂ p⌉ + 2 rounds.

use super::bruck;
use crate::plan::{
    Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, Tier, log2_ceil, seat::Seat,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allgather,
    name: "packed",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Packs {
        remote: |shape| {
            let packs = shape.packs.len(shape.size);
            packs * log2_ceil(packs)
        },
        scratch: |_| 0,
    },
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let Shape { size, packs, .. } = shape;
        packs.largest(size) + log2_ceil(packs.len(size)) + 2
    },
    sent: |shape| {
        let Shape { size, packs, .. } = shape;
        packs.len(size) * packs.largest(size) + size
    },
};

/// A rank reads first what its neighbours have, which is there before what comes from elsewhere.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let seat = Seat::of(rank, &shape.rooted(0));
    let (place, company, size) = (seat.place, seat.company(), seat.size);
    let publish = (company > 0).then(|| Step::publish(place, company).on(Tier::Pack));
    let fetches = seat.others().map(|from| Step::fetch(from, from).on(Tier::Pack));
    let elsewhere = Blocks::wrapping(seat.span.end % size, size - seat.span.len(), 0..size);
    let pass_on = match seat.leads() {
        _ if company == 0 || elsewhere.is_empty() => None,
        true => Some(Step::publish(elsewhere, company)),
        false => Some(Step::fetch(seat.leader(seat.pack), elsewhere)),
    };
    let pass_on = pass_on.into_iter().map(|step| step.on(Tier::Pack));
    let steps = publish.into_iter().chain(fetches).chain(seat.lead_blocks(bruck::plan));
    let steps = steps.chain(pass_on);
    seat.named_by_rank(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Packs;

    #[test]
    fn what_enters_a_pack_enters_once() {
        let shape = Shape::of(8).packed(&Packs::of([0, 0, 0, 0, 1, 1, 1, 1]));
        let report = ALGORITHM.check(shape).unwrap();
        assert_eq!((report.messages, report.most_received), (2, 7));
    }
}

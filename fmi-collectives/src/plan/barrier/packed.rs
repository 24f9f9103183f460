//! Barrier among packs. The ranks of a pack signal to its leader, the leaders hold a
//! [dissemination barrier](super::dissemination), each then gives a signal that its pack looks for. At most
//! m + ⌈log₂ p⌉ rounds, p·⌈log₂ p⌉ messages between p packs of at most m ranks.

use super::dissemination;
use crate::plan::{
    Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, Tier, log2_ceil, seat::Seat,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Barrier,
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
        packs.largest(size) + log2_ceil(packs.len(size))
    },
    sent: |_| 0,
};

/// Each rank gives one signal: that it has entered, or a leader that all have.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let seat = Seat::of(rank, &shape.rooted(0));
    let (leads, leader, company) = (seat.leads(), seat.leader(seat.pack), seat.company());
    let look = |from| Step::fetch(from, Blocks::NONE).on(Tier::Pack);
    let signal = |readers| Step::publish(Blocks::NONE, readers).on(Tier::Pack);
    let enter = (!leads).then(|| [signal(1), look(leader)]);
    let gather = seat.others().filter(move |_| leads).map(look);
    let leave = (leads && company > 0).then(|| signal(company));
    let steps = enter.into_iter().flatten().chain(gather).chain(seat.lead(dissemination::plan));
    let steps = steps.chain(leave);
    seat.named(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Packs;

    #[test]
    fn packs_tell_each_other_once() {
        let shape = Shape::of(8).packed(&Packs::of([0, 0, 0, 0, 1, 1, 1, 1]));
        let report = ALGORITHM.check(shape).unwrap();
        assert_eq!((report.messages, report.remote, report.puts), (2, 2, 8));
    }
}

//! Alltoall among packs. Of two packs one rank each speaks: it collects what all of its pack have for all of
//! the other, sends it as one message, and publishes for its pack what it gets in return. p(p−1) messages
//! between p packs; each value is moved once between packs, twice inside of them.

use crate::plan::{
    Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, Tier, seat::Seat,
};
use std::{iter, ops::Range};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Alltoall,
    name: "packed",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Packs {
        remote: |shape| {
            let packs = shape.packs.len(shape.size);
            packs * (packs - 1)
        },
        scratch: |shape| 2 * shape.packs.held(),
    },
    growth: Growth::Linear,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let Shape { size, packs, .. } = shape;
        let (count, most) = (packs.len(size), packs.largest(size));
        let spoken = count.div_ceil(packs.smallest(size));
        2 * count + 1 + spoken * (most + 3) + most
    },
    sent: |shape| shape.size + 2 * shape.packs.held(),
};

/// What is collected lies behind the collective's blocks: of each pair of packs the values of one rank after
/// the other, each rank's in the order of those for whom they are. What comes lies behind that, in the
/// same order.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let held = shape.packs.held();
    let desk = Desk::of(Seat::of(rank, &shape), held);
    let Seat { place, size, .. } = desk.seat;
    let keep = move |from| Step::copy(place, size + from);
    let near = desk.seat.others();
    let near = near.flat_map(move |from| [Step::fetch(from, place).on(Tier::Pack), keep(from)]);
    let seat = desk.seat.clone();
    let steps = iter::once(keep(place))
        .chain(desk.clone().offer())
        .chain(desk.clone().send())
        .chain(near)
        .chain(desk.clone().receive())
        .chain(desk.read());
    seat.named_by_rank(steps)
}

/// A rank with what it holds for its pack.
#[derive(Clone)]
struct Desk {
    seat: Seat,
    /// Where in its speaker's collection the values for each pack begin.
    begins: Vec<usize>,
    held: usize,
}

impl Desk {
    fn of(seat: Seat, held: usize) -> Self {
        let own = seat.span.len();
        let mut ends = vec![0; own];
        let others = (0..seat.count).map(|pack| {
            let length = if pack == seat.pack { 0 } else { seat.span_of(pack).len() };
            let end = &mut ends[pack % own];
            let begin = *end;
            *end += own * length;
            begin
        });
        let begins = others.collect();
        Self { seat, begins, held }
    }

    /// Publishes what others in the pack want, or collect.
    fn offer(self) -> impl Iterator<Item = Step> + Send + 'static {
        let Seat { ref span, place, pack, .. } = self.seat;
        let company = self.seat.company();
        let next = if place + 1 < span.end { place + 1 } else { span.start };
        let near = (company > 0).then(|| Blocks::wrapping(next, company, span.clone()));
        let far = self.seat.other_packs().filter_map(move |other| {
            let collects = self.seat.speaker(pack, other) == place;
            (!collects).then(|| Blocks::from(self.seat.span_of(other)))
        });
        near.into_iter().chain(far).map(|blocks| Step::publish(blocks, 1).on(Tier::Pack))
    }

    /// Collects, and sends. Who is alone in its pack sends what it has as it lies.
    fn send(self) -> impl Iterator<Item = Step> + Send + 'static {
        self.seat.spoken_to().flat_map(move |other| {
            let span = self.seat.span_of(other);
            let to = self.seat.speaker(other, self.seat.pack);
            let alone = self.seat.company() == 0;
            let all = if alone { span.clone() } else { self.collected(other) };
            let (begin, own) = (all.start, self.seat.place - self.seat.span.start);
            let (first, length) = (self.seat.span.start, span.len());
            let part = move |of: usize| begin + of * length..begin + (of + 1) * length;
            let keep = (!alone).then(|| Step::copy(span.clone(), part(own)));
            let collect = self.seat.others().flat_map(move |from| {
                let fetch = Step::fetch(from, span.clone()).on(Tier::Pack);
                [fetch, Step::copy(span.clone(), part(from - first))]
            });
            keep.into_iter().chain(collect).chain([Step::send(to, all)])
        })
    }

    /// Receives, and publishes what is for others in the pack.
    fn receive(self) -> impl Iterator<Item = Step> + Send + 'static {
        self.seat.spoken_to().flat_map(move |other| {
            let Seat { ref span, place, pack, size, .. } = self.seat;
            let from = self.seat.speaker(other, pack);
            let sources = self.seat.span_of(other);
            let home = size + sources.start..size + sources.end;
            if self.seat.company() == 0 {
                return Vec::from([Step::recv(from, home)]).into_iter();
            }
            let all = self.arriving(other);
            let (own, length) = (place - span.start, span.len());
            let below = (own > 0).then(|| Blocks::strided(all.start, own, length, all.end));
            let rest = length - own - 1;
            let above =
                (rest > 0).then(|| Blocks::strided(all.start + own + 1, rest, length, all.end));
            let offer = below.into_iter().chain(above);
            let offer = offer.map(|blocks| Step::publish(blocks, 1).on(Tier::Pack));
            let recv = Step::recv(from, all.clone());
            let keep = Step::copy(self.own_of(&all), home);
            iter::once(recv).chain(offer).chain([keep]).collect::<Vec<_>>().into_iter()
        })
    }

    /// Reads what others have received for this rank.
    fn read(self) -> impl Iterator<Item = Step> + Send + 'static {
        self.seat.other_packs().flat_map(move |other| {
            let from = self.seat.speaker(self.seat.pack, other);
            let (size, sources) = (self.seat.size, self.seat.span_of(other));
            let read = (from != self.seat.place).then(|| {
                let own = self.own_of(&self.arriving(other));
                let fetch = Step::fetch(from, own.clone()).on(Tier::Pack);
                [fetch, Step::copy(own, size + sources.start..size + sources.end)]
            });
            read.into_iter().flatten()
        })
    }

    /// Where the values for a pack are collected.
    fn collected(&self, other: usize) -> Range<usize> {
        let begin = 2 * self.seat.size + self.begins[other];
        begin..begin + self.seat.span.len() * self.seat.span_of(other).len()
    }

    /// Where the values from a pack arrive.
    fn arriving(&self, other: usize) -> Range<usize> {
        let out = self.collected(other);
        out.start + self.held..out.end + self.held
    }

    /// Of values from a pack those for this rank.
    fn own_of(&self, all: &Range<usize>) -> Blocks {
        let own = self.seat.place - self.seat.span.start;
        Blocks::strided(all.start + own, 1, self.seat.span.len(), all.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Packs, alltoall::pairwise};

    #[test]
    fn two_packs_exchange_two_messages() {
        let shape = Shape::of(8).packed(&Packs::of([0, 0, 0, 0, 1, 1, 1, 1]));
        let report = ALGORITHM.check(shape.clone()).unwrap();
        assert_eq!((report.messages, report.remote), (2, 2));
        let flat = pairwise::ALGORITHM.check(shape).unwrap();
        assert_eq!((flat.messages, flat.remote), (56, 32));
    }

    #[test]
    fn ranks_of_a_pack_take_turns_to_speak() {
        let packs = Packs::of((0..16).map(|rank| rank / 4));
        let shape = Shape::of(16).packed(&packs);
        for rank in 0..16 {
            let far = |step: &Step| matches!(step.action, crate::plan::Action::Send { .. });
            assert!(plan(rank, shape.clone()).filter(far).count() <= 1);
        }
        assert_eq!(packs.held(), 16);
    }
}

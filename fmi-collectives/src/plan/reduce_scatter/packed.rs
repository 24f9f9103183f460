//! Reduce-scatter among packs, for associative operations; of packs that are not contiguous, for commutative
//! ones. Of two packs one rank each speaks: it combines what all of its pack have for the ranks of the other
//! and sends it as one message. One rank of a pack combines what comes, and publishes it for the others.
//! p(p−1) messages between p packs, each of S bytes a rank of the pack that it goes to.

use crate::plan::{
    Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Side, Step, Tier, seat::Seat,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::ReduceScatter,
    name: "packed",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Packs {
        remote: |shape| {
            let packs = shape.packs.len(shape.size);
            packs * (packs - 1)
        },
        scratch: |_| 0,
    },
    growth: Growth::Linear,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let Shape { size, packs, .. } = shape;
        let (count, most) = (packs.len(size), packs.largest(size));
        2 * count + count.div_ceil(packs.smallest(size)) * most + most + 2
    },
    sent: |shape| 2 * shape.size,
};

/// Packs are combined outwards from the one to which the blocks belong, so that operands stay in order.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let seat = Seat::of(rank, &shape.rooted(0));
    let steps = offer(seat.clone())
        .chain(speak(seat.clone()))
        .chain(collect(&seat))
        .chain(hand_out(&seat).into_iter().map(|step| step.on(Tier::Pack)));
    seat.named_by_rank(steps)
}

/// Publishes what others in the pack combine.
fn offer(seat: Seat) -> impl Iterator<Item = Step> + Send + 'static {
    let packs = 0..if seat.company() > 0 { seat.count } else { 0 };
    packs.filter_map(move |pack| {
        let combines = seat.speaker(seat.pack, pack) == seat.place;
        (!combines).then(|| Step::publish(seat.span_of(pack), 1).on(Tier::Pack))
    })
}

/// Combines for other packs, and sends.
fn speak(seat: Seat) -> impl Iterator<Item = Step> + Send + 'static {
    seat.spoken_to().flat_map(move |other| {
        let span = seat.span_of(other);
        let send = Step::send(seat.speaker(other, other), span.clone());
        seat.combine(span).chain([send])
    })
}

/// Combines for its own pack what comes from all.
fn collect(seat: &Seat) -> impl Iterator<Item = Step> + Send + use<> {
    let seat = seat.clone();
    let collects = seat.speaker(seat.pack, seat.pack) == seat.place;
    let near = collects.then(|| seat.combine(seat.span.clone()));
    let far = (1..if collects { seat.count } else { 0 }).flat_map(move |distance| {
        let below = seat.pack.checked_sub(distance).map(|pack| (pack, Side::Left));
        let above = Some(seat.pack + distance).filter(|pack| *pack < seat.count);
        let both = [below, above.map(|pack| (pack, Side::Right))].into_iter().flatten();
        let (seat, span) = (seat.clone(), seat.span.clone());
        both.map(move |(pack, side)| {
            Step::combine(seat.speaker(pack, seat.pack), span.clone(), side)
        })
    });
    near.into_iter().flatten().chain(far)
}

/// Gives each rank of the pack its own.
fn hand_out(seat: &Seat) -> Option<Step> {
    let (collector, span) = (seat.speaker(seat.pack, seat.pack), seat.span.clone());
    if seat.company() == 0 {
        None
    } else if collector == seat.place {
        let next = if collector + 1 < span.end { collector + 1 } else { span.start };
        Some(Step::publish(Blocks::wrapping(next, seat.company(), span), 1))
    } else {
        Some(Step::fetch(collector, seat.place))
    }
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

//! Scan among packs that are contiguous, for associative operations. In each pack the ranks behind the first
//! combine theirs along a chain; its last rank has the whole pack's value then, and the last ranks of all packs
//! [scan](super::hillis_steele). What ends with a pack goes to the first rank of the next one, which combines it
//! with its own and publishes that for the ranks between. At most m + ⌈log₂ p⌉ + 5 rounds.

use super::hillis_steele;
use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step, Tier, log2_ceil, seat::Seat,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Scan,
    name: "packed",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Packs {
        remote: |shape| {
            let count = shape.packs.len(shape.size);
            let levels = log2_ceil(count);
            let several = |pack: &usize| shape.packs.places(*pack, shape.size).len() > 1;
            count * levels + 1 - (1 << levels) + (1..count).filter(several).count()
        },
        scratch: |_| 1,
    },
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let Shape { size, packs, .. } = shape;
        packs.largest(size) + log2_ceil(packs.len(size)) + 5
    },
    sent: |shape| log2_ceil(shape.packs.len(shape.size)) + 3,
};

/// Where the value of a pack, or of its first rank, lies besides.
const WHOLE: usize = 1;

/// What a rank does depends on where it stands in its pack.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let seat = Seat::of(rank, &shape.rooted(0));
    let (first, last) = (seat.span.start, seat.span.end - 1);
    let (head, inner, tail) = match seat.place {
        place if place == last => (None, None, Some(end(&seat))),
        place if place == first => (Some(begin(&seat)), None, None),
        _ => (None, Some(between(&seat)), None),
    };
    let steps = head.into_iter().flatten().chain(inner.into_iter().flatten());
    let steps = steps.chain(tail.into_iter().flatten());
    seat.named(steps)
}

/// The first of several.
fn begin(seat: &Seat) -> impl Iterator<Item = Step> + Send + use<> {
    let before = seat.pack.checked_sub(1).map(|pack| seat.span_of(pack).end - 1);
    let readers = seat.span.len() - 2;
    let show = [Step::copy(0, WHOLE), Step::publish(WHOLE, 1).on(Tier::Pack)];
    let combine = before.map(|from| Step::combine(from, 0, Side::Left));
    let publish = (readers > 0).then(|| Step::publish(0, readers).on(Tier::Pack));
    show.into_iter().chain(combine).chain(publish)
}

/// Neither the first nor the last.
fn between(seat: &Seat) -> impl Iterator<Item = Step> + Send + use<> {
    let first = Step::combine_shared(seat.span.start, 0, Side::Left);
    let steps = chain(seat).into_iter().chain([Step::publish(0, 1), first]);
    steps.map(|step| step.on(Tier::Pack))
}

/// The last, who may be the first, too.
fn end(seat: &Seat) -> impl Iterator<Item = Step> + Send + use<> {
    let first = (seat.company() > 0).then_some(seat.span.start);
    let chain = chain(seat).map(|step| step.on(Tier::Pack));
    let whole = first.map(|first| Step::combine_shared(first, WHOLE, Side::Left).on(Tier::Pack));
    let own = seat.clone();
    let scan = hillis_steele::plan(seat.pack, Shape::of(seat.count)).map(move |step| {
        step.renumbered(|pack| own.span_of(pack).end - 1).with_blocks(|_| WHOLE.into())
    });
    let next = Some(seat.pack + 1).filter(|next| *next < seat.count).map(|next| seat.span_of(next));
    let next = next.filter(|span| span.len() > 1);
    let pass_on = next.map(|span| Step::send(span.start, 0));
    let keep = (seat.size > 1).then(|| Step::copy(0, WHOLE));
    let steps = chain.into_iter().chain(keep).chain(whole).chain(scan);
    // The very first rank has its result from the beginning.
    let result = (seat.place > 0).then(|| Step::copy(WHOLE, 0));
    steps.chain(result).chain(pass_on)
}

/// Combines with what the one below has combined, unless that is the first.
fn chain(seat: &Seat) -> Option<Step> {
    let below = seat.place.checked_sub(1).filter(|below| *below > seat.span.start);
    below.map(|below| Step::combine_shared(below, 0, Side::Left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Packs;

    #[test]
    fn one_message_enters_a_pack_besides_the_scan_of_packs() {
        let shape = Shape::of(9).packed(&Packs::of([0, 0, 0, 1, 1, 1, 2, 2, 2]));
        let report = ALGORITHM.check(shape).unwrap();
        assert_eq!((report.messages, report.remote), (5, 5));
    }
}

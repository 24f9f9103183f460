//! Where a rank sits in a plan among packs: what the algorithms named `packed` have in common.
//!
//! All of it speaks of places, see [`packs`](super::packs). A pack is led by the root if that is in it, else
//! by its first rank; the leaders run one of the flat plans, whose ranks are packs.

use super::{Packs, Shape, Side, Step, Tier};
use std::{iter, ops::Range};

/// A rank's place, and what it has to know of the others'.
#[derive(Clone)]
pub(super) struct Seat {
    packs: Packs,
    /// How many ranks there are, and in how many packs.
    pub(super) size: usize,
    pub(super) count: usize,
    pub(super) place: usize,
    pub(super) pack: usize,
    /// The places of its pack.
    pub(super) span: Range<usize>,
    root: usize,
}

impl Seat {
    pub(super) fn of(rank: usize, shape: &Shape) -> Self {
        let Shape { size, root, ref packs, .. } = *shape;
        let place = packs.place(rank);
        let pack = packs.pack_of(place);
        Self {
            size,
            count: packs.len(size),
            place,
            pack,
            span: packs.places(pack, size),
            root: packs.place(root),
            packs: packs.clone(),
        }
    }

    /// The places of a pack.
    pub(super) fn span_of(&self, pack: usize) -> Range<usize> {
        self.packs.places(pack, self.size)
    }

    /// Who leads a pack.
    pub(super) fn leader(&self, pack: usize) -> usize {
        if pack == self.root_pack() { self.root } else { self.span_of(pack).start }
    }

    pub(super) fn leads(&self) -> bool {
        self.leader(self.pack) == self.place
    }

    pub(super) fn root_pack(&self) -> usize {
        self.packs.pack_of(self.root)
    }

    /// Who speaks for a pack to another one: its ranks take turns, so that none has much more to do.
    pub(super) fn speaker(&self, pack: usize, other: usize) -> usize {
        let span = self.span_of(pack);
        span.start + other % span.len()
    }

    /// The other packs, from the next one on.
    pub(super) fn other_packs(&self) -> impl Iterator<Item = usize> + Send + use<> {
        let (pack, count) = (self.pack, self.count);
        (1..count).map(move |distance| (pack + distance) % count)
    }

    /// The other packs for which this rank speaks.
    pub(super) fn spoken_to(&self) -> impl Iterator<Item = usize> + Send + use<> {
        let seat = self.clone();
        self.other_packs().filter(move |other| seat.speaker(seat.pack, *other) == seat.place)
    }

    /// How many others there are in its pack.
    pub(super) fn company(&self) -> usize {
        self.span.len() - 1
    }

    /// The others in its pack, from the next one on.
    pub(super) fn others(&self) -> impl Iterator<Item = usize> + Send + use<> {
        let (first, own, length) = (self.span.start, self.place - self.span.start, self.span.len());
        (1..length).map(move |distance| first + (own + distance) % length)
    }

    /// Combines what the others in its pack have published of these blocks with its own: first of those
    /// below, downwards, then of those above, upwards. So operands stay in order.
    pub(super) fn combine(
        &self,
        blocks: Range<usize>,
    ) -> impl Iterator<Item = Step> + Send + use<> {
        let below = (self.span.start..self.place).rev().zip(iter::repeat(Side::Left));
        let above = (self.place + 1..self.span.end).zip(iter::repeat(Side::Right));
        let combine =
            move |(from, side)| Step::combine_shared(from, blocks.clone(), side).on(Tier::Pack);
        below.chain(above).map(combine)
    }

    /// What this rank does as the leader of its pack in a plan among packs; if it leads none, nothing.
    pub(super) fn lead<P, S>(&self, plan: P) -> impl Iterator<Item = Step> + Send + use<P, S>
    where
        P: FnOnce(usize, Shape) -> S,
        S: Iterator<Item = Step> + Send + 'static,
    {
        let shape = Shape::of(self.count).rooted(self.root_pack());
        let steps = self.leads().then(|| plan(self.pack, shape));
        let seat = self.clone();
        steps.into_iter().flatten().map(move |step| step.renumbered(|pack| seat.leader(pack)))
    }

    /// The same, where the block of a pack is those of its ranks.
    pub(super) fn lead_blocks<P, S>(&self, plan: P) -> impl Iterator<Item = Step> + Send + use<P, S>
    where
        P: FnOnce(usize, Shape) -> S,
        S: Iterator<Item = Step> + Send + 'static,
    {
        let seat = self.clone();
        let of_ranks =
            move |step: Step| step.with_blocks(|packs| seat.packs.blocks(packs, seat.size));
        self.lead(plan).map(of_ranks)
    }

    /// Steps that speak of places, with ranks instead.
    pub(super) fn named(
        self,
        steps: impl Iterator<Item = Step> + Send + 'static,
    ) -> impl Iterator<Item = Step> + Send + 'static {
        steps.map(move |step| self.packs.named(step, false))
    }

    /// The same, of blocks that belong to ranks.
    pub(super) fn named_by_rank(
        self,
        steps: impl Iterator<Item = Step> + Send + 'static,
    ) -> impl Iterator<Item = Step> + Send + 'static {
        steps.map(move |step| self.packs.named(step, true))
    }
}

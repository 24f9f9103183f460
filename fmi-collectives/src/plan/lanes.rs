//! Long values among packs: cut into as many parts as the smallest pack has ranks, each of which has a *lane*
//! of its own. The ranks on a lane, one in each pack, combine their part of what their packs have published,
//! and run a flat plan with each other. So all cores of a pack work at once, and all packs alike, whatever
//! their sizes.

use super::{Packs, Shape, Step, Tier, seat::Seat};
use std::ops::Range;

/// A rank among the lanes.
#[derive(Clone)]
pub(super) struct Lanes {
    pub(super) seat: Seat,
    /// How many there are.
    pub(super) count: usize,
    /// Blocks of each.
    pub(super) width: usize,
}

/// How many there are.
pub(super) fn count(shape: &Shape) -> usize {
    let Shape { size, ref packs, .. } = *shape;
    // One rank in each pack: then there is no need for more.
    if *packs == Packs::ALONE { 1 } else { packs.smallest(size) }
}

impl Lanes {
    pub(super) fn of(rank: usize, shape: &Shape, width: usize) -> Self {
        Self { seat: Seat::of(rank, shape), count: count(shape), width }
    }

    /// The blocks of a lane.
    pub(super) fn blocks(&self, lane: usize) -> Range<usize> {
        lane * self.width..(lane + 1) * self.width
    }

    /// The lane of this rank, if it is on one.
    pub(super) fn own(&self) -> Option<usize> {
        Some(self.seat.place - self.seat.span.start).filter(|lane| *lane < self.count)
    }

    /// The place in this pack of who is on a lane.
    pub(super) fn on(&self, lane: usize) -> usize {
        self.seat.span.start + lane
    }

    /// Publishes what others in the pack combine, and combines its own part.
    pub(super) fn combine(&self) -> impl Iterator<Item = Step> + Send + use<> {
        let all = self.count * self.width;
        let before = self.own().map_or(0..all, |own| 0..own * self.width);
        let behind = self.own().map_or(all..all, |own| (own + 1) * self.width..all);
        let company = self.seat.company() > 0;
        let publish = [before, behind].into_iter().filter(move |it| company && !it.is_empty());
        let publish = publish.map(|blocks| Step::publish(blocks, 1).on(Tier::Pack));
        let combine = self.own().map(|own| self.seat.combine(self.blocks(own)));
        publish.chain(combine.into_iter().flatten())
    }

    /// What this rank does in a plan of its lane.
    pub(super) fn run<P, S>(&self, plan: P) -> impl Iterator<Item = Step> + Send + use<P, S>
    where
        P: FnOnce(usize, Shape) -> S,
        S: Iterator<Item = Step> + Send + 'static,
    {
        let shape = Shape::of(self.seat.count).rooted(self.seat.root_pack());
        let steps = self.own().map(|lane| (lane, plan(self.seat.pack, shape)));
        let lanes = self.clone();
        steps.into_iter().flat_map(move |(lane, steps)| {
            let (seat, first) = (lanes.seat.clone(), lane * lanes.width);
            steps.map(move |step| {
                step.renumbered(|pack| seat.span_of(pack).start + lane).with_blocks(|blocks| {
                    let part = blocks.as_range().unwrap_or(0..0);
                    (first + part.start..first + part.end).into()
                })
            })
        })
    }
}

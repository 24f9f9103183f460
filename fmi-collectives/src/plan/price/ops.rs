//! From the steps of a plan to what is played through.

use crate::plan::{Action, Algorithm, Blocks, Collective, Medium, Shape, Step, Steps, Tier};
use fmi_model::{
    Bytes,
    replay::{Act, Op, Work},
};
use std::{collections::VecDeque, ops::Range};

/// How many bytes blocks have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Of a value.
    bytes: u64,
    /// Into so many blocks it is cut.
    pieces: u64,
    /// Whether what is published inside of a pack stays there.
    packed: bool,
    /// Whose result is put together at the end: what was combined piece by piece lies in as many places.
    joins: Joins,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joins {
    Nobody,
    /// Who receives last.
    Root,
    All,
}

/// One rank's steps, as they are played through.
pub(super) struct Ops {
    steps: Steps,
    sizes: Sizes,
    /// What else the last step does.
    rest: VecDeque<Op>,
    /// Whether the last step brought something.
    received: bool,
    /// The result is together.
    joined: bool,
}

impl Sizes {
    pub(super) fn of(algorithm: &Algorithm, shape: &Shape, bytes: Bytes) -> Self {
        let packed = matches!(algorithm.medium, Medium::Packs { .. });
        let pieces = algorithm.pieces(shape).max(1) as u64;
        let joins = match algorithm.collective {
            _ if pieces == 1 => Joins::Nobody,
            Collective::Reduce => Joins::Root,
            Collective::Allreduce | Collective::Scan | Collective::Exscan => Joins::All,
            _ => Joins::Nobody,
        };
        Self { bytes: bytes.get(), pieces, packed, joins }
    }

    /// Bytes of these blocks. A value that is cut is cut as evenly as can be.
    pub(super) fn of_blocks(&self, blocks: &Blocks) -> Bytes {
        if self.pieces == 1 {
            return Bytes::new(self.bytes) * blocks.len() as u64;
        }
        let of_run = |run: Range<usize>| self.before(run.end) - self.before(run.start);
        match blocks.plain() {
            Some(run) => Bytes::new(of_run(run)),
            None => Bytes::new(blocks.runs().map(of_run).sum()),
        }
    }

    /// In how many pieces these blocks move: values move each by itself, those of a value that was cut in one piece
    /// where they are neighbours.
    fn pieces_of(&self, blocks: &Blocks) -> u32 {
        let count = if self.pieces == 1 { blocks.len() } else { blocks.runs().count() };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Bytes of all blocks before this one.
    fn before(&self, block: usize) -> u64 {
        match self.bytes.checked_mul(block as u64) {
            Some(product) => product / self.pieces,
            None => (u128::from(self.bytes) * block as u128 / u128::from(self.pieces)) as u64,
        }
    }
}

impl Ops {
    pub(super) fn new(steps: Steps, sizes: Sizes) -> Self {
        let call = Op { work: Work::Call, ..Op::new(Act::Local, Bytes::ZERO) };
        Self { steps, sizes, rest: VecDeque::from([call]), received: false, joined: false }
    }

    fn op(&mut self, step: &Step) -> Option<Op> {
        let bytes = self.sizes.of_blocks(step.blocks());
        let pieces = self.sizes.pieces_of(step.blocks());
        let op = |act, work| Some(Op { act, bytes, pieces, work });
        match &step.action {
            Action::Send { to, .. } => op(Act::Send { to: *to }, Work::None),
            Action::Recv { from, .. } => op(Act::Recv { from: *from }, Work::None),
            Action::Combine { from, .. } => op(Act::Recv { from: *from }, Work::Combine),
            // What is long is shared.
            Action::Copy { .. } => {
                Some(Op { work: Work::Copy, ..Op::new(Act::Local, Bytes::ZERO) })
            }
            Action::Publish { blocks, .. } => {
                let mut runs = blocks.runs();
                let signal = SIGNAL..SIGNAL + 1;
                let first = runs.next().unwrap_or(signal);
                let also = runs.map(|run| Act::Also { first: run.start, blocks: run.len() });
                self.rest.extend(also.map(|act| Op::new(act, Bytes::ZERO)));
                let (first, blocks) = (first.start, first.len());
                match self.sizes.packed && step.tier == Some(Tier::Pack) {
                    true => op(Act::Pin { first, blocks }, Work::None),
                    false => op(Act::Publish { first, blocks }, Work::None),
                }
            }
            Action::Fetch { from, blocks } => self.reads(*from, blocks, Work::None),
            Action::CombineShared { from, blocks, .. } => self.reads(*from, blocks, Work::Combine),
        }
    }

    /// Puts the result together, once.
    fn join(&mut self) -> Option<Op> {
        let joins = match self.sizes.joins {
            Joins::Nobody => false,
            Joins::Root => self.received,
            Joins::All => true,
        };
        let bytes = Bytes::new(self.sizes.bytes);
        let first = !std::mem::replace(&mut self.joined, true);
        (joins && first).then(|| Op { work: Work::Copy, ..Op::new(Act::Local, bytes) })
    }

    /// Each block is a read of its own.
    fn reads(&mut self, from: usize, blocks: &Blocks, work: Work) -> Option<Op> {
        if blocks.is_empty() {
            let signal = Act::Fetch { from, block: SIGNAL };
            return Some(Op { work, ..Op::new(signal, Bytes::ZERO) });
        }
        let sizes = self.sizes;
        let read = |block: usize| Op {
            act: Act::Fetch { from, block },
            bytes: sizes.of_blocks(&block.into()),
            pieces: 1,
            work,
        };
        let mut reads = blocks.iter().map(read);
        let first = reads.next();
        self.rest.extend(reads);
        first
    }
}

impl Iterator for Ops {
    type Item = Op;

    fn next(&mut self) -> Option<Op> {
        if let Some(op) = self.rest.pop_front() {
            return Some(op);
        }
        let Some(step) = self.steps.next() else { return self.join() };
        self.received = !matches!(step.action, Action::Send { .. } | Action::Publish { .. });
        self.op(&step)
    }
}

/// The number under which a signal is published: no workspace has as many blocks.
const SIGNAL: usize = u32::MAX as usize - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{allreduce, barrier, bcast, reduce, reduce_scatter};

    fn ops(algorithm: &Algorithm, rank: usize, shape: Shape, bytes: u64) -> Vec<Op> {
        let sizes = Sizes::of(algorithm, &shape, Bytes::new(bytes));
        // Without the call.
        Ops::new((algorithm.steps)(rank, shape), sizes).skip(1).collect()
    }

    #[test]
    fn pieces_are_as_even_as_can_be() {
        let sizes = Sizes { bytes: 10, pieces: 4, packed: false, joins: Joins::Nobody };
        let of = |blocks: Blocks| sizes.of_blocks(&blocks).get();
        assert_eq!([0, 1, 2, 3].map(|piece: usize| of(piece.into())), [2, 3, 2, 3]);
        assert_eq!((of((0..4).into()), of(Blocks::wrapping(3, 2, 0..4))), (10, 5));
        let huge = Sizes { bytes: u64::MAX, pieces: 1000, packed: false, joins: Joins::Nobody };
        assert_eq!(huge.before(1000), u64::MAX);
    }

    #[test]
    fn what_lies_in_two_places_is_published_once() {
        let ring = ops(&reduce_scatter::shared::ALGORITHM, 1, Shape::of(4), 100);
        assert_eq!(
            ring[..3],
            [
                Op { pieces: 3, ..Op::new(Act::Publish { first: 2, blocks: 2 }, Bytes::new(300)) },
                Op::new(Act::Also { first: 0, blocks: 1 }, Bytes::ZERO),
                Op {
                    act: Act::Fetch { from: 0, block: 1 },
                    bytes: Bytes::new(100),
                    pieces: 1,
                    work: Work::Combine,
                },
            ]
        );
    }

    #[test]
    fn signals_have_no_bytes() {
        let all = ops(&barrier::shared::ALGORITHM, 1, Shape::of(2), 100);
        assert!(all.iter().all(|op| op.bytes == Bytes::ZERO));
        assert_eq!(all[1].act, Act::Fetch { from: 0, block: SIGNAL });
        let combined = ops(&allreduce::ring::ALGORITHM, 0, Shape::of(2), 100);
        assert_eq!((combined[1].work, combined[1].bytes), (Work::Combine, Bytes::new(50)));
    }

    #[test]
    fn who_has_combined_pieces_puts_them_together() {
        let joined = |algorithm, rank, chunks| {
            let last = ops(algorithm, rank, Shape::of(2).chunked(chunks), 100).pop().unwrap();
            (last.act, last.work, last.bytes) == (Act::Local, Work::Copy, Bytes::new(100))
        };
        assert!([0, 1].iter().all(|rank| joined(&allreduce::ring::ALGORITHM, *rank, 1)));
        assert_eq!([0, 1].map(|rank| joined(&reduce::chain::ALGORITHM, rank, 4)), [true, false]);
        assert!(!joined(&reduce::chain::ALGORITHM, 0, 1));
        assert!(!joined(&bcast::chain::ALGORITHM, 1, 4));
    }
}

//! Who shares a process with whom.
//!
//! Plans among packs are made for *places* instead of ranks: places count the ranks pack by pack, so
//! that each pack is a range of them, wherever its ranks are. In the end [`Packs::named`] puts ranks
//! where places stood, and the ranks' blocks where those of places did. Where packs are contiguous a
//! place is a rank.

use super::{Action, Blocks, Step};
use rustc_hash::FxHashMap;
use std::{collections::hash_map::Entry, fmt, ops::Range, sync::Arc};

/// Which ranks share a process: the packs of a group. Cheap to clone, and nothing at all where each
/// rank is alone.
///
/// Packs are numbered by their lowest ranks, and count their ranks upwards.
///
/// ```
/// use fmi_collectives::plan::Packs;
///
/// let packs = Packs::of([7, 7, 9, 7, 9]);
/// assert_eq!((packs.len(5), packs.is_contiguous()), (2, false));
/// assert!(packs.ranks(1, 5).eq([2, 4]));
/// assert_eq!(Packs::of([1, 2, 3]), Packs::ALONE);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Packs(Option<Arc<Stand>>);

/// How the ranks of a group stand in packs.
#[derive(PartialEq, Eq, Hash)]
struct Stand {
    /// Ranks by place.
    order: Arc<Vec<u32>>,
    /// Places by rank.
    places: Vec<u32>,
    /// The pack of each place.
    packs: Vec<u32>,
    /// The first place of each pack, and behind the last one the number of ranks.
    starts: Vec<u32>,
    contiguous: bool,
    /// See [`Packs::held`].
    held: usize,
}

impl Packs {
    /// Each rank is alone in its process.
    pub const ALONE: Self = Self(None);

    /// Of ranks that are in these processes.
    #[must_use]
    pub fn of(processes: impl IntoIterator<Item = u32>) -> Self {
        let mut known: FxHashMap<u32, usize> = FxHashMap::default();
        let mut packs: Vec<Vec<u32>> = Vec::new();
        let mut size = 0;
        for (rank, process) in (0..).zip(processes) {
            match known.entry(process) {
                Entry::Occupied(pack) => packs[*pack.get()].push(rank),
                Entry::Vacant(pack) => {
                    pack.insert(packs.len());
                    packs.push(vec![rank]);
                }
            }
            size = rank as usize + 1;
        }
        if packs.len() == size {
            return Self::ALONE;
        }
        let mut starts = vec![0];
        let mut numbers = Vec::with_capacity(size);
        for (number, pack) in (0..).zip(&packs) {
            numbers.extend(pack.iter().map(|_| number));
            starts.push(numbers.len() as u32);
        }
        let order: Vec<u32> = packs.into_iter().flatten().collect();
        let mut places = vec![0; size];
        for (place, rank) in (0..).zip(&order) {
            places[*rank as usize] = place;
        }
        let contiguous = order.is_sorted();
        let held = held(&starts);
        Self(Some(Arc::new(Stand {
            order: Arc::new(order),
            places,
            packs: numbers,
            starts,
            contiguous,
            held,
        })))
    }

    /// Whether no two ranks share a process.
    #[must_use]
    pub fn are_alone(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the ranks of each pack follow each other.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        self.0.as_ref().is_none_or(|stand| stand.contiguous)
    }

    /// How many packs `size` ranks are in.
    #[must_use]
    pub fn len(&self, size: usize) -> usize {
        self.0.as_ref().map_or(size, |stand| stand.starts.len() - 1)
    }

    /// The pack of a rank.
    #[must_use]
    pub fn pack(&self, rank: usize) -> usize {
        self.pack_of(self.place(rank))
    }

    /// The ranks of a pack, upwards.
    pub fn ranks(&self, pack: usize, size: usize) -> impl Iterator<Item = usize> + use<'_> {
        self.places(pack, size).map(|place| self.rank(place))
    }

    /// How many ranks the smallest pack has.
    #[must_use]
    pub fn smallest(&self, size: usize) -> usize {
        (0..self.len(size)).map(|pack| self.places(pack, size).len()).min().unwrap_or(0)
    }

    /// How many ranks the largest pack has.
    #[must_use]
    pub fn largest(&self, size: usize) -> usize {
        (0..self.len(size)).map(|pack| self.places(pack, size).len()).max().unwrap_or(0)
    }

    /// Those of the first ranks.
    #[must_use]
    pub fn of_first(&self, size: usize) -> Self {
        match &self.0 {
            Some(_) => Self::of((0..size).map(|rank| self.pack(rank) as u32)),
            None => Self::ALONE,
        }
    }

    /// Those of all ranks but the first, which then are called one less.
    #[must_use]
    pub fn without_first(&self, size: usize) -> Self {
        match &self.0 {
            Some(_) => Self::of((1..size).map(|rank| self.pack(rank) as u32)),
            None => Self::ALONE,
        }
    }

    pub(super) fn place(&self, rank: usize) -> usize {
        self.0.as_ref().map_or(rank, |stand| stand.places[rank] as usize)
    }

    pub(super) fn rank(&self, place: usize) -> usize {
        self.0.as_ref().map_or(place, |stand| stand.order[place] as usize)
    }

    /// The pack of a place.
    pub(super) fn pack_of(&self, place: usize) -> usize {
        self.0.as_ref().map_or(place, |stand| stand.packs[place] as usize)
    }

    /// The places of a pack among `size` ranks.
    pub(super) fn places(&self, pack: usize, size: usize) -> Range<usize> {
        match &self.0 {
            Some(stand) => stand.starts[pack] as usize..stand.starts[pack + 1] as usize,
            None => pack..(pack + 1).min(size),
        }
    }

    /// The places of some packs: one range, or one that goes around from the last to the first.
    pub(super) fn blocks(&self, packs: &Blocks, size: usize) -> Blocks {
        let Some(first) = packs.iter().next() else { return Blocks::NONE };
        let count = packs.iter().map(|pack| self.places(pack, size).len()).sum();
        Blocks::wrapping(self.places(first, size).start, count, 0..size)
    }

    /// The most values that one rank of a pack of several holds for all of them in an alltoall, if packs
    /// are shared out among them as [`Seat::speaker`](super::seat::Seat::speaker) does.
    pub(super) fn held(&self) -> usize {
        self.0.as_ref().map_or(0, |stand| stand.held)
    }

    /// Steps that speak of places, with ranks instead. Blocks are those of ranks if `by_rank`.
    pub(super) fn named(&self, mut step: Step, by_rank: bool) -> Step {
        let Some(stand) = self.0.as_ref().filter(|stand| !stand.contiguous) else { return step };
        step = step.renumbered(|place| stand.order[place] as usize);
        if by_rank {
            step = step.with_blocks(|blocks| blocks.named(&stand.order));
        }
        step
    }
}

fn held(starts: &[u32]) -> usize {
    let lengths: Vec<usize> = starts.windows(2).map(|ends| (ends[1] - ends[0]) as usize).collect();
    let mut several = lengths.clone();
    several.retain(|length| *length > 1);
    several.sort_unstable();
    several.dedup();
    let most = |own: &usize| {
        let mut held = vec![0; *own];
        for (pack, length) in lengths.iter().enumerate() {
            held[pack % own] += own * length;
        }
        held.into_iter().max()
    };
    several.iter().filter_map(most).max().unwrap_or(0)
}

impl fmt::Debug for Packs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(stand) => {
                let processes = stand.places.iter().map(|place| stand.packs[*place as usize]);
                f.debug_list().entries(processes).finish()
            }
            None => f.write_str("alone"),
        }
    }
}

impl Step {
    /// The same step with other numbers of ranks.
    pub(super) fn renumbered(mut self, rank: impl FnOnce(usize) -> usize) -> Self {
        match &mut self.action {
            Action::Send { to: peer, .. }
            | Action::Recv { from: peer, .. }
            | Action::Combine { from: peer, .. }
            | Action::Fetch { from: peer, .. }
            | Action::CombineShared { from: peer, .. } => *peer = rank(*peer),
            Action::Copy { .. } | Action::Publish { .. } => {}
        }
        self
    }

    /// The same step about other blocks.
    pub(super) fn with_blocks(mut self, mut blocks: impl FnMut(&Blocks) -> Blocks) -> Self {
        match &mut self.action {
            Action::Send { blocks: here, .. }
            | Action::Recv { blocks: here, .. }
            | Action::Combine { blocks: here, .. }
            | Action::Publish { blocks: here, .. }
            | Action::Fetch { blocks: here, .. }
            | Action::CombineShared { blocks: here, .. } => *here = blocks(here),
            Action::Copy { from, to } => {
                *from = blocks(from);
                *to = blocks(to);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_are_numbered_by_their_lowest_ranks() {
        let packs = Packs::of([5, 3, 5, 8, 3, 5]);
        assert_eq!(packs.len(6), 3);
        let all: Vec<Vec<usize>> = (0..3).map(|pack| packs.ranks(pack, 6).collect()).collect();
        assert_eq!(all, [vec![0, 2, 5], vec![1, 4], vec![3]]);
        assert_eq!((packs.smallest(6), packs.largest(6)), (1, 3));
        for rank in 0..6 {
            assert_eq!(packs.rank(packs.place(rank)), rank);
        }
        assert_eq!(packs.without_first(6), Packs::of([3, 5, 8, 3, 5]));
        assert_eq!(packs.of_first(2), Packs::ALONE);
        assert!(!packs.is_contiguous() && Packs::of([1, 1, 2]).is_contiguous());
    }

    #[test]
    fn steps_of_scattered_packs_name_ranks_and_their_blocks() {
        let packs = Packs::of([0, 1, 0, 1]);
        let step = Step::send(1, 0..2);
        assert_eq!(packs.named(step.clone(), false), Step::send(2, 0..2));
        assert!(packs.named(step.clone(), true).blocks().iter().eq([0, 2]));
        assert_eq!(Packs::of([0, 0, 1]).named(step.clone(), true), step);
    }

    #[test]
    fn blocks_of_packs_go_around() {
        let packs = Packs::of([0, 0, 1, 2, 2, 2]);
        let of = |blocks: Blocks| packs.blocks(&blocks, 6).iter().collect::<Vec<_>>();
        assert_eq!(of((1..3).into()), [2, 3, 4, 5]);
        assert_eq!(of(Blocks::wrapping(2, 2, 0..3)), [3, 4, 5, 0, 1]);
        assert!(of(Blocks::NONE).is_empty());
    }
}

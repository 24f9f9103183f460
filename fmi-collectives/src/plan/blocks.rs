//! Which blocks of the workspace a step is about.

use std::{fmt, mem, ops::Range, sync::Arc};

/// Some blocks of a rank's workspace, in the order in which they travel.
///
/// Mostly a plain range, made from one (`0..4`) or from one block (`3`). Two more shapes let an
/// algorithm name in one step what it moves in one message: a range that [wraps](Self::wrapping)
/// around, and runs at [regular distances](Self::strided). Where ranks of a pack are scattered, their
/// blocks are, too.
///
/// ```
/// use fmi_collectives::plan::Blocks;
///
/// assert!(Blocks::from(2..5).iter().eq([2, 3, 4]));
/// // Five ranks, from rank 3 on.
/// assert!(Blocks::wrapping(3, 4, 0..5).iter().eq([3, 4, 0, 1]));
/// assert!(Blocks::from(2..5).reversed().iter().eq([4, 3, 2]));
/// // Those whose second bit is set, counted from block 1.
/// let odd = Blocks::strided(2, 2, 4, 7).from_start(1, 0..7);
/// assert!(odd.iter().eq([3, 4, 0]));
/// ```
///
/// Numbers above `u32::MAX` count as `u32::MAX`; plans have many steps, so steps are small.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// Counted from `origin`: the first, and the end that no run passes.
    first: u32,
    end: u32,
    /// Blocks in a run, and from the start of one to the start of the next.
    run: u32,
    stride: u32,
    /// Where counting begins, and in which part of the workspace it wraps around.
    origin: u32,
    within: Option<(u32, u32)>,
    /// Whether the last comes first.
    reversed: bool,
    /// What blocks are called that were counted as those of places.
    names: Option<Arc<Vec<u32>>>,
}

impl Blocks {
    /// No blocks: a message that says only that it is there.
    pub const NONE: Self = Self::range(0, 0);

    const fn range(first: usize, end: usize) -> Self {
        // Never 0: lengths divide by it.
        let run = if first < end { end - first } else { 1 };
        Self::new(first, run, run, end)
    }

    const fn new(first: usize, run: usize, stride: usize, end: usize) -> Self {
        let (first, end, run, stride) = (narrow(first), narrow(end), narrow(run), narrow(stride));
        Self { first, end, run, stride, origin: 0, within: None, reversed: false, names: None }
    }

    /// `count` blocks from `first` on; after the last block of `within` comes its first.
    #[must_use]
    pub fn wrapping(first: usize, count: usize, within: Range<usize>) -> Self {
        if first + count <= within.end {
            return Self::range(first, first + count);
        }
        Self::range(0, count).from_start(first, within)
    }

    /// The blocks `0..size` but this one, from the one after it on.
    #[must_use]
    pub fn all_but(block: usize, size: usize) -> Self {
        Self::wrapping((block + 1) % size, size - 1, 0..size)
    }

    /// Runs of `run` blocks: the first begins at `first`, the others `stride` apart, none goes
    /// past `end`.
    ///
    /// # Panics
    /// When runs are empty or overlap.
    #[must_use]
    pub fn strided(first: usize, run: usize, stride: usize, end: usize) -> Self {
        assert!(run > 0 && run <= stride, "runs of {run} blocks every {stride}");
        Self::new(first, run, stride, end)
    }

    /// The same, counted from block `origin`; after the last block of `within` comes its first.
    ///
    /// # Panics
    /// When `origin` is not in `within`, or when they go around more than once.
    #[must_use]
    pub fn from_start(self, origin: usize, within: Range<usize>) -> Self {
        assert!(within.contains(&origin), "block {origin} is not in {within:?}");
        assert!(self.end as usize <= within.len(), "{} blocks do not fit {within:?}", self.end);
        let within = Some((narrow(within.start), narrow(within.end)));
        Self { origin: narrow(origin), within, ..self }
    }

    /// The same, the last first.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { reversed: !self.reversed, ..self }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        let span = self.end.saturating_sub(self.first);
        (span / self.stride * self.run + (span % self.stride).min(self.run)) as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first >= self.end
    }

    /// Their numbers, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = usize> + Clone + use<> {
        Numbers { runs: self.walk(), run: 0..0, left: self.len() }
    }

    /// Their numbers as contiguous ranges, in order, none of them empty.
    pub fn runs(&self) -> impl Iterator<Item = Range<usize>> + Clone + use<> {
        self.walk()
    }

    /// The range, if they are one.
    #[must_use]
    pub fn as_range(&self) -> Option<Range<usize>> {
        if let Some(range) = self.plain() {
            return Some(range);
        }
        let mut runs = self.runs();
        let first = runs.next().unwrap_or(0..0);
        let mut end = first.end;
        for run in runs {
            if run.start != end {
                return None;
            }
            end = run.end;
        }
        Some(first.start..end)
    }

    /// As [`as_range`](Self::as_range), if that is seen at once.
    pub(crate) fn plain(&self) -> Option<Range<usize>> {
        let one_run = self.end.saturating_sub(self.first) <= self.run;
        let plain = one_run && self.within.is_none() && !self.reversed && self.names.is_none();
        plain.then(|| self.first as usize..self.end.max(self.first) as usize)
    }

    /// Whether a block is among them.
    #[must_use]
    pub fn contains(&self, block: usize) -> bool {
        let forwards = Self { reversed: false, ..self.clone() };
        forwards.walk().any(|run| run.contains(&block))
    }

    fn walk(&self) -> Runs {
        Runs { blocks: self.clone(), around: 0..0, left: self.len(), unnamed: 0..0 }
    }

    /// The same of ranks that have these names: block `i` of each `i` becomes that of the `i`-th name, and
    /// so does the next block of each. Blocks that belong to no rank stay.
    pub(super) fn named(&self, names: &Arc<Vec<u32>>) -> Self {
        Self { names: Some(Arc::clone(names)), ..self.clone() }
    }

    /// Where a block lies that is counted from `origin`.
    fn place(&self, block: u32) -> usize {
        let place = self.origin as usize + block as usize;
        match self.within {
            Some((low, high)) if place >= high as usize => low as usize + (place - high as usize),
            _ => place,
        }
    }

    /// What a block is called.
    fn name(&self, block: usize) -> usize {
        match &self.names {
            Some(names) if block < 2 * names.len() => {
                let size = names.len();
                block / size * size + names[block % size] as usize
            }
            _ => block,
        }
    }
}

const fn narrow(block: usize) -> u32 {
    if block > u32::MAX as usize { u32::MAX } else { block as u32 }
}

/// See [`Blocks::runs`]. By hand, because executor and checker spend their time here.
#[derive(Clone)]
struct Runs {
    /// Those to come.
    blocks: Blocks,
    /// The second part of a run that wraps around.
    around: Range<usize>,
    /// How many blocks are to come, if they are reversed.
    left: usize,
    /// Of the last run, those that have not got their names yet.
    unnamed: Range<usize>,
}

impl Iterator for Runs {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if self.blocks.names.is_none() {
            return self.next_run();
        }
        if self.unnamed.is_empty() {
            self.unnamed = self.next_run()?;
        }
        let name = |block| self.blocks.name(block);
        let start = name(self.unnamed.start);
        let rest = self.unnamed.clone().skip(1);
        let length =
            1 + rest.zip(start + 1..).take_while(|(block, next)| name(*block) == *next).count();
        self.unnamed.start += length;
        Some(start..start + length)
    }
}

impl Runs {
    fn next_run(&mut self) -> Option<Range<usize>> {
        if !self.around.is_empty() {
            return Some(mem::replace(&mut self.around, 0..0));
        }
        let Blocks { first, end, run, stride, within, reversed, .. } = self.blocks;
        if reversed {
            self.left = self.left.checked_sub(1)?;
            let (before, inside) = (narrow(self.left) / run, narrow(self.left) % run);
            let place = self.blocks.place(first + before * stride + inside);
            return Some(place..place + 1);
        }
        if first >= end {
            return None;
        }
        self.blocks.first = first.saturating_add(stride);
        let length = run.min(end - first) as usize;
        let start = self.blocks.place(first);
        match within {
            Some((low, high)) if start + length > high as usize => {
                self.around = low as usize..low as usize + (start + length - high as usize);
                Some(start..high as usize)
            }
            _ => Some(start..start + length),
        }
    }
}

/// See [`Blocks::iter`].
#[derive(Clone)]
struct Numbers {
    runs: Runs,
    run: Range<usize>,
    left: usize,
}

impl Iterator for Numbers {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.run.is_empty() {
            self.run = self.runs.next()?;
        }
        self.left -= 1;
        self.run.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Numbers {}

impl From<Range<usize>> for Blocks {
    fn from(range: Range<usize>) -> Self {
        Self::range(range.start, range.end)
    }
}

impl From<usize> for Blocks {
    fn from(block: usize) -> Self {
        let block = block.min(u32::MAX as usize - 1);
        Self::range(block, block + 1)
    }
}

/// As ranges: `[0..4]`, or `[3..5, 0..1]`.
impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.runs()).finish()
    }
}

impl fmt::Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (index, run) in self.runs().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            match run.len() {
                1 => write!(f, "{comma}{}", run.start)?,
                _ => write!(f, "{comma}{}–{}", run.start, run.end - 1)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(blocks: &Blocks) -> Vec<usize> {
        let list: Vec<usize> = blocks.iter().collect();
        assert_eq!(list.len(), blocks.len());
        assert!(list.iter().all(|block| blocks.contains(*block)));
        list
    }

    #[test]
    fn ranges() {
        assert_eq!(list(&(2..5).into()), [2, 3, 4]);
        assert_eq!(list(&7.into()), [7]);
        assert!(list(&Blocks::NONE).is_empty());
        assert_eq!(Blocks::from(2..5).as_range(), Some(2..5));
        assert_eq!(Blocks::from(2..5).plain(), Some(2..5));
        assert_eq!(Blocks::NONE.plain(), Some(0..0));
        assert_eq!(Blocks::wrapping(6, 3, 4..8).plain(), None);
    }

    #[test]
    fn numbers_that_no_workspace_has() {
        assert_eq!(Blocks::from(usize::MAX).len(), 1);
        assert_eq!(Blocks::from(1..usize::MAX).as_range(), Some(1..u32::MAX as usize));
    }

    #[test]
    fn around_the_end() {
        let blocks = Blocks::wrapping(6, 3, 4..8);
        assert_eq!(list(&blocks), [6, 7, 4]);
        assert_eq!((blocks.as_range(), blocks.to_string().as_str()), (None, "6–7, 4"));
        assert_eq!(Blocks::wrapping(4, 4, 4..8), (4..8).into());
        assert_eq!(list(&Blocks::wrapping(1, 4, 0..4)), [1, 2, 3, 0]);
        assert_eq!(list(&Blocks::all_but(1, 4)), [2, 3, 0]);
        assert_eq!(list(&Blocks::all_but(3, 4)), [0, 1, 2]);
    }

    #[test]
    fn names_of_ranks() {
        let names = Arc::new(vec![0, 3, 1, 2]);
        let named = |blocks: Blocks| blocks.named(&names);
        assert_eq!(list(&named((0..4).into())), [0, 3, 1, 2]);
        assert_eq!(named((2..4).into()).as_range(), Some(1..3));
        assert_eq!(list(&named(Blocks::wrapping(3, 2, 0..4))), [2, 0]);
        assert_eq!(list(&named((5..10).into())), [7, 5, 6, 8, 9]);
        assert_eq!(list(&named((1..3).into()).reversed()), [1, 3]);
        assert_eq!((named(0.into()).plain(), named(Blocks::NONE).len()), (None, 0));
    }

    #[test]
    fn bits_of_the_distance() {
        for size in 1..20_usize {
            for bit in (0..5).map(|k| 1 << k) {
                let plain: Vec<usize> = (0..size).filter(|block| block & bit != 0).collect();
                assert_eq!(list(&Blocks::strided(bit, bit, 2 * bit, size)), plain);
                let turned: Vec<usize> = plain.iter().map(|block| (block + 3) % size).collect();
                if size > 3 {
                    let blocks = Blocks::strided(bit, bit, 2 * bit, size).from_start(3, 0..size);
                    assert_eq!(list(&blocks), turned);
                    let backwards: Vec<usize> = turned.iter().rev().copied().collect();
                    assert_eq!(list(&blocks.reversed()), backwards);
                }
            }
        }
    }
}

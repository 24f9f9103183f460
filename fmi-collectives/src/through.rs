//! Publishing and fetching through a store, for ranks that share no memory.
//!
//! What a step publishes is one item, however many blocks it has: the blocks lie one after the
//! other, and a reader takes its part. Where not all ranks know the lengths, they stand in front.
//! What the next steps fetch is read side by side.

use crate::{
    plan::{Action, Algorithm, Blocks, Shape, Step},
    store::{Store, broken},
};
use fmi_actors::{
    Payload, Result, SIGNAL,
    endpoint::{Reading, StoreUse},
    store::Part,
};
use futures::future::{BoxFuture, FutureExt};
use rustc_hash::FxHashMap;
use std::{collections::VecDeque, ops::Range, sync::Arc};

/// Reads that are under way at once.
const AHEAD: usize = 16;
/// Bytes of a length in front of blocks.
const LENGTH: usize = 8;

/// One rank's way to its store, in one collective.
pub(crate) struct Through {
    usage: Arc<StoreUse>,
    algorithm: &'static Algorithm,
    shape: Shape,
    align: usize,
    /// World ranks.
    group: Arc<[u32]>,
    /// What other ranks publish at once, by rank.
    items: FxHashMap<usize, Vec<Blocks>>,
    /// Begun, in the order of their steps.
    reads: VecDeque<BoxFuture<'static, Result<Payload>>>,
    /// The first step whose reads have not begun.
    begun: usize,
}

impl Through {
    pub(crate) fn new(
        usage: StoreUse,
        (algorithm, shape): (&'static Algorithm, Shape),
        align: usize,
        group: Arc<[u32]>,
    ) -> Self {
        let (items, reads) = (FxHashMap::default(), VecDeque::new());
        Self { usage: Arc::new(usage), algorithm, shape, align, group, items, reads, begun: 0 }
    }

    /// Ready when there is room for what a collective publishes.
    pub(crate) fn room(&self) -> Result<BoxFuture<'static, ()>> {
        self.usage.room()
    }

    /// Puts blocks of the workspace into the store, each to be read so often.
    pub(crate) fn publish(
        &self,
        workspace: &mut Store,
        blocks: &Blocks,
        readers: usize,
        last: bool,
    ) -> Result<()> {
        let Some(first) = blocks.iter().next() else {
            return self.usage.publish(Part::Signal, Payload::empty(), readers);
        };
        if blocks.len() == 1 {
            return self.usage.publish(Part::Block(first), workspace.read(blocks, last)?, readers);
        }
        let contents = blocks.iter().map(|block| workspace.read(&block.into(), last)?.into_wire());
        let mut contents = contents.collect::<Result<Vec<_>>>()?;
        if workspace.length_of(first).is_none() {
            let lengths: Vec<u8> = contents
                .iter()
                .flat_map(|content| (content.size_hint() as u64).to_le_bytes())
                .collect();
            contents.insert(0, Payload::from_vec(lengths));
        }
        let content = Payload::join(contents)?;
        self.usage.publish(Part::Block(first), content, readers * blocks.len())
    }

    /// Begins the reads of this step and of those after it that do nothing but read, too.
    pub(crate) fn begin(&mut self, index: usize, steps: &[Step], workspace: &Store) -> Result<()> {
        self.begun = self.begun.max(index);
        while let Some(step) = steps.get(self.begun)
            && (self.reads.len() < AHEAD || self.begun == index)
        {
            match &step.action {
                Action::Fetch { from, blocks } | Action::CombineShared { from, blocks, .. } => {
                    for block in super::executor::numbers(blocks) {
                        let read = self.read(*from, block, workspace)?;
                        self.reads.push_back(read);
                    }
                }
                Action::Copy { .. } => {}
                _ => break,
            }
            self.begun += 1;
        }
        Ok(())
    }

    /// The next block that is fetched.
    pub(crate) fn next(&mut self) -> Result<BoxFuture<'static, Result<Payload>>> {
        self.reads.pop_front().ok_or_else(|| broken("no read has begun"))
    }

    fn read(
        &mut self,
        from: usize,
        block: usize,
        workspace: &Store,
    ) -> Result<BoxFuture<'static, Result<Payload>>> {
        if block == SIGNAL {
            return Ok(self.get(from, Part::Signal, None, true)?.boxed());
        }
        let blocks = self.item(from, block)?;
        let first = Part::Block(blocks.iter().next().unwrap_or(block));
        if blocks.len() == 1 {
            return Ok(self.get(from, first, None, true)?.boxed());
        }
        let before = || blocks.iter().take_while(|other| *other != block);
        if let Some(length) = workspace.length_of(block) {
            let start: usize = before().filter_map(|other| workspace.length_of(other)).sum();
            let range = start as u64..(start + length) as u64;
            return Ok(self.get(from, first, Some(range), true)?.boxed());
        }
        let (place, front) = (before().count(), (blocks.len() * LENGTH) as u64);
        let lengths = self.get(from, first, Some(0..front), false)?;
        let (usage, from, align) = (Arc::clone(&self.usage), self.group[from], self.align);
        Ok(async move {
            let lengths = lengths.await?;
            let range = locate(lengths.bytes().unwrap_or_default(), place, front)?;
            usage.fetch(from, first, Some(range), true, align)?.await
        }
        .boxed())
    }

    fn get(
        &self,
        from: usize,
        part: Part,
        range: Option<Range<u64>>,
        counts: bool,
    ) -> Result<Reading> {
        self.usage.fetch(self.group[from], part, range, counts, self.align)
    }

    /// The blocks that a rank publishes together with this one.
    fn item(&mut self, from: usize, block: usize) -> Result<Blocks> {
        let (algorithm, shape) = (self.algorithm, &self.shape);
        let items = self.items.entry(from).or_insert_with(|| {
            let steps = (algorithm.steps)(from, shape.clone());
            let published = steps.filter_map(|step| match step.action {
                Action::Publish { blocks, .. } if !blocks.is_empty() => Some(blocks),
                _ => None,
            });
            published.collect()
        });
        let item = items.iter().find(|blocks| blocks.contains(block)).cloned();
        item.ok_or_else(|| broken("it fetches what is not published"))
    }
}

/// Where a block lies, given the lengths of all of its item.
fn locate(lengths: &[u8], place: usize, front: u64) -> Result<Range<u64>> {
    let mut start = front;
    let mut lengths = lengths.chunks_exact(LENGTH).map(|bytes| {
        let mut length = [0; LENGTH];
        length.copy_from_slice(bytes);
        u64::from_le_bytes(length)
    });
    for length in lengths.by_ref().take(place) {
        start = start.checked_add(length).ok_or_else(|| broken("lengths that overflow"))?;
    }
    let length = lengths.next().ok_or_else(|| broken("fewer blocks than published"))?;
    let end = start.checked_add(length).ok_or_else(|| broken("lengths that overflow"))?;
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_behind_those_before_it() {
        let lengths: Vec<u8> = [3u64, 0, 7].into_iter().flat_map(u64::to_le_bytes).collect();
        let found = (0..3).map(|place| locate(&lengths, place, 24).unwrap());
        assert!(found.eq([24..27, 27..27, 27..34]));
        assert!(locate(&lengths, 3, 24).is_err());
        assert!(locate(&[0xff; 16], 1, 24).is_err());
    }
}

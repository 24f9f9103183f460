//! What ranks have published.

use super::{heard::Heard, simulation::Message, terms::Term};
use crate::plan::Blocks;
use rustc_hash::FxHashMap;

/// All publications, by rank and block.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    blocks: FxHashMap<(u32, u32), Publication>,
    /// Publications of no blocks: a rank's signal.
    signals: FxHashMap<u32, (Publication, Heard)>,
    /// Who waits for publications of a rank.
    waiting: FxHashMap<u32, Vec<usize>>,
}

#[derive(Debug)]
struct Publication {
    /// Nothing for a signal.
    term: Option<Term>,
    round: usize,
    readers: usize,
    fetched: usize,
}

impl Shelf {
    /// Puts blocks there. Fails with the first that is there already.
    pub(super) fn put(
        &mut self,
        rank: usize,
        blocks: &Blocks,
        readers: usize,
        message: Message,
    ) -> Result<(), Blocks> {
        let Message { blocks: terms, heard, round, .. } = message;
        let publication = |term| Publication { term, round, readers, fetched: 0 };
        if blocks.is_empty() {
            let known = self.signals.insert(rank as u32, (publication(None), heard));
            return known.map_or(Ok(()), |_| Err(Blocks::NONE));
        }
        for (block, term) in blocks.iter().zip(terms) {
            let known = self.blocks.insert((rank as u32, block as u32), publication(Some(term)));
            if known.is_some() {
                return Err(block.into());
            }
        }
        Ok(())
    }

    /// Reads blocks of a rank. `None` if they are not all there; fails with the first that no
    /// reader is left for, and how many it had.
    pub(super) fn fetch(
        &mut self,
        from: usize,
        blocks: &Blocks,
    ) -> Result<Option<Message>, (Blocks, usize)> {
        let from = from as u32;
        let mut message = Message::default();
        if blocks.is_empty() {
            let Some((signal, heard)) = self.signals.get_mut(&from) else { return Ok(None) };
            message.heard = heard.clone();
            message.round = signal.round;
            return signal.fetch(Blocks::NONE).map(|_| Some(message));
        }
        if !blocks.iter().all(|block| self.blocks.contains_key(&(from, block as u32))) {
            return Ok(None);
        }
        for block in blocks.iter() {
            if let Some(publication) = self.blocks.get_mut(&(from, block as u32)) {
                message.blocks.extend(publication.fetch(block.into())?);
                message.round = message.round.max(publication.round);
            }
        }
        Ok(Some(message))
    }

    /// Notes that `rank` waits for a publication of `from`.
    pub(super) fn wait(&mut self, from: usize, rank: usize) {
        self.waiting.entry(from as u32).or_default().push(rank);
    }

    /// Who has waited for publications of this rank.
    pub(super) fn awoken(&mut self, rank: usize) -> Vec<usize> {
        self.waiting.remove(&(rank as u32)).unwrap_or_default()
    }

    /// The first publication with readers to come: its rank and block, and how many.
    pub(super) fn left(&self) -> Option<(usize, Blocks, usize)> {
        let blocks = self.blocks.iter().map(|(&(rank, block), it)| (rank, Some(block), it));
        let signals = self.signals.iter().map(|(&rank, (it, _))| (rank, None, it));
        let left = blocks.chain(signals).filter(|(_, _, it)| it.fetched < it.readers);
        let (rank, block, it) = left.min_by_key(|(rank, block, _)| (*rank, *block))?;
        let block = block.map_or(Blocks::NONE, |block| (block as usize).into());
        Some((rank as usize, block, it.readers - it.fetched))
    }
}

impl Publication {
    fn fetch(&mut self, block: Blocks) -> Result<Option<Term>, (Blocks, usize)> {
        if self.fetched == self.readers {
            return Err((block, self.readers));
        }
        self.fetched += 1;
        Ok(self.term)
    }
}

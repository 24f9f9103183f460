//! What a process's memory is spent on.

use crate::{Failure, record::RECORD};

/// How much a rank may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Records that it sends in a round.
    pub(crate) chunk: usize,
    /// Bytes of records that it keeps before it spills; `None`: all.
    pub(crate) store: Option<usize>,
    /// Bytes that it reads spilled runs with.
    pub(crate) merge: usize,
}

/// What the program itself needs, with the library's links and the buffers that it keeps.
const RESERVE: u64 = 96 << 20;

/// Of a chunk, at most. Longer ones make nothing faster.
const LONGEST: u64 = 8 << 20;

impl Budget {
    /// Of each of `here` ranks of a process, in a job of `all`.
    ///
    /// Half of the memory is for exchanges. In the worst round all ranks send all they have to one process:
    /// `all` chunks arrive there, and as many are held by the library until they are taken. What its own ranks
    /// have read, are sending, and will send next is three times no more than that. The other half holds
    /// records, and 16 bytes for each when they are sorted. `aside`: what each of them needs besides, to read
    /// and write.
    pub(crate) fn new(
        memory: Option<u64>,
        here: usize,
        all: usize,
        aside: u64,
    ) -> Result<Self, Failure> {
        let (here, all) = (here.max(1) as u64, all.max(1) as u64);
        let reserve = RESERVE + here * aside;
        let Some(memory) = memory else {
            let chunk = (16 * LONGEST / all).clamp(LONGEST / 8, LONGEST);
            return Ok(Self { chunk: records(chunk), store: None, merge: 0 });
        };
        let free = memory.saturating_sub(reserve);
        let chunk = (free / 10 / all).min(LONGEST);
        let store = free / 2 / here * RECORD as u64 / (RECORD as u64 + 16);
        // With less, there are more messages and runs than work.
        if chunk < LEAST_CHUNK || store < LEAST_STORE {
            let least = (10 * all * LEAST_CHUNK).max(5 * here * LEAST_STORE / 2);
            return Err(Failure::Memory(reserve + least));
        }
        let store = usize::try_from(store).unwrap_or(usize::MAX);
        Ok(Self { chunk: records(chunk), store: Some(store), merge: store })
    }
}

const LEAST_CHUNK: u64 = 64 << 10;
const LEAST_STORE: u64 = 2 << 20;

fn records(bytes: u64) -> usize {
    (bytes / RECORD as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_fits_into_the_memory() {
        for (memory, here, all, aside) in [
            (512, 4, 8, 0),
            (512, 4, 8, 19),
            (512, 1, 8, 0),
            (160, 2, 2, 0),
            (4096, 64, 64, 0),
            (2048, 1, 1, 500),
        ] {
            let (memory, aside) = (memory << 20, aside << 20);
            let budget = Budget::new(Some(memory), here, all, aside).unwrap();
            let store = budget.store.unwrap();
            let exchange = 5 * all * budget.chunk * RECORD;
            let kept = here * store * 116 / 100;
            let aside = here as u64 * aside;
            assert!((exchange + kept) as u64 + aside + RESERVE <= memory, "{budget:?}");
        }
    }

    #[test]
    fn too_little_is_told_with_what_is_enough() {
        for (memory, here, all, aside) in [
            (0, 1, 1, 0),
            (100, 4, 8, 0),
            (110, 64, 64, 0),
            (110, 1, 1000, 0),
            (160, 4, 4, 20 << 20),
        ] {
            let new = |memory| Budget::new(Some(memory), here, all, aside);
            let Err(Failure::Memory(least)) = new(memory << 20) else {
                panic!("{memory} MiB are enough");
            };
            assert!(new(least).is_ok(), "{least}");
        }
    }
}

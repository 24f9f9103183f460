//! Which rank gets which keys.

use crate::{
    Failure,
    place::Reading,
    record::{KEY, RECORD, key},
};
use fmi::Context;
use futures::{StreamExt, TryStreamExt, stream};
use std::ops::Range;

/// The first keys of all ranks but the first. All records of a key go to one rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Splitters(Vec<u128>);

/// Keys that each rank looks at. With 2,000 a rank the largest share is a few percent above the mean.
const SAMPLES: u64 = 2_000;

/// Looks at once, where they take time.
const ABREAST: usize = 8;

impl Splitters {
    /// From keys of all ranks, evenly spaced in their parts of the input; the same on all.
    pub(crate) async fn agree(
        ctx: &Context,
        input: &Reading,
        own: Range<u64>,
    ) -> Result<Self, Failure> {
        let count = own.end - own.start;
        let samples = count.min(SAMPLES);
        let run = input.run();
        let looks = samples.div_ceil(run);
        let at = |look: u64| {
            own.start + (u128::from(count) * u128::from(look) / u128::from(looks)) as u64
        };
        let read = |look: u64| async move {
            let mut records = vec![0; run.min(at(look + 1) - at(look)) as usize * RECORD];
            input.read_into(&mut records, at(look)).await?;
            Ok::<_, Failure>(records)
        };
        let looks = stream::iter((0..looks).map(read)).buffered(ABREAST);
        let looks: Vec<Vec<u8>> = looks.try_collect().await?;
        let records = looks.iter().flat_map(|records| records.chunks_exact(RECORD));
        let keys: Vec<u8> = records.flat_map(|record| &record[..KEY]).copied().collect();
        let all: Vec<Vec<u8>> = ctx.allgatherv(keys).await?;
        let keys = all.iter().flat_map(|keys| keys.chunks_exact(KEY)).map(key).collect();
        Ok(Self::between(keys, ctx.size()))
    }

    /// Such that each of `ranks` gets as many of these keys as the others, if no key is there too often.
    fn between(mut keys: Vec<u128>, ranks: usize) -> Self {
        keys.sort_unstable();
        let cut = |rank: usize| keys.get(keys.len() * rank / ranks).copied().unwrap_or(u128::MAX);
        Self((1..ranks).map(cut).collect())
    }

    /// Whose record it is.
    fn rank(&self, record: &[u8]) -> usize {
        let key = key(record);
        self.0.partition_point(|first| *first <= key)
    }

    /// A chunk's records by the ranks whose they are, in the order of the chunk.
    pub(crate) fn divide(&self, chunk: &[u8]) -> Vec<Vec<u8>> {
        let mut lengths = vec![0; self.0.len() + 1];
        let ranks: Vec<u32> = chunk
            .chunks_exact(RECORD)
            .map(|record| {
                let rank = self.rank(record);
                lengths[rank] += RECORD;
                rank as u32
            })
            .collect();
        let mut parts: Vec<Vec<u8>> = lengths.into_iter().map(Vec::with_capacity).collect();
        for (record, rank) in chunk.chunks_exact(RECORD).zip(ranks) {
            parts[rank as usize].extend_from_slice(record);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Kind, generate};
    use proptest::{collection::vec, prelude::proptest};

    #[test]
    fn random_keys_are_shared_evenly() {
        let records = generate(Kind::Binary, 0, 20_000);
        let samples = records.chunks_exact(RECORD).step_by(10).map(key).collect();
        let parts = Splitters::between(samples, 7).divide(&records);
        for part in &parts {
            let records = part.len() / RECORD;
            assert!((2_400..3_400).contains(&records), "{records}");
        }
    }

    proptest! {
        #[test]
        fn every_record_goes_to_one_rank_and_ranks_are_in_order(
            samples in vec(0..20_u8, 0..30), keys in vec(0..20_u8, 0..60), ranks in 1..9_usize,
        ) {
            let of = |key: &u8| [[*key; KEY].as_slice(), &[*key; RECORD - KEY]].concat();
            let samples = samples.iter().map(|sample| key(&of(sample))).collect();
            let chunk: Vec<u8> = keys.iter().flat_map(of).collect();
            let parts = Splitters::between(samples, ranks).divide(&chunk);
            assert_eq!(parts.len(), ranks);
            let ends = parts.iter().filter(|part| !part.is_empty()).map(|part| {
                let keys = || part.chunks_exact(RECORD).map(key);
                (keys().min(), keys().max())
            });
            let ends: Vec<_> = ends.collect();
            assert!(ends.windows(2).all(|pair| pair[0].1 < pair[1].0));
            assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), chunk.len());
        }
    }
}

//! Merges sorted runs of a file.

use crate::{
    Failure,
    record::{RECORD, key},
};
use std::{cmp::Reverse, collections::BinaryHeap};

/// Where a sorted run is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// Gives away the records of all runs in order, equal keys in the order of the runs. It holds `memory`
/// bytes at most, but a record of each run at least.
pub(crate) fn merge<R, W>(
    runs: &[Run],
    memory: usize,
    mut read: R,
    mut write: W,
) -> Result<(), Failure>
where
    R: FnMut(&mut [u8], u64) -> Result<(), Failure>,
    W: FnMut(&[u8]) -> Result<(), Failure>,
{
    let records = (memory / runs.len().max(1) / RECORD).clamp(1, LONGEST);
    let cursor = |run: &Run| Cursor { run: *run, buffer: Vec::new(), at: 0, records };
    let mut cursors: Vec<Cursor> = runs.iter().map(cursor).collect();
    let mut heads = BinaryHeap::new();
    for (number, cursor) in cursors.iter_mut().enumerate() {
        if let Some(record) = cursor.head(&mut read)? {
            heads.push(Reverse((key(record), number)));
        }
    }
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((_, number)) = *head;
        let cursor = &mut cursors[number];
        write(&cursor.buffer[cursor.at..][..RECORD])?;
        cursor.at += RECORD;
        match cursor.head(&mut read)? {
            // In its place it sinks to where it belongs.
            Some(record) => *head = Reverse((key(record), number)),
            None => drop(std::collections::binary_heap::PeekMut::pop(head)),
        }
    }
    Ok(())
}

/// Records of a run that are read at a time, at most: more make nothing faster.
const LONGEST: usize = 40_000;

/// A place in a run.
struct Cursor {
    /// What is not read yet.
    run: Run,
    buffer: Vec<u8>,
    at: usize,
    /// How many are read at a time.
    records: usize,
}

impl Cursor {
    /// The next record.
    fn head(
        &mut self,
        read: &mut impl FnMut(&mut [u8], u64) -> Result<(), Failure>,
    ) -> Result<Option<&[u8]>, Failure> {
        if self.at == self.buffer.len() {
            let length = ((self.records * RECORD) as u64).min(self.run.end - self.run.start);
            self.buffer.resize(length as usize, 0);
            self.at = 0;
            read(&mut self.buffer, self.run.start)?;
            self.run.start += length;
        }
        Ok(self.buffer.get(self.at..self.at + RECORD))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::KEY;
    use proptest::{collection::vec, prelude::proptest};

    proptest! {
        #[test]
        fn as_one_stable_sort(runs in vec(vec(0..9_u8, 0..20), 0..8), memory in 0..3000_usize) {
            // The rest of a record says where it came from.
            let mut file = Vec::new();
            let mut places = Vec::new();
            for (number, mut keys) in (0_u8..).zip(runs) {
                keys.sort_unstable();
                let start = file.len() as u64;
                for (place, key) in (0_u8..).zip(keys) {
                    file.extend([[key; KEY].as_slice(), &[number], &[place; RECORD - KEY - 1]].concat());
                }
                places.push(Run { start, end: file.len() as u64 });
            }
            let mut merged: Vec<u8> = Vec::new();
            let read = |place: &mut [u8], at: u64| {
                place.copy_from_slice(&file[at as usize..][..place.len()]);
                Ok(())
            };
            merge(&places, memory, read, |record| {
                merged.extend_from_slice(record);
                Ok(())
            }).unwrap();
            let mut expected: Vec<&[u8]> = file.chunks_exact(RECORD).collect();
            expected.sort_by_key(|record| &record[..KEY]);
            assert_eq!(merged, expected.concat());
        }
    }
}

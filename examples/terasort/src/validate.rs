//! Validates records as valsort does: order, keys that come twice, and a checksum that does not depend on
//! the order.

use crate::{
    Failure,
    place::{Place, Reading, wait},
    record::{KEY, RECORD},
};
use app_report::progress;
use rayon::prelude::{IntoParallelIterator, ParallelIterator};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt, ops::Range};

/// Validate sorted records as valsort does
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file, or s3://BUCKET/KEY
    file: Place,

    /// The checksum that the records must have: what `gen --checksum` printed
    #[arg(long, value_name = "HEX", value_parser = hexadecimal)]
    checksum: Option<u128>,

    /// How many records there must be
    #[arg(long, value_name = "N")]
    records: Option<u64>,
}

/// What is known of records that stand one after the other. Two that follow each other make one
/// ([`followed_by`](Self::followed_by)).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, fmi::Message)]
pub(crate) struct Summary {
    pub(crate) records: u64,
    /// Keys that are less than the one before.
    pub(crate) unordered: u64,
    /// The first record with such a key.
    pub(crate) first_unordered: Option<u64>,
    /// Keys that are equal to the one before.
    pub(crate) duplicates: u64,
    /// The sum of the records' CRC-32.
    pub(crate) checksum: u128,
    /// The first key and the last one.
    pub(crate) ends: Option<([u8; KEY], [u8; KEY])>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let input = wait(Reading::open(&args.file))?;
    let bar = progress(true, "validate", input.records() * RECORD as u64, None);
    let summary = Summary::of_records(&input, 0..input.records(), &bar)?;
    bar.finish_and_clear();
    println!("{summary}");
    summary.judge()?;
    if args.records.is_some_and(|records| records != summary.records) {
        return Err(Failure::Invalid(format!("there are {} records", summary.records)));
    }
    if args.checksum.is_some_and(|checksum| checksum != summary.checksum) {
        return Err(Failure::Invalid(format!("the checksum is {:x}", summary.checksum)));
    }
    println!("SUCCESS - all records are in order");
    Ok(())
}

impl Summary {
    /// Of records in memory.
    pub(crate) fn of(records: &[u8]) -> Self {
        let one = |record: &[u8]| {
            let key: [u8; KEY] = record[..KEY].try_into().unwrap_or_default();
            let checksum = u128::from(crc32fast::hash(record));
            Self { records: 1, checksum, ends: Some((key, key)), ..Self::default() }
        };
        records.chunks_exact(RECORD).map(one).fold(Self::default(), Self::followed_by)
    }

    /// Of these records, read on all cores.
    pub(crate) fn of_records(
        input: &Reading,
        records: Range<u64>,
        bar: &app_report::ProgressBar,
    ) -> Result<Self, Failure> {
        let parts = (records.end - records.start).div_ceil(PART);
        let of_part = |part: u64| {
            let start = records.start + part * PART;
            let count = PART.min(records.end - start);
            let some = input.read(start, count as usize)?;
            bar.inc(some.len() as u64);
            Ok(Self::of(&some))
        };
        let parts: Result<Vec<Self>, Failure> = (0..parts).into_par_iter().map(of_part).collect();
        Ok(parts?.into_iter().fold(Self::default(), Self::followed_by))
    }

    /// Of these records and those after them.
    pub(crate) fn followed_by(self, next: Self) -> Self {
        let (Some((first, before)), Some((after, last))) = (self.ends, next.ends) else {
            return if self.records == 0 { next } else { self };
        };
        let order = before.cmp(&after);
        let here = (order == Ordering::Greater).then_some(self.records);
        let later = next.first_unordered.map(|record| self.records + record);
        Self {
            records: self.records + next.records,
            unordered: self.unordered + next.unordered + u64::from(here.is_some()),
            first_unordered: self.first_unordered.or(here).or(later),
            duplicates: self.duplicates + next.duplicates + u64::from(order == Ordering::Equal),
            checksum: self.checksum.wrapping_add(next.checksum),
            ends: Some((first, last)),
        }
    }

    /// Whether all are in order.
    pub(crate) fn judge(&self) -> Result<(), Failure> {
        match self.first_unordered {
            None => Ok(()),
            Some(first) => Err(Failure::Invalid(format!(
                "there are {} unordered records, the first is record {first}",
                self.unordered
            ))),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, checksum, duplicates, .. } = self;
        write!(f, "Records: {records}\nChecksum: {checksum:x}\nDuplicate keys: {duplicates}")
    }
}

/// Records that are read at a time.
const PART: u64 = 40_000;

fn hexadecimal(text: &str) -> Result<u128, String> {
    u128::from_str_radix(text.trim_start_matches("0x"), 16)
        .map_err(|_| format!("{text:?} is no number in hexadecimal"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Kind, generate};
    use proptest::{collection::vec, prelude::proptest};

    /// Records with these keys.
    fn records(keys: &[u8]) -> Vec<u8> {
        let record = |key: &u8| [[*key; KEY].as_slice(), &[7; RECORD - KEY]].concat();
        keys.iter().flat_map(record).collect()
    }

    #[test]
    fn what_is_counted() {
        let summary = Summary::of(&records(&[1, 2, 2, 1, 3, 0]));
        assert_eq!((summary.records, summary.duplicates, summary.unordered), (6, 1, 2));
        assert_eq!(summary.first_unordered, Some(3));
        let said = summary.judge().unwrap_err().to_string();
        assert_eq!(said, "ERROR - there are 2 unordered records, the first is record 3");
        assert!(Summary::of(&records(&[1, 1, 2])).judge().is_ok());
        assert_eq!(Summary::of(&[]), Summary::default());
    }

    #[test]
    fn the_checksum_is_a_sum_of_crc_32() {
        let text = generate(Kind::Binary, 0, 3);
        let sum: u128 = text.chunks(RECORD).map(|record| u128::from(crc32fast::hash(record))).sum();
        assert_eq!(Summary::of(&text).checksum, sum);
        // The check value of CRC-32 (ISO-HDLC).
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
    }

    proptest! {
        #[test]
        fn parts_make_the_whole(keys in vec(0..4_u8, 0..40), at: proptest::sample::Index) {
            let at = at.index(keys.len() + 1);
            let (left, right) = (records(&keys[..at]), records(&keys[at..]));
            let both = Summary::of(&left).followed_by(Summary::of(&right));
            assert_eq!(both, Summary::of(&records(&keys)));
            assert_eq!(both.unordered as usize, keys.windows(2).filter(|w| w[0] > w[1]).count());
            assert_eq!(both.duplicates as usize, keys.windows(2).filter(|w| w[0] == w[1]).count());
        }

        #[test]
        fn one_changed_byte_is_noticed(at in 0..50 * RECORD, change in 1..=255_u8) {
            let good = generate(Kind::Binary, 0, 50);
            let mut bad = good.clone();
            bad[at] ^= change;
            assert_ne!(Summary::of(&good).checksum, Summary::of(&bad).checksum);
        }
    }
}

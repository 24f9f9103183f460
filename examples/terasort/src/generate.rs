//! Makes records as gensort does.

use crate::{
    Failure,
    place::{Created, Parts, Place, Reading, wait},
    random::Random,
    record::{KEY, RECORD},
    validate::Summary,
};
use app_report::progress;
use rayon::prelude::{IntoParallelIterator, ParallelIterator};

/// Make records as gensort does
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many: 20000000 are 2 GB
    records: u64,

    /// The file to write, or s3://BUCKET/KEY
    file: Place,

    /// Records of printable characters
    #[arg(short, long)]
    ascii: bool,

    /// Number of the first record
    #[arg(short = 'b', long, value_name = "N", default_value_t = 0)]
    first: u64,

    /// Print the sum of the records' CRC-32, as `validate` does
    #[arg(short, long)]
    checksum: bool,
}

/// What records are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Keys of ten random bytes.
    Binary,
    /// Keys of ten printable characters.
    Ascii,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let Args { records, first, .. } = *args;
    first.checked_add(records).ok_or(Failure::TooMany)?;
    let bytes = records.checked_mul(RECORD as u64).ok_or(Failure::TooMany)?;
    let kind = if args.ascii { Kind::Ascii } else { Kind::Binary };
    let parts = Parts::of(records);
    let file = wait(Created::new(&args.file, parts))?;
    let bar = progress(true, "generate", bytes, None);
    (0..parts.count()).into_par_iter().try_for_each(|part| {
        let range = parts.range(part);
        let some = generate(kind, first + range.start, (range.end - range.start) as usize);
        bar.inc(some.len() as u64);
        file.write_part(parts, part, some)
    })?;
    file.keep()?;
    bar.finish_and_clear();
    if args.checksum {
        let input = wait(Reading::open(&args.file))?;
        println!("{:x}", Summary::of_records(&input, 0..records, &bar)?.checksum);
    }
    Ok(())
}

/// So many records from this one on.
pub(crate) fn generate(kind: Kind, first: u64, records: usize) -> Vec<u8> {
    let mut random = Random::at(first);
    let mut all = vec![0; records * RECORD];
    for (number, record) in (first..).zip(all.chunks_exact_mut(RECORD)) {
        match kind {
            Kind::Binary => binary(record, random.next(), number),
            Kind::Ascii => ascii(record, random.next(), number),
        }
    }
    all
}

/// Key; break; number; break; filler; break.
fn binary(record: &mut [u8], random: u128, number: u64) {
    record[..KEY].copy_from_slice(&random.to_be_bytes()[..KEY]);
    record[10..12].copy_from_slice(&[0x00, 0x11]);
    write_number(&mut record[12..44], number);
    record[44..48].copy_from_slice(&[0x88, 0x99, 0xAA, 0xBB]);
    fill(&mut record[48..96], random);
    record[96..].copy_from_slice(&[0xCC, 0xDD, 0xEE, 0xFF]);
}

/// The same in printable characters: a line of text.
fn ascii(record: &mut [u8], random: u128, number: u64) {
    let (high, low) = ((random >> 64) as u64, random as u64);
    write_printable(&mut record[..8], high);
    write_printable(&mut record[8..KEY], low);
    record[10..12].copy_from_slice(b"  ");
    write_number(&mut record[12..44], number);
    record[44..46].copy_from_slice(b"  ");
    fill(&mut record[46..98], random);
    record[98..].copy_from_slice(b"\r\n");
}

/// In base 95, the lowest digit first.
fn write_printable(place: &mut [u8], mut value: u64) {
    for byte in place {
        *byte = b' ' + (value % 95) as u8;
        value /= 95;
    }
}

/// In hexadecimal, with zeros before it.
fn write_number(place: &mut [u8], number: u64) {
    for (digit, byte) in place.iter_mut().rev().enumerate() {
        *byte = if digit < 16 { hexadecimal(number >> (4 * digit)) } else { b'0' };
    }
}

/// The lowest digits of the random number in hexadecimal, each four times.
fn fill(place: &mut [u8], random: u128) {
    for (digit, four) in place.rchunks_exact_mut(4).enumerate() {
        four.fill(hexadecimal((random >> (4 * digit)) as u64));
    }
}

fn hexadecimal(value: u64) -> u8 {
    b"0123456789ABCDEF"[(value & 15) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    /// What Hadoop's TeraGen and TeraValidate (a port of gensort 1.1) have printed for a million records, in
    /// many logs on the web. Hex digits as printed there.
    const MILLION: u128 = 0x7_a27e_2d0d_55de;

    #[test]
    fn a_million_records_have_the_published_checksum() {
        let summary = Summary::of(&generate(Kind::Binary, 0, 1_000_000));
        assert_eq!(format!("{:x}", summary.checksum), format!("{MILLION:x}"));
        assert_eq!(summary.records, 1_000_000);
    }

    #[test]
    fn the_first_printable_record() {
        let record = String::from_utf8(generate(Kind::Ascii, 0, 1)).unwrap();
        assert_eq!(
            record,
            "AsfAGHM5om  00000000000000000000000000000000  \
             0000222200002222000022220000222200002222000000001111\r\n"
        );
    }

    #[test]
    fn where_things_are() {
        let records = generate(Kind::Binary, 0xABC_DEF0, 2);
        let (one, other) = records.split_at(RECORD);
        assert_eq!(&one[..KEY], &Random::at(0xABC_DEF0).next().to_be_bytes()[..KEY]);
        assert_eq!(&one[12..44], b"0000000000000000000000000ABCDEF0");
        assert_eq!(&other[12..44], b"0000000000000000000000000ABCDEF1");
        assert_eq!(one[44..48], [0x88, 0x99, 0xAA, 0xBB]);
        let last = hexadecimal(Random::at(0xABC_DEF0).next() as u64);
        assert_eq!(one[92..], [last, last, last, last, 0xCC, 0xDD, 0xEE, 0xFF]);
    }

    proptest! {
        #[test]
        fn parts_are_the_whole(first in any::<u32>(), left in 0..50_usize, right in 0..50_usize, text: bool) {
            let kind = if text { Kind::Ascii } else { Kind::Binary };
            let first = u64::from(first);
            let mut parts = generate(kind, first, left);
            parts.extend(generate(kind, first + left as u64, right));
            assert_eq!(parts, generate(kind, first, left + right));
            let printable = |byte: &u8| (b' '..=b'~').contains(byte);
            assert!(!text || parts.chunks(RECORD).all(|record| record[..98].iter().all(printable)));
        }
    }
}

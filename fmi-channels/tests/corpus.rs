//! The fuzz targets over the corpus in `fuzz/corpus`, and over mutations of it that are the same in
//! every run. `fuzz/README.md` says how to look for more.

#![cfg(feature = "fuzzing")]

use fmi_channels::fuzzing::TARGETS;
use std::{fs, path::Path};

/// Mutations of each target, unless `FMI_MUTATIONS` says how many.
const MUTATIONS: usize = 10_000;

#[test]
fn the_corpus_and_mutations_of_it() {
    let asked = std::env::var("FMI_MUTATIONS").ok().and_then(|count| count.parse().ok());
    let mutations = asked.unwrap_or(MUTATIONS);
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "fuzz/corpus/{name} is empty");
        corpus.iter().for_each(|input| target(input));
        let mut dice = Dice(
            name.bytes()
                .fold(1_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte))),
        );
        for _ in 0..mutations {
            let one = &corpus[dice.roll(corpus.len())];
            let other = &corpus[dice.roll(corpus.len())];
            target(&mutated(one, other, &mut dice));
        }
    }
}

/// In the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A few of the changes that fuzzers make.
fn mutated(one: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = one.to_vec();
    for _ in 0..=dice.roll(8) {
        let at = dice.roll(bytes.len().max(1));
        match dice.roll(7) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), dice.roll(256) as u8),
            2 => bytes.extend_from_slice(&other[dice.roll(other.len().max(1)).min(other.len())..]),
            3 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xfd, 0xff][dice.roll(6)],
            4 if !bytes.is_empty() => bytes[at] ^= 1 << dice.roll(8),
            5 => (0..dice.roll(200)).for_each(|_| bytes.push(dice.roll(256) as u8)),
            _ if !bytes.is_empty() => bytes[at] = dice.roll(256) as u8,
            _ => {}
        }
    }
    bytes
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % sides.max(1)
    }
}

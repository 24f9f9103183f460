//! The program is watched: what a function loads when it starts cold is part of how long that takes, and a
//! dependency that doubles it goes unnoticed otherwise.
//!
//! A release build takes minutes, so the program of the tests is looked at, as it is, with the features that it was
//! built with, at most all. It is less optimised and so larger than a release (README.md has both), and grows with it.

use std::{fs, ops::Range};

/// What is loaded of it, in MB: 32.1 in November 2026, and a tenth of room. Whoever goes beyond says why here, and
/// measures a release.
const BOUND: f64 = 35.5;

#[test]
fn the_program_does_not_grow_unnoticed() {
    let program = fs::read(env!("CARGO_BIN_EXE_bootstrap")).unwrap();
    let loaded = loaded(&program) as f64 / 1e6;
    assert!(loaded > 1.0, "{loaded} MB are no program of ours");
    assert!(
        loaded < BOUND,
        "the function has grown: {loaded:.1} MB are loaded when it starts, {BOUND} were to be enough"
    );
}

/// Bytes of an ELF program that belong to segments that are loaded: neither symbols nor lines.
fn loaded(program: &[u8]) -> u64 {
    const LOAD: u64 = 1;
    let number = |range: Range<usize>| {
        program[range].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    assert_eq!(program[..6], *b"\x7fELF\x02\x01", "64 bits, little-endian");
    let (table, size, count) = (number(32..40), number(54..56), number(56..58));
    let headers = (0..count).map(|header| (table + header * size) as usize);
    let loads = headers.filter(|at| number(*at..at + 4) == LOAD);
    loads.map(|at| number(at + 32..at + 40)).sum()
}

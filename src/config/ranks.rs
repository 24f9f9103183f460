//! Ranks and sizes as text: `3`, `0-15`, `0,4,8-9`.

use std::collections::HashSet;

/// The most ranks that a job may have. Bounds what `0-99999999` can make a process allocate.
pub(super) const MOST: usize = 1 << 20;

/// Reads the ranks of a process, in the order written.
pub(super) fn read(text: &str) -> Result<Vec<usize>, String> {
    let mut ranks = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Some(first), Some(last)) = (rank(first), rank(last)) else {
            return Err(format!(
                "{part:?} is no rank: write one as \"3\", or a pack as \"0-15\" or \"0,4,8-9\", \
                 each below {MOST}"
            ));
        };
        if first > last {
            return Err(format!("the range {part} runs backwards: write {last}-{first}"));
        }
        ranks.extend(first..=last);
        // Without this, many overlapping ranges would add up to any length.
        if ranks.len() > MOST {
            break;
        }
    }
    check(&ranks)?;
    Ok(ranks)
}

/// Refuses an empty pack and a rank named twice.
pub(super) fn check(ranks: &[usize]) -> Result<(), String> {
    if ranks.is_empty() {
        return Err(
            "no rank in the list: name at least one, or leave it out to be given one".to_owned()
        );
    }
    let mut seen = HashSet::with_capacity(ranks.len().min(MOST));
    match ranks.iter().find(|rank| !seen.insert(**rank)) {
        Some(rank) => Err(format!("rank {rank} is named twice: name each rank once")),
        None => Ok(()),
    }
}

/// Reads the number of ranks of a job.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let size = text
        .parse()
        .map_err(|_| format!("{text:?} is no number of ranks: write one from 1 to {MOST}"))?;
    check_size(size)?;
    Ok(size)
}

/// Refuses a job of no ranks, and of more than [`MOST`].
pub(super) fn check_size(size: usize) -> Result<(), String> {
    match size {
        1..=MOST => Ok(()),
        _ => Err(format!("a job cannot have {size} ranks: give a number from 1 to {MOST}")),
    }
}

fn rank(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|rank| *rank < MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_rank_and_packs() {
        assert_eq!(read("3"), Ok(vec![3]));
        assert_eq!(read("0-15"), Ok((0..16).collect()));
        assert_eq!(read("0,4,8-9"), Ok(vec![0, 4, 8, 9]));
        assert_eq!(read(" 7 , 2 - 3 "), Ok(vec![7, 2, 3]));
        assert_eq!(read("5-5"), Ok(vec![5]));
    }

    #[test]
    fn refuses_what_is_no_rank() {
        for (text, part) in [
            ("x", "x"),
            ("", ""),
            ("1,,2", ""),
            ("-1", "-1"),
            ("1-", "1-"),
            ("1-2-3", "1-2-3"),
            ("1.0", "1.0"),
            ("1048576", "1048576"),
            ("0-18446744073709551615", "0-18446744073709551615"),
        ] {
            assert_eq!(
                read(text).unwrap_err(),
                format!(
                    "{part:?} is no rank: write one as \"3\", or a pack as \"0-15\" or \
                     \"0,4,8-9\", each below 1048576"
                )
            );
        }
    }

    #[test]
    fn refuses_backward_ranges_and_duplicates() {
        assert_eq!(read("9-8").unwrap_err(), "the range 9-8 runs backwards: write 8-9");
        assert_eq!(read("0-4,3").unwrap_err(), "rank 3 is named twice: name each rank once");
        let flood = vec!["0-1048575"; 10_000].join(",");
        assert_eq!(read(&flood).unwrap_err(), "rank 0 is named twice: name each rank once");
    }

    #[test]
    fn reads_sizes() {
        assert_eq!(size("8"), Ok(8));
        assert_eq!(size("1048576"), Ok(1 << 20));
        assert_eq!(
            size("0").unwrap_err(),
            "a job cannot have 0 ranks: give a number from 1 to 1048576"
        );
        assert_eq!(
            size("1048577").unwrap_err(),
            "a job cannot have 1048577 ranks: give a number from 1 to 1048576"
        );
        for text in ["eight", "-8", "8.0", "99999999999999999999999"] {
            assert_eq!(
                size(text).unwrap_err(),
                format!("{text:?} is no number of ranks: write one from 1 to 1048576")
            );
        }
    }
}

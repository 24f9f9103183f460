//! A wide, flat tree over contiguous ranges of ranks, for what is published and fetched: a rank
//! reads from many others at once, so that only each level costs time.
//!
//! The ranks stand in groups of [`WIDTH`] neighbours, whose first one is their leader; the leaders
//! stand in groups of as many, and so on. Rank 0 leads all.

/// Ranks in a group: as many as a rank reads side by side.
pub(super) const WIDTH: usize = 16;

/// The leader of a rank. Rank 0 has none.
pub(super) fn leader(rank: usize) -> Option<usize> {
    (rank != 0).then(|| rank - rank % span(rank))
}

/// Whom a rank leads, group by group, each of them in order: so it combines neighbours.
pub(super) fn members(rank: usize, size: usize) -> impl Iterator<Item = usize> + Send + 'static {
    let leads = move |width: &usize| *width < size && rank.is_multiple_of(*width * WIDTH);
    let widths = std::iter::successors(Some(1), |width| Some(width * WIDTH)).take_while(leads);
    widths
        .flat_map(move |width| (1..WIDTH).map(move |place| rank + place * width))
        .take_while(move |member| *member < size)
}

/// Width of the group in which this rank is not the first.
fn span(rank: usize) -> usize {
    let mut width = WIDTH;
    while rank.is_multiple_of(width) {
        width *= WIDTH;
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_but_the_first_is_led_once() {
        for size in (1..=40).chain([255, 256, 257, 300, 4100]) {
            let mut led: Vec<_> = (0..size)
                .flat_map(|rank| members(rank, size).map(move |member| (member, rank)))
                .collect();
            led.sort_unstable();
            assert!(led.iter().copied().eq((1..size).map(|rank| (rank, leader(rank).unwrap()))));
        }
    }

    #[test]
    fn a_leader_reads_its_neighbours_first() {
        let of_0: Vec<usize> = members(0, 40).collect();
        assert_eq!(of_0, (1..16).chain([16, 32]).collect::<Vec<_>>());
        assert!(members(32, 40).eq(33..40));
        assert_eq!((members(33, 40).next(), leader(33), leader(0)), (None, Some(32), None));
    }
}

//! K-Means on a share of the rows: pure arithmetic, no ranks, no I/O.
//!
//! Lloyd's algorithm. In an epoch each rank assigns its rows to the nearest centroid and adds them
//! up ([`Worker::partial_sums`]). Added over all ranks, these sums are everything that the next
//! centroids depend on ([`Worker::advance`]). So an epoch is one allreduce, whatever the number of
//! rows.

use std::{
    hash::{DefaultHasher, Hasher},
    ops::Range,
};

/// A matrix of `columns` columns, row by row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f64],
    pub(crate) columns: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn len(self) -> usize {
        self.values.len() / self.columns
    }

    pub(crate) fn slice(self, rows: Range<usize>) -> Self {
        Self { values: &self.values[rows.start * self.columns..rows.end * self.columns], ..self }
    }

    fn iter(self) -> impl Iterator<Item = &'a [f64]> {
        self.values.chunks_exact(self.columns)
    }
}

/// The rows of one rank: contiguous, and no two ranks differ by more than one row.
pub(crate) fn share(rows: usize, rank: usize, size: usize) -> Range<usize> {
    rows * rank / size..rows * (rank + 1) / size
}

/// When to stop. It stops in any case when no row changes its cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most epochs.
    pub(crate) epochs: u32,
    /// Stop when an epoch lowers the loss by less than this share of it.
    pub(crate) tolerance: f64,
}

/// What an epoch showed, over all ranks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Epoch {
    /// From 1.
    pub(crate) number: u32,
    /// Sum over all rows of the squared distance to the nearest centroid.
    pub(crate) loss: f64,
    /// Rows that changed their cluster.
    pub(crate) moved: u64,
    /// Nothing to gain by another epoch, or no epoch left.
    pub(crate) last: bool,
    /// Stopped for another reason than the number of epochs.
    pub(crate) converged: bool,
}

/// K-Means of one rank.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    rows: Rows<'a>,
    limits: Limits,
    centroids: Vec<f64>,
    assignments: Vec<u32>,
    epochs: u32,
    loss: f64,
}

/// A finished clustering: these centroids, and the nearest of them for each row of the rank.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fit {
    /// k rows of as many columns as the data.
    pub(crate) centroids: Vec<f64>,
    /// The cluster of each row.
    pub(crate) assignments: Vec<u32>,
    /// The last epoch.
    pub(crate) end: Epoch,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(rows: Rows<'a>, centroids: Vec<f64>, limits: Limits) -> Self {
        let assignments = vec![u32::MAX; rows.len()];
        Self { rows, limits, centroids, assignments, epochs: 0, loss: f64::INFINITY }
    }

    /// Assigns this rank's rows. Returns their sums by cluster (k × columns), their numbers by
    /// cluster (k), their loss, and how many of them moved: all in one vector to be added up.
    pub(crate) fn partial_sums(&mut self) -> Vec<f64> {
        let columns = self.rows.columns;
        let clusters = self.centroids.len() / columns;
        let mut totals = vec![0.0; clusters * (columns + 1) + 2];
        let (sums, rest) = totals.split_at_mut(clusters * columns);
        let (counts, rest) = rest.split_at_mut(clusters);
        for (row, assigned) in self.rows.iter().zip(&mut self.assignments) {
            let (cluster, distance) = nearest(row, &self.centroids);
            for (sum, x) in sums[cluster * columns..].iter_mut().zip(row) {
                *sum += x;
            }
            counts[cluster] += 1.0;
            rest[0] += distance;
            rest[1] += f64::from(u8::from(*assigned != cluster as u32));
            *assigned = cluster as u32;
        }
        totals
    }

    /// Takes the sums of all ranks and moves the centroids, unless this was the last epoch: then
    /// they stay those that the assignments and the loss belong to.
    pub(crate) fn advance(&mut self, totals: &[f64]) -> Epoch {
        let columns = self.rows.columns;
        let (sums, rest) = totals.split_at(self.centroids.len());
        let (counts, rest) = rest.split_at(self.centroids.len() / columns);
        let (loss, moved) = (rest[0], rest[1] as u64);
        self.epochs += 1;
        // False in the first epoch: infinity less something is no less than a share of infinity.
        let gained_little = self.loss - loss < self.limits.tolerance * self.loss;
        let converged = moved == 0 || gained_little;
        let last = converged || self.epochs >= self.limits.epochs;
        self.loss = loss;
        if !last {
            let means = self.centroids.chunks_exact_mut(columns).zip(sums.chunks_exact(columns));
            for ((centroid, sum), &count) in means.zip(counts) {
                // An empty cluster keeps its place: it may win rows back.
                if count > 0.0 {
                    centroid.iter_mut().zip(sum).for_each(|(x, sum)| *x = sum / count);
                }
            }
        }
        Epoch { number: self.epochs, loss, moved, last, converged }
    }

    pub(crate) fn finish(self, end: Epoch) -> Fit {
        Fit { centroids: self.centroids, assignments: self.assignments, end }
    }
}

/// The same on all rows at once: what the ranks' result is checked against.
pub(crate) fn fit_alone(rows: Rows<'_>, seeds: Vec<f64>, limits: Limits) -> Fit {
    let mut worker = Worker::new(rows, seeds, limits);
    loop {
        let totals = worker.partial_sums();
        let epoch = worker.advance(&totals);
        if epoch.last {
            return worker.finish(epoch);
        }
    }
}

/// Picks k rows to start from, far apart: k-means++ (Arthur & Vassilvitskii 2007). The same rows
/// and seed give the same pick on every machine.
pub(crate) fn seed_centroids(rows: Rows<'_>, clusters: usize, seed: u64) -> Vec<f64> {
    let mut random = SplitMix64(seed);
    let mut centroids = Vec::with_capacity(clusters * rows.columns);
    let mut distances = vec![f64::INFINITY; rows.len()];
    let mut pick = (random.unit() * rows.len() as f64) as usize;
    loop {
        let picked = &rows.values[pick * rows.columns..][..rows.columns];
        centroids.extend_from_slice(picked);
        if centroids.len() == clusters * rows.columns {
            return centroids;
        }
        for (distance, row) in distances.iter_mut().zip(rows.iter()) {
            *distance = distance.min(squared_distance(row, picked));
        }
        // The next one is drawn with a probability in proportion to its distance. Where all rows
        // are on a centroid already, the walk falls through to the last row: a twin, as it must be.
        let mut left = random.unit() * distances.iter().sum::<f64>();
        pick = distances
            .iter()
            .position(|&distance| {
                left -= distance;
                left < 0.0
            })
            .unwrap_or(rows.len() - 1);
    }
}

/// What a cluster is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Composition {
    /// Its rows.
    pub(crate) rows: usize,
    /// Its most frequent label and the number of rows that have it. Of equals, the lower label.
    pub(crate) majority: Option<(u32, usize)>,
}

/// Holds the clusters against the labels, if there are any. A label is an index below `names`.
pub(crate) fn compositions(
    assignments: &[u32],
    labels: Option<&[u32]>,
    clusters: usize,
    names: usize,
) -> Vec<Composition> {
    let mut rows = vec![0; clusters];
    let mut table = vec![0; clusters * names];
    for (row, &cluster) in assignments.iter().enumerate() {
        rows[cluster as usize] += 1;
        if let Some(labels) = labels {
            table[cluster as usize * names + labels[row] as usize] += 1;
        }
    }
    let majority = |cluster: usize| {
        let counts = table[cluster * names..][..names].iter().zip(0..);
        counts
            .filter(|&(&count, _)| count > 0)
            .max_by_key(|&(&count, label)| (count, std::cmp::Reverse(label)))
            .map(|(&count, label)| (label, count))
    };
    rows.iter()
        .enumerate()
        .map(|(cluster, &rows)| Composition { rows, majority: majority(cluster) })
        .collect()
}

/// A number that differs where any bit of the values does.
pub(crate) fn fingerprint(values: &[f64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.iter().for_each(|value| hasher.write_u64(value.to_bits()));
    hasher.finish()
}

/// The largest difference of two elements at one place.
pub(crate) fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Index of the nearest centroid, and the squared distance. Of equals, the lower index.
fn nearest(row: &[f64], centroids: &[f64]) -> (usize, f64) {
    centroids
        .chunks_exact(row.len())
        .map(|centroid| squared_distance(row, centroid))
        .enumerate()
        .fold(
            (0, f64::INFINITY),
            |best, (cluster, distance)| if distance < best.1 { (cluster, distance) } else { best },
        )
}

/// In eight lanes: a fixed order of additions, and one that a compiler can vectorise.
fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail = a.remainder().iter().zip(b.remainder());
    let tail: f64 = tail.map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in a.zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += (a - b) * (a - b);
        }
    }
    lanes.iter().sum::<f64>() + tail
}

/// Steele, Lea & Flood 2014.
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { epochs: 100, tolerance: 0.0 };

    /// Three heaps of points around (0, 0), (10, 0) and (0, 10).
    fn heaps() -> Vec<f64> {
        let mut random = SplitMix64(7);
        (0..300)
            .flat_map(|i| {
                let (x, y) = [(0.0, 0.0), (10.0, 0.0), (0.0, 10.0)][i % 3];
                [x + random.unit(), y + random.unit()]
            })
            .collect()
    }

    /// All ranks in a row, added up in rank order.
    fn fit_on(size: usize, rows: Rows<'_>, seeds: &[f64], limits: Limits) -> Fit {
        let mut workers: Vec<_> = (0..size)
            .map(|rank| rows.slice(share(rows.len(), rank, size)))
            .map(|rows| Worker::new(rows, seeds.to_vec(), limits))
            .collect();
        loop {
            let totals = workers.iter_mut().map(Worker::partial_sums).reduce(|mut all, one| {
                all.iter_mut().zip(one).for_each(|(all, one)| *all += one);
                all
            });
            let totals = totals.unwrap();
            let ends: Vec<_> = workers.iter_mut().map(|worker| worker.advance(&totals)).collect();
            if ends[0].last {
                let fits = workers.into_iter().map(|worker| worker.finish(ends[0]));
                return fits
                    .reduce(|mut all, one| {
                        assert_eq!(all.centroids, one.centroids);
                        all.assignments.extend(one.assignments);
                        all
                    })
                    .unwrap();
            }
        }
    }

    #[test]
    fn finds_the_heaps() {
        let values = heaps();
        let rows = Rows { values: &values, columns: 2 };
        let fit = fit_alone(rows, seed_centroids(rows, 3, 1), LIMITS);
        assert!(fit.end.converged);
        assert_eq!(fit.end.moved, 0);
        for row in 0..300 {
            assert_eq!(fit.assignments[row], fit.assignments[row % 3]);
        }
        let expected = 300.0 / 12.0 * 2.0;
        assert!((fit.end.loss - expected).abs() < 0.1 * expected, "{}", fit.end.loss);
    }

    #[test]
    fn any_number_of_ranks_agrees_with_one() {
        let values = heaps();
        let rows = Rows { values: &values, columns: 2 };
        let seeds = seed_centroids(rows, 5, 3);
        let alone = fit_alone(rows, seeds.clone(), LIMITS);
        for size in [1, 2, 3, 7, 300, 301, 1000] {
            let fit = fit_on(size, rows, &seeds, LIMITS);
            assert_eq!(fit.assignments, alone.assignments, "{size} ranks");
            assert!(largest_difference(&fit.centroids, &alone.centroids) < 1e-12);
            assert_eq!(fit, fit_on(size, rows, &seeds, LIMITS), "{size} ranks, twice");
        }
    }

    #[test]
    fn shares_are_even_and_complete() {
        for (rows, size) in [(0, 3), (1, 4), (10, 3), (1797, 64)] {
            let shares: Vec<_> = (0..size).map(|rank| share(rows, rank, size)).collect();
            assert_eq!(shares.iter().map(Range::len).sum::<usize>(), rows);
            assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(shares.iter().all(|share| share.len().abs_diff(rows / size) <= 1));
        }
    }

    #[test]
    fn the_last_epoch_leaves_centroids_assignments_and_loss_together() {
        let values = heaps();
        let rows = Rows { values: &values, columns: 2 };
        let limits = Limits { epochs: 1, tolerance: 0.0 };
        let seeds = seed_centroids(rows, 3, 1);
        let fit = fit_alone(rows, seeds.clone(), limits);
        assert_eq!(fit.centroids, seeds);
        assert_eq!((fit.end.number, fit.end.converged, fit.end.last), (1, false, true));
    }

    #[test]
    fn tolerance_stops_before_rows_stop_moving() {
        let values = heaps();
        let rows = Rows { values: &values, columns: 2 };
        let seeds = seed_centroids(rows, 20, 1);
        let all = fit_alone(rows, seeds.clone(), LIMITS);
        let fit = fit_alone(rows, seeds, Limits { tolerance: 0.05, ..LIMITS });
        assert!(fit.end.converged && fit.end.moved > 0 && fit.end.number < all.end.number);
    }

    #[test]
    fn seeds_depend_on_the_seed_alone_and_spread() {
        let values = heaps();
        let rows = Rows { values: &values, columns: 2 };
        assert_eq!(seed_centroids(rows, 3, 5), seed_centroids(rows, 3, 5));
        assert_ne!(seed_centroids(rows, 3, 5), seed_centroids(rows, 3, 6));
        let seeds = seed_centroids(rows, 3, 5);
        let heap = |centroid: &[f64]| (centroid[0] > 5.0, centroid[1] > 5.0);
        let mut found: Vec<_> = seeds.chunks(2).map(heap).collect();
        found.sort_unstable();
        assert_eq!(found, [(false, false), (false, true), (true, false)]);
    }

    #[test]
    fn equal_rows_make_empty_clusters_that_keep_their_place() {
        let values = [4.0; 6];
        let rows = Rows { values: &values, columns: 2 };
        let fit = fit_alone(rows, seed_centroids(rows, 3, 1), LIMITS);
        assert_eq!(fit.centroids, values);
        assert_eq!(fit.assignments, [0, 0, 0]);
        assert_eq!(fit.end.loss, 0.0);
    }

    #[test]
    fn compositions_name_the_majority() {
        let found = compositions(&[0, 0, 0, 2, 2], Some(&[1, 1, 0, 1, 0]), 3, 2);
        let expected = [(3, Some((1, 2))), (0, None), (2, Some((0, 1)))];
        assert_eq!(found, expected.map(|(rows, majority)| Composition { rows, majority }));
        let found = compositions(&[1, 1], None, 2, 0);
        assert_eq!(found[1], Composition { rows: 2, majority: None });
    }

    #[test]
    fn distance_counts_every_column() {
        for columns in 1..40 {
            let ones = vec![1.0; columns];
            assert_eq!(squared_distance(&ones, &vec![3.0; columns]), 4.0 * columns as f64);
        }
    }

    #[test]
    fn fingerprints_see_one_bit() {
        assert_eq!(fingerprint(&[1.0, 2.0]), fingerprint(&[1.0, 2.0]));
        assert_ne!(fingerprint(&[0.0]), fingerprint(&[-0.0]));
    }
}

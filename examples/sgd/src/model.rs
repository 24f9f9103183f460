//! Multinomial logistic regression: pure arithmetic, no ranks, no I/O.

use crate::data::Digits;

pub(crate) const CLASSES: usize = 10;

/// A line of weights a class.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model {
    columns: usize,
    pub(crate) weights: Vec<f64>,
}

/// Rows that follow each other, from the last one on to the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    first: usize,
    len: usize,
    /// Of so many rows.
    rows: usize,
}

/// How far predictions are off: a row's probability of each class, less 1 where it is that.
#[derive(Debug)]
pub(crate) struct Errors {
    batch: Batch,
    of_row: Vec<[f64; CLASSES]>,
}

impl Batch {
    /// The rows of a step, all of the data in turn.
    pub(crate) fn of_step(step: usize, len: usize, rows: usize) -> Self {
        let len = len.min(rows);
        Self { first: step * len % rows, len, rows }
    }

    /// Those of a rank. No two differ by more than one row.
    pub(crate) fn share(self, rank: usize, size: usize) -> Self {
        let (start, end) = (self.len * rank / size, self.len * (rank + 1) / size);
        Self { first: (self.first + start) % self.rows, len: end - start, rows: self.rows }
    }

    pub(crate) fn len(self) -> usize {
        self.len
    }

    fn rows(self) -> impl Iterator<Item = usize> {
        (0..self.len).map(move |row| (self.first + row) % self.rows)
    }
}

impl Model {
    pub(crate) fn new(columns: usize) -> Self {
        Self { columns, weights: vec![0.0; CLASSES * columns] }
    }

    /// Of these rows.
    pub(crate) fn errors(&self, digits: &Digits, batch: Batch) -> Errors {
        let error = |row: usize| {
            let mut error = softmax(self.scores(digits.row(row)));
            error[digits.classes[row] as usize] -= 1.0;
            error
        };
        Errors { batch, of_row: batch.rows().map(error).collect() }
    }

    /// A step down a class's gradient.
    pub(crate) fn descend(&mut self, class: usize, gradient: &[f64], rate: f64) {
        let weights = &mut self.weights[class * self.columns..][..self.columns];
        weights.iter_mut().zip(gradient).for_each(|(weight, slope)| *weight -= rate * slope);
    }

    /// The share of rows whose class it tells right.
    pub(crate) fn accuracy(&self, digits: &Digits) -> f64 {
        let right = |row: &usize| {
            let scores = self.scores(digits.row(*row));
            let best = (0..CLASSES).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
            best == Some(digits.classes[*row] as usize)
        };
        (0..digits.rows()).filter(right).count() as f64 / digits.rows() as f64
    }

    fn scores(&self, row: &[f64]) -> [f64; CLASSES] {
        let mut scores = [0.0; CLASSES];
        for (score, weights) in scores.iter_mut().zip(self.weights.chunks_exact(self.columns)) {
            *score = weights.iter().zip(row).map(|(weight, x)| weight * x).sum();
        }
        scores
    }
}

impl Errors {
    /// A class's gradient, summed up over the rows.
    pub(crate) fn gradient(&self, digits: &Digits, class: usize) -> Vec<f64> {
        let mut gradient = vec![0.0; digits.columns];
        for (row, error) in self.batch.rows().zip(&self.of_row) {
            let error = error[class];
            gradient.iter_mut().zip(digits.row(row)).for_each(|(slope, x)| *slope += error * x);
        }
        gradient
    }
}

fn softmax(mut scores: [f64; CLASSES]) -> [f64; CLASSES] {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = (*score - highest).exp());
    let sum: f64 = scores.iter().sum();
    scores.map(|score| score / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_make_the_batch() {
        for (step, len, size) in [(0, 7, 3), (3, 10, 4), (5, 100, 7), (2, 3, 5)] {
            let all = Batch::of_step(step, len, 23);
            let shares = (0..size).flat_map(|rank| all.share(rank, size).rows());
            assert_eq!(shares.collect::<Vec<_>>(), all.rows().collect::<Vec<_>>());
        }
    }

    #[test]
    fn probabilities_add_up_also_of_large_scores() {
        let mut scores = [0.0; CLASSES];
        scores[3] = 1e4;
        let probabilities = softmax(scores);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12 && probabilities[3] > 0.99);
    }
}

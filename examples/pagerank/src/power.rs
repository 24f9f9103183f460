//! PageRank as a power iteration: pure arithmetic, no ranks, no I/O.
//!
//! Each vertex gives its rank to those it points to, in equal parts; one that points nowhere gives it to all.
//! `rank(v) = (1 − d)/n + d·(Σ rank(u)/degree(u) over edges u → v + dangling/n)`, `d` = 0.85. Brin and Page
//! 1998.

use std::ops::Range;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most iterations.
    pub(crate) iterations: u32,
    /// Stop when the ranks change by less than this, summed up over all vertices.
    pub(crate) tolerance: f64,
}

/// A range of vertices and their ranks.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Of so many.
    vertices: usize,
    own: Range<usize>,
    /// How many edges leave each of them.
    degrees: Vec<u32>,
    pub(crate) ranks: Vec<f64>,
    /// By how much the last step changed them.
    change: f64,
}

const DAMPING: f64 = 0.85;

/// The vertices of one rank: contiguous, and no two ranks differ by more than one.
pub(crate) fn share(vertices: usize, rank: usize, size: usize) -> Range<usize> {
    vertices * rank / size..vertices * (rank + 1) / size
}

impl Part {
    /// All vertices have the same rank at first.
    pub(crate) fn new(vertices: usize, own: Range<usize>, degrees: Vec<u32>) -> Self {
        let ranks = vec![1.0 / vertices as f64; own.len()];
        Self { vertices, own, degrees, ranks, change: f64::INFINITY }
    }

    pub(crate) fn vertices(&self) -> usize {
        self.vertices
    }

    pub(crate) fn own(&self) -> Range<usize> {
        self.own.clone()
    }

    /// What each vertex gives along each of its edges.
    pub(crate) fn gifts(&self) -> Vec<f64> {
        let gift = |(rank, degree): (&f64, &u32)| match degree {
            0 => 0.0,
            degree => rank / f64::from(*degree),
        };
        self.ranks.iter().zip(&self.degrees).map(gift).collect()
    }

    /// The ranks of those that point nowhere, and by how much the last step changed all. Summed up over the
    /// parts, all ranks know them.
    pub(crate) fn sums(&self) -> [f64; 2] {
        let nowhere = self.ranks.iter().zip(&self.degrees).filter(|(_, degree)| **degree == 0);
        [nowhere.map(|(rank, _)| rank).sum(), self.change]
    }

    /// A step, from what each of these vertices is given.
    pub(crate) fn step(&mut self, given: &[f64], dangling: f64) {
        let all = self.vertices as f64;
        let base = (1.0 - DAMPING) / all + DAMPING * dangling / all;
        self.change = 0.0;
        for (rank, given) in self.ranks.iter_mut().zip(given) {
            let next = base + DAMPING * given;
            self.change += (next - *rank).abs();
            *rank = next;
        }
    }
}

/// What vertices of a range are given along these edges, if all vertices give `gifts`.
pub(crate) fn pull(edges: &[(u32, u32)], gifts: &[f64], own: Range<usize>) -> Vec<f64> {
    let mut given = vec![0.0; own.len()];
    for (from, to) in edges {
        given[*to as usize - own.start] += gifts[*from as usize];
    }
    given
}

/// What all vertices are given along these edges, if those of a range give `gifts`.
pub(crate) fn push(edges: &[(u32, u32)], gifts: &[f64], own: Range<usize>, given: &mut [f64]) {
    for (from, to) in edges {
        given[*to as usize] += gifts[*from as usize - own.start];
    }
}

/// How many edges leave each vertex.
pub(crate) fn degrees(vertices: usize, edges: &[(u32, u32)]) -> Vec<u32> {
    let mut degrees = vec![0; vertices];
    edges.iter().for_each(|(from, _)| degrees[*from as usize] += 1);
    degrees
}

/// The ranks of all vertices, and after how many iterations.
pub(crate) fn alone(vertices: usize, edges: &[(u32, u32)], limits: Limits) -> (Vec<f64>, u32) {
    let mut part = Part::new(vertices, 0..vertices, degrees(vertices, edges));
    for iteration in 0..limits.iterations {
        let [dangling, change] = part.sums();
        if change < limits.tolerance {
            return (part.ranks, iteration);
        }
        part.step(&pull(edges, &part.gifts(), 0..vertices), dangling);
    }
    (part.ranks, limits.iterations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::proptest};

    const LIMITS: Limits = Limits { iterations: 200, tolerance: 1e-14 };

    #[test]
    fn a_ring_is_even_and_a_star_is_not() {
        let (ring, _) = alone(4, &[(0, 1), (1, 2), (2, 3), (3, 0)], LIMITS);
        assert!(ring.iter().all(|rank| (rank - 0.25).abs() < 1e-12));
        // All point to 0, which points nowhere: r₀ = b + 0.85·3·r₁, r₁ = b, b = (0.15 + 0.85·r₀)/4.
        let (star, iterations) = alone(4, &[(1, 0), (2, 0), (3, 0)], LIMITS);
        let leaf = star[1];
        assert!((leaf - (0.15 + 0.85 * star[0]) / 4.0).abs() < 1e-12);
        assert!((star[0] - leaf * 3.55).abs() < 1e-12);
        assert!(iterations < 200);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_both_ways_agree(edges in vec((0..9_u32, 0..9_u32), 1..40)) {
            let (ranks, _) = alone(9, &edges, Limits { iterations: 5, tolerance: 0.0 });
            assert!((ranks.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let mut pushed = vec![0.0; 9];
            push(&edges, &ranks, 0..9, &mut pushed);
            assert_eq!(pushed, pull(&edges, &ranks, 0..9));
        }
    }
}

//! What the ranks of a request compute together: K-Means over points of which all replicas have the
//! same, and each rank takes a part. A service of your own replaces this file.

use fmi::{Communicator, op};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// What all replicas hold. A real service would read it when it starts.
#[derive(Debug)]
pub struct Data {
    points: Vec<[f64; 2]>,
}

/// What a client asks.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, fmi::Message)]
pub struct Question {
    /// How many clusters.
    pub clusters: u32,
    /// How often their centres are moved.
    pub epochs: u32,
    /// After how many milliseconds they are good enough.
    #[serde(default)]
    pub within_ms: Option<u64>,
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The clusters' centres.
    pub centres: Vec<[f64; 2]>,
    /// How far the points are from them: the mean of the squares.
    pub spread: f64,
    /// How many ranks computed it.
    pub ranks: usize,
}

impl Data {
    /// Points, scattered, and the same everywhere.
    #[must_use]
    pub fn load() -> Self {
        let point = |number: u64| [1, 1 << 32].map(|salt| scattered(number + salt));
        Self { points: (0..10_000).map(point).collect() }
    }
}

impl Question {
    /// Whether it can be answered; why not.
    ///
    /// # Errors
    /// What to ask instead.
    pub fn check(&self) -> Result<(), &'static str> {
        match (self.clusters, self.epochs) {
            (1..=64, 1..) => Ok(()),
            (_, 0) => Err("epochs: at least 1"),
            _ => Err("clusters: from 1 to 64"),
        }
    }
}

/// Runs on all ranks. The question is rank 0's; the others do not know it yet.
///
/// # Errors
/// Those of collectives: a rank was lost, or gave up.
pub async fn answer(
    question: Option<Question>,
    data: &Data,
    comm: &Communicator,
) -> fmi::Result<Answer> {
    let Question { clusters, epochs, within_ms } = comm.bcast(question, 0).await?;
    let end = within_ms.map(|span| Instant::now() + Duration::from_millis(span));
    let (rank, size, all) = (comm.rank(), comm.size(), data.points.len());
    let own = &data.points[rank * all / size..(rank + 1) * all / size];
    let mut centres = data.points[..clusters as usize].to_vec();
    let mut spread = f64::NAN;
    for _ in 0..epochs {
        let mut sums = sums(own, &centres);
        // All end in the same epoch: when the first of them says so.
        sums.push(f64::from(end.is_some_and(|end| Instant::now() >= end)));
        let totals = comm.allreduce(sums, op::sum()).await?;
        let (of_clusters, rest) = totals.split_at(3 * centres.len());
        spread = rest[0] / all as f64;
        for (centre, [x, y, count]) in centres.iter_mut().zip(of_clusters.as_chunks().0) {
            if *count > 0.0 {
                *centre = [x / count, y / count];
            }
        }
        if rest[1] > 0.0 {
            break;
        }
        // Whoever computes for long gives others their turn, and can be dropped here.
        tokio::task::yield_now().await;
    }
    Ok(Answer { centres, spread, ranks: size })
}

/// Of each cluster the sums of x and y and the number of points, and at last the sum of squared
/// distances.
fn sums(points: &[[f64; 2]], centres: &[[f64; 2]]) -> Vec<f64> {
    let mut sums = vec![0.0; 3 * centres.len() + 1];
    for [x, y] in points {
        let square = |centre: &[f64; 2]| (x - centre[0]).powi(2) + (y - centre[1]).powi(2);
        let squares = centres.iter().map(square).enumerate();
        let nearest = squares.min_by(|a, b| a.1.total_cmp(&b.1));
        let Some((nearest, square)) = nearest else { continue };
        for (sum, value) in sums[3 * nearest..].iter_mut().zip([*x, *y, 1.0]) {
            *sum += value;
        }
        sums[3 * centres.len()] += square;
    }
    sums
}

/// A number from 0 to 1 for each number.
fn scattered(number: u64) -> f64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
    hash as f64 / f64::from(1 << 24)
}

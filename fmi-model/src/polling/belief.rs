//! When an operation's messages come, as far as looks have told.
//!
//! A look sees only whether it is there by then, so an observation is a range: after the last look
//! that found nothing, not after the one that found it. From the last [`WINDOW`] of them, later ones
//! counting more, and a little of everything for what was never seen, comes a distribution: the one
//! under which they are likely (Turnbull 1976, by expectation and maximisation), which starts from
//! an even one on a logarithmic scale and ends after a few rounds, before it fits chance.

use super::{
    Priced,
    plan::{self, Policy},
};
use std::collections::VecDeque;

/// Observations that are kept.
const WINDOW: usize = 64;
/// What an observation counts if there is one after it.
const FADE: f64 = 0.98;
/// What all that was never seen counts, in observations.
const UNSEEN: f64 = 0.25;
/// Of that, that it is there before we begin to wait.
const THERE: f64 = 0.1;
/// Rounds of expectation and maximisation.
const ROUNDS: usize = 8;
/// The grid of the time, without the observations' own ends: the first, the last, the ratio.
const GRID: (f64, f64, f64) = (2e-3, 1e3, 1.03);
/// Where so much of what was observed has a time in common, most likely that is the time.
const COMMON: f64 = 0.8;
/// How much more likely.
const SHARPEN: i32 = 32;
/// Pieces into which that common time is cut.
const PIECES: usize = 16;
/// A look that found nothing says less about later waits: by so much a wait, of its time.
const LOOSEN: f64 = 1e-3;

/// What it may cost to find out more, in looks: at first, at most, and earned by a wait as a share of what it costs.
const ALLOWANCE: (f64, f64, f64) = (8.0, 16.0, 0.03);
/// Who finds out more looks as if looks cost so much less.
const CURIOUS: f64 = 1.0 / 16.0;

/// When it has come so far.
#[derive(Debug)]
pub(super) struct Belief {
    /// The latest first.
    seen: VecDeque<Seen>,
    /// What finding out may cost, in looks.
    allowance: f64,
}

/// It came after the one and not after the other.
#[derive(Debug, Clone, Copy)]
struct Seen {
    after: f64,
    until: f64,
}

/// A distribution over cells of time.
#[derive(Debug, Clone)]
pub(super) struct Density {
    /// Where cells end, increasing. The first is 0: it is there at the beginning.
    pub(super) ends: Vec<f64>,
    /// How likely it comes in the cell.
    pub(super) mass: Vec<f64>,
}

impl Default for Belief {
    fn default() -> Self {
        Self { seen: VecDeque::new(), allowance: ALLOWANCE.0 }
    }
}

impl Belief {
    /// It came after the look that missed it, and not after `until`.
    pub(super) fn learn(&mut self, missed: Option<f64>, until: f64) {
        let after = missed.unwrap_or(-1.0);
        if after < until {
            self.seen.truncate(WINDOW - 1);
            self.seen.push_front(Seen { after, until });
        }
    }

    /// What is best to do in the next wait; now and then what tells more and costs a little more.
    pub(super) fn policy(&mut self, prices: Priced, gap: f64) -> Policy {
        let density = self.density();
        let best = plan::best(&density, prices, gap);
        let cost = best.cost(&density, prices) / prices.look;
        let asks = Priced { look: prices.look * CURIOUS, ..prices };
        let curious = plan::best(&density, asks, gap);
        let extra = curious.cost(&density, prices) / prices.look - cost;
        if extra > 1e-6 && extra <= self.allowance {
            self.allowance -= extra;
            return curious;
        }
        self.allowance = (self.allowance + ALLOWANCE.2 * cost).min(ALLOWANCE.1);
        best
    }

    fn density(&self) -> Density {
        let seen: Vec<Seen> = self.loosened().collect();
        let weights: Vec<f64> = (0..seen.len()).map(|age| FADE.powi(age as i32)).collect();
        let total: f64 = weights.iter().sum();
        let common = common(&seen, &weights).filter(|(_, weight)| *weight >= COMMON * total);
        let ends = ends(&seen, common.map(|(range, _)| range));
        let base = base(&ends);
        let spans: Vec<_> = seen.iter().map(|seen| span(&ends, *seen)).collect();
        let mut mass = base.clone();
        if common.is_some() {
            let mut cover = vec![0.0; ends.len() + 1];
            for ((from, to), weight) in spans.iter().zip(&weights) {
                cover[*from] += weight;
                cover[*to] -= weight;
            }
            let mut sum = 0.0;
            for (mass, change) in mass.iter_mut().zip(&cover) {
                sum += change;
                *mass *= (sum.max(0.0) / total).powi(SHARPEN).max(1e-9);
            }
        }
        for _ in 0..if seen.is_empty() { 0 } else { ROUNDS } {
            mass = round(&mass, &base, &spans, &weights);
        }
        let sum: f64 = mass.iter().sum();
        mass.iter_mut().for_each(|mass| *mass /= sum);
        Density { ends, mass }
    }

    /// The observations, the latest first, old ones less sharp.
    fn loosened(&self) -> impl Iterator<Item = Seen> + '_ {
        self.seen.iter().enumerate().map(|(age, seen)| {
            let after = seen.after - seen.after.max(0.0) * LOOSEN * age as f64;
            Seen { after, ..*seen }
        })
    }
}

/// The range that the most weight has in common, and that weight.
fn common(seen: &[Seen], weights: &[f64]) -> Option<(Seen, f64)> {
    // Ends of ranges in their order; where one ends, another that begins there does not overlap.
    let mut turns: Vec<(f64, f64)> = Vec::with_capacity(2 * seen.len());
    for (seen, weight) in seen.iter().zip(weights) {
        turns.push((seen.after, *weight));
        turns.push((seen.until, -weight));
    }
    turns.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let (mut sum, mut best) = (0.0, None::<(Seen, f64)>);
    for pair in turns.windows(2) {
        sum += pair[0].1;
        if best.is_none_or(|(_, most)| sum > most + 1e-9) {
            best = Some((Seen { after: pair[0].0, until: pair[1].0 }, sum));
        }
    }
    best
}

fn ends(seen: &[Seen], common: Option<Seen>) -> Vec<f64> {
    let (first, last, ratio) = GRID;
    let mut ends = vec![0.0];
    let mut end = first;
    while end < last {
        ends.push(end);
        end *= ratio;
    }
    let own = seen.iter().flat_map(|seen| [seen.after, seen.until]);
    ends.extend(own.filter(|end| *end > 0.0 && *end < last));
    if let Some(Seen { after, until }) = common {
        let (after, until) = (after.max(0.0), until.min(last));
        let piece = (until - after) / PIECES as f64;
        ends.extend((1..PIECES).map(|number| after + piece * number as f64));
    }
    ends.sort_by(f64::total_cmp);
    ends.dedup_by(|later, earlier| *later - *earlier < 1e-6);
    ends
}

/// How likely each cell is as long as nothing is known: even on a logarithmic scale.
fn base(ends: &[f64]) -> Vec<f64> {
    let last = ends[ends.len() - 1];
    let scale = |end: f64| (1.0 + end / GRID.0).ln() / (1.0 + last / GRID.0).ln();
    let cell = |pair: &[f64]| (1.0 - THERE) * (scale(pair[1]) - scale(pair[0]));
    std::iter::once(THERE).chain(ends.windows(2).map(cell)).collect()
}

/// The cells of a range, without the second.
fn span(ends: &[f64], seen: Seen) -> (usize, usize) {
    // Ends that were taken for the same are: they differ by a microsecond at most.
    let after = |time: f64| ends.partition_point(|end| *end <= time + 2e-6);
    let from = if seen.after < 0.0 { 0 } else { after(seen.after).min(ends.len() - 1) };
    (from, after(seen.until).max(from + 1))
}

fn round(mass: &[f64], base: &[f64], spans: &[(usize, usize)], weights: &[f64]) -> Vec<f64> {
    let mut below = Vec::with_capacity(mass.len() + 1);
    below.push(0.0);
    let mut sum = 0.0;
    for mass in mass {
        sum += mass;
        below.push(sum);
    }
    let mut share = vec![0.0; mass.len() + 1];
    for ((from, to), weight) in spans.iter().zip(weights) {
        let each = weight / (below[*to] - below[*from]).max(1e-12 * sum);
        share[*from] += each;
        share[*to] -= each;
    }
    let mut each = 0.0;
    let cells = mass.iter().zip(base).zip(&share);
    cells
        .map(|((mass, base), change)| {
            each += change;
            UNSEEN * base + mass * each.max(0.0)
        })
        .collect()
}

//! Views of the same observations, each a distribution of the time at which things come.
//!
//! Between "at any time alike, about so seldom" and "always then" lie those that find the
//! distribution under which the observed ranges are likely, by expectation and maximisation
//! (Turnbull 1976), smoothed in each round (Silverman et al. 1990) over more or less of the
//! logarithm of the time.

use super::belief::Seen;

/// How many views there are.
pub(super) const VIEWS: usize = 5;
/// Over how much of the logarithm of the time a view is smooth; the first one has another form.
const WIDTHS: [f64; VIEWS - 1] = [0.4, 0.12, 0.03, 0.0];
/// What an observation counts if there is one after it.
const FADE: f64 = 0.98;
/// What all that was never seen counts, in observations.
const UNSEEN: f64 = 0.1;
/// The same for the sharpest view.
const SHARP_UNSEEN: f64 = 0.02;
/// Of that, that it is there before we begin to wait.
const THERE: f64 = 0.1;
/// Rounds of expectation and maximisation.
const ROUNDS: usize = 8;
/// The same for the sharpest view, which is to fit exactly.
const SHARP_ROUNDS: usize = 40;
/// The grid of the time, without the observations' own ends: the first, the last, the ratio.
const GRID: (f64, f64, f64) = (2e-3, 1e3, 1.03);
/// Below this time the scale of the time is even, above it is logarithmic.
const EVEN: f64 = 0.02;
/// Where so much of what was observed has a time in common, most likely that is the time.
const COMMON: f64 = 0.8;
/// How much more likely.
const SHARPEN: i32 = 2048;
/// Pieces into which that common time is cut.
const PIECES: usize = 16;

/// Cells of time.
#[derive(Debug)]
pub(super) struct Grid {
    /// Where they end, increasing. The first is 0: it is there at the beginning.
    pub(super) ends: Vec<f64>,
    /// Length of each on the logarithmic scale.
    lengths: Vec<f64>,
    /// What is likely as long as nothing is known: all times alike on that scale.
    base: Vec<f64>,
    /// What nearly all observations have in common.
    pub(super) common: Option<Seen>,
}

/// All views of what was seen, the latest first: how likely it comes in which cell.
pub(super) fn all(grid: &Grid, seen: &[Seen]) -> [Vec<f64>; VIEWS] {
    let spans: Vec<_> = seen.iter().map(|seen| grid.cells(*seen)).collect();
    let weights = weights(seen.len());
    std::array::from_fn(|number| {
        let mut mass = match number {
            _ if seen.is_empty() => grid.base.clone(),
            0 => memoryless(grid, seen, &weights),
            _ => {
                let width = WIDTHS[number - 1];
                let mut mass =
                    if width == 0.0 { sharp(grid, &spans, &weights) } else { grid.base.clone() };
                for _ in 0..if width == 0.0 { SHARP_ROUNDS } else { ROUNDS } {
                    mass = round(grid, &mass, &spans, &weights, width);
                }
                mass
            }
        };
        let sum: f64 = mass.iter().sum();
        mass.iter_mut().for_each(|mass| *mass /= sum);
        mass
    })
}

impl Grid {
    pub(super) fn new(seen: &[Seen]) -> Self {
        let common = common(seen);
        let ends = ends(seen, common);
        let last = ends[ends.len() - 1];
        let scale = |end: f64| (1.0 + end / EVEN).ln();
        let lengths: Vec<f64> = std::iter::once(0.0)
            .chain(ends.windows(2).map(|pair| scale(pair[1]) - scale(pair[0])))
            .collect();
        let later = (1.0 - THERE) / scale(last);
        let base = lengths.iter().map(|length| if *length == 0.0 { THERE } else { length * later });
        let base = base.collect();
        Self { ends, lengths, base, common }
    }

    /// The cells of a range, without the second.
    pub(super) fn cells(&self, seen: Seen) -> (usize, usize) {
        // Ends that were taken for the same are: they differ by a microsecond at most.
        let after = |time: f64| self.ends.partition_point(|end| *end <= time + 2e-6);
        let last = self.ends.len() - 1;
        let from = if seen.after < 0.0 { 0 } else { after(seen.after).min(last) };
        (from, after(seen.until).max(from + 1))
    }
}

fn weights(count: usize) -> Vec<f64> {
    (0..count).map(|age| FADE.powi(age as i32)).collect()
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

/// The range that nearly all have in common, if there is one.
fn common(seen: &[Seen]) -> Option<Seen> {
    let mut turns: Vec<(f64, f64)> = Vec::with_capacity(2 * seen.len());
    let weights = weights(seen.len());
    for (seen, weight) in seen.iter().zip(&weights) {
        turns.push((seen.after, *weight));
        turns.push((seen.until, -weight));
    }
    // Where one ends and another begins they do not overlap.
    turns.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let (mut sum, mut most, mut best) = (0.0, COMMON * weights.iter().sum::<f64>(), None);
    for pair in turns.windows(2) {
        sum += pair[0].1;
        if sum > most + 1e-9 {
            most = sum;
            best = Some(Seen { after: pair[0].0, until: pair[1].0 });
        }
    }
    best
}

/// At any time alike: exponential, with the mean of what was observed.
fn memoryless(grid: &Grid, seen: &[Seen], weights: &[f64]) -> Vec<f64> {
    let middle = |seen: &Seen| (seen.after.max(0.0) + seen.until.max(0.0)) / 2.0;
    let total: f64 = weights.iter().sum();
    let sum: f64 = seen.iter().zip(weights).map(|(seen, weight)| middle(seen) * weight).sum();
    let there = seen.iter().zip(weights).filter(|(seen, _)| seen.until <= 0.0);
    let there = there.map(|(_, weight)| weight).sum::<f64>() / total;
    let mean = (sum / total).max(GRID.0);
    let alive = |time: f64| (-time / mean).exp();
    let rest = UNSEEN / (UNSEEN + total);
    let mut begin = 0.0;
    let cells = grid.ends.iter().zip(&grid.base);
    cells
        .map(|(end, base)| {
            let likely =
                if *end == 0.0 { there } else { (1.0 - there) * (alive(begin) - alive(*end)) };
            begin = *end;
            likely * (1.0 - rest) + base * rest
        })
        .collect()
}

/// Where to begin if it always comes at the same time.
fn sharp(grid: &Grid, spans: &[(usize, usize)], weights: &[f64]) -> Vec<f64> {
    if grid.common.is_none() {
        return grid.base.clone();
    }
    let mut cover = vec![0.0; grid.base.len() + 1];
    for ((from, to), weight) in spans.iter().zip(weights) {
        cover[*from] += weight;
        cover[*to] -= weight;
    }
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let cells = grid.base.iter().zip(&cover);
    cells
        .map(|(base, change)| {
            sum += change;
            base * (sum.max(0.0) / total).powi(SHARPEN).max(1e-9)
        })
        .collect()
}

/// Each observation is shared out among the cells of its range as they are likely so far.
fn round(
    grid: &Grid,
    mass: &[f64],
    spans: &[(usize, usize)],
    weights: &[f64],
    width: f64,
) -> Vec<f64> {
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
    let shared = mass.iter().zip(&share).map(|(mass, change)| {
        each += change;
        mass * each.max(0.0)
    });
    let mut next: Vec<f64> = shared.collect();
    if width > 0.0 {
        smooth(&mut next, &grid.lengths, width);
    }
    let unseen = if width > 0.0 { UNSEEN } else { SHARP_UNSEEN };
    next.iter_mut().zip(&grid.base).for_each(|(mass, base)| *mass += unseen * base);
    next
}

/// Spreads what is in the cells over so much of the scale, both ways alike. What is there at the
/// beginning stays there.
fn smooth(mass: &mut [f64], lengths: &[f64], width: f64) {
    let fade: Vec<f64> = lengths.iter().map(|length| (-length / width).exp()).collect();
    let before: f64 = mass[1..].iter().sum();
    let mut spread = vec![0.0; mass.len()];
    let mut carried = 0.0;
    for cell in 1..mass.len() {
        carried = carried * fade[cell] + mass[cell];
        spread[cell] = carried;
    }
    carried = 0.0;
    for cell in (1..mass.len()).rev() {
        spread[cell] += carried;
        carried = (carried + mass[cell]) * fade[cell];
    }
    let sum: f64 = spread.iter().zip(lengths).map(|(spread, length)| spread * length).sum();
    if sum > 0.0 {
        for cell in 1..mass.len() {
            mass[cell] = spread[cell] * lengths[cell] * before / sum;
        }
    }
}

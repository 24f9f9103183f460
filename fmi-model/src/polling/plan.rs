//! The looks that cost least, if it is known how likely what is awaited comes when.
//!
//! From the last time to the first: after a look at time `i` found nothing, the best next look is
//! the `j` at which a look, the wait for what comes in between until `j`, and all that follows if
//! nothing does, cost least. For a given `j` that is linear in the probability that nothing came
//! by `i`, so the best of all `j` lies on a hull of lines and the whole takes linear time.

use super::{Priced, belief::Density};
use std::collections::VecDeque;

/// When to look next, after a look that found nothing.
#[derive(Debug)]
pub(super) struct Policy {
    /// Times at which it may look.
    ends: Vec<f64>,
    /// The next of them: at first, and after a look at each. Its own place if there is none.
    next: Vec<usize>,
    prices: Priced,
}

/// The best one. From one look to the next it is `gap` at least.
pub(super) fn best(density: &Density, prices: Priced, gap: f64) -> Policy {
    let Density { ends, mass } = density;
    let count = ends.len();
    let Tails { alive, moment } = Tails::new(density);
    let mut next: Vec<usize> = (0..=count).map(|state| state.saturating_sub(1)).collect();
    let mut hull: VecDeque<Line> = VecDeque::new();
    // Costs of what follows a look at each time, times the probability that it finds nothing.
    let mut after = vec![0.0; count];
    let mut ready = count;
    // State 0 is before the first look, state s after a look at ends[s - 1].
    for state in (0..=count).rev() {
        let earliest = if state == 0 { 0.0 } else { ends[state - 1] + gap };
        while ready > state && ends[ready - 1] >= earliest {
            ready -= 1;
            let wait = prices.wait * ends[ready];
            let offset = after[ready] - wait * alive[ready + 1] + prices.wait * moment[ready + 1];
            push(&mut hull, Line { slope: wait, offset, look: ready });
        }
        let here = alive[state];
        while hull.len() > 1 && hull[1].at(here) <= hull[0].at(here) {
            hull.pop_front();
        }
        let mut cost = here * prices.look;
        if let Some(line) = hull.front() {
            next[state] = line.look;
            cost += line.at(here) - prices.wait * moment[state];
        }
        if state > 0 {
            after[state - 1] = cost.max(0.0);
        }
    }
    debug_assert_eq!(mass.len(), count);
    Policy { ends: ends.clone(), next, prices }
}

impl Policy {
    /// When to look next: after a look at `missed`, if there was one, and not before `earliest`.
    pub(super) fn next(&self, missed: Option<f64>, earliest: f64) -> f64 {
        let last = self.ends[self.ends.len() - 1];
        let state = match missed {
            None => 0,
            // Up to a microsecond late counts as in time.
            Some(missed) => self.ends.partition_point(|end| *end <= missed + 1e-6),
        };
        let look = self.next[state];
        if look + 1 != state && look < self.ends.len() {
            return self.ends[look].max(earliest);
        }
        // Longer than anything that was thought of: the chance that it comes in the next second
        // falls as the time grows.
        let wait = (2.0 * self.prices.look * earliest.max(last) / self.prices.wait).sqrt();
        earliest.max(missed.unwrap_or(0.0) + wait.min(60.0))
    }

    /// What it costs in the mean: looks, and the wait for what is there already.
    pub(super) fn cost(&self, density: &Density, prices: Priced) -> f64 {
        let Tails { alive, moment } = Tails::new(density);
        let (mut state, mut cost) = (0, 0.0);
        loop {
            let look = self.next[state];
            if look + 1 == state || look >= self.ends.len() {
                return cost + alive[state] * prices.look;
            }
            let came = alive[state] - alive[look + 1];
            let late = self.ends[look] * came - (moment[state] - moment[look + 1]);
            cost += alive[state] * prices.look + prices.wait * late;
            state = look + 1;
        }
    }
}

/// What is left of a distribution before each cell: its mass, and the integral of the time over it.
struct Tails {
    alive: Vec<f64>,
    moment: Vec<f64>,
}

impl Tails {
    fn new(Density { ends, mass }: &Density) -> Self {
        let count = ends.len();
        let (mut alive, mut moment) = (vec![0.0; count + 1], vec![0.0; count + 1]);
        for cell in (0..count).rev() {
            let begin = if cell == 0 { 0.0 } else { ends[cell - 1] };
            alive[cell] = alive[cell + 1] + mass[cell];
            moment[cell] = moment[cell + 1] + mass[cell] * (begin + ends[cell]) / 2.0;
        }
        Self { alive, moment }
    }
}

/// What a look costs, by the probability that nothing came before.
#[derive(Clone, Copy)]
struct Line {
    slope: f64,
    offset: f64,
    look: usize,
}

impl Line {
    fn at(&self, alive: f64) -> f64 {
        self.offset + self.slope * alive
    }
}

/// Adds a line to the lower hull. Slopes come decreasing, and are asked for at increasing places.
fn push(hull: &mut VecDeque<Line>, line: Line) {
    while let [.., before, last] = hull.make_contiguous() {
        // Where the new line is below the last, is the one before still below both?
        let left = (line.offset - before.offset) * (before.slope - last.slope);
        let right = (last.offset - before.offset) * (before.slope - line.slope);
        if left > right {
            break;
        }
        hull.pop_back();
    }
    hull.push_back(line);
}

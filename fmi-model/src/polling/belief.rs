//! When an operation's messages come, as far as looks have told.
//!
//! A look sees only whether it is there by then, so an observation is a range: after the last look
//! that found nothing, not after the one that found it. Several views explain the last of them,
//! from "at any time alike" to "always at the same time" (`view.rs`); each counts as much as it has
//! foretold lately, before it knew. What was cheapest under the mixture is done. Now and then a look
//! more is made where that tells more, within an allowance: what always comes at the same time would
//! never be known exactly otherwise, nor be noticed when it comes earlier than it used to.

use super::{
    Priced,
    plan::{self, Policy},
    view::{self, Grid, VIEWS},
};
use std::collections::VecDeque;

/// Observations that are kept.
const WINDOW: usize = 128;
/// What a forecast counts if there is one after it.
const FADE: f64 = 0.97;
/// No forecast counts as worse than this likely.
const WORST: f64 = 1e-3;
/// How much more the sharpest view counts while others have foretold as well: it is the one that
/// pays if it is right, and is found out soonest if it is not.
const TRUST: f64 = 20.0;
/// Observations from which on the sharpest view is believed.
const ENOUGH: usize = 4;
/// A time that is known to so many looks' price of waiting is known well enough.
const SHARP: f64 = 1.0 / 16.0;
/// What finding out may cost, in looks: at first, at most, and what each wait adds, as a share of
/// its own cost.
const ALLOWANCE: (f64, f64, f64) = (12.0, 16.0, 0.02);
/// Who finds out looks as if looks cost so much less.
const CURIOUS: f64 = 1.0 / 4.0;

/// When it has come so far.
#[derive(Debug)]
pub(super) struct Belief {
    /// The latest first.
    seen: VecDeque<Seen>,
    /// How well each view has foretold, as a logarithm.
    scores: [f64; VIEWS],
    /// What they foretell now.
    forecast: Option<(Grid, [Vec<f64>; VIEWS])>,
    /// What finding out may cost, in looks.
    allowance: f64,
}

/// It came after the one and not after the other. Less than 0 is before the wait began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    pub(super) after: f64,
    pub(super) until: f64,
}

/// A distribution over cells of time.
#[derive(Debug)]
pub(super) struct Density {
    /// Where cells end, increasing. The first is 0: it is there at the beginning.
    pub(super) ends: Vec<f64>,
    /// How likely it comes in the cell.
    pub(super) mass: Vec<f64>,
}

impl Default for Belief {
    fn default() -> Self {
        let (allowance, scores) = (ALLOWANCE.0, [0.0; VIEWS]);
        Self { seen: VecDeque::new(), scores, forecast: None, allowance }
    }
}

impl Belief {
    /// It came after the look that missed it, and not after `until`.
    pub(super) fn learn(&mut self, missed: Option<f64>, until: f64) {
        let seen = Seen { after: missed.unwrap_or(-1.0), until };
        if seen.after >= seen.until {
            return;
        }
        if let Some((grid, views)) = &self.forecast {
            let (from, to) = grid.cells(seen);
            for (score, mass) in self.scores.iter_mut().zip(views) {
                let likely: f64 = mass[from..to].iter().sum();
                *score = *score * FADE + likely.max(WORST).ln();
            }
        }
        self.seen.truncate(WINDOW - 1);
        self.seen.push_front(seen);
    }

    /// What is best to do in the next wait; now and then what tells more and costs a little more.
    pub(super) fn policy(&mut self, prices: Priced, gap: f64) -> Policy {
        let (density, middle) = self.density(prices);
        let best = plan::best(&density, prices, gap);
        if let Some(middle) = middle.filter(|_| self.allowance >= 1.0) {
            self.allowance -= 1.0;
            return best.first(middle);
        }
        let cost = best.cost(&density);
        let asks = Priced { look: prices.look * CURIOUS, ..prices };
        let curious = plan::best(&density, asks, gap);
        let extra = curious.cost(&density).looks - cost.looks;
        if extra > 1e-6 && extra <= self.allowance {
            self.allowance -= extra;
            return curious;
        }
        let earned = ALLOWANCE.2 * (cost.looks + prices.wait / prices.look * cost.late);
        self.allowance = (self.allowance + earned).min(ALLOWANCE.1);
        best
    }

    /// The views together, each by its score; and the middle of the time at which it always comes,
    /// if it does and that is not known well enough.
    fn density(&mut self, prices: Priced) -> (Density, Option<f64>) {
        let seen = self.seen.make_contiguous();
        let grid = Grid::new(seen);
        let views = view::all(&grid, seen);
        let best = self.scores.iter().copied().fold(f64::MIN, f64::max);
        let mut weights = self.scores.map(|score| (score - best).exp());
        if seen.len() >= ENOUGH {
            weights[VIEWS - 1] *= TRUST;
        }
        let total: f64 = weights.iter().sum();
        let mut mass = vec![0.0; grid.ends.len()];
        for (view, weight) in views.iter().zip(weights) {
            for (mass, part) in mass.iter_mut().zip(view) {
                *mass += part * weight / total;
            }
        }
        let ends = grid.ends.clone();
        let wide = prices.look * SHARP / prices.wait;
        let common = grid.common.filter(|common| common.until - common.after.max(0.0) > wide);
        let sure = common.filter(|_| seen.len() >= ENOUGH && weights[VIEWS - 1] > 0.5 * total);
        let middle = sure.map(|common| (common.after.max(0.0) + common.until) / 2.0);
        self.forecast = Some((grid, views));
        (Density { ends, mass }, middle)
    }
}
